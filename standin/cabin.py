"""Pictures of vehicle interiors: a bench seen from the front, who or what sits on it, light, background and camera."""

import math
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SEAT_X = (0.17, 0.5, 0.83)
EMPTY, INFANT, CHILD, ADULT, OBJECT, EMPTY_INFANT, EMPTY_CHILD = range(7)
# Drawn finer than the image and reduced, so that edges are smooth.
_FINE = 2


@dataclass(frozen=True)
class Stage:
    """An image of `width` x `height` pixels and the square in it that the reader keeps: `left`, `top`, `side`."""

    width: int
    height: int
    left: int
    top: int
    side: int


class _Pen:
    """Fills shapes around a seat; positions and lengths are in sides of the stage, y downwards from its upper edge.

    What rests on the seat (y = 0.9) stays on it, whatever the scale.
    """

    def __init__(self, stage: Stage):
        size = (stage.width * _FINE, stage.height * _FINE)
        self.stage, self.tone, self.cover = stage, Image.new("L", size), Image.new("L", size)
        self._pens = (ImageDraw.Draw(self.tone), ImageDraw.Draw(self.cover))
        self.x, self.y, self.scale = 0.0, 0.0, 1.0

    def ellipse(self, x: float, y: float, half_width: float, half_height: float, tone: float) -> None:
        self._fill("ellipse", [x - half_width, y - half_height, x + half_width, y + half_height], tone)

    def box(self, left: float, top: float, right: float, bottom: float, tone: float, radius: float = 0.02) -> None:
        self._fill("rounded_rectangle", [left, top, right, bottom], tone, radius=self._length(radius))

    def rod(self, x: float, y: float, to_x: float, to_y: float, width: float, tone: float) -> None:
        self._fill("line", [x, y, to_x, to_y], tone, width=max(1, round(self._length(width))))

    def _fill(self, shape: str, points: list[float], tone: float, **options: float) -> None:
        stage = self.stage
        where = [(stage.left + stage.side * (self.x + value * self.scale)) * _FINE if i % 2 == 0 else
                 (stage.top + stage.side * (0.9 + self.y + (value - 0.9) * self.scale)) * _FINE
                 for i, value in enumerate(points)]
        for pen, value in zip(self._pens, (round(255 * min(tone, 1.0)), 255), strict=True):
            getattr(pen, shape)(where, fill=value, **options)

    def _length(self, value: float) -> float:
        return value * self.scale * self.stage.side * _FINE

    def layers(self) -> tuple[np.ndarray, np.ndarray]:
        tone, cover = (np.asarray(image.reduce(_FINE)) / np.float32(255) for image in (self.tone, self.cover))
        return tone, cover


def draw_scenery(stage: Stage, seats: tuple[int, int, int], car: str | None,
                 rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scenery: raw labels 0 to 6 of the seats, left to right as seen; without a car only who sits there.

    Returns reflectance and coverage, float32 (height, width) in [0, 1]; where coverage is 0, the background shows.
    A car's name stands for its looks.
    """
    pen = _Pen(stage)
    if car is not None:
        _bench(pen, np.random.default_rng(zlib.crc32(car.encode())))
    for seat in rng.permutation(3):
        pen.x, pen.y = SEAT_X[seat] + rng.uniform(-0.03, 0.03), rng.uniform(-0.02, 0.03)
        pen.scale = rng.uniform(0.9, 1.1)
        _OCCUPANTS[seats[seat]](pen, rng)
    return pen.layers()


def _bench(pen: _Pen, looks: np.random.Generator) -> None:
    """Draw roof, doors, a rear window, and three seats with headrests."""
    seat, trim = looks.uniform(0.28, 0.62), looks.uniform(0.16, 0.3)
    width, top, radius = looks.uniform(0.135, 0.155), looks.uniform(0.33, 0.38), looks.uniform(0.02, 0.06)
    pen.box(-1, -1, 2, 2, trim)
    pen.box(0.2, 0.08, 0.8, 0.26, looks.uniform(0.7, 1.0), radius)
    for side in (-0.25, 1.02):
        pen.box(side, 0.35, side + 0.23, 2, looks.uniform(0.35, 0.55))
    pen.box(-0.06, 0.84, 1.06, 1.3, seat * 1.1, radius)
    for x in SEAT_X:
        pen.box(x - 0.075, top - 0.13, x + 0.075, top - 0.03, seat * 0.9, radius)
        pen.box(x - width, top, x + width, 0.88, seat, radius)


def _nobody(pen: _Pen, rng: np.random.Generator) -> None:
    """Leave the seat empty."""


def _head(pen: _Pen, y: float, radius: float, rng: np.random.Generator) -> None:
    skin, x = rng.uniform(0.5, 0.9), rng.uniform(-0.02, 0.02)
    pen.ellipse(x, y - 0.15 * radius, radius, 1.2 * radius, rng.uniform(0.05, 0.4))
    pen.ellipse(x, y + 0.2 * radius, 0.8 * radius, radius, skin)


def _infant_seat(pen: _Pen, rng: np.random.Generator) -> None:
    shell = rng.uniform(0.08, 0.4)
    pen.ellipse(0, 0.79, 0.135, 0.165, shell)
    pen.ellipse(0, 0.77, 0.1, 0.125, rng.uniform(0.5, 0.9))
    pen.rod(-0.13, 0.72, 0.0, 0.55, 0.025, shell + 0.1)
    pen.rod(0.13, 0.72, 0.0, 0.55, 0.025, shell + 0.1)


def _infant(pen: _Pen, rng: np.random.Generator) -> None:
    _infant_seat(pen, rng)
    pen.ellipse(0, 0.85, 0.08, 0.075, rng.uniform(0.3, 0.95))
    _head(pen, rng.uniform(0.71, 0.73), rng.uniform(0.042, 0.048), rng)


def _child_seat(pen: _Pen, rng: np.random.Generator) -> None:
    shell, padding = rng.uniform(0.08, 0.35), rng.uniform(0.4, 0.9)
    pen.box(-0.125, 0.42, 0.125, 0.92, shell, 0.05)
    pen.box(-0.085, 0.46, 0.085, 0.86, padding, 0.04)
    pen.box(-0.12, 0.86, 0.12, 1.0, padding * 0.9, 0.03)


def _child(pen: _Pen, rng: np.random.Generator) -> None:
    _child_seat(pen, rng)
    shirt = rng.uniform(0.2, 0.95)
    for side in (-1, 1):
        pen.rod(side * 0.035, 0.82, side * rng.uniform(0.045, 0.08), 1.02, 0.06, rng.uniform(0.1, 0.6))
        pen.rod(side * 0.06, 0.65, side * rng.uniform(0.03, 0.09), 0.84, 0.04, shirt * 0.9)
    pen.ellipse(0, 0.74, 0.07, 0.13, shirt)
    _head(pen, rng.uniform(0.53, 0.56), rng.uniform(0.055, 0.064), rng)


def _adult(pen: _Pen, rng: np.random.Generator) -> None:
    shirt, width = rng.uniform(0.15, 0.95), rng.uniform(0.11, 0.14)
    for side in (-1, 1):
        pen.rod(side * 0.055, 0.83, side * rng.uniform(0.06, 0.1), 1.05, 0.1, rng.uniform(0.1, 0.5))
        pen.rod(side * width, 0.44, side * (width + rng.uniform(0, 0.03)), rng.uniform(0.65, 0.8), 0.06, shirt * 0.9)
    pen.box(-width, 0.38, width, 0.9, shirt, 0.06)
    _head(pen, rng.uniform(0.24, 0.28), rng.uniform(0.068, 0.078), rng)


def _object(pen: _Pen, rng: np.random.Generator) -> None:
    half, height = rng.uniform(0.07, 0.11), rng.uniform(0.08, 0.18)
    pen.box(-half, 0.93 - height, half, 0.93, rng.uniform(0.2, 0.85), 0.005)


# By raw label.
_OCCUPANTS = (_nobody, _infant, _child, _adult, _object, _infant_seat, _child_seat)


def background(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Draw what lies outside: sky, ground, blurred blocks; float32 (height, width) in [0, 1]."""
    width, height = stage.width // 4, stage.height // 4
    sky, ground = (255 * rng.uniform(0.1, 1.0, 2)).astype(int).tolist()
    horizon = rng.uniform(0.2, 0.7) * height
    image = Image.new("L", (width, height), sky)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, horizon, width, height), fill=ground)
    for x, half, tall in rng.uniform((0, 0.02, 0.05), (1, 0.12, 0.4), (rng.integers(4, 14), 3)):
        pen.rectangle(((x - half) * width, horizon - tall * height, (x + half) * width, horizon + tall * height / 3),
                      fill=int(rng.integers(20, 250)))
    image = image.filter(ImageFilter.GaussianBlur(2)).resize((stage.width, stage.height), Image.Resampling.BILINEAR)
    return np.asarray(image) / np.float32(255)


def expose(layers: tuple[np.ndarray, np.ndarray], outside: np.ndarray, gap: float,
           rng: np.random.Generator) -> np.ndarray:
    """Light a scenery before a background and take its picture; float32 (height, width) in [0, 1].

    gap: 0 is a clean rendered look, 1 a real one with flat tones, strong light from one side, vignette, low contrast,
    blur and sensor noise; everything between changes steadily. The draws of `rng` do not depend on it.
    """
    tone, cover = layers
    height, width = tone.shape
    side, level = rng.uniform(0, 2 * math.pi), rng.uniform(0.55, 1.05)
    uneven, vignette, flat, contrast, blur, noise = rng.uniform((0.2, 0.1, 0.15, 0.25, 0.5, 0.03),
                                                                (0.45, 0.3, 0.4, 0.5, 1.0, 0.06))
    middle = rng.uniform(0.3, 0.5)
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    light = 1 + (0.1 + gap * uneven) * (math.cos(side) * x + math.sin(side) * y) / math.sqrt(2)
    light *= level * (1 - gap * vignette * (x * x + y * y) / 2)
    image = cover * (tone + gap * flat * (middle - tone)) * light + (1 - cover) * outside * (1 - 0.3 * gap)
    image = image + gap * contrast * (middle - image)
    if gap > 0:
        soft = Image.fromarray((image * 255).clip(0, 255).astype(np.uint8))
        soft = soft.filter(ImageFilter.BoxBlur(float(gap * blur * width / 400)))
        image = np.asarray(soft) / np.float32(255)
        image = image + gap * noise * rng.standard_normal(image.shape, dtype=np.float32)
    return image.clip(0, 1).astype(np.float32)
