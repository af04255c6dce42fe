"""Photographed digits: real images to test a model that was trained on MNIST."""

import numpy as np

from readers.base import Reader, Size, find_folder
from readers.images import open_grey, scan, stamp, to_array
from readers.listing import Listing
from readers.mnist import DIGITS


class DigitPhotos(Reader):
    """`digit_photos/<digit>/*.png`, grey or colour, any size; no factor and no splits."""

    name = "digit_photos"
    classes = DIGITS

    def fill(self, listing: Listing) -> None:
        self.no_factor()
        self.no_split()
        folder = find_folder(self, [self.root / "digit_photos", *([self.root] if (self.root / "0").is_dir() else [])])
        for digit in DIGITS:
            for entry in scan(find_folder(self, [folder / digit]), listing):
                listing.add(f"{digit}/{entry.name}", (int(digit),), [entry.path], [stamp(entry)])

    def prepare(self, source: str, size: Size) -> np.ndarray:
        return to_array(open_grey(source), size)
