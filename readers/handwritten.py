"""Handwritten digits: scikit-learn's 1797 real 8x8 scans, which need no download."""

from functools import lru_cache

import numpy as np
import sklearn
from PIL import Image
from sklearn.datasets import load_digits

from readers.base import Reader
from readers.listing import Listing
from readers.mnist import DIGITS


class Handwritten(Reader):
    """scikit-learn's digits, bright on dark, with a margin, enlarged (bicubic); no factor and no splits."""

    name = "handwritten"
    classes = DIGITS

    def fill(self, listing: Listing) -> None:
        self.no_factor()
        self.no_split()
        for i, digit in enumerate(_digits().target.tolist()):
            listing.add(f"digit-{i}", (digit,), [str(i)], [f"scikit-learn {sklearn.__version__}"])

    def prepare(self, source: str, size: int) -> np.ndarray:
        # The scans count 0..16 ink cells per block and are cropped to the digit; a margin of one block sets it free.
        blocks = np.pad(_digits().images[int(source)], 1)
        image = Image.fromarray((blocks * (255 / 16)).round().astype(np.uint8))
        return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC), dtype=np.uint8)[None]


@lru_cache(maxsize=1)
def _digits():
    return load_digits()
