"""The user's own images in folders: one folder per class, or one folder per scenery with its label in the name."""

import os
import re
from pathlib import Path

import numpy as np

from errors import UserError
from readers.base import Listing, Reader, find_folder
from readers.images import centre_square, open_grey, scan, stamp, to_array

_SEATS = re.compile(r"_GT_(\d+(?:_\d+)*)$")


class Folder(Reader):
    """`<root>/<class>/*.png`, or `<root>/<scenery>_GT_<l>_<m>_<r>/<variant>.png`; below train/ and test/ or not.

    Class folders: every image is a scenery, classes are the folders' names. Scenery folders: images are variants, the
    label has any number of seats, 0 is an empty one, and mirror images are samples with the reversed label.
    """

    name = "folder"

    def __init__(self, root: Path, factor: list[str], split: str | None):
        super().__init__(root, factor, split)
        self._said = split is not None

    @property
    def title(self) -> str:
        return f"folder {self.root.name}"

    def listing(self) -> Listing:
        self.no_factor()
        folders = [path for base in self._bases() for path in _folders(base)]
        named = [_SEATS.search(path.name) for path in folders]
        if not folders:
            raise UserError(f"dataset.root: {self.root} holds no folders; expected one per class, or one per scenery "
                            "named <scenery>_GT_<left>_<middle>_<right>")
        if any(named) and not all(named):
            odd = folders[named.index(None)]
            raise UserError(f"{odd}: no label in the name, unlike other folders beside it; expected it to end with "
                            "_GT_ and a number per seat")
        return self._sceneries(folders) if all(named) else self._classes(folders)

    def prepare(self, source: str, size: int) -> np.ndarray:
        return to_array(centre_square(open_grey(source)), size)

    def _bases(self) -> list[Path]:
        root = find_folder(self, [self.root])
        splits = [root / name for name in ("train", "test") if (root / name).is_dir()]
        if splits and not self._said:
            raise UserError(f"dataset.split: {root} holds {' and '.join(path.name for path in splits)}; say which to "
                            "use; allowed: train, test, all")
        if self.split == "all":
            return splits or [root]
        return [find_folder(self, [root / self.split])]

    def _classes(self, folders: list[Path]) -> Listing:
        self.classes = tuple(sorted({path.name for path in folders}))
        listing = Listing()
        for path in folders:
            for entry in scan(path):
                label = (self.classes.index(path.name),)
                listing.add(os.path.relpath(entry.path, self.root), label, [entry.path], [stamp(entry)])
        return listing

    def _sceneries(self, folders: list[Path]) -> Listing:
        self.mirrors, self.empty = True, 0
        listing = Listing()
        for path in folders:
            images = scan(path)
            if not images:
                raise UserError(f"{path}: no images in this scenery folder")
            label = tuple(int(seat) for seat in _SEATS.search(path.name)[1].split("_"))
            listing.add(path.name, label, [image.path for image in images], [stamp(image) for image in images])
        most = max(max(label) for label in listing.labels)
        self.classes = tuple(str(number) for number in range(most + 1))
        return listing


def _folders(base: Path) -> list[Path]:
    return sorted(path for path in base.iterdir() if path.is_dir() and not path.name.startswith("."))
