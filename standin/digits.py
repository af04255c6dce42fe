"""Stand-ins of MNIST and of photographed digits, drawn with matplotlib's fonts."""

import struct
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from readers.drawing import glyph_mask, render
from readers.mnist import DIGITS
from standin.store import Job, save

_SIDE = 28
_CHUNK = 250
# The real one has 60000 images to train and 10000 to test.
_TRAIN_SHARE = 6 / 7


def mnist(folder: Path, sceneries: int, seed: int) -> list[Job]:
    """Lay out MNIST: files of the right size are made here, the jobs fill in stretches of them."""
    raw = folder / "raw"
    raw.mkdir()
    train = min(max(1, round(sceneries * _TRAIN_SHARE)), sceneries - 1)
    jobs = []
    for prefix, first, count in (("train", 0, train), ("t10k", train, sceneries - train)):
        digits = np.arange(first, first + count) % len(DIGITS)
        labels = raw / f"{prefix}-labels-idx1-ubyte"
        labels.write_bytes(struct.pack(">HBBI", 0, 8, 1, count) + digits.astype(np.uint8).tobytes())
        images = raw / f"{prefix}-images-idx3-ubyte"
        header = struct.pack(">HBBIII", 0, 8, 3, count, _SIDE, _SIDE)
        images.write_bytes(header)
        for start in range(0, count, _CHUNK):
            place = len(header) + start * _SIDE * _SIDE
            jobs.append(partial(_fill, images, place, first + start, min(_CHUNK, count - start), seed))
    return jobs


def _fill(path: Path, place: int, first: int, count: int, seed: int) -> int:
    """Draw white digits on black, and write them at their place in the file."""
    images = [_glyph(seed, scenery) for scenery in range(first, first + count)]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(np.stack(images).tobytes())
    return count


def _glyph(seed: int, scenery: int) -> np.ndarray:
    return (glyph_mask("".join(DIGITS), seed, scenery, _SIDE) * 255).round().astype(np.uint8)


def digit_photos(folder: Path, sceneries: int, seed: int) -> list[Job]:
    """Lay out photographed digits: colour images of varied sizes, in a folder per digit."""
    for digit in DIGITS:
        (folder / digit).mkdir()
    return [partial(_photo, folder / DIGITS[scenery % len(DIGITS)] / f"standin_{scenery:05}.png", seed, scenery)
            for scenery in range(sceneries)]


def _photo(path: Path, seed: int, scenery: int) -> int:
    """Draw a digit under light and noise, in two colours: dark things take one, bright things the other."""
    rng = np.random.default_rng([seed, scenery, 0])
    width, height = rng.integers(90, 321, 2).tolist() if rng.random() < 0.5 else [int(rng.integers(90, 321))] * 2
    grey = Image.fromarray(render("".join(DIGITS), seed, scenery, 0, max(width, height))[0])
    bright = np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR))[..., None] / np.float32(255)
    dark_colour, bright_colour = rng.uniform(0.0, 0.3, 3), rng.uniform(0.7, 1.0, 3)
    save((dark_colour + (bright_colour - dark_colour) * bright).astype(np.float32), path)
    return 1
