"""Files: opened where they are regular files, read up to a size, written whole or not at all.

What lies in a run folder may come from anybody: a pipe would wait forever, a device never end, and an archive of a few
bytes unpack to more than there is memory.
"""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from rich.filesize import decimal

from memory import check_memory

TEMPORARY = ".tmp"
# Texts of a run folder, but for its records, are far smaller.
MOST_TEXT = 16_000_000
# Deflate could shrink by a factor of a thousand. Ours does by less than this, as even paths of images shrink by 140 at
# most and their latents hardly; where it does by more, as constant predictions, they are small.
MOST_SHRUNK, HARMLESS = 200, 64_000_000


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading bytes; OSError for what is no regular file, which may never end or never begin."""
    # Without waiting, a pipe opens at once, and what was opened is what is looked at.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return open(descriptor, "rb")


def read_bytes(path: Path, most: int) -> bytes:
    """Return what a regular file holds; OSError also where that is more than `most` bytes."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"larger than {decimal(most)}", str(path))
        return file.read()


def read_text(path: Path, most: int = MOST_TEXT, errors: str = "strict") -> str:
    """Return a regular file's UTF-8 text, lines ending with a line feed; OSError, UnicodeDecodeError."""
    return read_bytes(path, most).decode("utf-8-sig", errors).replace("\r\n", "\n")


def fingerprint_file(path: Path) -> str:
    """Return the SHA-256 of a regular file, which tells weights files apart; OSError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_json(text: str) -> Any:
    """Return what a JSON text holds; ValueError where it is none, also for one nested beyond what can be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a regular file; OSError, ValueError where it holds none."""
    content = parse_json(read_text(path))
    if not isinstance(content, dict):
        raise ValueError("holds no JSON object")
    return content


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there takes its place when the block ends without error.

    So `path` is either the old file or the whole new one, whatever happens; two processes that write it do not meet.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_out(path: Path, text: str) -> None:
    """Write a text to where a user wants it: a file, whole or not at all, or a pipe or device such as /dev/stdout."""
    if path.is_fifo() or path.is_char_device():
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    else:
        write_text(path.resolve(), text)


def dataset_file_name(dataset: str, factor: str, split: str) -> str:
    """Return name, factor and split of a dataset for use in file names."""
    return re.sub(r"[\s,/]+", "_", " ".join(part for part in (dataset, factor, split) if part))


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays as a compressed `.npz` that `read_arrays` and `numpy.load` read, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return arrays of bool, real numbers or text from an `.npz`; nothing is unpickled.

    Sizes are compared with the file before memory is taken. OSError where it cannot be read, ValueError where it holds
    no such arrays.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = {name: archive.getinfo(f"{name}.npy") for name in names}
            size = sum(member.file_size for member in members.values())
            if size > max(HARMLESS, MOST_SHRUNK * os.fstat(file.fileno()).st_size):
                raise ValueError(f"claims to hold {decimal(size)}")
            check_memory(size, "its arrays")
            return {name: _read_array(archive, member) for name, member in members.items()}
    except OSError:
        raise
    except Exception as error:
        # A damaged archive makes zipfile, zlib and NumPy raise nearly anything.
        raise ValueError(str(error).strip("'\"") or type(error).__name__) from None


def array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read an array's header: shape, whether in Fortran order, type; of a damaged one nearly any exception.

    Of version 1.0, which NumPy writes for all arrays such as ours: headers of later ones may have gigabytes.
    """
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("its format is not version 1.0")
    return np.lib.format.read_array_header_1_0(file)


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename} is compressed in another way than NumPy's")
    with archive.open(member) as file:
        shape, _, dtype = array_header(file)
        data = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "biufU" or min(shape, default=0) < 0 or file.tell() + data != member.file_size:
            raise ValueError(f"{member.filename} claims shape {shape} of {dtype} in {member.file_size} bytes")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
