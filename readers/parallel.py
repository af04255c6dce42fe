"""Work on many images in parallel processes, or in threads."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import joblib
from joblib.externals.loky import get_reusable_executor

from errors import UserError

FEW = 8
Item, Made = TypeVar("Item"), TypeVar("Made")


def in_processes(function: Callable[..., Any], jobs: list[tuple[Any, ...]], few: int = FEW) -> Iterator[Any]:
    """Yield `function(*job)` for every job, as they get done in a process per core; `few` jobs in this one.

    An exception in a job is raised here and ends the others. Raises UserError when a process is killed.
    """
    if len(jobs) <= few:
        yield from (function(*job) for job in jobs)
        return
    try:
        # Processes of joblib's own kind: others would import the script that was started, and torch with it.
        pool = joblib.Parallel(n_jobs=joblib.cpu_count(), return_as="generator_unordered", batch_size=1)
        yield from pool(joblib.delayed(function)(*job) for job in jobs)
    except BrokenProcessPool:
        raise UserError("a process that worked on images was killed; most likely there was too little memory") from None
    finally:
        get_reusable_executor().shutdown(wait=True)


def in_threads(function: Callable[[list[Item]], Made], items: list[Item], count: int) -> Iterator[Made]:
    """Yield what a function makes of `count` items at a time, in their order.

    A thread per core works ahead of what is asked for, by a few parts: for what leaves Python's lock alone, as decoding
    and resizing do.
    """
    workers, pending = joblib.cpu_count(), deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for start in range(0, len(items), count):
                pending.append(pool.submit(function, items[start : start + count]))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
