"""Accuracy tables over seeds, from records."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import numpy as np

from errors import UserError
from reporting.formats import FORMATS
from reporting.metrics import Metric, metric_of

Records = list[dict[str, Any]]

CLASSIFIERS = {"knn": "kNN", "knn_cosine": "kNN (cosine)", "forest": "random forest", "svm": "linear SVM",
               "logistic": "logistic regression", "network": "network"}


WEIGHTS = {"last": "last epoch", "best": "oracle"}


class Cell(NamedTuple):
    """What the values of so many seeds come to; std: sample standard deviation (n - 1), NaN for a single seed."""

    mean: float
    std: float
    best: float
    seeds: int


class Row(NamedTuple):
    """Accuracies in percent over the seeds of one experiment on one dataset with one classifier; see `Cell`.

    samples: test images.
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
    return [_row(key, seeds, pool) for key, seeds in in_order(group(records, pool))]


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
    first = check_factors(key, by_factor)
    sizes = {factor: row["n"] for factor, row in first.items()}
    values = {seed: sum(row["value"] * row["n"] for row in rows.values()) / sum(row["n"] for row in rows.values())
              for seed, rows in by_factor.items()}
    return values, sizes


def check_factors(key: Key, seeds: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Return what the first seed has, by factor; UserError where other seeds do not have the same factors."""
    first = next(iter(seeds.values()))
    for seed, found in seeds.items():
        if found.keys() != first.keys():
            raise UserError(f"{key[0]}: seed {seed} was evaluated on other factors of {key[1]} ({'; '.join(found)}) "
                            f"than the first seed ({'; '.join(first)}), so they cannot be pooled")
    return first


def cell(values: Iterable[float], metric: Metric) -> Cell:
    """Summarise the values that seeds have recorded, in the unit of the metric; any NaN among them shows in all."""
    shown = [metric.scale * value for value in values]
    best = np.max(shown) if metric.higher_is_better else np.min(shown)
    std = float(np.std(shown, ddof=1)) if len(shown) > 1 else math.nan
    return Cell(float(np.mean(shown)), std, float(best), len(shown))


def selections(rows: Iterable[dict[str, Any]]) -> str:
    return "; ".join(dict.fromkeys(row["selection"] for row in rows))


def title_of(key: Key, factors: int = 1) -> str:
    """Return what tables and figures call the test set of a group, pooled over several factors or not."""
    _, dataset, factor, split, _, _ = key
    return dataset + (" (pooled)" if factors > 1 else f" ({factor})" if factor else "") + f", {split}"


def duplicates(records: Records) -> list[str]:
    """Describe cells in which one seed of an experiment has several values, which no table should average away."""
    return [f"{key[0]}, seed {seed}, {title_of(key)}, {key[4]}, {key[5]}"
            for key, seeds in group(records).items() for seed, rows in seeds.items()
            if len({(row["epoch"], row["value"]) for row in rows}) > 1]


def check_unique(records: Records) -> None:
    """Raise UserError where a seed has several values for the same cell: a table would count one seed twice."""
    repeated = duplicates(records)
    if repeated:
        raise UserError(f"several runs hold different values for the same cell: {repeated[0]}"
                        f"{f' and {len(repeated) - 1} more' if len(repeated) > 1 else ''}; name the runs to use")


def in_order(groups: dict[Key, Any]) -> list[tuple[Key, Any]]:
    """Sort by dataset, factor, split, classifier, last weights before best ones, and experiment."""
    return sorted(groups.items(), key=lambda each: (*each[0][1:5], each[0][5] != "last", each[0][0]))


def _row(key: Key, seeds: dict[int, Records], pool: bool) -> Row:
    found, sizes = seed_values(key, seeds)
    chosen = selections(row for rows in seeds.values() for row in rows)
    return Row(key[0], title_of(key, len(sizes) if pool else 1), key[4], key[5], chosen,
               *cell(found.values(), metric_of("accuracy")), sum(sizes.values()))


HEADER = ("dataset", "classifier", "experiment", "last epoch: mean ± std", "max", "oracle: mean ± std", "max", "seeds",
          "test images")
FOOTNOTE = ("Accuracy in %. ± is the sample standard deviation over seeds (n - 1). Last epoch: weights after the last "
            "epoch. Oracle: weights of the epoch with the best test accuracy, chosen on the test data itself")


def beside(rows: Iterable[Any], names: Collection[str], across: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Collect rows for one line of a table: values of `names` -> value of `across`, which sets them apart -> row."""
    lines: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    for row in rows:
        lines[tuple(getattr(row, name) for name in names)][getattr(row, across)] = row
    return lines


def slashed(values: Iterable[int]) -> str:
    return "/".join(map(str, sorted(set(values))))


def grid(rows: list[Row]) -> list[tuple[str, ...]]:
    """Arrange rows as text cells under HEADER: last epoch and oracle side by side, `-` where there is none."""
    text = metric_of("accuracy").text
    return [(*key, *(part for name in WEIGHTS for part in
                     ((text(*found[name][5:7]), text(found[name].best)) if name in found else "--")),
             slashed(row.seeds for row in found.values()), str(next(iter(found.values())).samples))
            for key, found in beside(rows, ("dataset", "classifier", "experiment"), "checkpoint").items()]


def oracles(rows: Iterable[Any]) -> str:
    """Say what the best weights among rows were chosen by; an empty text where there are none."""
    chosen = {part for row in rows if row.checkpoint == "best" for part in row.selection.split("; ")}
    return "; ".join(sorted(part.removeprefix("oracle: ") for part in chosen))


def footnote(rows: list[Row]) -> str:
    """Explain the columns, with the data that the oracle looked at."""
    return f"{FOOTNOTE} ({chosen})." if (chosen := oracles(rows)) else f"{FOOTNOTE}."


def render(rows: list[Row], style: str) -> str:
    """Render as `terminal`, `markdown` or `latex`, last epoch and oracle side by side, or as `csv`.

    CSV is for other programs: one line per row, in full precision.
    """
    if style == "csv":
        return FORMATS[style](Row._fields, rows)
    return FORMATS[style](HEADER, grid(rows), 3, footnote(rows))
