"""What the benchmarks share: times, work in processes of their own, tables and JSON."""

import json
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

# A column of a table: its title, the key of a row, the format, and what the value is multiplied with.
Column = tuple[str, str, str, float]


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the wall-clock time of a call, with all that it has started on the device."""
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def describe(device: torch.device) -> str:
    """Return the device as a line of figures names it: a GPU's name, or the number of threads."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


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
