"""How much memory there is, and what does not fit."""

import os
from contextlib import suppress
from pathlib import Path

from rich.filesize import decimal

from errors import UserError


def check_memory(needed: int, what: str) -> None:
    """Raise UserError where something needs more bytes of memory than there are; `what` begins the message."""
    free = available_memory()
    if needed > free:
        raise UserError(f"{what}: would need {decimal(needed)} of memory; available: {decimal(free)}")


def available_memory() -> int:
    """Return how many bytes of memory this process could still take: of the machine, and of its container's share."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        # No Linux: all there is.
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        # What of it is taken is mostly the cache of files, which gives way.
        free = min(free, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return free
