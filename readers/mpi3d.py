"""MPI3D: a robot arm holding an object, rendered (toy, realistic) and photographed (real), under known factors."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from errors import UserError, reason, shortened
from files import array_header, open_regular
from readers.base import Reader, find_dataset
from readers.images import open_colour
from readers.listing import Listing, stamp

FACTORS = ("colour", "shape", "size", "camera height", "background", "first axis", "second axis")
DOMAINS = ("toy", "realistic", "real")
# Number of images -> number of values of each factor; the last factor changes fastest.
FACTOR_SIZES = {460800: (4, 4, 2, 3, 3, 40, 40), 1036800: (6, 6, 2, 3, 3, 40, 40)}
SIDE, CHANNELS = 64, 3
SIZE, LARGE = FACTORS.index("size"), 1
BLOCK = 400


class Mpi3d(Reader):
    """`MPI3D/{toy,realistic,real}.npz`, key `images`, uint8 (n, 64, 64, 3); factor: one of the three.

    Only large objects are used. The seven factors are the label; their numbers of values follow from n, or from an
    array `factor_sizes` beside `images`. The file is read from front to back and never held in memory.
    """

    name = "mpi3d"
    no_copy = "keeps many images in one file"
    square = True
    channels = CHANNELS
    classes = tuple(str(value) for value in range(256))

    def fill(self, listing: Listing) -> None:
        self.no_split()
        path, sizes = self._path(), self.factor_sizes()
        factors = np.unravel_index(np.arange(math.prod(sizes)), sizes)
        large = np.flatnonzero(factors[SIZE] == LARGE)
        name, source = f"{path.stem}-", f"{path}#"
        listing.sceneries += [f"{name}{i}" for i in large.tolist()]
        listing.labels += zip(*(values[large].tolist() for values in factors), strict=True)
        listing.sources += [[f"{source}{i}"] for i in large.tolist()]
        listing.stamps += [stamp(path)] * len(large)
        listing.splits += [""] * len(large)

    def factor_sizes(self) -> tuple[int, ...]:
        """Return the number of values of each of the seven factors."""
        path = self._path()
        with opened(path) as (archive, images):
            return _factor_sizes(archive, path, images.count)

    def prepare(self, source: str, size: int) -> np.ndarray:
        return next(self.stream([source], size))[0]

    def stream(self, sources: list[str], size: int) -> Iterator[np.ndarray]:
        wanted = np.array([int(source.rpartition("#")[2]) for source in sources])
        path = self._path()
        with opened(path) as (_, images):
            for start in range(0, int(wanted[-1]) + 1, BLOCK):
                block = images.read(min(BLOCK, images.count - start))
                inside = wanted[(wanted >= start) & (wanted < start + BLOCK)] - start
                found = block[inside]
                if len(found) and size != SIDE:
                    found = np.stack([_resized(Image.fromarray(image), size) for image in found])
                if len(found):
                    yield found.transpose(0, 3, 1, 2)

    def prepare_file(self, path: str | Path, size: int) -> np.ndarray:
        return _resized(open_colour(path), size).transpose(2, 0, 1)

    def _path(self) -> Path:
        """Return the file that the factor names."""
        if len(self.factor) != 1:
            found = f"found {len(self.factor)}" if self.factor else "none is given"
            raise UserError(f"dataset.factor: mpi3d needs one of {', '.join(DOMAINS)}; {found}")
        self.check_factor(DOMAINS, self.name)
        path = find_dataset(self, "MPI3D") / f"{self.factor[0]}.npz"
        if not path.is_file():
            raise UserError(f"dataset.root: no mpi3d file {path}")
        return path


def _resized(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


class ImageStream(NamedTuple):
    """The images of a file, to be read from front to back."""

    file: IO[bytes]
    count: int

    def read(self, count: int) -> np.ndarray:
        """Return the next images, uint8 (count, 64, 64, 3); EOFError where the file ends before."""
        wanted = count * SIDE * SIDE * CHANNELS
        content = self.file.read(wanted)
        if len(content) != wanted:
            raise EOFError("it ends too early")
        return np.frombuffer(content, dtype=np.uint8).reshape(count, SIDE, SIDE, CHANNELS)


@contextmanager
def opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, ImageStream]]:
    """Open the archive and its images; UserError, also from within the block, where it is not what it should be."""
    try:
        with open_regular(path) as raw, zipfile.ZipFile(raw) as archive, _member(archive, "images", path) as file:
            shape, fortran, dtype = array_header(file)
            if dtype != np.uint8 or shape[1:] != (SIDE, SIDE, CHANNELS) or fortran:
                raise UserError(f"{path}: 'images' is {dtype} {shape}{' in Fortran order' if fortran else ''}; "
                                f"expected uint8 (n, {SIDE}, {SIDE}, {CHANNELS})")
            yield archive, ImageStream(file, shape[0])
    except UserError:
        raise
    except Exception as error:
        # A damaged file makes zipfile, what unpacks it and NumPy raise nearly anything.
        raise UserError(f"{path}: cannot be read as an .npz file: {reason(error)}") from None


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> IO[bytes]:
    """Open an array of the archive; UserError where there is none of that name."""
    found = archive.namelist()
    if f"{name}.npy" not in found:
        names = shortened(", ".join(each.removesuffix(".npy") for each in found))
        raise UserError(f"{path}: holds no array '{name}'; found {names or 'nothing'}")
    return archive.open(f"{name}.npy")


def _factor_sizes(archive: zipfile.ZipFile, path: Path, count: int) -> tuple[int, ...]:
    """Return the number of values of each factor; UserError where they do not multiply to the number of images."""
    if count > max(FACTOR_SIZES):
        raise UserError(f"{path}: 'images' claims {count} images; allowed: up to {max(FACTOR_SIZES)}")
    if "factor_sizes.npy" not in archive.namelist():
        if count not in FACTOR_SIZES:
            raise UserError(f"{path}: 'images' holds {count} images; allowed: {' or '.join(map(str, FACTOR_SIZES))} "
                            f"(or an array 'factor_sizes' that says how many values each factor has)")
        return FACTOR_SIZES[count]
    with _member(archive, "factor_sizes", path) as file:
        shape, _, dtype = array_header(file)
        # Only what has the right size is read.
        right = dtype.kind in "iu" and shape == (len(FACTORS),)
        sizes = np.frombuffer(file.read(len(FACTORS) * dtype.itemsize), dtype).tolist() if right else []
    if not sizes or min(sizes) < 1 or max(sizes) > 256 or sizes[SIZE] <= LARGE or math.prod(sizes) != count:
        raise UserError(f"{path}: 'factor_sizes' is {sizes or f'{dtype} {shape}'}; expected {len(FACTORS)} numbers "
                        f"from 1 to 256, at least {LARGE + 1} for the size, whose product is the number of images, "
                        f"{count}")
    return tuple(sizes)
