"""Rendered and real images as a translation takes them: in [-1, 1], with masks and labels, in batches of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from errors import UserError, choice_error
from evaluation.recogniser import Recogniser
from readers import READERS
from readers.crop import crop
from readers.opened import Opened, check_apart
from training.passes import Passes
from translation.config import EvaluationDataset, Training, TranslationConfig
from translation.cut_outs import correct_colours
from utils import mix_seed

LABELS, ALPHA = "labels", "alpha"


class Domain(Opened):
    """Images of one domain, rendered or real, one by one; with an alpha map those of single things, on black."""

    def __init__(self, section: EvaluationDataset, classes: str, cache: str, device: torch.device):
        """Prepare and open the dataset that a config section names."""
        if section.name not in READERS:
            raise choice_error("dataset.name", section.name, READERS)
        options = {"class_map": section.class_map, "classes": classes} if LABELS in READERS[section.name].maps else {}
        width, height = section.image_size
        super().__init__(section, width if width == height else (width, height), cache, device, **options)
        self.mirrors = self.reader.mirrors

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def has_masks(self) -> bool:
        return ALPHA in self.maps

    def scenery_of(self) -> np.ndarray:
        """Return the scenery (images,) of each image."""
        return np.repeat(np.arange(len(self.names)), self.count.cpu().numpy())

    def mask_of(self, layers: Tensor) -> Tensor:
        """Return where layers uint8 (n, layers, h, w) show something: bool (n, 1, h, w)."""
        place = self.channels + self.maps.index(ALPHA)
        return layers[:, place : place + 1] > 0

    def masks_of(self, layers: Tensor) -> Tensor | None:
        """Return the same as float32 of 0 and 1, or None where there are no masks."""
        return self.mask_of(layers).float() if self.has_masks else None

    def images_of(self, layers: Tensor) -> Tensor:
        """Return the images float32 (n, channels, h, w) in [-1, 1] of layers uint8; black outside of masks alone.

        Source: the colour correction of annotation-invariant style transfer, which runs after resizing.
        """
        images = layers[:, : self.channels]
        if self.has_masks:
            mask = self.mask_of(layers)
            images = correct_colours(images * mask, mask, 1)
        return images / 127.5 - 1

    def take(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return whole images and masks float32 (n, 1, h, w) of 0 and 1, or None, by index (n,)."""
        layers = self.rows.take(index)
        return self.images_of(layers), self.masks_of(layers)


class Truth:
    """What a recogniser has to find in the images of a domain: a class number per pixel or image, as it counts them.

    Without one, the label maps of the domain as they are. Raises UserError where a recogniser's classes are not those
    of the labels; key: of the config, that names it.
    """

    def __init__(self, domain: Domain, recogniser: Recogniser | None = None, key: str = ""):
        self.domain, self.per_pixel = domain, recogniser is None or recogniser.per_pixel
        if recogniser is None:
            return
        kinds = ("a class per image", "a class per pixel")
        if self.per_pixel != (LABELS in domain.maps):
            raise UserError(f"{key}: its run finds {kinds[self.per_pixel]}, {domain.title} has "
                            f"{kinds[not self.per_pixel]}; allowed: a run that was trained on labels of that kind")
        if self.per_pixel:
            if domain.classes != recogniser.classes:
                raise UserError(f"{key}: its classes are {_shortened(recogniser.classes)}, those of {domain.title} "
                                f"{_shortened(domain.classes)}; allowed: a run with the same ones in the same order, "
                                "see dataset.classes and dataset.class_map")
            return
        if not domain.labels.shape[1]:
            raise UserError(f"{key}: {domain.title} has no labels that its run could find; allowed: none")
        scenery = domain.scenery_of()
        # Of the images, and of their mirror images, whose seats are the other way round.
        self.numbers = torch.tensor([[self._number(label, recogniser.classes, key) for label in labels]
                                     for labels in (domain.labels, domain.labels[:, ::-1] if domain.mirrors else ())
                                     if len(labels)], device=domain.device)[:, torch.from_numpy(scenery)]

    def _number(self, label: np.ndarray, classes: tuple[str, ...], key: str) -> int:
        text = self.domain.class_text(label)
        if text not in classes:
            raise UserError(f"{key}: {self.domain.title} shows class {text}, which its run does not know; its classes: "
                            f"{_shortened(classes)}")
        return classes.index(text)

    def of(self, index: Tensor, layers: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """Return int64 (n,), or (n, h, w) with 255 where ignored, of images by index (n,) with their layers (as they
        are, mirrored or not); mirrored: bool (n,)."""
        if self.per_pixel:
            return layers[:, self.domain.channels + self.domain.maps.index(LABELS)].long()
        return self.numbers[0, index] if mirrored is None else self.numbers[mirrored.long(), index]


def _shortened(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:6]) + (", ..." if len(classes) > 6 else "")


@dataclass
class Batch:
    """One step's worth of both domains, as many of each, unpaired.

    source, target: rendered and real images float32 (n, channels, h, w) in [-1, 1]; source_mask, target_mask: float32
    (n, 1, h, w) of 0 and 1, or None where there are none; labels, target_labels: of both, see `Truth.of`, or None;
    share: what the losses, means over samples, count for where it is a process's part of a batch.
    """

    source: Tensor
    target: Tensor
    source_mask: Tensor | None = None
    target_mask: Tensor | None = None
    labels: Tensor | None = None
    target_labels: Tensor | None = None
    share: float = 1.0


def open_domains(config: TranslationConfig, device: torch.device) -> tuple[Domain, Domain]:
    """Open the rendered and the real images that a config trains on; UserError where they do not go together."""
    section, (wanted, _) = config.dataset, config.targets()
    source, target = (Domain(each, section.classes, section.cache, device) for each in (section, wanted))
    if target.channels != source.channels:
        raise UserError(f"target: {target.title} has {target.channels} channel(s), {source.title} {source.channels}; "
                        "allowed: as many, both in grey or both in colour")
    return source, target


def open_evaluation(config: TranslationConfig, device: torch.device) -> tuple[list[Domain], Domain]:
    """Open the rendered datasets whose translation is judged, and the real images to compare with.

    Raises UserError where two would share their records.
    """
    section, (_, wanted) = config.dataset, config.targets()
    target = Domain(wanted, section.classes, section.cache, device)
    domains = [Domain(each, section.classes, section.cache, device) for each in config.evaluation_datasets()]
    check_apart(domains)
    return domains, target


class Pairs:
    """Draws batches of as many images of both domains, independently: windows, mirrored at random, cut on the device.

    An epoch is a pass over the larger domain, or an equal share of `training.iterations`. All numbers come from the
    seed and the epoch's number. part: number of this process, and of all; each takes its part of each batch.
    """

    def __init__(self, source: Domain, target: Domain, training: Training, truth: Truth | None = None,
                 target_truth: Truth | None = None):
        self.source, self.target, self.training = source, target, training
        self.truth, self.target_truth = truth, target_truth
        self.part = (0, 1)
        height, width = source.rows.shape[-2:]
        self.size = training.crop or (width, height)
        if self.size[0] > width or self.size[1] > height:
            raise UserError(f"training.crop: found {self.size[0]}x{self.size[1]}; allowed: up to {width}x{height}, "
                            "dataset.image_size")
        if training.mirror and truth and not truth.per_pixel and not source.mirrors:
            raise UserError(f"training.mirror: a mirrored image of {source.title} is none of its class; allowed: false")
        largest = max((source, target), key=len)
        length = len(Passes(len(largest), training, largest.title, source.device))
        self.passes = [Passes(len(domain), training, domain.title, domain.device, name, length)
                       for name, domain in (("source", source), ("target", target))]

    def __len__(self) -> int:
        return len(self.passes[0])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return channels, height and width of the windows."""
        return self.source.channels, self.size[1], self.size[0]

    @property
    def identity(self) -> dict[str, Any]:
        """Return what records of losses say: the rendered dataset, and the images of an epoch."""
        return self.source.identity | {"n": len(self) * self.training.batch_size}

    @property
    def about(self) -> tuple[str, ...]:
        """Return what people want to know of the data."""
        width, height = self.size
        return tuple(f"{name}: {domain.title}, {domain.split}: {len(domain)} images, windows of {width}x{height}"
                     f"{', with masks' if domain.has_masks else ''}{''.join(f'; {each}' for each in domain.remarks)}"
                     for name, domain in (("source", self.source), ("target", self.target)))

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, from 1 on; of 0 some like them."""
        generator = torch.Generator(self.source.device).manual_seed(mix_seed("epoch", self.training.seed, number))
        for source, target in zip(*(passes.epoch(number) for passes in self.passes), strict=True):
            yield self._draw(source, target, generator)

    def _draw(self, source: Tensor, target: Tensor, generator: torch.Generator) -> Batch:
        rank, size = self.part
        own = slice(len(source) * rank // size, len(source) * (rank + 1) // size)
        share = (own.stop - own.start) / len(source)
        seen, flipped = self._windows(self.source, source, own, generator)
        real, turned = self._windows(self.target, target, own, generator)
        labels = self.truth.of(source[own], seen, flipped) if self.truth else None
        others = self.target_truth.of(target[own], real, turned) if self.target_truth else None
        return Batch(self.source.images_of(seen), self.target.images_of(real), self.source.masks_of(seen),
                     self.target.masks_of(real), labels, others, share)

    def _windows(self, domain: Domain, index: Tensor, own: slice,
                 generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Cut a window out of each image of this process's part of a batch; return layers, and which are mirrored."""
        left, top, mirror = torch.rand(3, len(index), generator=generator, device=domain.device)[:, own]
        flipped = (mirror < 0.5) & self.training.mirror
        return (crop(domain.rows.take(index[own]), self.size, left, top, flipped).contiguous(),
                flipped if self.training.mirror else None)
