"""SVIRO, SVIRO-Illumination, SVIRO-NoCar: rendered vehicle interiors and people without a car, three seats."""

import re
from pathlib import Path

import numpy as np

from errors import UserError
from readers.base import Reader, Size, choose_parts, find_dataset, find_folder, subfolders
from readers.images import NO_IMAGES, PREPARED, is_prepared, open_cropped, open_prepared, scan
from readers.listing import Listing

LABEL_PATTERN = re.compile(r"_GT_(\d+)_(\d+)_(\d+)$")
OBJECT, EMPTY_INFANT_SEAT, EMPTY_CHILD_SEAT = 4, 5, 6


class Seats(Reader):
    """Base of readers of vehicle interiors: a class per seat (left, middle, right), which mirror images reverse."""

    mirrors = True
    empty = 0
    classes = ("empty", "infant seat", "child seat", "adult")

    def prepare(self, source: str, size: Size) -> np.ndarray:
        return open_prepared(source, size) if is_prepared(source) else open_cropped(source, size)


class Sviro(Seats):
    """`SVIRO/<car>/{train,test}/grayscale_wholeImage/<...>_GT_<left>_<middle>_<right>.png`; factor: car or cars."""

    name = "sviro"
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
                        listing.add_files(f"{car}/{path.stem}", label, [entry], split)


class SviroIllumination(Seats):
    """`SVIRO-Illumination/<car>/{train,test}/<..._GT_<l>_<m>_<r>>/<variant>.png`; factor: car or cars."""

    name = "sviro_illumination"

    def fill(self, listing: Listing) -> None:
        base = find_dataset(self, "SVIRO-Illumination")
        for car in choose_parts(self, base, "car"):
            for split in self.splits():
                add_sceneries(listing, find_folder(self, [base / car / split]), split, f"{car}/")


class SviroNoCar(Seats):
    """`SVIRO-NoCar/<one folder>/{train,test}/<..._GT_<l>_<m>_<r>>/<variant>.png`; both splits unless told otherwise."""

    name = "sviro_nocar"

    def fill(self, listing: Listing) -> None:
        self.no_factor()
        base = self._base()
        for split in self.splits():
            add_sceneries(listing, find_folder(self, [base / split, base / PREPARED[split]]), split)

    def _base(self) -> Path:
        """Return the folder that holds the splits: the dataset's own, or the single one in it, whatever its name."""
        names = ("SVIRO-NoCar", "SEATS_AND_PEOPLE_NOCAR", "seats_and_people_nocar", "")
        outer = find_folder(self, [self.root / name for name in names])
        inner = sorted(path for path in outer.iterdir() if path.is_dir() and not path.name.startswith("."))
        if any(path.name in (*PREPARED, *PREPARED.values()) for path in inner):
            return outer
        if len(inner) != 1:
            raise UserError(f"dataset.root: no {self.name} at {outer}; looked for one folder that holds train and test "
                            f"(or pp_train_128 and pp_test_128), found {len(inner)} folders")
        return inner[0]


def seat_label(name: str, path: Path, listing: Listing) -> tuple[int, int, int] | None:
    """Read the label (left, middle, right) off the end of a name, everyday objects counting as empty.

    None, which the listing notes: no label, or an empty infant or child seat, which the paper leaves out.
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


def add_sceneries(listing: Listing, folder: Path, split: str, part: str = "") -> None:
    """Add every scenery folder below `folder`, labelled by its name, with all images in it as variants.

    part: what names begin with that are told apart by the part of the dataset that they are in.
    """
    for scenery in subfolders(folder, "scenery, its name ending with _GT_<left>_<middle>_<right>"):
        label = seat_label(scenery.name, scenery, listing)
        if label is None:
            continue
        images = scan(scenery, listing)
        if images:
            listing.add_files(f"{part}{scenery.name}", label, images, split)
        else:
            listing.reject(scenery, NO_IMAGES)
