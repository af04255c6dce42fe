"""The layers that a vehicle scene is drawn into, and the outlines it is drawn with."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# Tones are drawn finer than the image and reduced; relief and light are smooth and come at a fraction of its size.
_FINE, COARSE = 2, 4
# How far inside the outline a part rises to which share of its relief: a body is round, not a card.
_STEPS = ((1.0, 0.5), (0.9, 0.68), (0.78, 0.8), (0.64, 0.9), (0.45, 0.97))


@dataclass(frozen=True)
class Stage:
    """An image of `width` x `height` pixels and the square in it that the reader keeps: `left`, `top`, `side`."""

    width: int
    height: int
    left: int
    top: int
    side: int

    @property
    def coarse(self) -> tuple[int, int]:
        """Return width and height of the fields that are smooth."""
        return -(-self.width // COARSE), -(-self.height // COARSE)


@dataclass(frozen=True)
class Layers:
    """A scenery before light falls on it.

    tone, ink: Pillow images (mode L) of the stage's size, reflectance and contours; bare: float32 (height, width), 1
    where nothing stands before the background. Coarse, float32 (height / 4, width / 4): slope_x, slope_y: of the
    relief, positive where it rises to the right and downwards; hollow: how much deeper than its surroundings a place
    lies, positive in corners, where less light arrives.
    """

    stage: Stage
    tone: Image.Image
    ink: Image.Image
    bare: np.ndarray
    slope_x: np.ndarray
    slope_y: np.ndarray
    hollow: np.ndarray


class Canvas:
    """Collects filled outlines; positions and lengths are in sides of the stage, (0, 0) its upper left corner."""

    def __init__(self, stage: Stage):
        self.stage = stage
        fine = (stage.width * _FINE, stage.height * _FINE)
        sizes = {"tone": fine, "cover": fine, "ink": (stage.width, stage.height), "relief": stage.coarse}
        self._images = {name: Image.new("L", size) for name, size in sizes.items()}
        self._pens = {name: ImageDraw.Draw(image) for name, image in self._images.items()}

    def fill(self, outline: np.ndarray, tone: float, relief: float, contour: float = 1.0) -> None:
        """Fill an outline (n, 2) with a reflectance in [0, 1], raised to a relief in [0, 1]."""
        fine, points = self._pixels(outline, _FINE), self._pixels(outline, 1)
        self._pens["tone"].polygon(fine, fill=_level(tone))
        self._pens["cover"].polygon(fine, fill=255)
        centre = outline.mean(axis=0)
        for share, height in _STEPS:
            step = self._pixels(centre + share * (outline - centre), 1 / COARSE)
            self._pens["relief"].polygon(step, fill=_level(relief * height))
        self._pens["ink"].polygon(points, fill=0)
        self._pens["ink"].line([*points, *points[:2]], fill=round(255 * contour), width=max(1, self.stage.side // 250))

    def mark(self, outline: np.ndarray, tone: float) -> None:
        """Print an outline (n, 2) onto what lies there, without changing its shape: seams, eyes, stripes."""
        self._pens["tone"].polygon(self._pixels(outline, _FINE), fill=_level(tone))

    def open(self, outline: np.ndarray) -> None:
        """Cut an outline (n, 2) out, so that the background shows."""
        self._pens["cover"].polygon(self._pixels(outline, _FINE), fill=0)
        self._pens["relief"].polygon(self._pixels(outline, 1 / COARSE), fill=0)

    def layers(self) -> Layers:
        """Return what was drawn, antialiased, at the size of the stage's image."""
        side = self.stage.side / COARSE
        relief = self._images["relief"].filter(ImageFilter.GaussianBlur(side / 80))
        heights, surroundings = unit(relief), unit(relief.filter(ImageFilter.BoxBlur(side / 14)))
        slope_y, slope_x = np.gradient(heights * np.float32(side / 10))
        bare = 1 - unit(self._images["cover"].reduce(_FINE))
        return Layers(self.stage, self._images["tone"].reduce(_FINE), self._images["ink"], bare, slope_x, slope_y,
                      surroundings - heights)

    def _pixels(self, outline: np.ndarray, scale: float) -> list[float]:
        stage = self.stage
        return (outline * (stage.side * scale) + (stage.left * scale, stage.top * scale)).ravel().tolist()


def unit(image: Image.Image) -> np.ndarray:
    """Return an 8-bit image as float32 (height, width) in [0, 1]."""
    return np.asarray(image) * np.float32(1 / 255)


def _level(value: float) -> int:
    return round(255 * min(max(value, 0.0), 1.0))


def rounded(x: float, y: float, half_width: float, half_height: float, power: float = 2, lean: float = 0) -> np.ndarray:
    """Return a superellipse (n, 2) around (x, y): power 2 is an ellipse, 5 a rounded box; lean in degrees."""
    angle = np.linspace(0, 2 * math.pi, 28, endpoint=False)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = np.sign(points) * np.abs(points) ** (2 / power) * (half_width, half_height)
    return turned(points, lean) + np.array([x, y])


def turned(points: np.ndarray, lean: float) -> np.ndarray:
    """Turn points (n, 2) around the origin by an angle in degrees, clockwise as seen."""
    angle = math.radians(lean)
    return points @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def limb(start: tuple[float, float], end: tuple[float, float], radius: float, end_radius: float) -> np.ndarray:
    """Return a tapered rod (n, 2) with round ends."""
    axis = math.atan2(end[1] - start[1], end[0] - start[0])
    half = np.linspace(-math.pi / 2, math.pi / 2, 7)
    near, far = axis + math.pi + half, axis + half
    return np.concatenate([np.stack([np.cos(near), np.sin(near)], axis=1) * radius + start,
                           np.stack([np.cos(far), np.sin(far)], axis=1) * end_radius + end])
