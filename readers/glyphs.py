"""Rendered digits and letters: sources that need no download."""

from typing import ClassVar

import matplotlib
import numpy as np
import PIL

from readers.base import Reader
from readers.digits import DIGITS
from readers.drawing import VARIANTS, render
from readers.listing import Listing

SCENERIES = 5000
_SEEDS = {"train": 1, "test": 2}


class Glyphs(Reader):
    """Digits in the fonts that matplotlib ships; 5000 sceneries per split in 10 variants, the same on every machine."""

    name = "glyphs"
    characters: ClassVar[str] = "".join(DIGITS)
    classes = DIGITS
    default_split = "train"

    def fill(self, listing: Listing) -> None:
        self.no_factor()
        # Fonts and rasteriser come with these packages, so other versions may draw other pixels.
        drawn_by = f"matplotlib {matplotlib.__version__}, pillow {PIL.__version__}"
        for split in self.splits():
            for i in range(SCENERIES):
                sources = [f"{_SEEDS[split]}/{i}/{variant}" for variant in range(VARIANTS)]
                listing.add(f"{split}-{i}", (i % len(self.characters),), sources, [drawn_by] * VARIANTS, split)

    def prepare(self, source: str, size: int) -> np.ndarray:
        seed, scenery, variant = (int(part) for part in source.split("/"))
        return render(self.characters, seed, scenery, variant, size)


class Letters(Glyphs):
    """Letters drawn like the digits; lower-case letters that look like their capitals are left out, as in EMNIST."""

    name = "letters"
    characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    classes = tuple(characters)
