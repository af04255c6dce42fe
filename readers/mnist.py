"""MNIST: the handwritten digits in the files that torchvision reads."""

import gzip
import math
import os
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from errors import UserError
from files import open_regular
from readers.base import Reader, Size, find_folder
from readers.images import to_array
from readers.listing import Listing, stamp_of

DIGITS = tuple("0123456789")
# MNIST's larger file has 47 MB; a compressed one of a few MB may claim and hold any number of them.
_MOST_BYTES = 2**30
# No byte that is deflated becomes more than so many.
_DEFLATE_RATIO = 1032
_PREFIX = {"train": "train", "test": "t10k"}


class Mnist(Reader):
    """`MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte`, plain or `.gz`; no factor."""

    name = "mnist"
    classes = DIGITS
    default_split = "train"

    def fill(self, listing: Listing) -> None:
        self.no_factor()
        folder = find_folder(self, [self.root / "MNIST" / "raw", self.root / "raw", self.root / "mnist" / "raw"])
        for split in self.splits():
            images = _find(folder, f"{_PREFIX[split]}-images-idx3-ubyte")
            labels = _find(folder, f"{_PREFIX[split]}-labels-idx1-ubyte")
            digits = _labels(labels, _images(images))
            file_stamp = stamp_of(images.stat())
            for i, digit in enumerate(digits.tolist()):
                listing.add(f"{split}-{i}", (digit,), [f"{images}#{i}"], [file_stamp], split)

    def prepare(self, source: str, size: Size) -> np.ndarray:
        path, _, index = source.rpartition("#")
        return to_array(Image.fromarray(read_idx(Path(path))[int(index)]), size)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise UserError(f"dataset.root: mnist lacks {folder / name} (or the same with .gz)")


def _images(path: Path) -> np.ndarray:
    images = read_idx(path)
    if images.ndim != 3:
        raise UserError(f"{path}: holds an array of shape {images.shape}; expected images (n, height, width)")
    return images


def _labels(path: Path, images: np.ndarray) -> np.ndarray:
    labels = read_idx(path)
    if labels.shape != images.shape[:1]:
        raise UserError(f"{path}: {labels.size} labels for {len(images)} images")
    if labels.size and labels.max() >= len(DIGITS):
        raise UserError(f"{path}: label {labels.max()} found; allowed: 0 to {len(DIGITS) - 1}")
    return labels


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes; UserError when it is damaged or of another type."""
    return _read_idx(path, stamp_of(path.stat()))


@lru_cache(maxsize=4)
def _read_idx(path: Path, _: str) -> np.ndarray:
    """Read a file once; the stamp beside the path makes a changed file another one."""
    try:
        with open_regular(path) as raw:
            packed = path.suffix == ".gz"
            room = os.fstat(raw.fileno()).st_size * (_DEFLATE_RATIO if packed else 1)
            return _parse(gzip.open(raw) if packed else raw, room, path)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"{path}: cannot be read as an IDX file: {getattr(error, 'strerror', None) or error}") from None


def _parse(file: BinaryIO, room: int, path: Path) -> np.ndarray:
    """Read the array of an IDX file that can hold `room` bytes; what it claims is checked before memory is taken."""
    zero, kind, dimensions = struct.unpack(">HBB", file.read(4))
    if zero != 0 or kind != 8 or dimensions not in (1, 3):
        raise UserError(f"{path}: not an IDX file of bytes in one or three dimensions")
    shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
    size = math.prod(shape)
    if size > _MOST_BYTES or 0 in shape[1:]:
        raise UserError(f"{path}: claims an array of shape {shape}; allowed: up to {_MOST_BYTES:,} bytes, "
                        "images of at least one pixel")
    content = file.read(size + 1) if size <= room else b""
    if len(content) != size:
        raise UserError(f"{path}: not a whole IDX file: it holds {'more' if len(content) > size else 'less'} than the "
                        f"{size:,} bytes of shape {shape}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
