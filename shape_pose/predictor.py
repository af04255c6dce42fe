"""A finished network for shape and pose applied to new images: clouds, poses, silhouettes."""

import sys
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from errors import UserError
from evaluation.kept import kept
from evaluation.predictor import Described, Predictor
from evaluation.shape_metrics import mask_errors
from files import replacing
from readers.cameras import azimuth_elevation
from reporting.shapes import Sight, shape_sheet
from reporting.streets import IGNORE, overlay
from shape_pose.data import on_white, open_training
from shape_pose.judge import ShapePoseJudge, disc_masks, of_network
from shape_pose.models import PointCloudNet
from shape_pose.step import create_network

SILHOUETTES, POINTS = "silhouettes", "points"
# Blue, as in the sheets.
COLOUR = np.array([[0, 114, 178]])


class Seen(NamedTuple):
    """What is seen in images. images: float32 (n, 3, H, W) in [0, 1], on white; masks: bool (n, H, W), the images' own;
    has_mask: bool (n,), whether they are not opaque everywhere; points: float64 (n, m, 3); poses: float64 (n, 4), unit
    quaternions, w not below 0, from the axes of the points to (depth, up, right); silhouettes: bool (n, H, W).
    """

    images: np.ndarray
    masks: np.ndarray
    has_mask: np.ndarray
    points: np.ndarray
    poses: np.ndarray
    silhouettes: np.ndarray


class Unaligned(UserError):
    """The axes of the data cannot be found."""


class ShapePosePredictor(Predictor):
    """A network for shape and pose. Images have four channels; the last is alpha, 255 everywhere where there is none.
    """

    model: PointCloudNet
    pictures = (SILHOUETTES, POINTS)
    shown = 6

    @property
    def channels(self) -> int:
        return self.reader.layers

    def build(self) -> PointCloudNet:
        return create_network(self.run.config.model, self.size).to(self.device)

    @cached_property
    def alignment(self) -> Rotation | None:
        """The rotation of predicted clouds into the axes of the data, as evaluation finds it; kept in the run folder.

        None, with a warning, where it is not there and neither are the clouds that it is found by.
        """
        try:
            found = kept(self.run.folder, f"alignment_{self.checkpoint}", self.made_of, self._align, ("quaternion",),
                         lambda found: found["quaternion"].shape == (4,) and found["quaternion"].dtype.kind == "f")
        except Unaligned as error:
            print("warning: clouds and poses are in axes of the network's own, without azimuth and elevation, as those "
                  f"of the data cannot be found: {error}", file=sys.stderr)
            return None
        return Rotation.from_quat(found["quaternion"], scalar_first=True)

    def _align(self) -> dict[str, np.ndarray]:
        config = self.run.config
        try:
            validation = open_training(config.dataset, config.model, self.device, "val")
            judge = ShapePoseJudge(of_network(self.model), [], validation, config.model,
                                   config.evaluation.alignment_models)
            return {"quaternion": judge.alignment.as_quat(scalar_first=True)}
        except UserError as error:
            raise Unaligned(str(error)) from None

    @torch.inference_mode()
    def see(self, images: np.ndarray) -> Seen:
        """Return what is seen in images with alpha, see `as_input`; points and poses in the axes of the data."""
        seen, masks = on_white(self.as_input(images))
        points, _, poses = self.model(seen)
        silhouettes = disc_masks(points, poses, self.size, self.run.config.model).cpu().numpy()
        clouds, turns = points.double().cpu().numpy(), Rotation.from_quat(poses.double().cpu(), scalar_first=True)
        if self.alignment is not None:
            clouds, turns = clouds @ self.alignment.as_matrix().T, turns * self.alignment.inv()
        return Seen(seen.cpu().numpy(), (masks >= 0.5).cpu().numpy(), (masks < 1).any(dim=(1, 2)).cpu().numpy(), clouds,
                    turns.as_quat(scalar_first=True, canonical=True), silhouettes)

    def describe(self, images: np.ndarray) -> list[Described]:
        seen = self.see(images)
        azimuth, elevation = azimuth_elevation(seen.poses)
        if self.alignment is None:
            azimuth, elevation = np.full((2, len(images)), np.nan)
        iou = np.where(seen.has_mask, mask_errors(seen.silhouettes, seen.masks)[1], np.nan)
        return [Described({"azimuth": float(azimuth[i]), "elevation": float(elevation[i])} | {
            f"quaternion_{axis}": float(value) for axis, value in zip("wxyz", seen.poses[i], strict=True)} | {
            "mask_iou": float(iou[i])}, (seen.images[i], seen.silhouettes[i], seen.points[i]))
            for i in range(len(images))]

    def keep(self, described: Described, file: Path, folder: Path, name: str) -> None:
        """Write the image under the predicted silhouette, as large as the network sees it, and the cloud (m, 3)."""
        image, silhouette, points = described.found
        over = overlay(image.transpose(1, 2, 0)[None], np.where(silhouette, 0, IGNORE)[None], COLOUR)[0]
        with replacing(folder / SILHOUETTES / f"{name}.png") as temporary:
            Image.fromarray((255 * over).round().astype(np.uint8)).save(temporary, format="PNG")
        with replacing(folder / POINTS / f"{name}.npy") as temporary, temporary.open("wb") as to:
            np.save(to, points.astype(np.float32), allow_pickle=False)

    def draw(self, path: Path, images: np.ndarray, title: str) -> None:
        """Draw images with silhouettes over their masks, and clouds from three sides."""
        seen = self.see(images)
        shape_sheet(path, [Sight(seen.images[i], seen.masks[i] & seen.has_mask[i], seen.silhouettes[i], seen.points[i],
                                 None, None) for i in range(len(images))], title)
