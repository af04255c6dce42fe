"""Accuracy tables over seeds, from records."""

import math
from collections import defaultdict
from dataclasses import dataclass, fields
from typing import Any

from errors import UserError
from reporting.formats import FORMATS

Records = list[dict[str, Any]]


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
    """Group accuracy records of last and best checkpoints into rows, sorted.

    With `pool`, the factors of a dataset (the cars of a leave-one-out, say) count as one test set: per seed, the right
    ones of all factors over their samples.
    """
    groups: dict[tuple[str, ...], dict[int, Records]] = defaultdict(lambda: defaultdict(list))
    for row in records:
        if row["metric"] != "accuracy" or row["checkpoint"] not in ("last", "best"):
            continue
        factor = "" if pool else row["factor"]
        key = (row["experiment"], row["dataset"], factor, row["split"], row["classifier"], row["checkpoint"])
        groups[key][row["seed"]].append(row)
    return [_row(key, seeds, pool) for key, seeds in sorted(groups.items(), key=lambda item: _order(item[0]))]


def duplicates(records: Records) -> list[str]:
    """Describe cells in which one seed of an experiment has several values, which no table should average away."""
    seen: dict[tuple[Any, ...], set[float]] = defaultdict(set)
    for row in records:
        if row["metric"] == "accuracy" and row["checkpoint"] in ("last", "best"):
            names = ("experiment", "seed", "dataset", "factor", "split", "classifier", "checkpoint")
            seen[tuple(row[name] for name in names)].add((row["epoch"], row["value"]))
    return [f"{key[0]}, seed {key[1]}, {key[2]} {key[3]}, {key[5]}, {key[6]}" for key, values in seen.items()
            if len(values) > 1]


def _order(key: tuple[str, ...]) -> tuple[Any, ...]:
    experiment, dataset, factor, split, classifier, checkpoint = key
    return dataset, factor, split, classifier, checkpoint != "last", experiment


def _row(key: tuple[str, ...], seeds: dict[int, Records], pool: bool) -> Row:
    experiment, dataset, factor, split, classifier, checkpoint = key
    by_factor = {seed: {row["factor"]: row for row in rows} for seed, rows in seeds.items()}
    first = next(iter(by_factor.values()))
    for seed, rows in by_factor.items():
        if rows.keys() != first.keys():
            raise UserError(f"{experiment}: seed {seed} was evaluated on other factors of {dataset} "
                            f"({'; '.join(rows)}) than the first seed ({'; '.join(first)}), so they cannot be pooled")
    samples = sum(row["n"] for row in first.values())
    values = [100 * sum(row["value"] * row["n"] for row in rows.values()) / samples for rows in by_factor.values()]
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values)
    std = math.sqrt(spread / (len(values) - 1)) if len(values) > 1 else math.nan
    title = dataset + (" (pooled)" if pool and len(first) > 1 else f" ({factor})" if factor else "") + f", {split}"
    selections = "; ".join(dict.fromkeys(row["selection"] for rows in by_factor.values() for row in rows.values()))
    return Row(experiment, title, classifier, checkpoint, selections, mean, std,
               max(values), len(values), samples)


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
