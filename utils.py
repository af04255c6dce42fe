"""Seeding, devices and the log: small things that every script needs."""

import ctypes
import hashlib
import logging
import os
import random
from pathlib import Path

import numpy as np
import torch

from errors import UserError

# Parameters of glibc's mallopt (malloc.h), and a size that no free memory reaches.
M_TRIM_THRESHOLD, M_MMAP_MAX, NEVER = -1, -4, 2**31 - 1


def mix_seed(*parts: object) -> int:
    """Return one 63-bit seed from several values, so that neighbouring seeds and epochs share no random numbers."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def seed_everything(*parts: object) -> None:
    """Seed Python, NumPy's global state and torch from the same values."""
    seed = mix_seed(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (libraries that draw from the global state)
    torch.manual_seed(seed)


def choose_device(wish: str, gpu: int = 0, devices: int = 1) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into the first of so many devices; UserError for a GPU that is not there.

    A process that was given just so many GPUs (CUDA_VISIBLE_DEVICES) takes those, whatever number it is asked for.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wish == "cpu" or (wish == "auto" and count == 0):
        return torch.device("cpu")
    given = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    index = 0 if count == len(given) == devices else int(wish.partition(":")[2] or gpu)
    if index >= count:
        key = "training.gpu" if wish == "auto" else "training.device"
        raise UserError(f"{key}: GPU {index} is not there; found {count} GPU(s)")
    if index + devices > count:
        raise UserError(f"training.devices: found {devices}, from GPU {index} on; found {count} GPU(s)")
    return torch.device("cuda", index)


def open_log(path: Path) -> logging.Logger:
    """Return the project's logger writing to a file (appended) and, as plain lines, to the terminal."""
    log = logging.getLogger("syn2real")
    log.setLevel(logging.INFO)
    log.propagate = False
    for handler in log.handlers[:]:
        log.removeHandler(handler)
        handler.close()
    to_file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(to_file)
    log.addHandler(logging.StreamHandler())
    return log


def tune(device: torch.device) -> None:
    """Set up torch for training on a device.

    A CPU keeps freed memory. A GPU may use TF32 in convolutions, and tries which of their algorithms is the fastest;
    matrix products stay in full precision, as SSIM is made of differences of them.
    """
    if device.type == "cpu":
        keep_freed_memory()
        return
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = True, True
    torch.backends.cuda.matmul.allow_tf32 = False


def keep_freed_memory() -> None:
    """Have the process keep the memory it frees for its next allocations, where the C library can (glibc).

    torch on a CPU returns every large tensor to the system, which hands it back zeroed, page by page, in every training
    step anew.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, NEVER)
