"""Pictures of vehicle interiors: a bench seen from the front, who or what sits on it, and the light on it."""

import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from readers.glyphs import blurred, ramp, texture

SEAT_X = (0.17, 0.5, 0.83)
# Shapes, one over the other: half the width, upper and lower edge (the seat is at 0.9), darkest and brightest tone.
_INFANT_SEAT = (("ellipse", 0.13, 0.6, 0.95, 0.08, 0.4), ("ellipse", 0.1, 0.65, 0.9, 0.5, 0.9))
_CHILD_SEAT = (("rectangle", 0.125, 0.42, 1.0, 0.08, 0.35), ("rectangle", 0.085, 0.46, 0.88, 0.4, 0.9))
# Who or what sits there, by raw label: nobody, infant, child, adult, object, empty infant seat, empty child seat.
_OCCUPANTS = (
    (),
    (*_INFANT_SEAT, ("ellipse", 0.08, 0.76, 0.92, 0.3, 0.95), ("ellipse", 0.045, 0.66, 0.77, 0.5, 0.9)),
    (*_CHILD_SEAT, ("ellipse", 0.07, 0.61, 1.0, 0.2, 0.95), ("ellipse", 0.055, 0.48, 0.62, 0.5, 0.9)),
    (("rectangle", 0.125, 0.38, 1.05, 0.15, 0.95), ("ellipse", 0.07, 0.18, 0.37, 0.5, 0.9)),
    (("rectangle", 0.09, 0.8, 0.93, 0.2, 0.85),),
    _INFANT_SEAT,
    _CHILD_SEAT,
)
# Walls and a rear window; a backrest with its headrest.
_CABIN = (("rectangle", 2, -1, 2, 0.05, 0.4), ("rectangle", 0.3, 0.08, 0.2, 0.7, 1))
_BACKREST = (("rectangle", 0.07, 0.24, 0.35, 0.2, 0.75), ("rectangle", 0.145, 0.37, 2, 0.2, 0.75))


class Stage(NamedTuple):
    """An image of `width` x `height` pixels and the square in it that the reader keeps: `left`, `top`, `side`."""

    width: int
    height: int
    left: int
    top: int
    side: int


def draw_scenery(stage: Stage, seats: tuple[int, int, int], car: str | None, rng: np.random.Generator) -> Image.Image:
    """Draw a scenery: raw labels 0 to 6 of the seats, left to right as seen; without a car only who sits there.

    Returns reflectance and coverage as an image of mode LA; where coverage is 0, the background shows. A car's name
    stands for its looks.
    """
    image = Image.new("LA", (stage.width, stage.height))
    if car is not None:
        for x, shapes in ((0.5, _CABIN), *((x, _BACKREST) for x in SEAT_X)):
            _draw(image, stage, x, shapes, np.random.default_rng(zlib.crc32(car.encode())))
    for x, label in zip(SEAT_X, seats, strict=True):
        _draw(image, stage, x, _OCCUPANTS[label], rng)
    return image


def _draw(image: Image.Image, stage: Stage, x: float, shapes: tuple, rng: np.random.Generator) -> None:
    """Draw shapes around a seat, in sides of the stage; position, size and tones are drawn from `rng`."""
    pen, x, scale = ImageDraw.Draw(image), x + rng.uniform(-0.03, 0.03), rng.uniform(0.9, 1.1)
    for shape, half, *edges, dark, bright in shapes:
        corners = [(stage.left + stage.side * (x + side * scale), stage.top + stage.side * (0.9 + (edge - 0.9) * scale))
                   for side, edge in zip((-half, half), edges, strict=True)]
        getattr(pen, shape)(corners, fill=(round(255 * rng.uniform(dark, bright)), 255))


def expose(scenery: Image.Image, gap: float, rng: np.random.Generator) -> np.ndarray:
    """Light a scenery before a background and take its picture; float32 (height, width) in [0, 1].

    gap: 0 is a clean rendered look, 1 a real one with strong light from one side, low contrast, blur and noise;
    everything between changes steadily. The draws of `rng` do not depend on it.
    """
    width, height = scenery.size
    tone, cover = (np.asarray(band, np.float32) / 255 for band in scenery.split())
    level, uneven, contrast, blur, noise = rng.uniform((0.4, 0.3, 0.25, 0.5, 0.03), (1.1, 0.6, 0.5, 1, 0.06))
    outside = 0.5 + 0.5 * texture(rng, width)[:height]
    light = level * (1 + (0.2 + gap * uneven) * ramp(rng, width)[:height])
    image = cover * tone * light + (1 - cover) * outside
    image = blurred((image + gap * contrast * (0.4 - image)).clip(0, 1), float(gap * blur * width / 400))
    return (image + gap * noise * rng.standard_normal(image.shape, np.float32)).clip(0, 1).astype(np.float32)
