"""Dataset folders that are whole or not there, filled by parallel processes."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from errors import UserError
from readers.parallel import in_processes

# So many sceneries are drawn sooner than processes start.
_FEW = 64
# zlib's run-length strategy: smaller than its lowest level on noisy images, and a third faster.
_RUN_LENGTH = 3

# Draws one scenery into files and returns how many images that were.
Job = Callable[[], int]


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Hand out a temporary folder that takes the name `folder` when the block ends, and vanishes when it fails.

    Raises UserError when the folder exists, when another process is writing it, or when it cannot be written.
    """
    if os.path.lexists(folder):
        raise UserError(f"--out: {folder} exists already and may be the real download; remove it or choose another "
                        "folder")
    temporary = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir(exist_ok=True)
        handle = os.open(temporary, os.O_RDONLY)
        try:
            _claim(handle, temporary)
            try:
                yield temporary
                os.rename(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        finally:
            os.close(handle)
    except OSError as error:
        raise UserError(f"--out: {folder} cannot be written: {error.strerror or error}") from None


def _claim(handle: int, temporary: Path) -> None:
    """Lock the temporary folder and empty it of what a killed process left; UserError when it is in use."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held the lock before may have renamed what was locked here.
        if not os.path.samestat(os.fstat(handle), temporary.stat()):
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError):
        raise UserError(f"--out: {temporary} is in use by another process") from None
    for entry in temporary.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def draw_all(jobs: list[Job], images: int, title: str) -> None:
    """Run all jobs, in parallel processes where there are many `images` to draw; title: for the progress bar."""
    counts = in_processes(_draw, [(job,) for job in jobs], _FEW)
    # Closing the generator ends the processes, so that an interrupted one writes nothing more.
    with closing(counts), tqdm(total=images, desc=f"drawing {title}", unit="image", disable=None) as bar:
        for count in counts:
            bar.update(count)


def _draw(job: Job) -> int:
    return job()


def save(image: np.ndarray, path: Path, brightest: int = 255) -> None:
    """Write an image, float32 in [0, 1] or uint8, as PNG; 1.0 becomes `brightest`, in 16 bit where it needs them."""
    if image.dtype != np.uint8:
        image = (image * np.float32(brightest) + np.float32(0.5)).astype(np.uint8 if brightest < 256 else np.uint16)
    Image.fromarray(image).save(path, compress_level=1, compress_type=_RUN_LENGTH)
