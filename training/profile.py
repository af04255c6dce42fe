"""Where the time of training steps goes (`--profile`)."""

import time
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from training.optimising import SingleOptimizerStep

WARM_UP, LINES = 3, 15


def profile_steps(step: SingleOptimizerStep, epoch: Callable[[int], Iterator[Any]], samples: float, steps: int,
                  path: Path) -> str:
    """Train for some steps under torch's profiler and write its trace, which Perfetto and Chrome's tracing page show.

    epoch: number -> its batches, of so many samples on average. Returns a text: sceneries per second, what drawing
    batches and training on them take, and the operations that take longest. The first steps, in which memory is taken
    and algorithms are chosen, are not counted.
    """
    device = next(step.model.parameters()).device
    endless = chain.from_iterable(epoch(number) for number in count(1))
    step.model.train()
    _train(step, endless, WARM_UP)
    _wait(device)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiler:
        since = time.perf_counter()
        _train(step, endless, steps)
        _wait(device)
        seconds = time.perf_counter() - since
    path.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(path))
    averages = profiler.key_averages()
    spent = {each.key: each.cpu_time_total / 1e6 for each in averages if each.key in ("batch", "step")}
    key = "self_cpu_time_total" if device.type == "cpu" else "self_device_time_total"
    table = averages.table(sort_by=key, row_limit=LINES, max_name_column_width=48)
    return (f"{steps} steps: {seconds:.2f} s, {samples * steps / seconds:.1f} sceneries per second under the profiler; "
            f"drawing batches {spent['batch'] / seconds:.0%}, training on them {spent['step'] / seconds:.0%}\n"
            f"{table}\ntrace: {path}")


def _train(step: SingleOptimizerStep, batches: Iterator[Any], steps: int) -> None:
    for _ in range(steps):
        with record_function("batch"):
            batch = next(batches)
        with record_function("step"):
            step.update(batch)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
