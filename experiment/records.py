"""The results store of a run: `records.jsonl`, append-only, one JSON object per line."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from errors import UserError
from files import parse_json, read_text

FILE_NAME, MOST = "records.jsonl", 1_000_000_000

# A later row with the same identity replaces an earlier one when records are read, so that an evaluation that is
# repeated, or an epoch that is trained again after a kill, counts once.
IDENTITY = ("experiment", "seed", "dataset", "factor", "split", "classifier", "checkpoint", "epoch", "metric")
FIELDS = (*IDENTITY, "selection", "value", "n")
NUMBERS = {"seed": int, "epoch": int | None, "value": int | float, "n": int}


def record(**values: Any) -> dict[str, Any]:
    """Return one row with exactly the fields of the store.

    experiment: str; seed: int; dataset, factor, split: what was measured on; classifier: one of
    `autoencoder.config.CLASSIFIERS`, network or "" (losses, scores); checkpoint: `last`, `best`, or `epoch` for the
    curve during training; selection: how the checkpoint was chosen; epoch: int, or None where a published run does not
    say; metric: a free name, of which `reporting.metrics` knows some: accuracy (in [0, 1]), `loss/<name>`, a score of
    reconstructions, `ssim`, `l1` or `lpips`, with `/synthetic` or `/real` for what they are compared with, or a domain
    gap, `gap/domain_classifier` or `gap/knn_overlap`; value: float; n: samples behind the value.
    """
    if set(values) != set(FIELDS):
        raise ValueError(f"a record has the fields {FIELDS}, not {tuple(values)}")
    return {name: values[name] for name in FIELDS}


def check_writable(folder: Path) -> None:
    """Raise UserError where no records can be added, to be called before hours of computing."""
    path = folder / FILE_NAME
    if not os.access(path if path.exists() else folder, os.W_OK) or (path.exists() and not path.is_file()):
        raise UserError(f"{path}: cannot be written; results are kept there")


def append(folder: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append rows in one write; a line left unfinished by a kill is closed first, so that it spoils nothing."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with (folder / FILE_NAME).open("a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else "\n" + text
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> list[dict[str, Any]]:
    """Return a run's rows, the latest of each identity, in the order of their first appearance.

    A line that a kill left unfinished is skipped; any other line that is no record raises UserError.
    """
    path = folder / FILE_NAME
    try:
        text = read_text(path, MOST, errors="replace")
    except FileNotFoundError:
        return []
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        try:
            row = parse_json(line)
        except ValueError:
            if line.startswith("{"):
                continue
            raise UserError(f"{path}: line {number} is no record") from None
        if not isinstance(row, dict) or set(row) != set(FIELDS) or not all(map(_fits, row, row.values())):
            raise UserError(f"{path}: line {number} is no record")
        rows[tuple(row[name] for name in IDENTITY)] = row
    return list(rows.values())


def _fits(name: str, value: Any) -> bool:
    """Say whether a field of a row has the type that `record` names; JSON's true and false are no numbers."""
    if isinstance(value, bool) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        return False
    return isinstance(value, NUMBERS.get(name, str)) and (name != "n" or value > 0) and "\0" not in str(value)
