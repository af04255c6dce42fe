"""What every dataset reader offers, and helpers to find the folders of a dataset."""

import gc
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from errors import UserError, choice_error, printable
from readers.listing import Listing

# Pixels of prepared images: the side of a square, or width and height.
Size = int | tuple[int, int]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})


class BadImage(UserError):
    """An image whose content cannot be used, and why; unlike one that cannot be reached at the moment."""

    def __init__(self, source: str | Path, problem: str):
        super().__init__(f"{source}: {problem}")
        self.source, self.problem = str(source), problem

    def __reduce__(self):
        # Exceptions are rebuilt from their text where they come from another process, and this one needs its parts.
        return BadImage, (self.source, self.problem)


class Reader(ABC):
    """One dataset. A new one subclasses this, fills in the class variables and the two abstract methods.

    version: raise it when the preparation rule changes, so that prepared images are made again; rule: what else they
    depend on, beside sources and size; channels: of the prepared images; maps: names of what else is prepared of a
    source, such as `labels`, a channel each beside those of the image; mirrors: whether a mirrored image is a valid
    sample, whose label is the reversed one; mirrors_in_test: whether mirror images count as test samples too; empty:
    the label of an empty seat (a scenery with nothing but those is never a negative); classes: names of the labels
    0, 1, ...; default_split: what is used when the config names none; allowed_splits: which there are, beside `all` of
    them; splits_by_place: whether an image's split depends on which others there are, so that a copy has to be of all;
    no_copy: why no copy can be written, if so; square: whether images are prepared as squares alone; any_content:
    whether anything may lie in its root, whose name then tells what; skip_bad: leave out what cannot be read.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    channels: ClassVar[int] = 1
    maps: ClassVar[tuple[str, ...]] = ()
    mirrors: ClassVar[bool] = False
    mirrors_in_test: ClassVar[bool] = False
    empty: ClassVar[int | None] = None
    classes: ClassVar[tuple[str, ...]]
    default_split: ClassVar[str] = "all"
    allowed_splits: ClassVar[tuple[str, ...]] = ("train", "test")
    splits_by_place: ClassVar[bool] = False
    no_copy: ClassVar[str] = ""
    square: ClassVar[bool] = False
    any_content: ClassVar[bool] = False
    rule = ""

    def __init__(self, root: Path, factor: list[str], split: str | None, skip_bad: bool = False):
        self.root, self.factor, self.split, self.skip_bad = root, factor, split or self.default_split, skip_bad
        # Scenery -> split, of all that there are, where that does not follow from the folder that they are in.
        self.split_of: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A reader goes to processes with every few images; all the names would go with it.
        return self.__dict__ | {"split_of": {}}

    def listing(self) -> Listing:
        """List all sceneries; UserError where there are none, or bad sources that `skip_bad` does not leave out."""
        listing = Listing()
        # Python would search hundreds of thousands of small lists for garbage, all of which are in use.
        gc.disable()
        try:
            self.fill(listing)
        finally:
            gc.enable()
        listing.settle(self.skip_bad)
        return listing

    @abstractmethod
    def fill(self, listing: Listing) -> None:
        """Add all sceneries to an empty listing. Raises UserError when the dataset is absent or laid out otherwise."""

    @abstractmethod
    def prepare(self, source: str, size: Size) -> np.ndarray:
        """Return one image, its maps behind it, as uint8 (layers, height, width); BadImage when it cannot be used."""

    def prepare_file(self, path: str | Path, size: Size) -> np.ndarray:
        """Return an image file from anywhere as `prepare` would, but without maps: uint8 (channels, height, width).

        Alpha, where the dataset has it, is behind the channels all the same. Raises BadImage.
        """
        return self.prepare(str(Path(path).resolve()), size)

    def stream(self, sources: list[str], size: Size) -> Iterator[np.ndarray] | None:
        """Yield the images of all sources in their order, in blocks uint8 (n, layers, height, width).

        For a dataset that is one file, best read from front to back; None where `prepare` does, on many at once.
        """
        return None

    def place(self, source: str) -> Path:
        """Return where a copy of the dataset has a source, below its root."""
        return Path(source).relative_to(self.root)

    def copied(self, picture: Image.Image, source: str) -> Image.Image:
        """Return a picture, as large as prepared images are, as a copy has it in a source's place; here as it is."""
        return picture

    @classmethod
    def check_copy(cls) -> None:
        """Refuse a dataset of which no copy can be written."""
        if cls.no_copy:
            raise UserError(f"dataset.name: {cls.name} {cls.no_copy}, so no copy of it can be written; allowed: other "
                            "datasets of image files, and mnist")

    def companions(self, sources: list[str]) -> list[Path]:
        """Return the files that a copy of the dataset needs as they are, beside images of sources; here none."""
        return []

    def tables(self, names: list[str], splits: list[str]) -> dict[str, str]:
        """Return the texts by file that a copy needs where it has these sceneries alone, in these splits; here none."""
        return {}

    @property
    def layers(self) -> int:
        """Return how many channels image and maps have together."""
        return self.channels + len(self.maps)

    @property
    def title(self) -> str:
        """Return what records and tables call the dataset."""
        return f"{self.name} {printable(self.root.name)}" if self.any_content else self.name

    def splits(self) -> list[str]:
        """Return the splits to read."""
        return list(self.allowed_splits) if self.split == "all" else [self.split]

    def check_split(self) -> None:
        """Refuse a split that the dataset has not."""
        if self.split not in (*self.allowed_splits, "all"):
            raise choice_error(f"dataset.split of {self.name}", self.split, [*self.allowed_splits, "all"])

    def check_factor(self, allowed: Collection[str], what: str) -> None:
        """Refuse a part that the dataset has not; what: they are, for the message."""
        for factor in self.factor:
            if factor not in allowed:
                raise choice_error(f"dataset.factor: {what}", factor, allowed)

    def no_factor(self) -> None:
        """Refuse a factor where the dataset has no parts."""
        if self.factor:
            raise UserError(f"dataset.factor: {self.name} has no parts to choose from; found '{self.factor[0]}'")

    def no_split(self) -> None:
        """Refuse a split where the dataset has none."""
        if self.split != "all":
            raise UserError(f"dataset.split: {self.name} has no splits; found '{self.split}', allowed: all")


def width_height(size: Size) -> tuple[int, int]:
    """Return the width and height that a size stands for."""
    return (size, size) if isinstance(size, int) else size


def find_folder(reader: Reader, candidates: list[Path]) -> Path:
    """Return the first candidate that is a folder; UserError says what was looked for and where."""
    for path in candidates:
        if path.is_dir():
            return path
    looked = ", ".join(str(path) for path in dict.fromkeys(candidates))
    state = ("is there, but holds none of these" if reader.root.is_dir() else
             "is no folder" if reader.root.exists() else "does not exist")
    raise UserError(f"dataset.root: no {reader.name} at {reader.root} (it {state}); looked for folder {looked}")


def find_dataset(reader: Reader, name: str) -> Path:
    """Return the folder `name` in the reader's root, or the root itself where that is its name: its parent is the root.
    """
    base = find_folder(reader, [reader.root / name, *([reader.root] if reader.root.name == name else [])])
    # So that names of sceneries, and places in a copy, are the same whichever was given.
    reader.root = base.parent
    return base


def subfolders(folder: Path, what: str) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones; UserError where there are none.

    what: what each of them holds, for that message. Images directly in the folder tell of a level left out.
    """
    with os.scandir(folder) as entries:
        entries = list(entries)
    folders = sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        images = sum(is_image(entry.name) for entry in entries)
        found = f"{images} images" if images else "nothing"
        raise UserError(f"{folder}: found {found}; expected one folder per {what}")
    return folders


def is_image(name: str) -> bool:
    """Say whether a file's name is that of an image; what is hidden is none."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")


def choose_parts(reader: Reader, folder: Path, what: str) -> list[str]:
    """Return the sub-folders that `factor` selects, all where it is empty; UserError for an unknown one."""
    present = [path.name for path in subfolders(folder, what)]
    reader.check_factor(present, f"{what} in {folder}")
    return list(dict.fromkeys(reader.factor)) or present
