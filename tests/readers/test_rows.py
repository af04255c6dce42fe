from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from readers.rows import Rows


@pytest.fixture
def array(tmp_path):
    content = np.arange(500 * 4096, dtype=np.float16).reshape(500, 4096)
    content[:, 0] = np.arange(500)
    np.save(tmp_path / "array.npy", content)
    return np.load(tmp_path / "array.npy", mmap_mode="c")


def mapped_kib(path: Path) -> int:
    """Return how much of a mapped file is in this process's memory."""
    block = Path("/proc/self/smaps").read_text().split(str(path))[1]
    return int(block.split("\nRss:")[1].split()[0])


def test_rows_come_in_the_order_asked_for_with_repetitions(array):
    index = torch.tensor([7, 3, 3, 499, 0, 4])
    picked = Rows([array], torch.device("cpu")).take(index)
    assert torch.equal(picked, torch.from_numpy(np.asarray(array))[index])
    assert picked[:, 0].tolist() == index.tolist()


@pytest.mark.parametrize("order", [None, torch.randperm(500, generator=torch.Generator().manual_seed(1))])
def test_rows_of_several_files_are_those_of_one_without_staying_in_the_process(array, tmp_path, order):
    files, ends = [], [0, 200, 201, 500]
    for number, (start, end) in enumerate(pairwise(ends)):
        np.save(tmp_path / f"part {number}.npy", array[start:end])
        files.append(np.load(tmp_path / f"part {number}.npy", mmap_mode="c"))
    rows, index = Rows(files, torch.device("cpu"), order), torch.tensor([7, 3, 3, 499, 200, 0, 4, 201])
    whole = torch.from_numpy(np.asarray(array))
    assert (len(rows), rows.shape) == (500, (500, 4096))
    for wanted in (index, torch.arange(500), index[:0], index[:1]):
        assert torch.equal(rows.take(wanted), whole[wanted if order is None else order[wanted]])
    assert [mapped_kib(file.filename) for file in files] == [0, 0, 0]
    # As on a device that holds everything.
    rows.tensor = whole
    assert torch.equal(rows.take(index), whole[index if order is None else order[index]])


@pytest.mark.parametrize("rows", [500, 0])
def test_no_rows_are_an_empty_array(array, tmp_path, rows):
    np.save(tmp_path / "part.npy", array[:rows])
    part = np.load(tmp_path / "part.npy", mmap_mode="c")
    assert Rows([part], torch.device("cpu")).take(torch.empty(0, dtype=torch.int64)).shape == (0, 4096)


def test_what_was_read_does_not_stay_in_the_process(array):
    rows = Rows([array], torch.device("cpu"))
    everything = torch.arange(len(rows))
    assert float(rows.files[0].tensor.float().abs().max()) > 0
    assert mapped_kib(array.filename) >= array.nbytes / 1024
    for _ in range(2):
        rows.take(everything)
        assert mapped_kib(array.filename) == 0


def test_the_file_is_announced_in_order_as_whole_stretches(array, monkeypatch):
    asked = []
    monkeypatch.setattr("readers.rows.os.posix_fadvise", lambda _, start, length, __: asked.append((start, length)))
    Rows([array], torch.device("cpu")).take(torch.tensor([9, 2, 1, 3, 3, 400]))
    row, offset = 4096 * 2, array.offset
    assert asked == [(offset + row, 3 * row), (offset + 9 * row, row), (offset + 400 * row, row)]
