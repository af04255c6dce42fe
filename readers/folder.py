"""The user's own images in folders: one folder per class, or one folder per scenery with its label in the name."""

import os
import re
from pathlib import Path

import numpy as np

from errors import UserError, printable
from readers.base import Reader, Size, find_folder, subfolders
from readers.images import NO_IMAGES, centre_crop, open_colour, open_cropped, scan, to_array
from readers.listing import Listing

_SEATS = re.compile(r"_GT_(\d+(?:_\d+)*)$")
# As many classes per seat as a label's code has room for.
MOST = 255
_EXPECTED = ("class (one of any name for images without labels), or one per scenery named "
             "<scenery>_GT_<left>_<middle>_<right>")


class Folder(Reader):
    """`<root>/<class>/*.png`, or `<root>/<scenery>_GT_<l>_<m>_<r>/<variant>.png`; below train/ and test/ or not.

    Class folders: every image is a scenery, classes are the folders' names. Scenery folders: images are variants, the
    label has any number of seats, 0 is an empty one, and mirror images are samples with the reversed label.
    """

    name = "folder"
    any_content = True

    def __init__(self, root: Path, factor: list[str], split: str | None, skip_bad: bool = False):
        super().__init__(root, factor, split, skip_bad)
        self._said = split is not None

    def fill(self, listing: Listing) -> None:
        self.no_factor()
        found = [(path, split) for base, split in self._bases() for path in subfolders(base, _EXPECTED)]
        if any(_SEATS.search(path.name) for path, _ in found):
            self._sceneries(listing, found)
        else:
            self._classes(listing, found)

    def prepare(self, source: str, size: Size) -> np.ndarray:
        return open_cropped(source, size)

    def _bases(self) -> list[tuple[Path, str]]:
        """Return the folders that hold class or scenery folders, with the split that each of them is."""
        root = find_folder(self, [self.root])
        splits = [(root / name, name) for name in ("train", "test") if (root / name).is_dir()]
        if splits and not self._said:
            raise UserError(f"dataset.split: {root} holds {' and '.join(name for _, name in splits)}; say which to "
                            "use; allowed: train, test, all")
        if self.split == "all":
            return splits or [(root, "")]
        return [(find_folder(self, [root / self.split]), self.split)]

    def _classes(self, listing: Listing, found: list[tuple[Path, str]]) -> None:
        self.classes = tuple(sorted({printable(path.name) for path, _ in found}))
        for path, split in found:
            for entry in scan(path, listing):
                label = (self.classes.index(printable(path.name)),)
                listing.add_files(os.path.relpath(entry.path, self.root), label, [entry], split)
        if not listing.sceneries and not listing.bad:
            raise UserError(f"{self.name} at {self.root}: no images in its folders {', '.join(self.classes[:5])}"
                            f"{', ...' * (len(self.classes) > 5)}; expected <root>/<class>/<image>")

    def _sceneries(self, listing: Listing, found: list[tuple[Path, str]]) -> None:
        self.mirrors, self.empty = True, 0
        for path, split in found:
            match = _SEATS.search(path.name)
            if match is None:
                listing.reject(path, "no label in the name, unlike other folders beside it; expected it to end with "
                                     "_GT_ and a number per seat")
                continue
            images = scan(path, listing)
            label = tuple(int(seat) for seat in match[1].split("_"))
            if not images or max(label) > MOST:
                listing.reject(path, f"label {max(label)} in the name; allowed: 0 to {MOST}" if images else NO_IMAGES)
                continue
            listing.add_files(path.name, label, images, split)
        most = max((max(label) for label in listing.labels), default=0)
        self.classes = tuple(str(number) for number in range(most + 1))


class ColourFolder(Folder):
    """The same in colour."""

    name = "colour_folder"
    channels = 3

    def prepare(self, source: str, size: Size) -> np.ndarray:
        return to_array(centre_crop(open_colour(source), size), size)
