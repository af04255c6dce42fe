"""Rendered digits and letters: sources that need no download."""

from typing import ClassVar

import numpy as np

from readers.base import Listing, Reader
from readers.drawing import VARIANTS, render
from readers.mnist import DIGITS

SCENERIES = 5000
_SEEDS = {"train": 1, "test": 2}


class Glyphs(Reader):
    """Digits in the fonts that matplotlib ships; 5000 sceneries per split in 10 variants, the same on every machine."""

    name = "glyphs"
    characters: ClassVar[str] = "".join(DIGITS)
    classes = DIGITS
    default_split = "train"

    def listing(self) -> Listing:
        self.no_factor()
        listing = Listing()
        for split in self.splits():
            for i in range(SCENERIES):
                sources = [f"{_SEEDS[split]}/{i}/{variant}" for variant in range(VARIANTS)]
                listing.add(f"{split}-{i}", (i % len(self.characters),), sources, ["drawn"] * VARIANTS)
        return listing

    def prepare(self, source: str, size: int) -> np.ndarray:
        seed, scenery, variant = (int(part) for part in source.split("/"))
        return render(self.characters, seed, scenery, variant, size)


class Letters(Glyphs):
    """Letters drawn like the digits; lower-case letters that look like their capitals are left out, as in EMNIST."""

    name = "letters"
    characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    classes = tuple(characters)
