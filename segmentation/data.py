"""Street scenes with label maps as a segmentation network takes them: whole images, and random crops in batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from errors import UserError
from readers import READERS, check_name
from readers.class_maps import IGNORE, load_class_map
from readers.crop import crop
from readers.opened import Opened, check_apart, origins_of, warn_of_trained
from segmentation.config import Dataset, EvaluationDataset, SegmentationConfig, Training
from training.passes import Passes
from utils import mix_seed


class Frames(Opened):
    """A prepared dataset of images with label maps; colours: uint8 (classes, 3) for pictures."""

    def __init__(self, section: EvaluationDataset, classes: str, cache: str, device: torch.device,
                 order: tuple[str, ...] = ()):
        """Prepare and open the dataset that a config section names, its labels in a set of classes.

        order: of the classes, that of the training data; by default of the dataset's own class map.
        """
        check_name(section.name, maps=("labels",))
        super().__init__(section, section.image_size, cache, device, class_map=section.class_map, classes=classes,
                         order=order)
        self.colours = self.reader.class_map.colours

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return whole images float32 (n, 3, H, W) in [0, 1] and class numbers int64 (n, H, W) by index (n,)."""
        return _parts(self.rows.take(index))

    def shares(self) -> np.ndarray:
        """Return which part of all pixels each class has, float (classes + 1,); the last: what is ignored."""
        counts = sum(torch.bincount(self.rows.take(chunk)[:, -1].reshape(-1), minlength=IGNORE + 1)
                     for chunk in torch.arange(len(self), device=self.device).split(64)).cpu().numpy()
        return np.append(counts[: len(self.classes)], counts[IGNORE]) / counts.sum()


def trained_classes(section: Dataset) -> tuple[str, ...]:
    """Return what the class numbers of a network are called that is trained on a dataset."""
    return load_class_map(section.class_map or READERS[section.name].default_map, section.classes).classes


def open_evaluation_frames(config: SegmentationConfig, device: torch.device) -> list[Frames]:
    """Open the evaluation datasets of a config, their classes in the numbers that the network gives them.

    Raises UserError for one with a class that the network is not trained on, and where two would share their records.
    """
    order = trained_classes(config.dataset)
    opened = [Frames(section, config.dataset.classes, config.dataset.cache, device, order)
              for section in config.evaluation_datasets()]
    check_apart(opened)
    section = config.dataset
    warn_of_trained(opened, origins_of(section, class_map=section.class_map, classes=section.classes))
    return opened


def _parts(layers: Tensor) -> tuple[Tensor, Tensor]:
    """Split uint8 (n, 4, H, W) into images float32 (n, 3, H, W) in [0, 1], channels last, and labels int64."""
    images = layers[:, :-1].to(torch.float32, memory_format=torch.channels_last) / 255
    return images, layers[:, -1].long()


@dataclass
class Batch:
    """images: float32 (n, 3, h, w) in [0, 1], channels last; labels: int64 (n, h, w), class numbers or 255."""

    images: Tensor
    labels: Tensor


class Crops:
    """Draws batches of random crops, mirrored at random, their colours changed; cut for the whole batch on the device.

    All images come once before any comes again; what is left over of a pass is too little for a batch and left out.
    All numbers come from the seed and the epoch's number, so that a resumed run draws what an uninterrupted one does.
    """

    def __init__(self, frames: Frames, training: Training):
        self.frames, self.training = frames, training
        height, width = frames.rows.shape[-2:]
        self.width, self.height = training.crop or (width, height)
        if (self.width > width or self.height > height) and training.scale == (1.0, 1.0):
            raise UserError(f"training.crop: found {self.width}x{self.height}; allowed: up to {width}x{height}, the "
                            f"size of {frames.title} (dataset.image_size)")
        self.passes = Passes(len(frames), training, frames.title, frames.device)

    def __len__(self) -> int:
        return len(self.passes)

    @property
    def identity(self) -> dict[str, Any]:
        """Return what records of losses say: the dataset, and the images of an epoch."""
        return self.frames.identity | {"n": len(self) * self.training.batch_size}

    @property
    def about(self) -> tuple[str, ...]:
        """Return what people want to know of the data."""
        frames = self.frames
        height, width = frames.rows.shape[-2:]
        crops = f"crops of {self.width}x{self.height}"
        found = "; ".join([crops, f"{len(frames.classes)} classes", *frames.remarks])
        return (f"{frames.title}: {len(frames)} images of {width}x{height}, {found}",)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, from 1 on; of 0 some like them."""
        generator = torch.Generator(self.frames.device).manual_seed(mix_seed("epoch", self.training.seed, number))
        for index in self.passes.epoch(number):
            yield self.draw(index, generator)

    def draw(self, index: Tensor, generator: torch.Generator) -> Batch:
        """Draw a crop of each image by index (n,)."""
        section, layers, size = self.training, self.frames.rows.take(index), (self.width, self.height)
        left, top, mirror, scale, *changes = torch.rand(7, len(index), generator=generator, device=index.device)
        mirrored = (mirror < 0.5) & section.mirror
        if section.scale == (1.0, 1.0):
            images, labels = _parts(crop(layers, size, left, top, mirrored))
        else:
            smallest, largest = section.scale
            factor = smallest + (largest - smallest) * scale
            images, labels = scaled_crop(layers, size, left, top, mirrored, factor)
        if section.jitter:
            images = jitter(images, *(1 + section.jitter * (2 * change - 1) for change in changes))
        return Batch(images, labels)


def scaled_crop(layers: Tensor, size: tuple[int, int], left: Tensor, top: Tensor, mirrored: Tensor,
                factor: Tensor) -> tuple[Tensor, Tensor]:
    """Cut a window out of each of layers (n, 4, H, W) after scaling it by a factor (n,); as `crop` otherwise.

    Images are interpolated bilinearly, labels taken from the nearest pixel; what lies beyond an image that is smaller
    than the window is ignored. Returns images float32 (n, 3, h, w) in [0, 1] and labels int64 (n, h, w).
    """
    full_height, full_width = layers.shape[-2:]
    width, height = size
    across, down = (_positions(draw, length, full, factor)
                    for draw, length, full in ((left, width, full_width), (top, height, full_height)))
    across = torch.where(mirrored[:, None], across.flip(1), across)
    grid = torch.stack([across[:, None].expand(-1, height, -1), down[:, :, None].expand(-1, -1, width)], dim=-1)
    images, labels = _parts(layers)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    labels = F.grid_sample(labels[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False)
    outside = (grid.abs() > 1).any(dim=-1)
    return images, labels[:, 0].long().masked_fill(outside, IGNORE)


def _positions(draw: Tensor, length: int, full: int, factor: Tensor) -> Tensor:
    """Return where (n, length) the pixels of windows lie in an image of a full length, -1 and 1 being its edges."""
    window = length / factor
    start = draw * (full - window)
    pixels = (torch.arange(length, device=draw.device) + 0.5) / factor[:, None] + start[:, None]
    return pixels * (2 / full) - 1


def jitter(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Change images (n, 3, h, w) in [0, 1] by factors (n,), each as torchvision's function of its name does."""
    brightness, contrast, saturation = (each[:, None, None, None] for each in (brightness, contrast, saturation))
    images = (images * brightness).clamp(0, 1)
    mean = _grey(images).mean(dim=(1, 2, 3), keepdim=True)
    images = (contrast * images + (1 - contrast) * mean).clamp(0, 1)
    return (saturation * images + (1 - saturation) * _grey(images)).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    weights = images.new_tensor([0.2989, 0.587, 0.114])
    return (images * weights[:, None, None]).sum(dim=1, keepdim=True)
