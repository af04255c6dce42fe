"""Prepared images: every image of a dataset, once, in one memory-mapped uint8 array beside its index."""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np
from tqdm import tqdm

from errors import UserError
from readers.base import BadImage, Reader, Size, width_height
from readers.listing import Listing, too_bad
from readers.parallel import in_processes

# Images of one job.
CHUNK = 64
# Why images are left out that a listing still has.
UNREADABLE = "image cannot be read"


@dataclass(frozen=True)
class Sceneries:
    """The sceneries of a dataset, and which of its images are variants of each; those are side by side.

    first, count: int64 (sceneries,), where a scenery's variants begin and how many there are;
    labels: int64 (sceneries, seats); names: of the sceneries; splits: of the sceneries; sources: of the images;
    dropped: reason -> sources that are left out.
    """

    first: np.ndarray
    count: np.ndarray
    labels: np.ndarray
    names: list[str]
    splits: list[str]
    sources: list[str]
    dropped: dict[str, list[str]]


@dataclass(frozen=True)
class Prepared(Sceneries):
    """A dataset ready for use.

    images: uint8 (images, layers, height, width), memory-mapped; an image's channels, and behind them a channel per
    map; key: changes with the content.
    """

    images: np.ndarray
    key: str


def prepare(reader: Reader, size: Size, cache: Path, limit: int | None = None) -> Prepared:
    """Open the prepared images of a dataset, preparing them first where the cache does not hold them.

    The folder is written under another name and renamed when whole, so that it is never half there; it is named
    after everything that determines its content, so that a changed source or rule leads to another one.
    Raises UserError when the dataset is empty, has no images of such a shape, or one that cannot be read.
    """
    if reader.square and not isinstance(size, int):
        raise UserError(f"dataset.image_size: found {size[0]}x{size[1]}; allowed for {reader.name}: squares, for "
                        f"example {min(size)}")
    listing = reader.listing().limited(limit)
    if not listing.sceneries:
        dropped = "".join(f"; {len(sources)} left out: {reason}" for reason, sources in listing.dropped.items())
        raise UserError(f"{reader.name} at {reader.root}: no images found (split '{reader.split}'){dropped}")
    if len({len(label) for label in listing.labels}) != 1:
        raise UserError(f"{reader.name} at {reader.root}: sceneries disagree in their number of seats")
    labels = np.array(listing.labels, dtype=np.int64)
    key = _key(reader, listing, labels, size)
    folder = cache / "images" / f"{reader.name}-{_name(size)}-{key[:16]}"
    build_once(folder, lambda temporary: _write(reader, listing, size, temporary))
    sources = list(chain.from_iterable(listing.sources))
    images, unreadable = _open(folder, len(sources), _shape(reader, size))
    if unreadable:
        if not reader.skip_bad:
            first, problem = next(iter(unreadable.items()))
            raise UserError(too_bad(sources[first], problem, len(unreadable)))
        listing = listing.without(unreadable, UNREADABLE)
        labels = np.array(listing.labels, dtype=np.int64)
        key = hashlib.sha256(f"{key} without {sorted(unreadable)}".encode()).hexdigest()
    count = np.fromiter(map(len, listing.sources), dtype=np.int64)
    return Prepared(np.cumsum(count) - count, count, labels, listing.sceneries, listing.splits,
                    list(chain.from_iterable(listing.sources)), listing.dropped, images, key)


def build_once(folder: Path, write: Callable[[Path], None], resumable: bool = False) -> None:
    """Make sure that `folder` exists, filled by `write(temporary folder)` where it does not.

    The temporary folder takes the name when it is whole and vanishes when writing fails. Of several processes that
    want the same folder one writes and the others wait. With `resumable`, what was written when the process was
    stopped or met a failure that may pass (any but UserError) stays, and `write` gets it to go on with; it must then
    write without the help of other processes.
    Raises UserError when the cache cannot be written.
    """
    if folder.is_dir():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock_of(folder).open("w", encoding="utf-8") as lock:
            _wait_for(lock, folder)
            if folder.is_dir():
                return
            # What lies there is left from a process that was killed: this one holds the lock.
            for left in folder.parent.glob(f".{folder.name}.partial-*"):
                shutil.rmtree(left, ignore_errors=True)
            # A name of its own, as processes of the killed one may still be about to write.
            own = "" if resumable else f"-{uuid.uuid4().hex[:8]}"
            temporary = folder.with_name(f".{folder.name}.partial{own}")
            temporary.mkdir(exist_ok=resumable)
            try:
                write(temporary)
                os.rename(temporary, folder)
            except BaseException as problem:
                if isinstance(problem, UserError) or not resumable:
                    shutil.rmtree(temporary, ignore_errors=True)
                raise
    except OSError as error:
        raise UserError(f"dataset.cache: {folder} cannot be written: {error.strerror or error}") from None


def _wait_for(lock: TextIO, folder: Path) -> None:
    """Lock a file, and say so where that means waiting."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{folder}: another process is making it; waiting for that", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)


def lock_of(folder: Path) -> Path:
    """Return the file that whoever writes a folder of the cache has locked."""
    return folder.with_name(f".{folder.name}.lock")


def new_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    """Create a memory-mapped .npy file with all its room; OSError where too little is left, not a kill later on."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _key(reader: Reader, listing: Listing, labels: np.ndarray, size: Size) -> str:
    """Hash everything that the prepared images and their labels depend on."""
    parts = (reader.name, reader.version, _name(size), reader.layers, labels.shape, reader.rule)
    digest = hashlib.sha256("\n".join(map(str, parts)).encode())
    digest.update(labels.tobytes())
    digest.update(np.fromiter(map(len, listing.sources), dtype=np.int64).tobytes())
    for texts in (chain.from_iterable(listing.sources), listing.stamps):
        digest.update("\0".join(texts).encode(errors="surrogateescape"))
    return digest.hexdigest()


def _name(size: Size) -> str:
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def _shape(reader: Reader, size: Size) -> tuple[int, int, int]:
    width, height = width_height(size)
    return reader.layers, height, width


def _write(reader: Reader, listing: Listing, size: Size, folder: Path) -> None:
    """Write `images.npy` and, where images could not be read, `unreadable.json`: their places and the problems."""
    sources = list(chain.from_iterable(listing.sources))
    path = folder / "images.npy"
    offset = new_array(path, np.uint8, (len(sources), *_shape(reader, size))).offset
    unreadable: dict[int, str] = {}
    with tqdm(total=len(sources), desc=f"preparing {reader.name}", unit="image", disable=None) as bar:
        for count, problems in _fill(reader, sources, size, path, offset):
            unreadable |= problems
            bar.update(count)
    if len(unreadable) == len(sources):
        raise UserError(f"{sources[0]}: {unreadable[0]} (and none of the {len(sources)} images can be read)")
    if unreadable:
        _keep(path, np.setdiff1d(np.arange(len(sources)), list(unreadable)))
        (folder / "unreadable.json").write_text(json.dumps(sorted(unreadable.items())), encoding="utf-8")


def _fill(reader: Reader, sources: list[str], size: Size, path: Path,
          offset: int) -> Iterator[tuple[int, dict[int, str]]]:
    """Write all images to a file, yielding how many were written and which of them could not be read."""
    blocks = reader.stream(sources, size)
    if blocks is None:
        jobs = [(reader, sources[start : start + CHUNK], start, size, path, offset)
                for start in range(0, len(sources), CHUNK)]
        yield from in_processes(_prepare_chunk, jobs)
        return
    with path.open("r+b") as file:
        file.seek(offset)
        for block in blocks:
            file.write(np.ascontiguousarray(block))
            yield len(block), {}


def _prepare_chunk(reader: Reader, sources: list[str], start: int, size: Size, path: Path,
                   offset: int) -> tuple[int, dict[int, str]]:
    """Prepare some images and write them to their place, counted from `start`, in a file of images from `offset` on."""
    images = np.zeros((len(sources), *_shape(reader, size)), dtype=np.uint8)
    unreadable = {}
    for i, source in enumerate(sources):
        try:
            images[i] = reader.prepare(source, size)
        except BadImage as error:
            if not reader.skip_bad:
                raise UserError(too_bad(error.source, error.problem, 1)) from None
            unreadable[start + i] = error.problem
        except OSError as error:
            raise UserError(f"{source}: cannot be read: {error.strerror or error}") from None
    # Written, not mapped: pages of a mapped file would count as this process's memory.
    with path.open("r+b") as file:
        file.seek(offset + start * images[0].nbytes)
        file.write(images)
    return len(sources), unreadable


def _keep(path: Path, places: np.ndarray) -> None:
    """Rewrite a file of images with those at some places only."""
    images = np.load(path, mmap_mode="r", allow_pickle=False)
    kept = path.with_name("kept.npy")
    part = new_array(kept, np.uint8, (len(places), *images.shape[1:]))
    for start in range(0, len(places), CHUNK):
        part[start : start + CHUNK] = images[places[start : start + CHUNK]]
    part.flush()
    os.replace(kept, path)


def _open(folder: Path, sources: int, shape: tuple[int, int, int]) -> tuple[np.ndarray, dict[int, str]]:
    """Map the images of a folder, and return the places and problems of those that could not be read."""
    path, problems = folder / "images.npy", folder / "unreadable.json"
    try:
        unreadable = dict(json.loads(problems.read_text(encoding="utf-8"))) if problems.exists() else {}
        # Copy-on-write: the file never changes, and torch takes the array without a warning about read-only memory.
        images = np.load(path, mmap_mode="c", allow_pickle=False)
        expected = (sources - len(unreadable), *shape)
        if images.shape != expected or images.dtype != np.uint8 or any(place >= sources for place in unreadable):
            raise ValueError(f"{images.dtype} {images.shape} where uint8 {expected} belongs")
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise UserError(f"{path}: prepared images are damaged ({error}); delete the folder to remake them") from None
    return images, unreadable
