"""MNIST: the handwritten digits in the files that torchvision reads."""

import gzip
import math
import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from errors import UserError
from readers.base import Reader, find_folder
from readers.images import stamp_of, to_array
from readers.listing import Listing

DIGITS = tuple("0123456789")
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

    def prepare(self, source: str, size: int) -> np.ndarray:
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
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"{path}: cannot be read as an IDX file: {error}") from None
    start = 4 + 4 * dimensions
    if zero != 0 or kind != 8 or len(content) - start != math.prod(shape):
        raise UserError(f"{path}: not a whole IDX file of bytes (found {len(content)} bytes for shape {shape})")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
