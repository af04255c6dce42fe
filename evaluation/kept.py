"""What predictions need beside a run's weights, computed of these once and kept in its folder, `kept/*.npz`.

Plain arrays, and the weights and training data that they belong to.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from errors import UserError, reason
from files import read_arrays, write_arrays

FOLDER, OF = "kept", "weights"


def kept(run: Path, name: str, of: Sequence[str], make: Callable[[], dict[str, np.ndarray]], names: Iterable[str],
         fits: Callable[[dict[str, np.ndarray]], bool]) -> dict[str, np.ndarray]:
    """Return arrays from `kept/<name>.npz` of a run folder, made and written where it is not there or is of others.

    of: what says of which weights and data arrays are, those that `make` makes first, then others that do as well;
    names: of the arrays; fits: whether arrays that were read, of text or finite numbers, are such as `make` makes.
    Raises UserError for a file that is damaged.
    """
    path = run / FOLDER / f"{name}.npz"
    if path.exists():
        try:
            found = read_arrays(path, [*names, OF])
            known = str(found.pop(OF))
            finite = all(array.dtype.kind == "U" or np.isfinite(array).all() for array in found.values())
            problem = "" if known not in of or (finite and fits(found)) else "its arrays do not fit the run"
        except (OSError, ValueError) as error:
            problem = reason(error)
        if problem:
            raise UserError(f"{path}: damaged, or not what is kept there ({problem}); delete it, and it is made anew")
        if known in of:
            return found
        warn_of_others(path)
    made = make()
    path.parent.mkdir(exist_ok=True)
    write_arrays(path, made | {OF: of[0]})
    return made


def warn_of_others(path: Path) -> None:
    """Say on stderr that what a file holds is made anew."""
    print(f"warning: {path}: is of other weights or training data than the run now has, and is made anew",
          file=sys.stderr)
