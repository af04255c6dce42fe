"""Accuracy tables over seeds, from records."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from errors import UserError
from reporting.formats import FORMATS

Records = list[dict[str, Any]]

CLASSIFIERS = {"knn": "kNN", "knn_cosine": "kNN (cosine)", "forest": "random forest", "svm": "linear SVM",
               "logistic": "logistic regression", "network": "network"}


@dataclass
class Row:
    """Accuracies in percent over the seeds of one experiment on one dataset with one classifier.

    std is the sample standard deviation (n - 1 in the denominator), NaN for a single seed; samples: test images.
    """

    experiment: str
    dataset: str
    classifier: str
    checkpoint: str
    selection: str
    mean: float
    std: float
    best: float
    seeds: int
    samples: int


def summarise(records: Records, pool: bool = False) -> list[Row]:
    """Group accuracy records of last and best checkpoints into rows, sorted; see `group` for `pool`."""
    return [_row(key, seeds, pool) for key, seeds in sorted(group(records, pool).items(), key=lambda x: _order(x[0]))]


Key = tuple[str, str, str, str, str, str]


def group(records: Records, pool: bool = False, metric: str = "accuracy",
          checkpoints: tuple[str, ...] = ("last", "best")) -> dict[Key, dict[int, Records]]:
    """Sort records into (experiment, dataset, factor, split, classifier, checkpoint) -> seed -> records.

    With `pool`, the factors of a dataset (the cars of a leave-one-out, say) count as one test set, and the factor is
    empty.
    """
    groups: dict[Key, dict[int, Records]] = defaultdict(lambda: defaultdict(list))
    for row in records:
        if row["metric"] == metric and row["checkpoint"] in checkpoints:
            factor = "" if pool else row["factor"]
            key = (row["experiment"], row["dataset"], factor, row["split"], row["classifier"], row["checkpoint"])
            groups[key][row["seed"]].append(row)
    return groups


def seed_values(key: Key, seeds: dict[int, Records]) -> tuple[dict[int, float], dict[str, int]]:
    """Return the value of each seed, and factor -> samples behind it.

    Over several factors: the mean over all their samples, so accuracies are the right ones of all factors over their
    samples. Raises UserError where seeds do not have the same factors.
    """
    by_factor = {seed: {row["factor"]: row for row in rows} for seed, rows in seeds.items()}
    first = next(iter(by_factor.values()))
    for seed, rows in by_factor.items():
        if rows.keys() != first.keys():
            raise UserError(f"{key[0]}: seed {seed} was evaluated on other factors of {key[1]} "
                            f"({'; '.join(rows)}) than the first seed ({'; '.join(first)}), so they cannot be pooled")
    sizes = {factor: row["n"] for factor, row in first.items()}
    values = {seed: sum(row["value"] * row["n"] for row in rows.values()) / sum(row["n"] for row in rows.values())
              for seed, rows in by_factor.items()}
    return values, sizes


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation (n - 1); the latter is NaN for a single value, both if any is NaN."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def title_of(key: Key, factors: int = 1) -> str:
    """Return what tables and figures call the test set of a group, pooled over several factors or not."""
    _, dataset, factor, split, _, _ = key
    return dataset + (" (pooled)" if factors > 1 else f" ({factor})" if factor else "") + f", {split}"


def duplicates(records: Records) -> list[str]:
    """Describe cells in which one seed of an experiment has several values, which no table should average away."""
    seen: dict[tuple[Any, ...], set[float]] = defaultdict(set)
    for row in records:
        if row["metric"] == "accuracy" and row["checkpoint"] in ("last", "best"):
            names = ("experiment", "seed", "dataset", "factor", "split", "classifier", "checkpoint")
            seen[tuple(row[name] for name in names)].add((row["epoch"], row["value"]))
    return [f"{name}, seed {seed}, {title_of((name, dataset, factor, split, classifier, weights))}, {classifier}, "
            f"{weights}"
            for (name, seed, dataset, factor, split, classifier, weights), values in seen.items() if len(values) > 1]


def check_unique(records: Records) -> None:
    """Raise UserError where a seed has several values for the same cell: a table would count one seed twice."""
    repeated = duplicates(records)
    if repeated:
        raise UserError(f"several runs hold different values for the same cell: {repeated[0]}"
                        f"{f' and {len(repeated) - 1} more' if len(repeated) > 1 else ''}; name the runs to use")


def _order(key: Key) -> tuple[Any, ...]:
    experiment, dataset, factor, split, classifier, checkpoint = key
    return dataset, factor, split, classifier, checkpoint != "last", experiment


def _row(key: Key, seeds: dict[int, Records], pool: bool) -> Row:
    found, sizes = seed_values(key, seeds)
    values = [100 * value for value in found.values()]
    selections = "; ".join(dict.fromkeys(row["selection"] for rows in seeds.values() for row in rows))
    return Row(key[0], title_of(key, len(sizes) if pool else 1), key[4], key[5], selections, *spread(values),
               float(np.max(values)), len(values), sum(sizes.values()))


HEADER = ("dataset", "classifier", "experiment", "last epoch: mean ± std", "max", "oracle: mean ± std", "max", "seeds",
          "test images")
FOOTNOTE = ("Accuracy in %. ± is the sample standard deviation over seeds (n - 1). Last epoch: weights after the last "
            "epoch. Oracle: weights of the epoch with the best test accuracy, chosen on the test data itself")


def grid(rows: list[Row]) -> list[tuple[str, ...]]:
    """Arrange rows as text cells under HEADER: last epoch and oracle side by side, `-` where there is none."""
    pairs: dict[tuple[str, str, str], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        pairs[(row.dataset, row.classifier, row.experiment)][row.checkpoint] = row
    lines = []
    for key, found in pairs.items():
        cells = [cell for name in ("last", "best") for cell in _cells(found.get(name))]
        counts = sorted({row.seeds for row in found.values()})
        samples = next(iter(found.values())).samples
        lines.append((*key, *cells, "/".join(map(str, counts)), str(samples)))
    return lines


def footnote(rows: list[Row]) -> str:
    """Explain the columns, with the data that the oracle looked at."""
    chosen = {part for row in rows if row.checkpoint == "best" for part in row.selection.split("; ")}
    oracles = sorted(part.removeprefix("oracle: ") for part in chosen)
    return f"{FOOTNOTE} ({'; '.join(oracles)})." if oracles else f"{FOOTNOTE}."


def _cells(row: Row | None) -> tuple[str, str]:
    if row is None:
        return "-", "-"
    spread = "" if math.isnan(row.std) else f" ± {row.std:.1f}"
    return f"{row.mean:.1f}{spread}", f"{row.best:.1f}"


def render(rows: list[Row], style: str) -> str:
    """Render as `terminal`, `markdown` or `latex`, last epoch and oracle side by side, or as `csv`.

    CSV is for other programs: one line per row, in full precision.
    """
    if style == "csv":
        names = [field.name for field in fields(Row)]
        return FORMATS[style](names, [[getattr(row, name) for name in names] for row in rows])
    return FORMATS[style](HEADER, grid(rows), 3, footnote(rows))
