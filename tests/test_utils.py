import logging
import platform
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from errors import UserError
from utils import choose_device, mix_seed, open_log, seed_everything, tune


def test_seeds_are_the_same_in_every_python_fit_every_generator_and_have_no_neighbours():
    # From `printf 'epoch/1/2' | sha256sum`, first 16 digits read as little-endian bytes, halved.
    assert mix_seed("epoch", 1, 2) == 2631198340398934763
    seeds = [mix_seed(name, seed, epoch) for name in ("epoch", "ä") for seed in range(30) for epoch in range(30)]
    assert 0 <= min(seeds) <= max(seeds) < 2**63
    assert len(set(seeds)) == len(seeds)
    bits = np.array([[seed >> bit & 1 for bit in range(63)] for seed in seeds])
    assert abs(bits.mean(axis=0) - 0.5).max() < 0.1


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


@pytest.fixture
def _global_state():
    """Put the global generators back, so that seeding here changes no other test."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])  # noqa: NPY002
    torch.set_rng_state(before[2])


@pytest.mark.usefixtures("_global_state")
def test_seeding_repeats_python_numpy_and_torch():
    seed_everything("model", 3)
    first = draw()
    draw()
    seed_everything("model", 3)
    assert draw() == first
    seed_everything("model", 4)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that the machine has so many GPUs."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


@pytest.mark.parametrize(("wish", "gpu", "count", "given", "expected"), [
    ("cpu", 0, 0, None, "cpu"), ("cpu", 1, 4, None, "cpu"), ("auto", 3, 0, None, "cpu"), ("auto", 0, 1, None, "cuda:0"),
    ("auto", 2, 4, None, "cuda:2"), ("cuda", 0, 1, None, "cuda:0"), ("cuda", 1, 2, None, "cuda:1"),
    ("cuda:1", 0, 2, None, "cuda:1"), ("cuda:0", 1, 2, None, "cuda:0"),
    # A process that was given one GPU takes it, whatever its config says.
    ("auto", 1, 1, "3", "cuda:0"), ("auto", 1, 1, "GPU-8a", "cuda:0"), ("auto", 1, 1, "MIG-1f", "cuda:0"),
    ("auto", 1, 2, "0,1", "cuda:1"), ("auto", 1, 0, "", "cpu")])
def test_the_device_is_the_wish_and_auto_takes_the_gpu_where_there_is_one(
        gpus, monkeypatch, wish, gpu, count, given, expected):
    gpus(count)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert choose_device(wish, gpu) == torch.device(expected)


@pytest.mark.parametrize(("wish", "gpu", "count", "missing"), [("cuda", 0, 0, 0), ("cuda:1", 0, 1, 1),
                                                               ("cuda:12", 0, 4, 12), ("auto", 5, 2, 5)])
def test_a_gpu_that_is_not_there_is_named_with_how_many_are(gpus, wish, gpu, count, missing):
    gpus(count)
    with pytest.raises(UserError, match=rf"^[^\n]*GPU {missing} [^\n]*found {count} GPU[^\n]*$"):
        choose_device(wish, gpu)


@pytest.fixture
def _closed_log():
    yield
    log = logging.getLogger("syn2real")
    for handler in log.handlers[:]:
        log.removeHandler(handler)
        handler.close()


@pytest.mark.usefixtures("_closed_log")
def test_the_log_goes_to_the_file_with_times_and_to_the_terminal_without_and_is_continued(tmp_path, capsys, caplog):
    for name, message in (("a", "epoch 1/3  größe 0.5"), ("a", "two"), ("b", "three")):
        open_log(tmp_path / name).info(message)
        assert capsys.readouterr().err == f"{message}\n"
    assert caplog.records == [], "the root logger, which other libraries give handlers, would print it again"
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    written = (tmp_path / "a").read_text(encoding="utf-8")
    assert re.fullmatch(rf"{time} epoch 1/3  größe 0\.5\n{time} two\n", written)
    assert re.fullmatch(rf"{time} three\n", (tmp_path / "b").read_text())


FAULTS = """
import resource, sys, torch
from utils import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def allocate():
    for _ in range(20):
        torch.ones(10_000_000).sum()
allocate()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
allocate()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be told to keep memory")
def test_freed_memory_is_used_again_without_asking_the_system():
    faults = {how: int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True,
                                      cwd=Path(__file__).parent.parent).stdout) for how in ("return", "keep")}
    assert faults["keep"] < 0.5 * faults["return"]


@pytest.fixture
def _gpu_flags():
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.usefixtures("_gpu_flags")
def test_tuning_for_a_gpu_leaves_matrix_products_exact():
    tune(torch.device("cuda"))
    assert torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
