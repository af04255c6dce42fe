"""What a translation is worth: labels that are still found, distance to real images, outlines, pictures."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from errors import UserError
from evaluation.image_distance import EfficientNetFeatures, frechet, kernel
from evaluation.recogniser import Recogniser
from evaluation.segmentation_metrics import confusion, mean_accuracy, miou, overall_accuracy
from experiment.run import Run
from reporting.pictures import pair_sheet
from translation.data import Domain, Truth

# What goes through the networks at a time: pixels, and images where they are enlarged.
PIXELS, FEW = 500_000, 32
SHOWN = 8
# Pairs of subsets of the kernel distance, and the seed of all draws.
SUBSETS, SEED = 50, 0
# Grey values of 255 that show on a black ground.
VISIBLE = 8
# Rendered images in [-1, 1], their masks or None, and their places in the dataset -> images in [-1, 1].
Translate = Callable[[Tensor, Tensor | None, Tensor], Tensor]


def to_bytes(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as they are written: uint8, what is beyond the range cut off."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def outline_disagreement(images: Tensor, mask: Tensor, darkest: int) -> Tensor:
    """Return by how many pixels an outline is off, in parts of the mask's own: (n,).

    images: uint8 (n, c, h, w), whose outline is where any channel is `darkest` or more; mask: (n, 1, h, w) of 0 and 1.
    """
    found = (images >= darkest).any(dim=1, keepdim=True)
    return (found != mask.bool()).flatten(1).sum(dim=1) / mask.flatten(1).sum(dim=1)


class Agreement:
    """How far a recogniser finds the labels of a domain in images of it, translated or not; counted on the device."""

    def __init__(self, recogniser: Recogniser, truth: Truth):
        self.recogniser, self.truth, count = recogniser, truth, len(recogniser.classes)
        self.counts = torch.zeros(count, count, dtype=torch.int64, device=truth.domain.device)

    def add(self, images: Tensor, index: Tensor, layers: Tensor) -> None:
        """Count images uint8 (n, c, h, w), by index (n,) and with the layers that they were made of."""
        found = self.recogniser.module(images / 255).argmax(dim=1)
        self.counts += confusion(found, self.truth.of(index, layers), len(self.counts))

    def values(self) -> dict[str, float]:
        """Return the metrics by name: accuracy, and with a class per pixel mean accuracy and mIoU too."""
        found = {"agreement": overall_accuracy(self.counts)}
        if self.truth.per_pixel:
            found |= {"agreement_mean": mean_accuracy(self.counts), "agreement_miou": miou(self.counts)}
        return {name: float(value) for name, value in found.items()}


def named(agreements: dict[str, Agreement]) -> dict[str, float]:
    """Return the metrics of agreements by their own names, after the name of each."""
    return {f"{name}{metric}": value for name, each in agreements.items() for metric, value in each.values().items()}


class Reference:
    """The real images that translated ones are compared with, as a network of features sees them."""

    def __init__(self, target: Domain, samples: int):
        self.target, self.index = target, target.spread(samples)
        if len(self.index) < 4:
            raise UserError(f"target: {target.title} has {len(target)} image(s); expected at least 4 to compare with")
        self.network = EfficientNetFeatures()
        self.network.module.to(target.device)

    @cached_property
    def features(self) -> Tensor:
        """Features float32 (n, 1280) of the real images."""
        return torch.cat([self.see(to_bytes(self.target.take(part)[0])) for part in chunks(self.target, self.index)])

    def see(self, images: Tensor) -> Tensor:
        """Return the features (n, 1280) of images uint8 (n, 1 or 3, h, w); a few at a time, as it enlarges them."""
        side, found = self.network.side, []
        for part in images.split(FEW):
            scaled = F.interpolate(part.float(), (side, side), mode="bicubic", antialias=True).clamp(0, 255)
            found.append(self.network(scaled.expand(-1, 3, -1, -1).round()))
        return torch.cat(found)

    def distances(self, features: Tensor) -> dict[str, float]:
        """Return kernel and Fréchet distance of features (n, 1280) from those of the real images, by family."""
        return distances(features, self.features)

    @cached_property
    def floor(self) -> dict[str, float]:
        """The distances between two halves of the real images, drawn at random."""
        order = torch.randperm(len(self.index), generator=torch.Generator().manual_seed(SEED)).to(self.features.device)
        first, second = self.features[order].chunk(2)
        return distances(first, second)


def distances(first: Tensor, second: Tensor) -> dict[str, float]:
    """Return kernel and Fréchet distance between features (n, d) and (m, d)."""
    size = max(min(len(first), len(second)) // 2, 2)
    return {"kernel": float(kernel(first, second, SUBSETS, size, SEED).mean()), "frechet": frechet(first, second)}


def chunks(domain: Domain, index: Tensor) -> Iterator[Tensor]:
    """Yield images by index (n,) in parts that networks take at a time, with a bar where it takes long."""
    count = max(1, PIXELS // math.prod(domain.rows.shape[-2:]))
    yield from tqdm(index.split(count), desc=domain.title, unit="batch", delay=3, leave=False, disable=None)


@dataclass(frozen=True)
class Translated:
    """What became of a rendered dataset: `rows`, parts of records, and its pictures."""

    domain: Domain
    rows: list[dict[str, Any]]
    draw: Callable[[Path, str], None]

    def keep(self, run: Run, checkpoint: str) -> None:
        """Draw the sheet into the run's folder of images."""
        title = f"{run.experiment}, seed {run.config.training.seed}, {checkpoint} weights"
        self.draw(run.images / f"translation_{self.domain.file_name}_{checkpoint}.png", title)


class TranslationJudge:
    """Translates evaluation datasets and compares before and after.

    translate: what the model makes of images, several where each is translated several times; translate_back: the way
    back, or None; recognisers: find labels, by what their metrics' names begin with (the first's with nothing), and the
    keys of the config that name them; samples: most images of each dataset; sheet: draws one picture more of a dataset,
    with a title.
    """

    def __init__(self, translate: list[Translate], translate_back: Translate | None, datasets: list[Domain],
                 target: Domain, recognisers: dict[str, tuple[Recogniser, str]], samples: int,
                 sheet: Callable[[Path, Domain, str], None] | None = None):
        self.translate, self.translate_back, self.datasets = translate, translate_back, datasets
        self.recognisers, self.samples, self.sheet = recognisers, samples, sheet
        self.truths = [{name: Truth(domain, *each) for name, each in recognisers.items()} for domain in datasets]
        self.reference = Reference(target, samples)
        for domain in datasets:
            if domain.channels != target.channels:
                raise UserError(f"evaluation.datasets: {domain.title} has {domain.channels} channel(s), "
                                f"{target.title} {target.channels}")
        self.before: dict[int, dict[str, float]] = {}

    @torch.inference_mode()
    def rehearse(self) -> None:
        """Translate an image of each dataset, to find what cannot work before a run is made."""
        for domain in self.datasets:
            index = domain.spread(1)
            self.translate[0](*domain.take(index), index)

    def rows(self) -> list[dict[str, Any]]:
        """Return parts of records of all datasets; the first says which weights are best."""
        return [row for found in self.outcomes() for row in found.rows]

    def outcomes(self) -> list[Translated]:
        return [self._look_at(place) for place in range(len(self.datasets))]

    @torch.inference_mode()
    def _look_at(self, place: int) -> Translated:
        domain = self.datasets[place]
        if place not in self.before:
            self.before[place] = self._values(place, [lambda images, mask, index: images])
        after = self._values(place, self.translate)
        values = {f"{name}/translated": value for name, value in after.items()}
        values |= {f"{name}/untranslated": value for name, value in self.before[place].items()}
        values |= {f"{name}/floor": value for name, value in self.reference.floor.items()}
        if self.recognisers:
            values |= {f"{name}/real": value for name, value in self.ceiling.items()}
        common, n = {**domain.identity, "classifier": ""}, min(self.samples, len(domain))
        real = len(self.reference.index)
        images = {"translated": len(self.translate) * n, "untranslated": n, "floor": real, "real": real}
        rows = [{**common, "metric": name, "value": value, "n": images[name.rpartition("/")[2]]}
                for name, value in values.items()]
        return Translated(domain, rows, lambda path, title: self._draw(domain, path, title))

    def _values(self, place: int, translations: list[Translate]) -> dict[str, float]:
        """Return the metrics by name of images of a dataset after each of `translations`."""
        domain = self.datasets[place]
        agreements = {name: Agreement(self.recognisers[name][0], truth) for name, truth in self.truths[place].items()}
        features, outlines = [], []
        parts = ((each, index) for each in translations for index in chunks(domain, domain.spread(self.samples)))
        for translate, index in parts:
            layers = domain.rows.take(index)
            mask = domain.masks_of(layers)
            images = to_bytes(translate(domain.images_of(layers), mask, index))
            features.append(self.reference.see(images))
            for agreement in agreements.values():
                agreement.add(images, index, layers)
            if mask is not None:
                outlines.append(torch.stack([outline_disagreement(images, mask, least) for least in (1, VISIBLE)]))
        found = named(agreements)
        found |= self.reference.distances(torch.cat(features))
        if outlines:
            any_, visible = torch.cat(outlines, dim=1).mean(dim=1).tolist()
            found |= {"outline": any_, "outline_visible": visible}
        return found

    @cached_property
    def ceiling(self) -> dict[str, float]:
        """How far recognisers find the labels of the real images; nothing where they have none that these know."""
        target = self.reference.target
        try:
            agreements = {name: Agreement(each[0], Truth(target, *each)) for name, each in self.recognisers.items()}
        except UserError:
            return {}
        for index in chunks(target, self.reference.index):
            layers = target.rows.take(index)
            for agreement in agreements.values():
                agreement.add(to_bytes(target.images_of(layers)), index, layers)
        return named(agreements)

    @torch.inference_mode()
    def _draw(self, domain: Domain, path: Path, title: str) -> None:
        """Draw rendered images above what became of them, the way back, and the real images that look most like it."""
        index, reference = domain.spread(SHOWN), self.reference
        images, mask = domain.take(index)
        translated = self.translate[0](images, mask, index)
        rows = {"rendered": images, "translated": translated}
        if self.translate_back:
            rows["and back"] = self.translate_back(translated, mask, index)
        nearest = torch.cdist(reference.see(to_bytes(translated)), reference.features).argmin(dim=1)
        rows["nearest real"] = reference.target.take(reference.index[nearest])[0]
        texts = {"rendered": [domain.class_text(domain.labels[i]) for i in domain.scenery_of()[index.cpu()]]} if (
            domain.labels.shape[1]) else {}
        pair_sheet(path, {name: (to_bytes(each).cpu().numpy(), texts.get(name, [""] * len(index)))
                          for name, each in rows.items()}, f"{title}: {domain.title}, {domain.split}")
        if self.sheet:
            self.sheet(path, domain, title)
