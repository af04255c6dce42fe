"""SVIRO: rendered vehicle interiors, one image per scenery, three seats."""

import re
from pathlib import Path

import numpy as np

from errors import UserError
from readers.base import Reader, Size, choose_parts, find_dataset, find_folder
from readers.images import open_cropped, scan, stamp
from readers.listing import Listing

SEATS = ("empty", "infant seat", "child seat", "adult")
LABEL_PATTERN = re.compile(r"_GT_(\d+)_(\d+)_(\d+)$")
OBJECT, EMPTY_INFANT_SEAT, EMPTY_CHILD_SEAT = 4, 5, 6


class Sviro(Reader):
    """`SVIRO/<car>/{train,test}/grayscale_wholeImage/<...>_GT_<left>_<middle>_<right>.png`; factor: car or cars."""

    name = "sviro"
    mirrors = True
    empty = 0
    classes = SEATS
    default_split = "train"

    def fill(self, listing: Listing) -> None:
        base = find_dataset(self, "SVIRO")
        for car in choose_parts(self, base, "car"):
            for split in self.splits():
                folder = base / car / split / "grayscale_wholeImage"
                images = scan(find_folder(self, [folder]), listing)
                if not images:
                    raise UserError(f"{folder}: no images in this folder")
                for entry in images:
                    path = Path(entry.path)
                    label = seat_label(path.stem, path, listing)
                    if label is not None:
                        listing.add(path.stem, label, [entry.path], [stamp(entry)], split)

    def prepare(self, source: str, size: Size) -> np.ndarray:
        return open_cropped(source, size)


def seat_label(name: str, path: Path, listing: Listing) -> tuple[int, int, int] | None:
    """Read the label (left, middle, right) off the end of a name, everyday objects counting as empty.

    Returns None, and has the listing note it, for an empty infant or child seat, which the paper leaves out, and where
    there is no label.
    """
    match = LABEL_PATTERN.search(name)
    if match is None:
        listing.reject(path, "no label in the name; expected it to end with _GT_<left>_<middle>_<right>")
        return None
    label = tuple(int(group) for group in match.groups())
    if max(label) > EMPTY_CHILD_SEAT:
        listing.reject(path, f"label {max(label)} in the name; allowed: 0 to {EMPTY_CHILD_SEAT}")
        return None
    if EMPTY_INFANT_SEAT in label or EMPTY_CHILD_SEAT in label:
        listing.drop("an empty infant or child seat (raw label 5 or 6)", path)
        return None
    left, middle, right = (0 if seat == OBJECT else seat for seat in label)
    return left, middle, right
