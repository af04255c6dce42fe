"""Digits: MNIST in the files that torchvision reads, photographs of digits, and the scans that scikit-learn brings."""

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

from errors import UserError, reason
from files import open_regular, replacing
from readers.base import Reader, Size, find_folder
from readers.images import open_grey, scan, to_array
from readers.listing import Listing, stamp

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
            file_stamp = stamp(images)
            for i, digit in enumerate(_digits(_find(folder, f"{_PREFIX[split]}-labels-idx1-ubyte"), images)):
                listing.add(f"{split}-{i}", (digit,), [f"{images}#{i}"], [file_stamp], split)

    def prepare(self, source: str, size: Size) -> np.ndarray:
        path, _, index = source.rpartition("#")
        return to_array(Image.fromarray(read_idx(Path(path))[int(index)]), size)

    def prepare_file(self, path: str | Path, size: Size) -> np.ndarray:
        return to_array(open_grey(path), size)

    @staticmethod
    def write(root: Path, split: str, images: np.ndarray, labels: np.ndarray) -> None:
        """Write the files of a split in a copy of the dataset: images uint8 (n, height, width), labels (n,)."""
        folder = root / "MNIST" / "raw"
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
            with replacing(folder / f"{_PREFIX[split]}-{name}-ubyte") as temporary:
                header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
                temporary.write_bytes(header + array.tobytes())


class Halves(Reader):
    """Base of readers of real digits that come without splits: `train` and `test` are halves, `all` both of them."""

    classes = DIGITS
    splits_by_place = True

    def in_split(self, second: bool) -> bool:
        """Say whether what is in the second half, or in the first, is asked for."""
        self.check_split()
        return self.split == "all" or (self.split == "test") == second


class DigitPhotos(Halves):
    """`digit_photos/<digit>/*.png`, grey or colour, any size; no factor.

    Splits: every second image of each digit, by name, is for testing.
    """

    name = "digit_photos"

    def fill(self, listing: Listing) -> None:
        self.no_factor()
        folder = find_folder(self, [self.root / "digit_photos", *([self.root] if (self.root / "0").is_dir() else [])])
        for digit in DIGITS:
            for place, entry in enumerate(scan(find_folder(self, [folder / digit]), listing)):
                name, held_out = f"{digit}/{entry.name}", place % 2 == 1
                self.split_of[name] = "test" if held_out else "train"
                if self.in_split(held_out):
                    listing.add_files(name, (int(digit),), [entry])

    def prepare(self, source: str, size: Size) -> np.ndarray:
        return to_array(open_grey(source), size)


class Handwritten(Halves):
    """scikit-learn's digits, bright on dark, with a margin, enlarged (bicubic); no factor.

    Splits: the first half and the second, which other people wrote.
    """

    name = "handwritten"
    no_copy = "keeps many images in one file"
    square = True

    def fill(self, listing: Listing) -> None:
        import sklearn

        self.no_factor()
        digits = _scans().target.tolist()
        for i, digit in enumerate(digits):
            if self.in_split(2 * i >= len(digits)):
                listing.add(f"digit-{i}", (digit,), [str(i)], [f"scikit-learn {sklearn.__version__}"])

    def prepare(self, source: str, size: int) -> np.ndarray:
        # The scans count 0..16 ink cells per block and are cropped to the digit; a margin of one block sets it free.
        blocks = np.pad(_scans().images[int(source)], 1)
        return _enlarged(Image.fromarray((blocks * (255 / 16)).round().astype(np.uint8)), size)

    def prepare_file(self, path: str | Path, size: int) -> np.ndarray:
        return _enlarged(open_grey(path), size)


def _enlarged(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC), dtype=np.uint8)[None]


@lru_cache(maxsize=1)
def _scans():
    # Here, as above: scikit-learn takes a second to import, and no other reader needs it.
    from sklearn.datasets import load_digits

    return load_digits()


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise UserError(f"dataset.root: mnist lacks {folder / name} (or the same with .gz)")


def _digits(path: Path, images: Path) -> list[int]:
    """Return the digits in a file of labels; UserError where they are not those of a file of images."""
    shape, labels = read_idx(images).shape, read_idx(path)
    if len(shape) != 3:
        raise UserError(f"{images}: holds an array of shape {shape}; expected images (n, height, width)")
    if labels.shape != shape[:1]:
        raise UserError(f"{path}: {labels.size} labels for {shape[0]} images")
    if labels.size and labels.max() >= len(DIGITS):
        raise UserError(f"{path}: label {labels.max()} found; allowed: 0 to {len(DIGITS) - 1}")
    return labels.tolist()


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes; UserError when it is damaged or of another type."""
    return _read_idx(path, stamp(path))


@lru_cache(maxsize=4)
def _read_idx(path: Path, _: str) -> np.ndarray:
    """Read a file once; the stamp beside the path makes a changed file another one."""
    try:
        with open_regular(path) as raw:
            packed = path.suffix == ".gz"
            room = os.fstat(raw.fileno()).st_size * (_DEFLATE_RATIO if packed else 1)
            return _parse(gzip.open(raw) if packed else raw, room, path)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"{path}: cannot be read as an IDX file: {reason(error)}") from None


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
