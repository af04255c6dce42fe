"""Work on many images in parallel processes."""

from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import joblib
from joblib.externals.loky import get_reusable_executor

from errors import UserError

FEW = 8


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
