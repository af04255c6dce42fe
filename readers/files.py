"""Files of a dataset: only regular ones are opened, so that no pipe is waited for and no device read without end."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from readers.base import BadImage

NO_FILE = "no regular file, but a pipe, socket or device"


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading; BadImage where it is a pipe or device, OSError where it cannot be opened."""
    # Without O_NONBLOCK, opening a pipe waits for whoever is to write to it.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BadImage(path, NO_FILE)
    return file


def stamp_of(status: os.stat_result) -> str:
    """Return what changes when a file's content does, by its status: its size and modification time."""
    return f"{status.st_size}:{status.st_mtime_ns}"
