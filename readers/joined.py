"""Several roots of one dataset, each prepared by itself, as one dataset: a rendered one and translated copies of it.

A scenery of the same name and split in another root is the same scenery, and its images there are further variants. So
an epoch has as many sceneries as before, targets of another variant (partially impossible ones) cross looks, and views
of a model in all roots are views of that model. Where images count, as with label maps, there are as many as in all.
"""

from collections.abc import Sequence

import numpy as np

from errors import UserError, shortened
from readers.base import Reader
from readers.prepare import Prepared, Sceneries


def join(readers: Sequence[Reader], prepared: Sequence[Prepared]) -> tuple[Sceneries, np.ndarray]:
    """Join what readers of one dataset have found in their roots; return also the order of images, int64 (images,).

    That is the place of each image where those of all roots lie one after the other, so that the variants of a scenery
    are side by side, those of earlier roots first.
    Raises UserError where a root is there twice, roots have other classes, or say different things of a scenery.
    """
    for reader, each in zip(readers[1:], prepared[1:], strict=True):
        _check_fits(readers[0], prepared[0], reader, each)
    _check_apart(readers, prepared)
    _check_splits(readers)
    number: dict[tuple[str, str], int] = {}
    own = [np.array([number.setdefault(scenery, len(number)) for scenery in zip(each.splits, each.names, strict=True)])
           for each in prepared]
    splits, names = (list(each) for each in zip(*number, strict=True))
    of_image = np.concatenate([np.repeat(numbers, each.count) for numbers, each in zip(own, prepared, strict=True)])
    order, count = np.argsort(of_image, kind="stable"), np.bincount(of_image)
    sources = [source for each in prepared for source in each.sources]
    dropped: dict[str, list[str]] = {}
    for each in prepared:
        for reason, left_out in each.dropped.items():
            dropped.setdefault(reason, []).extend(left_out)
    return Sceneries(np.cumsum(count) - count, count, _labels(own, readers, prepared), names, splits,
                 [sources[i] for i in order.tolist()], dropped), order


def _labels(own: list[np.ndarray], readers: Sequence[Reader], prepared: Sequence[Prepared]) -> np.ndarray:
    """Return the labels (sceneries, seats) that all roots agree on; own: of each, the numbers of its sceneries."""
    labels = np.zeros((max(map(np.max, own)) + 1, prepared[0].labels.shape[1]), dtype=np.int64)
    # So that those of the first root that has a scenery stay.
    for numbers, each in reversed(list(zip(own, prepared, strict=True))):
        labels[numbers] = each.labels
    for numbers, each, reader in zip(own, prepared, readers, strict=True):
        for place in np.flatnonzero((labels[numbers] != each.labels).any(axis=1))[:1]:
            raise UserError(f"dataset.root: {each.names[place]} has label {each.labels[place].tolist()} in "
                            f"{reader.root}, {labels[numbers[place]].tolist()} in another root; allowed: the same "
                            "scenery under the same name")
    return labels


def _check_fits(first: Reader, one: Prepared, second: Reader, other: Prepared) -> None:
    """Refuse two roots whose labels cannot be told together."""
    kinds = [(reader.classes, reader.mirrors, each.labels.shape[1]) for reader, each in ((first, one), (second, other))]
    if kinds[0] != kinds[1]:
        texts = [f"{shortened(', '.join(classes))}; {seats} per image" for classes, _, seats in kinds]
        raise UserError(f"dataset.root: {second.root} has other classes ({texts[1]}) than {first.root} ({texts[0]}); "
                        "allowed: roots of the same classes")


def _check_apart(readers: Sequence[Reader], prepared: Sequence[Prepared]) -> None:
    """Refuse a root that is there twice, however it is spelled."""
    known: dict[str, Reader] = {}
    for reader, each in zip(readers, prepared, strict=True):
        other = known.setdefault(each.key, reader)
        if other is not reader:
            raise UserError(f"dataset.root: {other.root} and {reader.root} hold the same images; allowed: each root "
                            "once")


def _check_splits(readers: Sequence[Reader]) -> None:
    """Refuse what is in one split of one root and in another of another, and so would be trained and tested on."""
    splits: dict[str, tuple[str, Reader]] = {}
    for reader in readers:
        for name, split in reader.split_of.items():
            known, other = splits.setdefault(name, (split, reader))
            if known != split:
                raise UserError(f"dataset.root: {name} is in split {known} of {other.root} and in {split} of "
                                f"{reader.root}; allowed: one split")
