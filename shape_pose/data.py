"""Images with alpha as shape and pose take them: on white, with masks; some with poses and clouds. Batches of views."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from errors import UserError
from readers import check_name
from readers.opened import Opened, check_apart, origins_of, warn_of_trained
from readers.views import PosedViews
from shape_pose.config import Dataset, EvaluationDataset, Model, ShapePoseConfig, Training
from training.passes import Passes
from utils import mix_seed


class Shapes(Opened):
    """A prepared dataset of images with alpha, a model being a scenery and its views the variants."""

    def __init__(self, section: EvaluationDataset, image_size: int, cache: str, device: torch.device):
        """Prepare and open the dataset that a config section names."""
        check_name(section.name, maps=("alpha",))
        super().__init__(section, image_size, cache, device)

    @property
    def posed(self) -> bool:
        """Whether there are poses, and clouds of some models at least."""
        return isinstance(self.reader, PosedViews)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return images float32 (n, 3, H, W) in [0, 1], on white, and masks (n, H, W) in [0, 1], by index (n,)."""
        return on_white(self.rows.take(index) / 255)

    @cached_property
    def poses(self) -> np.ndarray:
        """Unit quaternions float64 (images, 4) of the views, from a model's axes to (depth, up, right)."""
        return np.stack([self.reader.camera(source).quaternion
                         for source in tqdm(self.sources, desc=f"poses of {self.title}", delay=3, disable=None)])

    @cached_property
    def model_of(self) -> np.ndarray:
        """The model int64 (images,) of each view."""
        return np.repeat(np.arange(len(self)), self.count.cpu().numpy())

    def cloud(self, model: int) -> np.ndarray | None:
        """Return the points float64 (n, 3) of a model by number, None where there is no file of them."""
        clouds = (reader.cloud(self.names[model]) for reader in self.readers)
        return next((cloud for cloud in clouds if cloud is not None), None)

    def check_camera(self, section: Model) -> None:
        """Raise UserError where views were made with another camera than what they are compared with."""
        for source in (self.sources[int(part.images[0])] for part in self.parts):
            camera = self.reader.camera(source)
            for key, found, wanted in (("focal_length", camera.focal, section.focal_length),
                                       ("camera_distance", camera.distance, section.camera_distance)):
                if abs(found / wanted - 1) > 0.005:
                    raise UserError(f"model.{key}: found {wanted:g}; allowed: {found:.4g}, that of {self.title} "
                                    f"({source})")


def on_white(layers: Tensor) -> tuple[Tensor, Tensor]:
    """Return images float32 (n, 3, H, W) in [0, 1], on white, and masks (n, H, W), of colours and alpha (n, 4, H, W).
    """
    masks = layers[:, 3:]
    # Channels last, as convolutions like it.
    return (layers[:, :3] * masks + (1 - masks)).contiguous(memory_format=torch.channels_last), masks[:, 0]


def open_training(section: Dataset, model: Model, device: torch.device, split: str | None = None) -> Shapes:
    """Open the views that a config trains on, or another split of those of its first root. Raises UserError."""
    changed = section if split is None else section.model_copy(update={"split": split, "limit": None,
                                                                       "root": section.roots[0]})
    shapes = Shapes(changed, section.image_size, section.cache, device)
    if not shapes.posed:
        raise UserError(f"dataset.name: {section.name} has one image of each thing and no poses; allowed: views, "
                        "shapenet_views")
    shapes.check_camera(model)
    return shapes


def open_evaluation_shapes(config: ShapePoseConfig, device: torch.device) -> list[Shapes]:
    """Open the evaluation datasets of a config; UserError where two would share their records."""
    opened = [Shapes(section, config.dataset.image_size, config.dataset.cache, device)
              for section in config.evaluation_datasets()]
    check_apart(opened)
    warn_of_trained(opened, origins_of(config.dataset))
    for shapes in opened:
        if shapes.posed:
            shapes.check_camera(config.model)
    return opened


@dataclass
class Batch:
    """images: float32 (models * views, 3, H, W) in [0, 1], on white, the views of a model side by side; masks: float32
    (models * views, grid, grid) in [0, 1]; views: of each model."""

    images: Tensor
    masks: Tensor
    views: int


class ViewBatches:
    """Draws batches of models, and of each some of its views in random order.

    All numbers come from the seed and the epoch's number, so that a resumed run draws what an uninterrupted one does.
    """

    def __init__(self, shapes: Shapes, training: Training, grid: int):
        self.shapes, self.training, self.grid = shapes, training, grid
        self.passes = Passes(len(shapes), training, shapes.title, shapes.device)
        fewest = int(shapes.count.argmin())
        if shapes.count[fewest] < training.views_per_model:
            raise UserError(f"training.views_per_model: found {training.views_per_model}; allowed: up to "
                            f"{int(shapes.count[fewest])}, the views of {shapes.names[fewest]} in {shapes.title}")

    def __len__(self) -> int:
        return len(self.passes)

    @property
    def identity(self) -> dict[str, Any]:
        """Return what records of losses say: the dataset, and the views of an epoch."""
        return self.shapes.identity | {"n": len(self) * self.training.batch_size * self.training.views_per_model}

    @property
    def about(self) -> tuple[str, ...]:
        """Return what people want to know of the data."""
        shapes, side = self.shapes, self.shapes.rows.shape[-1]
        found = "; ".join([f"{len(shapes.rows)} views of {side}x{side}", *shapes.remarks])
        return (f"{shapes.title}, {shapes.split}: {len(shapes)} models, {found}",)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, from 1 on; of 0 some like them."""
        generator = torch.Generator(self.shapes.device).manual_seed(mix_seed("views", self.training.seed, number))
        for models in self.passes.epoch(number):
            yield self.draw(models, generator)

    def draw(self, models: Tensor, generator: torch.Generator) -> Batch:
        """Draw views of models by number (n,)."""
        shapes, views = self.shapes, self.training.views_per_model
        noise = torch.rand(len(models), int(shapes.count.max()), generator=generator, device=shapes.device)
        there = torch.arange(noise.shape[1], device=shapes.device) < shapes.count[models, None]
        chosen = (noise * there).topk(views, dim=1).indices
        images, masks = shapes.take((shapes.first[models, None] + chosen).flatten())
        return Batch(images, resampled(masks, self.grid, self.training.masks), views)


def resampled(masks: Tensor, size: int, how: str) -> Tensor:
    """Return masks (n, H, W) at a size that divides theirs: every so many pixels (`published`), or means (`area`).

    Source: TensorFlow 1 resizes without half pixels, so that halving takes every second pixel as it is.
    """
    step = masks.shape[-1] // size
    if how == "published":
        return masks[:, ::step, ::step].contiguous()
    return masks.unflatten(2, (size, step)).unflatten(1, (size, step)).mean(dim=(2, 4))
