"""SVIRO-Illumination: rendered vehicle interiors, every scenery under several illuminations."""

import os
from pathlib import Path

import numpy as np

from errors import UserError
from readers.base import Listing, Reader, choose_parts, find_dataset, find_folder
from readers.images import centre_square, open_grey, scan, stamp, to_array
from readers.sviro import SEATS, seat_label


class SviroIllumination(Reader):
    """`SVIRO-Illumination/<car>/{train,test}/<..._GT_<l>_<m>_<r>>/<variant>.png`; factor: car or cars."""

    name = "sviro_illumination"
    mirrors = True
    empty = 0
    classes = SEATS

    def listing(self) -> Listing:
        base = find_dataset(self, "SVIRO-Illumination")
        listing = Listing()
        for car in choose_parts(self, base, "car"):
            for split in self.splits():
                add_sceneries(listing, find_folder(self, [base / car / split]))
        return listing

    def prepare(self, source: str, size: int) -> np.ndarray:
        return to_array(centre_square(open_grey(source)), size)


def add_sceneries(listing: Listing, folder: Path) -> None:
    """Add every scenery folder below `folder`, labelled by its name, with all images in it as variants.

    Raises UserError for a folder whose name carries no label, and for one without images.
    """
    with os.scandir(folder) as entries:
        sceneries = sorted((entry for entry in entries if entry.is_dir()), key=lambda entry: entry.name)
    for scenery in sceneries:
        label = seat_label(scenery.name, Path(scenery.path), listing)
        if label is None:
            continue
        images = scan(Path(scenery.path))
        if not images:
            raise UserError(f"{scenery.path}: no images in this scenery folder")
        listing.add(scenery.name, label, [image.path for image in images], [stamp(image) for image in images])
