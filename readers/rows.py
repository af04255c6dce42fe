"""Rows of large arrays by index, from a GPU that has room for them, else from the files that they lie in."""

import math
import mmap
import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Rows:
    """The rows of memory-mapped arrays, one array after the other, on the device where they fit there twice over.

    Otherwise they are read when asked for and kept by the system alone, where it has room: the process does not grow.
    order: int64 (rows,), which of these rows each index stands for, None where that is the row of its number;
    shape: of all rows as one array; tensor: all rows, on the device, or None.
    """

    def __init__(self, arrays: Sequence[np.memmap], device: torch.device, order: Tensor | None = None):
        """Take over arrays of rows of one shape that `np.load` has mapped from files."""
        self.device, self.order = device, order
        self.shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
        self.tensor: Tensor | None = None
        self.files = [_File(array) for array in arrays]
        size = sum(array.nbytes for array in arrays)
        if device.type == "cuda" and size * 2 < torch.cuda.mem_get_info(device)[0]:
            self.tensor, self.files = torch.cat([file.tensor.to(device) for file in self.files]), []

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, index: Tensor) -> Tensor:
        """Return the rows (n, ...) at index (n,) on the device."""
        where = index if self.order is None else self.order[index.to(self.order.device)]
        if self.tensor is not None:
            return self.tensor[where.to(self.tensor.device)]
        return self._read(where.cpu()).to(self.device)

    def _read(self, where: Tensor) -> Tensor:
        if len(self.files) == 1:
            return self.files[0].take(where)
        picked, start = self.files[0].tensor.new_empty((len(where), *self.shape[1:])), 0
        for file in self.files:
            inside = (where >= start) & (where < start + len(file.tensor))
            picked[inside] = file.take(where[inside] - start)
            start += len(file.tensor)
        return picked


class _File:
    """An array that is mapped from a file: `tensor`."""

    def __init__(self, array: np.memmap):
        self.tensor, self.mapping, self.offset = torch.from_numpy(array), array.base, array.offset
        self.file = open(array.filename, "rb")  # noqa: SIM115 (open while the rows are)
        self.row_bytes = self.tensor.element_size() * math.prod(self.tensor.shape[1:])

    def take(self, where: Tensor) -> Tensor:
        """Return the rows at index (n,) without keeping them in this process's memory."""
        if not len(where):
            return self.tensor[where]
        self._announce(where)
        picked = self.tensor[where]
        self.mapping.madvise(mmap.MADV_DONTNEED)
        return picked

    def _announce(self, where: Tensor) -> None:
        """Have the system read parts of the file at once: from a disk, several times as fast (docs/benchmarks.md)."""
        rows = where.unique().numpy()
        for stretch in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            start, length = int(stretch[0]) * self.row_bytes, len(stretch) * self.row_bytes
            os.posix_fadvise(self.file.fileno(), self.offset + start, length, os.POSIX_FADV_WILLNEED)
