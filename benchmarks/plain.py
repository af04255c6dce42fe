"""The plain baseline of training: what the published way does, with libraries and without the work of this project.

Images are files that Pillow opens one by one in a DataLoader; positives, negatives and targets are found by looking
through all labels for every sample; the frozen backbone runs in every step; SSIM is pytorch-msssim's; tensors have
torch's default layout, layers and the optimiser are torch's own in their default form. Street scenes are cropped and
changed one by one by torchvision, and segmented one by one, predictions being counted by NumPy.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pytorch_msssim import ssim
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms.functional import crop, hflip, to_tensor

from autoencoder.layers import Upsample
from autoencoder.step import AutoencoderStep
from dataset import Batch
from efficientnet_lite import SameConv2d
from experiment.config import Config
from segmentation.config import Training as SegmentationTraining
from segmentation.data import Batch as StreetBatch
from segmentation.deeplab import Atrous, Head, resize
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
        for kind, plain in ((Head, PlainHead), (Atrous, nn.Conv2d), (SameConv2d, PlainSameConv2d)):
            if isinstance(module, kind):
                module.__class__ = plain
    section = config.training
    momentum = {"momentum": 0.9} if section.optimizer == "sgd" else {}
    step.optimizer = step.fabric.setup_optimizers(OPTIMIZERS[section.optimizer](
        step.parameters(), lr=section.learning_rate, weight_decay=section.weight_decay, **momentum))
    if isinstance(step, AutoencoderStep) and section.loss == "ssim":
        # Of the parts of triplets, which are as many each, the sum.
        step.reconstruction = lambda images, batch: (1 if batch.in_triplet is None else 3) * (
            1 - ssim(images.float(), batch.targets, data_range=1.0))


class PlainHead(Head):
    """The decoder as it is described: features are scaled, put behind the others, and convolved."""

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        low = self.project(low)
        return self.classifier(torch.cat([low, resize(self.aspp(high), low)], dim=1))


class PlainSameConv2d(SameConv2d):
    """A dilated convolution that is one."""

    def _apart(self, images: Tensor, rate: int, padding: int) -> Tensor:
        return nn.functional.conv2d(images, self.weight, self.bias, 1, rate * padding, rate, self.groups)


class PlainStreets(Dataset):
    """Street scenes as files `<number>.png` and `<number>_labels.png` in a folder; whole, or cropped at random.

    section: says how they are cropped and changed; None for whole ones.
    """

    def __init__(self, folder: Path, section: SegmentationTraining | None):
        self.folder, self.section = folder, section
        self.jitter = transforms.ColorJitter(*[section.jitter] * 3) if section else None

    def __len__(self) -> int:
        return len(list(self.folder.glob("*_labels.png")))

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        image = Image.open(self.folder / f"{number}.png").convert("RGB")
        labels = Image.open(self.folder / f"{number}_labels.png")
        if self.section:
            window = transforms.RandomCrop.get_params(image, self.section.crop[::-1])
            image, labels = crop(image, *window), crop(labels, *window)
            if torch.rand(1) < 0.5:
                image, labels = hflip(image), hflip(labels)
            image = self.jitter(image)
        return to_tensor(image), torch.from_numpy(np.array(labels)).long()


def plain_crops(streets: PlainStreets, batch_size: int, device: torch.device) -> Iterator[StreetBatch]:
    """Yield batches of crops for ever."""
    while True:
        for images, labels in DataLoader(streets, batch_size, shuffle=True, drop_last=True):
            yield StreetBatch(images.to(device), labels.to(device))


@torch.no_grad()
def plain_confusion(model: nn.Module, streets: PlainStreets, classes: int, device: torch.device) -> np.ndarray:
    """Return the confusion matrix (classes, classes), image after image."""
    counts = np.zeros((classes, classes))
    for images, labels in DataLoader(streets, 1):
        predicted, true = model(images.to(device)).max(dim=1)[1].cpu().numpy(), labels.numpy()
        counted = (true >= 0) & (true < classes)
        counts += np.bincount(classes * true[counted] + predicted[counted], minlength=classes**2).reshape(classes, -1)
    return counts
