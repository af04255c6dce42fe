"""Predicted and true classes of evaluations: `predictions/*.npz` in a run folder, one small file per evaluation.

Records say how often predictions were right; these files say which were wrong.
"""

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from errors import UserError
from files import read_arrays, write_arrays

FOLDER = "predictions"
TEXTS = ("experiment", "dataset", "factor", "split", "classifier", "checkpoint")


@dataclass(frozen=True)
class Predictions:
    """The predictions of one classifier on one dataset, with the weights of one checkpoint.

    experiment to checkpoint: as in a record; predicted, true: uint8 (n, seats), a class number per seat, or in one
    column the single class; classes: (k,) names of the numbers 0 to k - 1.
    """

    experiment: str
    seed: int
    dataset: str
    factor: str
    split: str
    classifier: str
    checkpoint: str
    predicted: np.ndarray
    true: np.ndarray
    classes: np.ndarray

    @property
    def file_name(self) -> str:
        """The same for every evaluation of the same, so that a later one takes the place of an earlier one."""
        parts = (self.dataset, self.factor, self.split, self.classifier, self.checkpoint)
        # Quoting leaves no comma and no plus in a name, so different names never share a file.
        return ",".join("+".join(quote(piece, safe="", errors="surrogateescape") for piece in part.split(", "))
                        for part in parts) + ".npz"


def check_writable(folder: Path) -> None:
    """Raise UserError where a run can keep no predictions, to be called before hours of computing."""
    place = folder / FOLDER
    if not os.access(place if place.exists() else folder, os.W_OK) or (place.exists() and not place.is_dir()):
        raise UserError(f"{place}: cannot be written; predictions are kept there")


def save(folder: Path, found: Predictions) -> None:
    """Keep predictions in a run folder, in place of earlier ones of the same; the file is the old or the whole new."""
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    write_arrays(place / found.file_name, asdict(found))


def read(folder: Path) -> list[Predictions]:
    """Return all predictions of a run, sorted by file; UserError for a file that holds none, or code."""
    return [_load(path) for path in sorted((folder / FOLDER).glob("*.npz"))]


def _load(path: Path) -> Predictions:
    try:
        values: dict[str, Any] = read_arrays(path, [each.name for each in fields(Predictions)])
        predicted, true, classes = values["predicted"], values["true"], values["classes"]
        fits = (predicted.dtype == true.dtype == np.uint8 and predicted.ndim == 2 and predicted.shape == true.shape
                and classes.ndim == 1 and classes.dtype.kind == "U" and max(predicted.max(), true.max()) < len(classes)
                and all(values[name].shape == () and values[name].dtype.kind == "U" for name in TEXTS)
                and values["seed"].shape == () and values["seed"].dtype.kind == "i")
    except (OSError, ValueError):
        fits = False
    if not fits:
        raise UserError(f"{path}: holds no predictions, or is damaged; evaluate the run again")
    return Predictions(**values | {name: str(values[name]) for name in TEXTS} | {"seed": int(values["seed"])})
