"""Prepared images: every image of a dataset, once, in one memory-mapped uint8 array beside its index."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from errors import UserError
from readers.base import Listing, Reader


@dataclass(frozen=True)
class Prepared:
    """A dataset ready for use.

    images: uint8 (images, channels, size, size), memory-mapped, the variants of a scenery side by side;
    first, count: int64 (sceneries,), where a scenery's variants begin and how many there are;
    labels: int64 (sceneries, seats); names: of the sceneries; sources: of the images; key: changes with the content;
    dropped: see Listing.
    """

    images: np.ndarray
    first: np.ndarray
    count: np.ndarray
    labels: np.ndarray
    names: list[str]
    sources: list[str]
    key: str
    dropped: dict[str, int]


def prepare(reader: Reader, size: int, cache: Path, limit: int | None = None) -> Prepared:
    """Open the prepared images of a dataset, preparing them first where the cache does not hold them.

    The folder is written under another name and renamed when whole, so that it is never half there; it is named
    after everything that determines its content, so that a changed source or rule leads to another one.
    Raises UserError when the dataset is empty or an image cannot be read.
    """
    listing = reader.listing().limited(limit)
    if not listing.sceneries:
        dropped = "".join(f"; {count} left out: {reason}" for reason, count in listing.dropped.items())
        raise UserError(f"{reader.name} at {reader.root}: no images found (split '{reader.split}'){dropped}")
    if len({len(label) for label in listing.labels}) != 1:
        raise UserError(f"{reader.name} at {reader.root}: sceneries disagree in their number of seats")
    key = _key(reader, listing, size)
    folder = cache / "images" / f"{reader.name}-{size}-{key[:16]}"
    build_once(folder, lambda temporary: _write(reader, listing, size, temporary))
    count = np.array([len(variants) for variants in listing.sources], dtype=np.int64)
    return Prepared(
        images=_open(folder / "images.npy"),
        first=np.cumsum(count) - count,
        count=count,
        labels=np.array(listing.labels, dtype=np.int64),
        names=listing.sceneries,
        sources=[source for variants in listing.sources for source in variants],
        key=key,
        dropped=listing.dropped,
    )


def build_once(folder: Path, write: Callable[[Path], None]) -> None:
    """Make sure that `folder` exists, filled by `write(temporary folder)` where it does not.

    The temporary folder takes the name when it is whole and vanishes when writing fails. Of several processes that
    want the same folder one writes and the others wait. Raises UserError when the cache cannot be written.
    """
    if folder.is_dir():
        return
    temporary = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f".{folder.name}.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.is_dir():
                return
            # What lies there is left from a process that was killed: this one holds the lock.
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            try:
                write(temporary)
                os.rename(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise UserError(f"dataset.cache: {folder} cannot be written: {error.strerror or error}") from None


def new_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    """Create a memory-mapped .npy file with all its room taken on the disk.

    Raises OSError when there is too little: writing to a mapped file that outgrows the disk would kill the process.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _key(reader: Reader, listing: Listing, size: int) -> str:
    """Hash everything that the prepared images and their labels depend on."""
    digest = hashlib.sha256(f"{reader.name}\n{reader.version}\n{size}\n{reader.channels}\n".encode())
    for label, sources in zip(listing.labels, listing.sources, strict=True):
        digest.update(f"{label}{sources}\n".encode())
    digest.update("\n".join(listing.stamps).encode())
    return digest.hexdigest()


def _write(reader: Reader, listing: Listing, size: int, folder: Path) -> None:
    sources = [source for variants in listing.sources for source in variants]
    shape = (len(sources), reader.channels, size, size)
    images = new_array(folder / "images.npy", np.uint8, shape)

    def fill(i: int) -> None:
        images[i] = reader.prepare(sources[i], size)

    # Threads suffice: decoding, resizing and array arithmetic release the interpreter lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = pool.map(fill, range(len(sources)))
        try:
            for _ in tqdm(jobs, total=len(sources), desc=f"preparing {reader.name}", unit="image", disable=None):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    images.flush()


def _open(path: Path) -> np.ndarray:
    try:
        # Copy-on-write: the file never changes, and torch takes the array without a warning about read-only memory.
        return np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: prepared images are damaged ({error}); delete the folder to remake them") from None
