"""The plain baseline of training: what the published way does, with libraries and without the work of this project.

Images are files that Pillow opens one by one in a DataLoader; positives, negatives and targets are found by looking
through all labels for every sample; the frozen backbone runs in every step; SSIM is pytorch-msssim's; tensors have
torch's default layout, layers and the optimiser are torch's own in their default form.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pytorch_msssim import ssim
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_tensor

from autoencoder.layers import Upsample
from autoencoder.step import AutoencoderStep
from dataset import Batch
from experiment.config import Config
from training.optimising import OPTIMIZERS, SingleOptimizerStep

Sample = tuple[Tensor, Tensor, int]


class PlainSamples(Dataset):
    """Sceneries as files `<scenery>_<variant>.png` below a folder; a sample has all images that a step needs.

    labels: (sceneries, seats); variants: images per scenery.
    """

    def __init__(self, folder: Path, labels: np.ndarray, variants: int, triplet: bool, impossible: str):
        self.folder, self.variants, self.triplet, self.impossible = folder, variants, triplet, impossible
        self.labels = [tuple(label) for label in labels.tolist()]
        self.classes = sorted({side for label in self.labels for side in (label, label[::-1])})
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, scenery: int) -> Sample:
        """Return inputs and targets, each (1 or 3, 1, H, W): anchor, and for triplets positive and negative; class."""
        flip = bool(self.rng.random() < 0.5)
        label = self.labels[scenery][::-1] if flip else self.labels[scenery]
        picks = [(scenery, flip)]
        if self.triplet:
            near = [i for i, other in enumerate(self.labels)
                    if any(other) and sum(a != b for a, b in zip(other, label, strict=True)) == 1]
            picks += [(self.same(scenery, label), False), (self.choose(near, scenery), False)]
        inputs = [self.image(*pick) for pick in picks]
        targets = [self.target(*pick, given) for pick, given in zip(picks, inputs, strict=True)]
        return torch.stack(inputs), torch.stack(targets), self.classes.index(label)

    def target(self, scenery: int, flip: bool, given: Tensor) -> Tensor:
        if self.impossible == "none":
            return given
        other = self.same(scenery, self.labels[scenery]) if self.impossible == "instance" else scenery
        return self.image(other, flip)

    def same(self, scenery: int, label: tuple[int, ...]) -> int:
        return self.choose([i for i, other in enumerate(self.labels) if other == label and i != scenery], scenery)

    def choose(self, candidates: list[int], otherwise: int) -> int:
        return candidates[self.rng.integers(len(candidates))] if candidates else otherwise

    def image(self, scenery: int, flip: bool) -> Tensor:
        image = Image.open(self.folder / f"{scenery}_{self.rng.integers(self.variants)}.png")
        return to_tensor(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image)


def plain_batches(samples: PlainSamples, batch_size: int, extract: Callable[[Tensor], Tensor], second: bool,
                  device: torch.device) -> Iterator[Batch]:
    """Yield batches for ever; `extract` is the frozen part of the network, which every batch goes through."""
    while True:
        for inputs, targets, classes in DataLoader(samples, batch_size, shuffle=True, drop_last=True):
            images, wanted = (part.transpose(0, 1).flatten(0, 1).to(device) for part in (inputs, targets))
            valid = torch.ones(batch_size, dtype=torch.bool, device=device) if samples.triplet else None
            other = extract(images.flip(0)) if second else None
            yield Batch(extract(images), wanted, classes.to(device), valid, other)


def make_plain(step: SingleOptimizerStep, config: Config) -> None:
    """Take from a step what makes it fast: layout, layers, optimiser and SSIM."""
    step.model.to(memory_format=torch.contiguous_format)
    for module in step.model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
        if isinstance(module, Upsample):
            module.__class__ = nn.ConvTranspose2d
    section = config.training
    step.optimizer = step.fabric.setup_optimizers(OPTIMIZERS[section.optimizer](
        step.parameters(), lr=section.learning_rate, weight_decay=section.weight_decay))
    if isinstance(step, AutoencoderStep) and section.loss == "ssim":
        step.reconstruction = lambda images, targets: 1 - ssim(images, targets, data_range=1.0)
