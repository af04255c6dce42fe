"""Rows of a large array by index, from a GPU that has room for it, else from the file that it lies in."""

import mmap
import os

import numpy as np
import torch
from torch import Tensor


class Rows:
    """The rows of a memory-mapped array, on the device where it fits there twice over.

    Otherwise they are read when asked for and kept by the system alone, where it has room: the process does not grow.
    tensor: the whole array, on the device or memory-mapped.
    """

    def __init__(self, array: np.memmap, device: torch.device):
        """Take over an array that `np.load` has mapped from a file."""
        self.tensor, self.device = torch.from_numpy(array), device
        self.mapping: mmap.mmap | None = array.base
        if device.type == "cuda" and self.tensor.nbytes * 2 < torch.cuda.mem_get_info(device)[0]:
            self.tensor, self.mapping = self.tensor.to(device), None
            return
        self.file, self.offset = open(array.filename, "rb"), array.offset  # noqa: SIM115 (open while the rows are)
        self.row_bytes = self.tensor[:1].nbytes

    def __len__(self) -> int:
        return len(self.tensor)

    def take(self, index: Tensor) -> Tensor:
        """Return the rows (n, ...) at index (n,) on the device."""
        where = index.to(self.tensor.device)
        if self.mapping is None or not len(where):
            return self.tensor[where].to(self.device)
        self._announce(where)
        picked = self.tensor[where]
        self.mapping.madvise(mmap.MADV_DONTNEED)
        return picked.to(self.device)

    def _announce(self, where: Tensor) -> None:
        """Have the system read parts of the file at once: from a disk, several times as fast (docs/benchmarks.md)."""
        rows = where.unique().numpy()
        for stretch in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            start, length = int(stretch[0]) * self.row_bytes, len(stretch) * self.row_bytes
            os.posix_fadvise(self.file.fileno(), self.offset + start, length, os.POSIX_FADV_WILLNEED)
