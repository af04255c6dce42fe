"""Rendered digits and letters, which need no download.

A scenery is a glyph in a shape, a variant is what light, background and camera make of it.
"""

import math
import os
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import matplotlib
import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from readers.base import Reader, Size, find_folder, subfolders
from readers.digits import DIGITS
from readers.images import NO_IMAGES, open_grey, scan, to_array
from readers.listing import Listing

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    "cmr10", "cmss10", "cmtt10", "cmb10", "cmti10",
)  # fmt: skip
SCENERIES, VARIANTS = 5000, 10
INKS = ("bright", "dark")
_SEEDS = {"train": 1, "test": 2}
_SUPERSAMPLING = 2


class Glyphs(Reader):
    """Digits in the fonts that matplotlib ships; 5000 sceneries per split in 10 variants, the same on every machine.

    factor: `bright`, variants with ink brighter than the paper alone, or `dark`, the others; by default both.

    Where there is a folder `<root>/glyphs`, the images in it are read instead, which a translation made of drawn ones:
    `<root>/glyphs/{train,test}/<scenery>_<class>/<variant>.png`. Their ink is that of the drawn ones, by scenery and
    variant.
    """

    name = "glyphs"
    square = True
    characters: ClassVar[str] = "".join(DIGITS)
    classes = DIGITS
    default_split = "train"

    def fill(self, listing: Listing) -> None:
        self.check_factor(INKS, self.name)
        if (self.root / self.name).is_dir():
            self._read(listing)
            return
        # Fonts and rasteriser come with these packages, so other versions may draw other pixels.
        drawn_by = f"matplotlib {matplotlib.__version__}, pillow {PIL.__version__}"
        for split in self.splits():
            for i in range(SCENERIES):
                sources = [f"{_SEEDS[split]}/{i}/{variant}" for variant in range(VARIANTS)
                           if not self.factor or ink_of(_SEEDS[split], i, variant) in self.factor]
                if sources:
                    listing.add(f"{split}-{i}", (i % len(self.characters),), sources, [drawn_by] * len(sources), split)

    def _read(self, listing: Listing) -> None:
        for split in self.splits():
            for folder in subfolders(find_folder(self, [self.root / self.name / split]), "scenery"):
                number, _, name = folder.name.partition("_")
                if not number.isdecimal():
                    listing.reject(folder, f"number '{number}' in the name; expected <number>_<class>")
                elif name not in self.classes:
                    listing.reject(folder, f"class '{name}' in the name; allowed: {', '.join(self.classes)}")
                elif not (images := scan(folder, listing)):
                    listing.reject(folder, NO_IMAGES)
                elif images := [image for image in images if self._has_ink(split, int(number), image, listing)]:
                    listing.add_files(f"{split}-{int(number)}", (self.classes.index(name),), images, split)

    def _has_ink(self, split: str, scenery: int, image: os.DirEntry[str], listing: Listing) -> bool:
        """Say whether an image is made of a variant that `factor` selects."""
        variant = Path(image.name).stem
        if self.factor and not variant.isdecimal():
            listing.reject(image.path, f"variant '{variant}' in the name, which says no ink; expected a number")
            return False
        return not self.factor or ink_of(_SEEDS[split], scenery, int(variant)) in self.factor

    def prepare(self, source: str, size: Size) -> np.ndarray:
        if Path(source).is_absolute():
            return to_array(open_grey(source), size)
        seed, scenery, variant = (int(part) for part in source.split("/"))
        return render(self.characters, seed, scenery, variant, size)

    def place(self, source: str) -> Path:
        if Path(source).is_absolute():
            return super().place(source)
        seed, scenery, variant = (int(part) for part in source.split("/"))
        [split] = [name for name, number in _SEEDS.items() if number == seed]
        name = self.classes[scenery % len(self.characters)]
        return Path(self.name, split, f"{scenery:05}_{name}", f"{variant}.png")


class Letters(Glyphs):
    """Letters drawn like the digits; lower-case letters that look like their capitals are left out, as in EMNIST."""

    name = "letters"
    characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    classes = tuple(characters)


@lru_cache(maxsize=64)
def glyph_mask(characters: str, seed: int, scenery: int, size: int) -> np.ndarray:
    """Draw the glyph of a scenery: coverage in [0, 1], float32 (size, size), before light and camera.

    The glyph is `characters[scenery % len(characters)]`; font, size, rotation, shear and stroke width are drawn from
    the seed and the scenery's number.
    """
    rng = np.random.default_rng([seed, scenery])
    canvas = size * _SUPERSAMPLING
    height = rng.uniform(0.7, 1.15) * canvas
    font = _font(FONTS[rng.integers(len(FONTS))], round(height))
    character = characters[scenery % len(characters)]
    stroke = int(rng.integers(0, max(2, round(canvas / 20))))
    left, top, right, bottom = font.getbbox(character, stroke_width=stroke)
    image = Image.new("L", (canvas, canvas))
    position = (canvas / 2 - (left + right) / 2, canvas / 2 - (top + bottom) / 2)
    ImageDraw.Draw(image).text(position, character, fill=255, font=font, stroke_width=stroke)
    turned = image.transform(image.size, Image.Transform.AFFINE, _affine(rng, canvas), Image.Resampling.BILINEAR)
    return np.asarray(turned.resize((size, size), Image.Resampling.BOX), dtype=np.float32) / 255


def render(characters: str, seed: int, scenery: int, variant: int, size: int) -> np.ndarray:
    """Render one variant of a scenery as uint8 (1, size, size): background, light, polarity, blur and noise."""
    rng = np.random.default_rng([seed, scenery, variant + 1])
    blur, ink, paper = _draw(rng)
    mask = blurred(glyph_mask(characters, seed, scenery, size), blur * size)
    background = paper + rng.uniform(0.0, 0.2) * texture(rng, size)
    image = background * (1 - mask) + ink * mask
    image = image * (1 + rng.uniform(0.0, 0.3) * ramp(rng, size))
    image = image + rng.normal(0, rng.uniform(0.0, 0.06), image.shape)
    return (image.clip(0, 1) * 255).round().astype(np.uint8)[None]


def ink_of(seed: int, scenery: int, variant: int) -> str:
    """Say whether the ink of a variant is `bright`, on darker paper, or `dark`."""
    _, ink, paper = _draw(np.random.default_rng([seed, scenery, variant + 1]))
    return INKS[ink < paper]


def _draw(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw blur, as a part of the image's side, and the brightness of ink and paper."""
    blur, dark, bright = rng.uniform(0, 0.03), rng.uniform(0.0, 0.35), rng.uniform(0.6, 1.0)
    return (blur, bright, dark) if rng.random() < 0.5 else (blur, dark, bright)


@lru_cache(maxsize=256)
def _font(name: str, height: int) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(str(path), height, layout_engine=ImageFont.Layout.BASIC)


def _affine(rng: np.random.Generator, canvas: int) -> tuple[float, ...]:
    """Draw rotation (within 20 degrees), shear, stretch and shift as Pillow's output-to-input matrix."""
    angle, shear = math.radians(rng.uniform(-20, 20)), rng.uniform(-0.35, 0.35)
    stretch_x, stretch_y = rng.uniform(0.75, 1.35), rng.uniform(0.85, 1.15)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = rotation @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([stretch_x, stretch_y])
    centre = np.array([canvas / 2, canvas / 2])
    offset = centre - matrix @ (centre + rng.uniform(-0.05, 0.05, 2) * canvas)
    return (*matrix[0], offset[0], *matrix[1], offset[1])


def blurred(image: np.ndarray, radius: float) -> np.ndarray:
    """Blur an image (height, width) in [0, 1], in steps of 1/255; radius: standard deviation in pixels."""
    image = Image.fromarray((image * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, dtype=np.float32) / 255


def texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a smooth random field in [-1, 1]: a few coarse cells, enlarged."""
    cells = int(rng.integers(2, 9))
    field = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(field.resize((size, size), Image.Resampling.BICUBIC)).clip(-1, 1)


def ramp(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a linear gradient in [-1, 1] in a random direction: light from one side."""
    direction = rng.uniform(0, 2 * math.pi)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    return (math.cos(direction) * axis[None, :] + math.sin(direction) * axis[:, None]) / math.sqrt(2)
