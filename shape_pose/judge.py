"""How close shapes, poses and masks are to the truth, and pictures of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from tqdm import tqdm

from errors import UserError
from evaluation.shape_metrics import chamfer, mask_errors, median, pose_errors, pose_errors_up_to_half_turns
from experiment.run import Run
from files import write_arrays
from reporting.shapes import Sight, error_histogram, shape_sheet
from shape_pose.alignment import Fit, fit, mean_rotation
from shape_pose.camera import project
from shape_pose.config import Model
from shape_pose.data import Shapes
from shape_pose.models import PointCloudNet

# Images that go through the network at a time, and shown in pictures.
AT_A_TIME, SHOWN = 50, 6
# Radius of the spheres whose outlines are the mask of a cloud, in the unit of its coordinates; for 8000 points.
RADIUS, POINTS = 0.01, 8000
RIGHT = 30
HALF_TURNED = 150


@dataclass(frozen=True)
class Predictor:
    """What finds shapes and poses: a network, or what says the same of every image.

    name: as records call it; predict: images float32 (n, 3, H, W) -> points (n, m, 3) and quaternions (n, 4).
    """

    name: str
    predict: Any
    aligned: bool = False


def of_network(model: PointCloudNet, name: str = "network") -> Predictor:
    """Return what a network predicts: its shape, and the pose of the student."""

    def predict(images: Tensor) -> tuple[Tensor, Tensor]:
        points, _, poses = model(images)
        return points, poses

    return Predictor(name, predict)


def constant(shapes: Shapes, count: int) -> Predictor:
    """Return what says of every image the mean cloud of all models, points drawn from them, and the commonest pose.

    The pose is the one that has most others within 30 degrees. It knows the axes of the data.
    """
    rng = np.random.default_rng(0)
    clouds = [cloud for cloud in map(shapes.cloud, range(len(shapes))) if cloud is not None]
    each = -(-count // len(clouds))
    points = np.concatenate([rng.choice(cloud, each) for cloud in clouds])
    points = torch.from_numpy(rng.permutation(points)[:count]).float()
    near = 2 * np.arccos(np.clip(np.abs(shapes.poses @ shapes.poses.T), 0, 1)) < np.radians(RIGHT)
    pose = torch.from_numpy(shapes.poses[near.sum(axis=1).argmax()]).float()

    def predict(images: Tensor) -> tuple[Tensor, Tensor]:
        return (each.to(images.device).expand(len(images), *each.shape) for each in (points, pose))

    return Predictor("constant", predict, aligned=True)


@torch.inference_mode()
def predictions(predictor: Predictor, shapes: Shapes, index: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yield images by index, a number of them at a time: index, masks, points (n, m, 3) and poses (n, 4)."""
    chunks = index.split(AT_A_TIME)
    for chunk in tqdm(chunks, desc=f"shapes of {shapes.title}", unit="batch", delay=3, leave=False, disable=None):
        images, masks = shapes.take(chunk)
        yield chunk, masks, *predictor.predict(images)


def disc_masks(points: Tensor, poses: Tensor, size: int, section: Model) -> Tensor:
    """Return masks bool (n, size, size) of spheres around points (n, m, 3), seen from poses (n, 4).

    Their outlines are taken for discs. The radius is 0.01, and larger where there are fewer points than 8000.
    """
    radius = RADIUS * max(1.0, POINTS / points.shape[1]) ** 0.5
    depth, y, x = project(points, poses, section.focal_length, section.camera_distance).unbind(-1)
    radius = size * section.focal_length * radius / (depth + section.camera_distance)
    row, column = (0.5 - y) * size - 0.5, (x + 0.5) * size - 0.5
    masks = torch.zeros(len(points), size * size + 1, dtype=torch.bool, device=points.device)
    reach = int(radius.max()) + 1
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            i, j = row.round() + down, column.round() + across
            hit = ((i - row) ** 2 + (j - column) ** 2 <= radius**2) & (i >= 0) & (i < size) & (j >= 0) & (j < size)
            masks.scatter_(1, torch.where(hit, i * size + j, size * size).long(), True)
    return masks[:, :-1].view(-1, size, size)


@dataclass(frozen=True)
class Judged:
    """What a predictor makes of the images of a dataset.

    values: name -> float64 (n,), per image: `precision` and `coverage` (NaN without a cloud of the truth), `angle` and
    `angle_half_turn` (degrees) where there are poses, `xor` and `iou` of masks; sights: for pictures.
    """

    predictor: Predictor
    shapes: Shapes
    values: dict[str, np.ndarray]
    sights: list[Sight]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The metrics as parts of records, the Chamfer distance first; of images without poses those of masks."""
        values, found, n = self.values, {}, {}
        if "precision" in values and np.isfinite(values["precision"]).any():
            precision, coverage = (float(np.nanmean(values[name])) for name in ("precision", "coverage"))
            found |= {"chamfer": precision + coverage, "precision": precision, "coverage": coverage}
            # Images of models without a cloud say nothing of shapes.
            n = dict.fromkeys(found, int(np.isfinite(values["precision"]).sum()))
        if "angle" in values:
            angle, up_to = values["angle"], values["angle_half_turn"]
            found |= {"pose_accuracy": np.mean(angle < RIGHT), "pose_median": median(angle),
                      "pose_accuracy_half_turn": np.mean(up_to < RIGHT), "pose_median_half_turn": median(up_to),
                      "half_turns": np.mean((angle > HALF_TURNED) & (up_to < RIGHT))}
        found |= {"mask_xor": np.mean(values["xor"]), "mask_iou": np.mean(values["iou"])}
        common, images = {**self.shapes.identity, "classifier": self.predictor.name}, len(values["xor"])
        return [{**common, "metric": name, "value": float(value), "n": n.get(name, images)}
                for name, value in found.items()]

    def keep(self, run: Run, checkpoint: str) -> None:
        """Keep the values of all images, `errors/<dataset>_<predictor>_<checkpoint>.npz`, and draw figures."""
        folder = run.folder / "errors"
        folder.mkdir(exist_ok=True)
        name = f"{self.shapes.file_name}_{self.predictor.name}_{checkpoint}"
        write_arrays(folder / f"{name}.npz", self.values)
        self.draw(run.images, checkpoint, f"{run.experiment}, seed {run.config.training.seed}, {checkpoint} weights")

    def draw(self, folder: Path, checkpoint: str, title: str) -> None:
        """Draw `shapes_<dataset>_<predictor>_<checkpoint>.png`, and `pose_errors_...` (PDF and PNG) of poses."""
        name = f"{self.shapes.file_name}_{self.predictor.name}_{checkpoint}"
        title = f"{title}: {self.predictor.name}, {self.shapes.title}, {self.shapes.split}"
        shape_sheet(folder / f"shapes_{name}.png", self.sights, title)
        if "angle" in self.values:
            error_histogram(folder / f"pose_errors_{name}", self.values["angle"], title)


class ShapePoseJudge:
    """Judges shapes, poses and masks on evaluation datasets. validation: what axes are aligned by."""

    def __init__(self, predictor: Predictor, datasets: list[Shapes], validation: Shapes | None, section: Model,
                 models: int):
        self.predictor, self.datasets, self.validation = predictor, datasets, validation
        self.section, self.models = section, models

    def rehearse(self) -> None:
        """Look at an image of each dataset, to find what cannot work before a run is made."""
        for shapes in self.datasets:
            first = torch.zeros(1, dtype=torch.int64, device=shapes.device)
            for _, _, points, poses in predictions(self.predictor, shapes, first):
                disc_masks(points, poses, shapes.rows.shape[-1], self.section)
            if shapes.posed and len(shapes.poses) and all(shapes.cloud(i) is None for i in range(len(shapes))):
                raise UserError(f"evaluation.datasets: {shapes.title}, {shapes.split} has no clouds of its models, "
                                "such as points/<model>.npy")
        if self.validation:
            self._truth()

    def outcomes(self) -> list[Judged]:
        """Return what is found of each dataset; the axes of clouds are aligned once."""
        return [self.judge(shapes, self.alignment if shapes.posed else None) for shapes in self.datasets]

    def rows(self) -> list[dict[str, Any]]:
        """Return the metrics of all datasets, the Chamfer distance on the first one first."""
        self.__dict__.pop("alignment", None)
        return [row for found in self.outcomes() for row in found.rows]

    def _truth(self) -> dict[int, np.ndarray]:
        """Return the clouds of the models that axes are aligned by."""
        clouds = {i: self.validation.cloud(i) for i in range(min(self.models, len(self.validation)))}
        clouds = {i: cloud for i, cloud in clouds.items() if cloud is not None}
        if not clouds:
            raise UserError(f"{self.validation.title}, {self.validation.split}: no clouds of its models to align "
                            "predicted ones to; expected points/<model>.npy, say")
        return clouds

    @cached_property
    def alignment(self) -> Rotation:
        """The rotation of predicted clouds into the axes of the data."""
        if self.predictor.aligned:
            return Rotation.identity()
        shapes, clouds = self.validation, self._truth()
        index = torch.from_numpy(np.flatnonzero(np.isin(shapes.model_of, list(clouds)))).to(shapes.device)
        fits: list[Fit] = []
        for chunk, _, points, poses in predictions(self.predictor, shapes, index):
            for i, cloud, pose in zip(chunk.tolist(), *_numpy(points, poses), strict=True):
                model = int(shapes.model_of[i])
                fits.append(fit(model, cloud, pose, clouds[model], shapes.poses[i]))
        return mean_rotation(fits)

    def judge(self, shapes: Shapes, alignment: Rotation | None) -> Judged:
        """Return what is found of a dataset, all of its images; alignment: None where there is no truth of poses."""
        count, size = len(shapes.rows), shapes.rows.shape[-1]
        names = (*(("precision", "coverage", "angle", "angle_half_turn") if alignment else ()), "xor", "iou")
        values = {name: np.full(count, np.nan) for name in names}
        shown, sights = set(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int).tolist()), []
        clouds: dict[int, np.ndarray | None] = {}
        index = torch.arange(count, device=shapes.device)
        for chunk, masks, points, poses in predictions(self.predictor, shapes, index):
            found, places = disc_masks(points, poses, size, self.section).cpu().numpy(), chunk.cpu().numpy()
            true = (masks >= 0.5).cpu().numpy()
            values["xor"][places], values["iou"][places] = mask_errors(found, true)
            predicted, turns = _numpy(points, poses)
            if alignment:
                turns = (Rotation.from_quat(turns, scalar_first=True) * alignment.inv()).as_quat(scalar_first=True)
                values["angle"][places] = pose_errors(turns, shapes.poses[places])
                values["angle_half_turn"][places] = pose_errors_up_to_half_turns(turns, shapes.poses[places])
            for k, place in enumerate(places.tolist()):
                model = int(shapes.model_of[place])
                cloud = alignment.apply(predicted[k]) if alignment else predicted[k]
                if alignment and model not in clouds:
                    clouds = {model: shapes.cloud(model)}
                truth = clouds.get(model)
                if truth is not None:
                    values["precision"][place], values["coverage"][place] = chamfer(cloud, truth)
                if place in shown:
                    image = shapes.take(chunk[k : k + 1])[0][0].cpu().numpy()
                    sights.append(Sight(image, true[k], found[k], cloud, truth, values["angle"][place] if alignment
                                        else None))
        return Judged(self.predictor, shapes, values, sights)


def _numpy(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(tensor.double().cpu().numpy() for tensor in tensors)
