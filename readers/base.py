"""What every dataset reader offers: a listing of labelled sceneries, and the preparation of one image."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from errors import UserError, choice_error

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})


@dataclass
class Listing:
    """The sceneries of a dataset in a fixed order.

    sceneries: their names; labels: one tuple per scenery, an integer per seat (or the single class);
    sources: per scenery the sources of its variants, each understood by the reader's `prepare`;
    stamps: what changes when a source changes (size and time of files), in the order of `sources`;
    dropped: reason -> number of images that the dataset's rules leave out.
    """

    sceneries: list[str] = field(default_factory=list)
    labels: list[tuple[int, ...]] = field(default_factory=list)
    sources: list[list[str]] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def add(self, scenery: str, label: tuple[int, ...], sources: list[str], stamps: list[str]) -> None:
        self.sceneries.append(scenery)
        self.labels.append(label)
        self.sources.append(sources)
        self.stamps += stamps

    def drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def limited(self, limit: int | None) -> "Listing":
        """Return a listing of at most `limit` sceneries, drawn from this one the same way on every machine.

        A smaller limit draws a subset of what a larger one draws.
        """
        if limit is None or limit >= len(self.sceneries):
            return self
        chosen = np.sort(np.random.default_rng(0).permutation(len(self.sceneries))[:limit])
        ends = np.cumsum([len(variants) for variants in self.sources])
        part = Listing(dropped=dict(self.dropped))
        for i in chosen:
            stamps = self.stamps[ends[i] - len(self.sources[i]) : ends[i]]
            part.add(self.sceneries[i], self.labels[i], self.sources[i], stamps)
        return part


class Reader(ABC):
    """One dataset. A new one subclasses this, fills in the class variables and the two methods.

    version: raise it when the preparation rule changes, so that prepared images are made again;
    channels: of the prepared images; mirrors: whether a mirrored image is a valid sample, whose label is the
    reversed one; mirrors_in_test: whether mirror images count as test samples too; empty: the label of an empty seat
    (a scenery with nothing but those is never a negative); classes: names of the labels 0, 1, ...;
    default_split: what is used when the config names none.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    channels: ClassVar[int] = 1
    mirrors: ClassVar[bool] = False
    mirrors_in_test: ClassVar[bool] = False
    empty: ClassVar[int | None] = None
    classes: ClassVar[tuple[str, ...]]
    default_split: ClassVar[str] = "all"

    def __init__(self, root: Path, factor: list[str], split: str | None):
        self.root, self.factor, self.split = root, factor, split or self.default_split

    @abstractmethod
    def listing(self) -> Listing:
        """List all sceneries. Raises UserError when the dataset is absent or laid out otherwise."""

    @abstractmethod
    def prepare(self, source: str, size: int) -> np.ndarray:
        """Return one image as uint8 (channels, size, size). Raises UserError when it cannot be read."""

    @property
    def title(self) -> str:
        """Return what records and tables call the dataset."""
        return self.name

    def splits(self) -> list[str]:
        """Return the split folders to read."""
        return ["train", "test"] if self.split == "all" else [self.split]

    def no_factor(self) -> None:
        """Refuse a factor where the dataset has no parts."""
        if self.factor:
            raise UserError(f"dataset.factor: {self.name} has no parts to choose from; found '{self.factor[0]}'")

    def no_split(self) -> None:
        """Refuse a split where the dataset has none."""
        if self.split != "all":
            raise UserError(f"dataset.split: {self.name} has no splits; found '{self.split}', allowed: all")


def find_folder(reader: Reader, candidates: list[Path]) -> Path:
    """Return the first candidate that is a folder; UserError says what was looked for and where."""
    for path in candidates:
        if path.is_dir():
            return path
    looked = ", ".join(str(path) for path in dict.fromkeys(candidates))
    state = "is there, but holds none of these" if reader.root.is_dir() else "does not exist"
    raise UserError(f"dataset.root: no {reader.name} at {reader.root} (it {state}); looked for folder {looked}")


def find_dataset(reader: Reader, name: str) -> Path:
    """Return the folder `name` in the reader's root, or the root itself where that is its name."""
    return find_folder(reader, [reader.root / name, *([reader.root] if reader.root.name == name else [])])


def choose_parts(reader: Reader, folder: Path, what: str) -> list[str]:
    """Return the sub-folders that `factor` selects, all where it is empty; UserError for an unknown one."""
    present = sorted(path.name for path in folder.iterdir() if path.is_dir())
    for factor in reader.factor:
        if factor not in present:
            raise choice_error(f"dataset.factor: {what} in {folder}", factor, present)
    return list(dict.fromkeys(reader.factor)) or present
