"""What an accuracy over whole labels hides: which seats and which classes fail, over seeds, from predictions."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from errors import UserError
from reporting.formats import FORMATS
from reporting.metrics import CLASSIFIERS, METRICS, title_of
from reporting.tables import Key, Records, Seeds, cell, group, span, weights_title

SEATS = {1: ("",), 3: ("left", "middle", "right")}


@dataclass(frozen=True)
class Classwise:
    """Right and wrong predictions of one experiment on one test set with one classifier.

    counts: (seeds, seats, k, k), samples by true (row) and predicted class; whole: (seeds,), share of samples in [0, 1]
    with all seats right; classes: k names; seats: names as seen in the image, one empty name for single labels.
    """

    experiment: str
    data: str
    classifier: str
    weights: str
    classes: tuple[str, ...]
    seats: tuple[str, ...]
    counts: np.ndarray
    whole: np.ndarray

    @cached_property
    def recall(self) -> np.ndarray:
        """Share of each true class that is recognised: (seeds, seats, k) in [0, 1], NaN where a class never occurs."""
        with np.errstate(invalid="ignore"):
            return np.diagonal(self.counts, axis1=2, axis2=3) / self.counts.sum(axis=3)

    @cached_property
    def by_seat(self) -> np.ndarray:
        """Share of samples with this seat right: (seeds, seats) in [0, 1]."""
        return np.trace(self.counts, axis1=2, axis2=3) / self.counts.sum(axis=(2, 3))

    @cached_property
    def confusion(self) -> np.ndarray:
        """Share of each true class by predicted class, pooled over seeds: (seats, k, k); NaN rows never occur."""
        pooled = self.counts.sum(axis=0)
        with np.errstate(invalid="ignore"):
            return pooled / pooled.sum(axis=2, keepdims=True)

    @cached_property
    def occurring(self) -> list[int]:
        """Return the classes that are true or predicted anywhere."""
        pooled = self.counts.sum(axis=(0, 1))
        return np.flatnonzero(pooled.sum(axis=0) + pooled.sum(axis=1)).tolist()


def collect(found: Iterable[Any], pool: bool = False, records: Records = ()) -> list[Classwise]:
    """Group predictions over seeds, sorted by data, classifier and experiment.

    found: as in `experiment.predictions`; records: of the same runs, which say how best weights were chosen. With
    `pool`, the factors of a dataset count as one test set. Raises UserError where a seed has several, different
    predictions of the same, or seeds are not comparable.
    """
    rows = [vars(each) | {"metric": "accuracy", "epoch": None, "value": each.predicted.tobytes() + each.true.tobytes()}
            for each in found]
    chosen = defaultdict(set)
    for row in records:
        if row["checkpoint"] == "best":
            chosen[row["experiment"]].add(row["selection"])
    return [_count(key, seeds, weights_title(key.checkpoint, chosen[key.experiment]))
            for key, seeds in group(rows, pool).items()]


def _count(key: Key, seeds: Seeds, weights: str) -> Classwise:
    sample = next(iter(seeds[min(seeds)].values()))
    classes, seats = tuple(sample["classes"].tolist()), sample["true"].shape[1]
    counts, whole = [], []
    for _, factors in sorted(seeds.items()):
        if any(tuple(each["classes"].tolist()) != classes or each["true"].shape[1] != seats
               for each in factors.values()):
            raise UserError(f"{key.experiment}: seeds were evaluated on other classes of {key.dataset}; evaluate the "
                            "runs again")
        true, predicted = (np.concatenate([each[name] for each in factors.values()]).astype(np.int64)
                           for name in ("true", "predicted"))
        counts.append([np.bincount(true[:, seat] * len(classes) + predicted[:, seat], minlength=len(classes) ** 2)
                       .reshape(len(classes), -1) for seat in range(seats)])
        whole.append((true == predicted).all(axis=1).mean())
    names = SEATS.get(seats) or tuple(f"seat {number}" for number in range(1, seats + 1))
    return Classwise(key.experiment, title_of(*key[:3]), CLASSIFIERS.get(key.classifier, key.classifier),
                     weights, classes, names, np.array(counts), np.array(whole))


class Row(NamedTuple):
    """The share of a class, or of all, at a seat that is recognised, in percent over seeds; std: n - 1, NaN for one."""

    dataset: str
    classifier: str
    experiment: str
    weights: str
    seat: str
    true_class: str
    mean: float
    std: float
    seeds: int
    samples: str
    taken_for: str


def rows(found: Classwise) -> list[Row]:
    """Return all seats at once, then each seat: all classes, then those that occur."""
    start = (found.data, found.classifier, found.experiment, found.weights)
    images = span(found.counts[:, 0].sum(axis=(1, 2)))
    several = len(found.seats) > 1

    def row(seat: str, name: str, shares: np.ndarray, samples: str = images, taken_for: str = "-") -> Row:
        mean, std, _, count = cell(shares, METRICS["accuracy"])
        return Row(*start, seat or "-", name, mean, std, count, samples, taken_for)

    lines = [row("all" if several else "-", "all", found.whole)]
    for seat, name in enumerate(found.seats):
        if several:
            lines.append(row(name, "all", found.by_seat[:, seat]))
        for number in found.occurring:
            share = found.recall[:, seat, number]
            if np.isfinite(share).any():
                samples = span(found.counts[:, seat, number].sum(axis=1))
                lines.append(row(name, found.classes[number], share[np.isfinite(share)], samples,
                                 _taken_for(found, seat, number)))
    return lines


def _taken_for(found: Classwise, seat: int, number: int) -> str:
    """Name the class that a class is most often taken for, where it is wrong."""
    wrong = found.confusion[seat, number].copy()
    wrong[number] = 0
    most = int(wrong.argmax())
    return f"{found.classes[most]}, {100 * wrong[most]:.1f} %" if wrong[most] > 0 else "-"


HEADER = ("dataset", "classifier", "experiment", "weights", "seat", "class", "most often taken for",
          "recognised: mean ± std", "seeds", "test images")
NOTE = ("Share of the test images of a class that are recognised as such, in %; class all: accuracy; seat all: of the "
        "whole label, every seat right. Seats as seen in the image. ± is the sample standard deviation over seeds "
        "(n - 1). Most often taken for: share of the class's images, pooled over seeds.")


def render(found: list[Classwise], style: str) -> str:
    """Render as `terminal`, `markdown` or `latex`, or as `csv` in full precision."""
    lines = [row for each in found for row in rows(each)]
    if style == "csv":
        return FORMATS[style](Row._fields, lines)
    cells = [(*row[:6], row.taken_for, METRICS["accuracy"].text(row.mean, row.std), str(row.seeds), row.samples)
             for row in lines]
    return FORMATS[style](HEADER, cells, 7, NOTE)
