"""Stand-ins of MNIST and of photographed digits, drawn with matplotlib's fonts."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from readers.glyphs import glyph_mask, render

_DIGITS, _SIDE = "0123456789", 28


def mnist(folder: Path, sceneries: int, seed: int) -> Iterator[int]:
    """Draw MNIST: white digits on black, in the files that torchvision reads, six of seven to train."""
    raw, train = folder / "raw", min(max(1, round(sceneries * 6 / 7)), sceneries - 1)
    raw.mkdir(parents=True)
    for prefix, numbers in (("train", range(train)), ("t10k", range(train, sceneries))):
        head = struct.pack(">HBBI", 0, 8, 1, len(numbers))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(head + bytes(i % 10 for i in numbers))
        with (raw / f"{prefix}-images-idx3-ubyte").open("wb") as file:
            file.write(struct.pack(">HBBIII", 0, 8, 3, len(numbers), _SIDE, _SIDE))
            for i in numbers:
                file.write((glyph_mask(_DIGITS, seed, i, _SIDE) * 255).round().astype(np.uint8).tobytes())
                yield 1


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
