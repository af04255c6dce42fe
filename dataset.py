"""What a model is fed: sceneries with variants and labels, and batches drawn from them by index arithmetic."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoencoder.pairing import Impossible, Pairing
from errors import UserError
from experiment.config import Config, EvaluationDataset
from readers import check_name
from readers.labels import label_codes, labels_of
from readers.opened import Opened, check_apart, warn_of_trained
from utils import mix_seed


class Scenes(Opened):
    """Sceneries with variants and labels (sceneries, seats); mirrors, mirrors_in_test, empty: as of the reader."""

    def __init__(self, section: EvaluationDataset, size: int, cache: str, device: torch.device):
        """Prepare and open the dataset that a config section names."""
        check_name(section.name)
        super().__init__(section, size, cache, device)
        self.mirrors, self.empty = self.reader.mirrors, self.reader.empty
        self.mirrors_in_test = self.reader.mirrors_in_test

    def label_text(self, scenery: int) -> str:
        """Return a scenery's label for people."""
        return self.class_text(self.labels[scenery])

    @property
    def class_labels(self) -> np.ndarray:
        """Return the labels (k, seats) that occur, those of mirror images included, sorted by the left seat first."""
        labels = np.concatenate([self.labels, self.labels[:, ::-1]]) if self.mirrors else self.labels
        return labels_of(np.unique(label_codes(labels)), labels.shape[1])

    @property
    def flips(self) -> int:
        """Return how many views an image has: itself, and its mirror image where labels mirror."""
        return 2 if self.mirrors else 1

    def gather(self, index: Tensor, flip: Tensor) -> Tensor:
        """Return images by index (n,), mirrored where `flip` (n,) says so, as float32 (n, C, H, W) in [0, 1]."""
        picked = self.pixels(index)
        if self.mirrors:
            picked = torch.where(flip[:, None, None, None], picked.flip(-1), picked)
        return picked.float() / 255

    def views(self, mirrored: bool, seed: int = 0, every_variant: bool = False) -> tuple[Tensor, Tensor, np.ndarray]:
        """Return image index (n,), flip (n,) and label code (n,) of what an evaluation embeds.

        One variant per scenery, drawn from the seed (or every variant), and with `mirrored` the mirror images after
        them where labels mirror.
        """
        if every_variant:
            scenery = np.repeat(np.arange(len(self)), self.count.cpu().numpy())
            index = torch.arange(len(self.rows), device=self.device)
        else:
            scenery = np.arange(len(self))
            draw = torch.from_numpy(np.random.default_rng(seed).random(len(self))).to(self.device)
            index = self.first + (draw * self.count).long()
        flip = torch.zeros(len(index), dtype=torch.bool, device=self.device)
        codes = label_codes(self.labels)[scenery]
        if mirrored and self.mirrors:
            mirror_codes = label_codes(self.labels[:, ::-1])[scenery]
            return index.repeat(2), torch.cat([flip, ~flip]), np.concatenate([codes, mirror_codes])
        return index, flip, codes


def open_evaluation_datasets(config: Config, train: Scenes) -> list[Scenes]:
    """Open the evaluation datasets of a config; UserError for one that a model of `train` cannot be judged on."""
    opened = []
    for section in config.evaluation_datasets():
        scenes = Scenes(section, config.dataset.image_size, config.dataset.cache, train.device)
        if not set(scenes.classes) <= set(train.classes) or scenes.labels.shape[1] != train.labels.shape[1]:
            raise UserError(f"evaluation.datasets: {scenes.title} has other classes ({_shortened(scenes)}) than "
                            f"{train.title} ({_shortened(train)}), so accuracies would mean nothing")
        # A class has the number that the training data give the class of the same name.
        scenes.labels = np.array([train.classes.index(name) for name in scenes.classes])[scenes.labels]
        scenes.classes = train.classes
        if scenes.channels != train.channels:
            raise UserError(f"evaluation.datasets: {scenes.title} has {scenes.channels} channels, "
                            f"{train.title} {train.channels}")
        opened.append(scenes)
    check_apart(opened)
    warn_of_trained(opened, train.origins)
    return opened


def _shortened(scenes: Scenes) -> str:
    more = ", ..." if len(scenes.classes) > 4 else ""
    seats = scenes.labels.shape[1]
    return f"{', '.join(scenes.classes[:4])}{more}{f' on {seats} seats' if seats > 1 else ''}"


# Turns image index (n,) and flip (n,) into what a network encodes: images or cached features.
Inputs = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Share:
    """What one process's part of a batch counts for, where several share it; all 1 where none does.

    A loss times its share, summed over the processes, is the loss of the whole batch, and so are the gradients.
    mean: for losses that are means over samples (SSIM, MSE, L1, KL, cross-entropy): the part's samples in those of the
    batch; total: for losses that are sums over samples (BCE): 1; triplet: for the mean over samples that are in a
    triplet, which may be unevenly spread: the part's such samples in those of the batch.
    """

    mean: float = 1.0
    total: float = 1.0
    triplet: Tensor | float = 1.0


@dataclass
class Batch:
    """One step's worth of data, on the device.

    inputs: what the network encodes, the anchors' first, then (for triplets) the positives' and the negatives';
    targets: images float32 in [0, 1] in the same order, or None where nothing is reconstructed;
    labels: class numbers of the anchors (batch,); in_triplet: bool (batch,), False where a scenery has no positive
    or no negative; None without triplets; second: inputs of an independent draw of as many sceneries, or None;
    share: what it counts for where it is a part of a batch.
    """

    inputs: Tensor
    targets: Tensor | None
    labels: Tensor
    in_triplet: Tensor | None
    second: Tensor | None = None
    share: Share = Share()


@dataclass(eq=False)
class Batches:
    """Draws an epoch's batches: every scenery once, in random order, under a random variant, mirrored at random.

    With `every_variant` every image once, instead.
    All numbers come from the seed and the epoch alone, so that a resumed run draws what an uninterrupted one does, and
    processes that share batches draw the same ones. part: number of this process, and of all; each gathers its part.
    """

    scenes: Scenes
    inputs: Inputs
    batch_size: int
    seed: int
    triplet: bool = False
    impossible: Impossible = "none"
    reconstruct: bool = True
    every_variant: bool = False
    second: bool = False
    part: tuple[int, int] = (0, 1)

    def __post_init__(self):
        scenes = self.scenes
        self.pairing = Pairing(scenes.first, scenes.count, scenes.labels, scenes.mirrors, scenes.empty)
        if self.impossible == "scene" and int(scenes.count.max()) == 1:
            raise UserError(f"training.make_scene_impossible: {scenes.title} has one variant per scenery, so there is "
                            "no other one to reconstruct; allowed: false, or make_instance_impossible")
        if self.triplet:
            self.pairing.check_triplets(scenes.title)

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    @property
    def samples(self) -> int:
        """Return the number of anchors of an epoch."""
        return len(self.scenes.rows) if self.every_variant else len(self.scenes)

    @property
    def identity(self) -> dict[str, Any]:
        """Return what records of losses say: the dataset, and the number of anchors of an epoch."""
        return self.scenes.identity | {"n": self.samples}

    @property
    def about(self) -> tuple[str, ...]:
        """Return what people want to know of the data."""
        found = "; ".join([f"{len(self.pairing.class_labels)} classes", *self.scenes.remarks])
        return (f"{self.scenes.title}: {len(self.scenes)} sceneries, {len(self.scenes.rows)} images, {found}",)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        generator = torch.Generator(self.scenes.device).manual_seed(mix_seed("epoch", self.seed, number))
        order = torch.randperm(self.samples, generator=generator, device=self.scenes.device)
        for anchors in order.split(self.batch_size):
            yield self.draw(anchors, generator)

    def draw(self, samples: Tensor, generator: torch.Generator) -> Batch:
        """Draw the batch that has these sceneries (with `every_variant`: these images) as anchors."""
        picks, wanted, in_triplet = self.choose(samples, generator)
        own, share = self._own(len(samples), in_triplet)
        picks, wanted = ([pick[:, own] for pick in each] for each in (picks, wanted))
        in_triplet = None if in_triplet is None else in_triplet[own]
        targets = self._gather(self.scenes.gather, wanted) if self.reconstruct else None
        labels = self.pairing.class_of[picks[0][1]]
        inputs, second = self._gather(self.inputs, picks), None
        if self.second:
            others = torch.randint(len(self.scenes), samples.shape, generator=generator, device=self.scenes.device)
            second = self._gather(self.inputs, [self.pairing.anchors(others, generator)[:, own]])
        return Batch(inputs, targets, labels, in_triplet, second, share)

    def _own(self, count: int, in_triplet: Tensor | None) -> tuple[slice, Share]:
        """Return which of a batch's samples this process takes, as many as the others or one more, and their share."""
        rank, size = self.part
        if size == 1:
            return slice(count), Share()
        start, stop = (count * each // size for each in (rank, rank + 1))
        # One that counts for nothing where there are fewer samples than processes: each takes part in each step.
        own, some = slice(start, stop) if start < stop else slice(1), start < stop
        triplet = 1.0 if in_triplet is None else some * in_triplet[own].sum() / in_triplet.sum().clamp(min=1)
        return own, Share((stop - start) / count, float(some), triplet)

    def choose(self, samples: Tensor, generator: torch.Generator) -> tuple[list[Tensor], list[Tensor], Tensor | None]:
        """Pick anchors and, for triplets, positives and negatives; the target of each; and who is in a triplet."""
        pairing = self.pairing
        anchor = (pairing.anchors_at if self.every_variant else pairing.anchors)(samples, generator)
        picks, in_triplet = [anchor], None
        if self.triplet:
            positive, has_positive = pairing.positives(anchor, generator)
            negative, has_negative = pairing.negatives(anchor, generator)
            picks, in_triplet = [anchor, positive, negative], has_positive & has_negative
        return picks, [pairing.targets(pick, self.impossible, generator) for pick in picks], in_triplet

    def _gather(self, inputs: Inputs, picks: list[Tensor]) -> Tensor:
        image, view = torch.cat(picks, dim=1)
        return inputs(image, self.pairing.is_flipped(view))
