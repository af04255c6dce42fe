"""What the benchmarks share: sides that take turns, work in processes of their own, tables and JSON."""

import json
import statistics
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks import floor

# A column of a table: its title, the key of a row, the format, and what the value is multiplied with.
Column = tuple[str, str, str, float]
FLOOR_COLUMNS: tuple[Column, ...] = (
    ("MFLOP", "flops", "{:,.0f}", 1e-6), ("kB", "bytes", "{:,.0f}", 1e-3), ("GFLOP/s", "gflops", "{:,.0f}", 1),
    ("GB/s", "gbs", "{:,.1f}", 1), ("floor, ms", "floor_s", "{:.3f}", 1e3), ("reached", "reached", "{:.0%}", 1),
)  # fmt: skip


def alternate(sides: list[Callable[[], object]], rounds: int, device: torch.device, dtype: torch.dtype,
              title: str) -> tuple[list[float], floor.Ceilings]:
    """Return each side's median seconds, and the median of the ceilings; they all take turns, after a free round.

    The ceilings take turns too, as other work on the machine slows everything down alike.
    """
    times: list[list[float]] = [[] for _ in sides]
    ceilings = []
    for number in tqdm(range(rounds + 1), desc=title, disable=None):
        spent = [floor.seconds(side, device) for side in sides]
        ceilings.append(floor.measure(device, dtype, rounds=1))
        if number:
            for each, taken in zip(spent, times, strict=True):
                taken.append(each)
    return [statistics.median(taken) for taken in times], floor.Ceilings(
        statistics.median(each.gflops for each in ceilings), statistics.median(each.gbs for each in ceilings))


def row(work: str, seconds: list[float], flops: float, moved: float, ceilings: floor.Ceilings) -> dict[str, Any]:
    """Return the figures of a kind of work: ours and plain in seconds, what it needs at least, how near ours comes."""
    ours, plain = seconds
    least = ceilings.floor(flops, moved)
    return {"work": work, "ours_s": ours, "plain_s": plain, "ratio": plain / ours, "flops": flops, "bytes": moved,
            "gflops": ceilings.gflops, "gbs": ceilings.gbs, "floor_s": least, "reached": least / ours}


def print_table(columns: tuple[Column, ...], rows: list[dict[str, Any]], titles: bool = True) -> None:
    """Print rows as a table, with the columns' titles above, `-` where a value is None."""
    lines = [[title for title, _, _, _ in columns]] if titles else []
    for each in rows:
        values = [(each[key], form, factor) for _, key, form, factor in columns]
        lines.append(["-" if value is None else form.format(value if isinstance(value, str) else value * factor)
                      for value, form, factor in values])
    for line in lines:
        print(" | ".join(line))


def write_json(path: str | None, figures: object) -> None:
    """Write figures to the file that --out names, if it does."""
    if path:
        Path(path).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def in_child(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Call a function in a fresh process and return what it returns, and the peak memory (GiB) of its processes.

    The process ends with the call, also when that is interrupted.
    """
    receiver, sender = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=_send, args=(sender, function, arguments))
    process.start()
    peak = 0
    try:
        while not receiver.poll(0.05):
            peak = max(peak, memory(process.pid))
            if not process.is_alive() and not receiver.poll():
                raise SystemExit(f"{function.__name__} failed")
        result = receiver.recv()
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    return {**result, "peak_gib": peak / 2**20}


def _send(sender: Any, function: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> None:
    sender.send(function(*arguments))


def memory(pid: int) -> int:
    """Return the memory of a process and its children in KiB, each shared page divided among those that share it."""
    try:
        own = Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return int(own.split("\nPss:")[1].split()[0]) + sum(memory(int(child)) for child in children)
