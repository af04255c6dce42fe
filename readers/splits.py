"""Which split a model belongs to: by a list beside the data, or by a permutation that is the same everywhere."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from errors import UserError, choice_error, reason
from files import read_text

SPLITS = ("train", "val", "test")


def permuted_splits(names: list[str]) -> dict[str, str]:
    """Return the split of each name: 70, 10 and 20 percent of a seeded permutation of them, in their order.

    Source: the sizes of the published splits of ShapeNet; 5247, 750 and 1500 of its 7497 cars.
    """
    train, val = int(0.7 * len(names)), round(0.1 * len(names))
    split = np.repeat(SPLITS, (train, val, len(names) - train - val))
    order = np.random.default_rng(0).permutation(len(names))
    return {names[place]: str(split[i]) for i, place in enumerate(order)}


def read_splits(path: Path) -> dict[str, str]:
    """Return model -> split of a table with these two columns; UserError for another, or a model in two splits."""
    try:
        rows = csv.DictReader(io.StringIO(read_text(path)))
        if rows.fieldnames is None or not {"model", "split"} <= set(rows.fieldnames):
            found = ", ".join(rows.fieldnames or ()) or "nothing"
            raise UserError(f"{path}: columns: found {found}; expected model, split")
        pairs = []
        for row in rows:
            if not row["model"] or not row["split"]:
                raise UserError(f"{path}, line {rows.line_num}: a model or its split is missing; expected both")
            pairs.append((row["model"], row["split"]))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {reason(error)}") from None
    return checked_splits(pairs, path)


def splits_table(splits: Iterable[tuple[str, str]]) -> str:
    """Return models and their splits as a table that `read_splits` reads."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("model", "split"), *splits])
    return text.getvalue()


def checked_splits(pairs: list[tuple[str, str]], source: Path) -> dict[str, str]:
    """Return model -> split of pairs of these; UserError for an unknown split, or a model in two splits."""
    splits: dict[str, str] = {}
    for model, split in pairs:
        if split not in SPLITS:
            raise choice_error(f"{source}: split of {model}", split, SPLITS)
        if splits.setdefault(model, split) != split:
            raise UserError(f"{source}: {model} is in two splits, {splits[model]} and {split}; allowed: one")
    return splits
