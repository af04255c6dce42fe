"""Frozen features on the disk: computed once for a dataset and a network, gone on with after a stop, shared by runs."""

import fcntl
import hashlib
import json
import math
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import PositiveFloat, PositiveInt, TypeAdapter
from torch import Tensor
from tqdm import tqdm

from dataset import Inputs, Scenes
from errors import UserError
from files import write_text
from model import FrozenExtractor
from pretrained_model import fingerprint
from readers.opened import Part
from readers.prepare import build_once, lock_of, new_array

CHUNK = 64
FEATURES, ABOUT, PROGRESS = "features.npy", "about.json", "progress.json"
# Seconds between notes of how far the computation is, each of which waits for the disk.
NOTE_EVERY = 10.0
# Seconds from which on the computation is announced.
WORTH_SAYING = 5.0


@dataclass(frozen=True)
class About:
    """What a folder of features holds: whose they are, of how many views (mirror images included), and their scale.

    Features are stored times `scale`, a power of two that keeps them within the range of 16 bit.
    """

    dataset: str
    network: str
    views: PositiveInt
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    scale: PositiveFloat

    @property
    def bytes(self) -> int:
        return 2 * self.views * math.prod(self.shape)


ABOUTS = TypeAdapter(About)


def open_features(model: FrozenExtractor, scenes: Scenes, cache: Path, live: Inputs) -> list[tuple[np.memmap, float]]:
    """Return features float16 (views, c, h, w), memory-mapped, and their scale, computing them where they are missing.

    As many as the dataset has parts, which have folders of their own, each with its views in the order of its images.
    An image's mirror image follows it, where labels mirror. live: computes them from image index and flip.
    The folder is named after all that determines them: the frozen weights and statistics, the image scaling, the data.
    Raises UserError when the cache cannot be written, has too little room or is damaged.
    """
    return [_open_part(model, scenes, part, cache, live) for part in scenes.parts]


def _open_part(model: FrozenExtractor, scenes: Scenes, part: Part, cache: Path,
               live: Inputs) -> tuple[np.memmap, float]:
    folder = _folder_of(model, scenes, part, cache)
    build_once(folder, lambda temporary: _compute(model, scenes, part, live, temporary), resumable=True)
    try:
        features, about = _open(folder, len(part.images) * scenes.flips)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: cached features are damaged ({error}); delete the folder") from None
    # When it was last used, for whoever clears the cache. In somebody else's cache that cannot be noted.
    with suppress(OSError):
        os.utime(folder)
    return features, about.scale


@torch.no_grad()
def announce_features(model: FrozenExtractor, scenes: Scenes, cache: Path, live: Inputs) -> None:
    """Say, for a dry run, what `open_features` would take where they are missing; UserError for too little room."""
    for part in scenes.parts:
        if not _folder_of(model, scenes, part, cache).is_dir():
            _foresee(model, scenes, part, live, cache)


def _folder_of(model: FrozenExtractor, scenes: Scenes, part: Part, cache: Path) -> Path:
    identity = (f"views {fingerprint(model.extractor)} {model.extractor} {model.input_size} {model.normalize} "
                f"{part.key} {scenes.flips}")
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return cache / "features" / f"{part.name}-{key}"


def _open(folder: Path, views: int) -> tuple[np.memmap, About]:
    """Map the features of so many views, finished or not; OSError or ValueError when a folder does not hold them."""
    about = ABOUTS.validate_json((folder / ABOUT).read_bytes())
    try:
        features = np.load(folder / FEATURES, mmap_mode="c", allow_pickle=False)
    except EOFError as error:
        raise ValueError(f"{FEATURES}: {error}") from None
    expected = (views, *about.shape)
    if features.shape != expected or features.dtype != np.float16:
        raise ValueError(f"{features.dtype} {features.shape} where float16 {expected} belongs")
    if about.views != views:
        raise ValueError(f"{ABOUT} tells of {about.views} views where there are {views}")
    return features, about


@dataclass(frozen=True)
class Entry:
    """A folder of features in a cache; about: None where it cannot be read (an older or damaged one).

    done: views that are there; bytes: on the disk, 0 for a link; used: last opened or written, seconds since 1970.
    """

    name: str
    folder: Path
    about: About | None
    done: int
    bytes: int
    used: float


def entries(cache: Path) -> list[Entry]:
    """Return the folders of features in a cache, unfinished ones included, by name."""
    found = []
    for folder in sorted((cache / "features").glob("*")):
        if not folder.is_dir():
            continue
        name, partial, _ = folder.name.removeprefix(".").partition(".partial")
        try:
            about = ABOUTS.validate_json((folder / ABOUT).read_bytes())
        except (OSError, ValueError):
            about = None
        done = 0 if about is None else _views_done(folder, about.views) if partial else about.views
        # What another process has finished or cleared meanwhile is there no more.
        with suppress(FileNotFoundError):
            size = 0 if folder.is_symlink() else sum(file.stat().st_blocks * 512 for file in folder.glob(FEATURES))
            found.append(Entry(name, folder, about, done, size, folder.stat().st_mtime))
    return found


def remove(entry: Entry) -> bool:
    """Delete a folder of features, or the link to one; False where another process is computing them."""
    with lock_of(entry.folder.with_name(entry.name)).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if entry.folder.is_symlink():
            entry.folder.unlink()
        else:
            shutil.rmtree(entry.folder)
    return True


def _views_done(folder: Path, views: int) -> int:
    """Return how many views of an unfinished folder are on the disk; none where that is not noted, or nonsense."""
    try:
        done = json.loads((folder / PROGRESS).read_bytes())
    except (OSError, ValueError):
        return 0
    return done if isinstance(done, int) and 0 <= done <= views else 0


@torch.no_grad()
def _compute(model: FrozenExtractor, scenes: Scenes, part: Part, live: Inputs, folder: Path) -> None:
    """Fill a folder with features, from where an earlier process was stopped."""
    total = len(part.images) * scenes.flips
    try:
        features, about = _open(folder, total)
    except (OSError, ValueError):
        # Nothing yet, or not what a computation leaves that was stopped.
        (folder / PROGRESS).unlink(missing_ok=True)
        about = _foresee(model, scenes, part, live, folder.parent.parent)
        try:
            new_array(folder / FEATURES, np.float16, (about.views, *about.shape))
            write_text(folder / ABOUT, ABOUTS.dump_json(about).decode())
        except OSError as error:
            raise UserError(f"dataset.cache: features of {scenes.title} cannot be written in {folder.parent}: "
                            f"{error.strerror or error}") from None
        features, about = _open(folder, total)
    done, noted = _views_done(folder, total), time.monotonic()
    left = torch.arange(done, total, device=scenes.device)
    with (folder / FEATURES).open("r+b") as file, tqdm(total=total, initial=done, desc=f"features of {scenes.title}",
                                                       unit="view", disable=None) as bar:
        # Written, not mapped: pages of a mapped file would count as this process's memory.
        file.seek(features.offset + done * (about.bytes // total))
        try:
            for chunk in left.split(CHUNK) if len(left) else ():
                file.write(_scaled(live(part.images[chunk // scenes.flips], chunk % scenes.flips == 1), about))
                done += len(chunk)
                bar.update(len(chunk))
                if time.monotonic() - noted > NOTE_EVERY:
                    _note(folder, file, done)
                    noted = time.monotonic()
        finally:
            _note(folder, file, done)


def _scaled(features: Tensor, about: About) -> np.ndarray:
    """Return features float32 (n, c, h, w) as they are stored; UserError when 16 bit cannot hold them."""
    scaled = (features * about.scale).half()
    if not scaled.isfinite().all():
        raise UserError(f"model.extractor: features of {about.dataset} are not finite, or go beyond 16 bit; "
                        "check model.weights")
    return scaled.contiguous().cpu().numpy()


def _foresee(model: FrozenExtractor, scenes: Scenes, part: Part, live: Inputs, cache: Path) -> About:
    """Say from a first chunk how much room and time the features will take; UserError when there is too little room."""
    views = len(part.images) * scenes.flips
    index = torch.arange(min(CHUNK, views), device=scenes.device)
    images = part.images[index // scenes.flips]
    first = live(images, index < 0)
    since = time.monotonic()
    live(images, index < 0).sum().item()
    seconds = (time.monotonic() - since) * views / len(index)
    scale = _scale(float(first.abs().max()))
    about = About(scenes.title, model.frozen_part, views, tuple(first.shape[1:]), scale)
    folder, free = cache / "features", shutil.disk_usage(cache).free
    if about.bytes > free:
        raise UserError(f"dataset.cache: features of {scenes.title} need {about.bytes / 2**30:.1f} GiB in "
                        f"{folder}, {free / 2**30:.1f} GiB are free")
    if seconds > WORTH_SAYING:
        time_left = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
        print(f"features of {scenes.title}: {views:,} views, {about.bytes / 2**30:.1f} GiB in {folder} "
              f"({free / 2**30:.1f} GiB are free), about {time_left}; computed only once, and continued after "
              "an interruption", file=sys.stderr)
    return about


def _note(folder: Path, file, done: int) -> None:
    """Note that so many views are written, once they are safely on the disk."""
    file.flush()
    os.fsync(file.fileno())
    write_text(folder / PROGRESS, json.dumps(done))


def rounded(features: Tensor) -> Tensor:
    """Return features as they are read after they were kept: rounded to 16 bit, at a scale of their own."""
    scale = _scale(float(features.abs().max()))
    return (features * scale).half().float() / scale


def _scale(largest: float) -> float:
    """Return the power of two that brings the largest feature of a first chunk to about 256.

    That leaves a factor of 256 above it to the largest number of 16 bit, and 32 binary orders below it to the smallest.
    """
    return 2.0 ** (8 - math.frexp(largest)[1]) if 0 < largest < math.inf else 1.0
