"""What light, background and camera make of a scenery; and the gap between a rendered and a real look."""

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from readers.standin.canvas import Layers, Stage

_NOISE = 1 << 21
_LEVELS = np.arange(256) / 255


def background(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Draw what lies outside: sky, ground, blurred blocks and trees; float32 in [0, 1], coarse."""
    width, height = stage.coarse
    sky, ground = rng.uniform(0.1, 1.0, 2)
    horizon = rng.uniform(0.15, 0.7) * height
    image = Image.new("L", (width, height), round(255 * sky))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, horizon, width, height), fill=round(255 * ground))
    for _ in range(rng.integers(4, 14)):
        x, half, tall = rng.uniform(0, width), rng.uniform(0.02, 0.12) * width, rng.uniform(0.05, 0.4) * height
        draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        box = (x - half, horizon - tall, x + half, horizon + tall * rng.uniform(0, 0.6))
        draw(box, fill=int(rng.integers(20, 250)))
    blurred = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5)))
    return np.asarray(blurred) * np.float32(rng.uniform(0.6, 1.0) / 255)


def expose(layers: Layers, outside: np.ndarray, gap: float, rng: np.random.Generator) -> np.ndarray:
    """Light a scenery before a background and take its picture; float32 (height, width) in [0, 1].

    gap: 0 is a clean rendered look, 1 a real one, with contours, textures, light from one side, vignette, low
    contrast, blur and sensor noise; everything between changes steadily. The draws of `rng` do not depend on it.
    """
    light = _light(layers, outside, gap, rng)
    image = _reflectance(layers, gap, rng) * light
    # Windows are dimmer in an infrared camera.
    behind = _enlarged(outside * np.float32(1 - 0.35 * gap), layers.stage)
    behind -= image
    behind *= layers.bare
    image += behind
    level, contrast = rng.uniform(0.25, 0.45), np.float32(1 - gap * rng.uniform(0.25, 0.5))
    image *= contrast
    image += np.float32(level) * (1 - contrast)
    np.clip(image, 0, 1, out=image)
    start, strength = int(rng.integers(_NOISE - image.size)), np.float32(gap * rng.uniform(0.025, 0.055))
    if gap > 0:
        # Noise grows with the light that falls on a pixel.
        noise = (image + np.float32(0.5)) * strength
        noise *= _noise()[start : start + image.size].reshape(image.shape)
        image += noise
        np.clip(image, 0, 1, out=image)
    return image


def _light(layers: Layers, outside: np.ndarray, gap: float, rng: np.random.Generator) -> np.ndarray:
    """Return the light that arrives at each pixel, brighter before a bright background; cloth has a coarse weave."""
    stage, side = layers.stage, rng.uniform(0, 2 * math.pi)
    strength, ambient = rng.uniform(0.5, 1.0), rng.uniform(0.75, 1.05) * (0.75 + 0.45 * float(outside.mean()))
    uneven, vignette = rng.uniform(0.05, 0.2) + gap * rng.uniform(0.25, 0.5), gap * rng.uniform(0.1, 0.3)
    width, height = stage.coarse
    x = (np.arange(width) * (stage.width / width) - stage.left)[None] * (2 / stage.side) - 1
    y = (np.arange(height) * (stage.height / height) - stage.top)[:, None] * (2 / stage.side) - 1
    light = 1 - strength * (math.cos(side) * layers.slope_x + (0.6 + 0.4 * math.sin(side)) * layers.slope_y)
    light -= (1.1 + 0.4 * gap) * layers.hollow
    # Not beyond the stage: the lamp shines into the cabin, and its surroundings stay as bright as its corners.
    light *= ambient * (1 + uneven * math.cos(side) * x.clip(-1, 1)) * (1 - vignette * (x * x + y * y).clip(0, 2))
    light *= 1 + (0.03 + 0.13 * gap) * rng.uniform(-1, 1, light.shape)
    return _enlarged(light, stage)


def _reflectance(layers: Layers, gap: float, rng: np.random.Generator) -> np.ndarray:
    """Return reflectances as the camera sees them: infrared flattens clothes and skin; contours, blur."""
    curve, flat, middle = 1 + gap * rng.uniform(-0.35, 0.25), gap * rng.uniform(0.15, 0.4), rng.uniform(0.35, 0.6)
    tone = layers.tone.point((255 * (_LEVELS**curve * (1 - flat) + middle * flat)).round().astype(int).tolist())
    ink = layers.ink.point((255 * (1 - (0.1 + 0.45 * gap) * _LEVELS)).round().astype(int).tolist())
    drawn = ImageChops.multiply(tone, ink)
    blurred = drawn.filter(ImageFilter.BoxBlur(gap * rng.uniform(0.5, 1.0) * layers.stage.side / 400))
    return np.asarray(blurred) * np.float32(1 / 255)


def _enlarged(field: np.ndarray, stage: Stage) -> np.ndarray:
    """Enlarge a coarse field smoothly to the stage's image, float32 (height, width), writable."""
    image = Image.fromarray(field.astype(np.float32, copy=False))
    return np.array(image.resize((stage.width, stage.height), Image.Resampling.BILINEAR))


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    """Return a long row of normal noise that pictures take a stretch of; drawing it anew would cost the most."""
    return np.random.default_rng(0).standard_normal(_NOISE, dtype=np.float32)
