"""What the benchmarks share: times, rows of a table, JSON."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the wall-clock time of a call, with all that it has started on the device."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def describe(device: torch.device) -> str:
    """Return the device as a line of figures names it: a GPU's name, or the number of threads."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def print_row(*cells: str) -> None:
    """Print a row of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def write_json(path: str | None, figures: object) -> None:
    """Write figures to the file that --out names, if it does."""
    if path:
        Path(path).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
