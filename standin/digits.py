"""Stand-ins of MNIST and of photographed digits, drawn with matplotlib's fonts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from readers.digits import Mnist
from readers.glyphs import glyph_mask, render

_DIGITS, _SIDE = "0123456789", 28


def mnist(folder: Path, sceneries: int, seed: int) -> Iterator[int]:
    """Draw MNIST: white digits on black, in the files that torchvision reads, six of seven to train."""
    train = min(max(1, round(sceneries * 6 / 7)), sceneries - 1)
    for split, numbers in (("train", range(train)), ("test", range(train, sceneries))):
        images = np.empty((len(numbers), _SIDE, _SIDE), np.uint8)
        for image, i in zip(images, numbers, strict=True):
            image[:] = (glyph_mask(_DIGITS, seed, i, _SIDE) * 255).round()
            yield 1
        Mnist.write(folder.parent, split, images, np.array(numbers) % 10)


def digit_photos(folder: Path, sceneries: int, seed: int) -> Iterator[int]:
    """Draw photographed digits: colour images of varied sizes under light and noise, in a folder per digit."""
    for i in range(sceneries):
        rng = np.random.default_rng([seed, i, 0])
        width, height = rng.integers(90, 321, 2).tolist()
        grey = Image.fromarray(render(_DIGITS, seed, i, 0, max(width, height))[0]).resize((width, height))
        dark, bright = rng.integers((0, 170), (80, 256), (3, 2)).T.tolist()
        path = folder / str(i % 10) / f"standin_{i:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        ImageOps.colorize(grey, dark, bright).save(path, compress_level=1)
        yield 1
