"""SVIRO-Illumination: rendered vehicle interiors, every scenery under several illuminations."""

from pathlib import Path

import numpy as np

from readers.base import Reader, Size, choose_parts, find_dataset, find_folder, subfolders
from readers.images import open_cropped, scan, stamp
from readers.listing import Listing
from readers.sviro import SEATS, seat_label


class SviroIllumination(Reader):
    """`SVIRO-Illumination/<car>/{train,test}/<..._GT_<l>_<m>_<r>>/<variant>.png`; factor: car or cars."""

    name = "sviro_illumination"
    mirrors = True
    empty = 0
    classes = SEATS

    def fill(self, listing: Listing) -> None:
        base = find_dataset(self, "SVIRO-Illumination")
        for car in choose_parts(self, base, "car"):
            for split in self.splits():
                add_sceneries(listing, find_folder(self, [base / car / split]), split)

    def prepare(self, source: str, size: Size) -> np.ndarray:
        return open_cropped(source, size)


def add_sceneries(listing: Listing, folder: Path, split: str) -> None:
    """Add every scenery folder below `folder`, labelled by its name, with all images in it as variants.

    Raises UserError where there is no such folder; the listing notes those without images.
    """
    for scenery in subfolders(folder, "scenery, its name ending with _GT_<left>_<middle>_<right>"):
        label = seat_label(scenery.name, scenery, listing)
        if label is None:
            continue
        images = scan(scenery, listing)
        if not images:
            listing.reject(scenery, "no images in this scenery folder")
            continue
        listing.add(scenery.name, label, [image.path for image in images], [stamp(image) for image in images], split)
