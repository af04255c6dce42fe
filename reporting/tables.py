"""Tables of results over seeds, from records, and how records are grouped over seeds for all tables and figures."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import numpy as np

from errors import UserError
from reporting.formats import FORMATS
from reporting.metrics import (
    MEANINGS,
    Metric,
    is_headline,
    is_judged,
    is_mean,
    metric_of,
    reference_of,
    subject,
    title_of,
    units,
)

Records = list[dict[str, Any]]
# Seed -> factor -> record.
Seeds = dict[int, dict[str, dict[str, Any]]]

WEIGHTS = ("last", "best")
POOLED = "pooled"
# What tables call best weights, by what chose them, and what notes say of them.
ORACLE, ON_SOURCE = "oracle", "best on source"
MEANT = {
    ORACLE: "Oracle: weights of the epoch with the best {best}{by}.",
    ON_SOURCE: "Best on source: weights of the epoch with the best value on data of the kind that was trained on{by}, "
               "without labels of a target; there itself an oracle.",
}  # fmt: skip


class Key(NamedTuple):
    """What the records of a group share. factor: where factors are pooled, see `pools`; epoch: of a curve, else 0."""

    dataset: str
    factor: str
    split: str
    metric: str
    classifier: str
    checkpoint: str
    experiment: str
    epoch: int


class Cell(NamedTuple):
    """What the values of so many seeds come to; std: sample standard deviation (n - 1), NaN for a single seed."""

    mean: float
    std: float
    best: float
    seeds: int


class Row(NamedTuple):
    """A metric in its unit over the seeds of one experiment on one dataset; see `Cell`. samples: test images, from
    which to which number where seeds differ."""

    experiment: str
    dataset: str
    classifier: str
    checkpoint: str
    selection: str
    mean: float
    std: float
    best: float
    seeds: int
    samples: str
    metric: str


def pools(records: Iterable[dict[str, Any]]) -> dict[Key, str]:
    """Return key without factor and epoch -> what its factors are called as one test set, where there are several.

    `pooled`, and which, where experiments were tested on different ones. Only what is a mean over samples is pooled,
    and no factor that holds part of another, or that is empty and stands for all: images would count twice.
    """
    found: dict[Key, set[str]] = defaultdict(set)
    for row in records:
        if row["factor"] and is_mean(row["metric"]):
            found[_key(row)._replace(factor="", epoch=0)].add(row["factor"])
    parts = {key: [part for factor in factors for part in factor.split(", ")] for key, factors in found.items()}
    tests: dict[tuple[str, ...], set[frozenset[str]]] = defaultdict(set)
    several = {key: sorted(factors) for key, factors in found.items()
               if len(factors) > 1 and len(set(parts[key])) == len(parts[key])}
    for key, factors in several.items():
        tests[key.dataset, key.split].add(frozenset(factors))
    return {key: POOLED if len(tests[key.dataset, key.split]) == 1 else f"{POOLED}: {', '.join(factors)}"
            for key, factors in several.items()}


def _key(row: dict[str, Any]) -> Key:
    return Key(*(row[name] for name in Key._fields[:-1]), row["epoch"] or 0 if row["checkpoint"] == "epoch" else 0)


def group(records: Iterable[dict[str, Any]], pool: bool = False) -> dict[Key, Seeds]:
    """Group records over seeds, sorted: accuracy before other metrics, last weights before best ones, by epoch.

    With `pool`, the factors of a dataset (the cars of a leave-one-out, say) count as one test set, see `pools`. Raises
    UserError where a seed has several values for the same cell, which would count it twice, or seeds have not the same
    factors.
    """
    records = list(records)
    whole = pools(records) if pool else {}
    groups: dict[Key, Seeds] = defaultdict(lambda: defaultdict(dict))
    repeated: dict[str, None] = {}
    for row in records:
        key = _key(row)
        pooled = row["factor"] and whole.get(key._replace(factor="", epoch=0))
        other = groups[key._replace(factor=pooled) if pooled else key][row["seed"]].setdefault(row["factor"], row)
        if (other["epoch"], str(other["value"])) != (row["epoch"], str(row["value"])):
            when = f"epoch {key.epoch}" if key.epoch else key.checkpoint
            repeated[f"{key.experiment}, seed {row['seed']}, {title_of(*key[:3])}, {subject(row)}, {when}"] = None
    if repeated:
        raise UserError(f"several runs hold different values for the same cell: {next(iter(repeated))}"
                        f"{f' and {len(repeated) - 1} more' if len(repeated) > 1 else ''}; name the runs to use")
    for key, seeds in groups.items():
        first = next(iter(seeds.values()))
        for seed, found in seeds.items():
            if found.keys() != first.keys():
                raise UserError(f"{key.experiment}: seed {seed} was evaluated on other factors of {key.dataset} "
                                f"({'; '.join(found)}) than the first seed ({'; '.join(first)}), so they cannot be "
                                "pooled")
    return dict(sorted(groups.items(), key=lambda each: (
        *each[0][:3], each[0].metric != "accuracy", *each[0][3:5], each[0].checkpoint != "last", *each[0][6:])))


def of_weights(records: Iterable[dict[str, Any]], wanted: Callable[[str], bool] = is_judged) -> Records:
    """Return the records of last and best weights in those metrics whose names are wanted."""
    return [row for row in records if row["checkpoint"] in WEIGHTS and wanted(row["metric"])]


def seed_values(seeds: Seeds) -> dict[int, float]:
    """Return the value of each seed; over several factors the mean over all their samples.

    So accuracies are the right ones of all factors over their samples.
    """
    found = {}
    for seed, rows in seeds.items():
        first, *others = rows.values()
        total = sum(row["value"] * row["n"] for row in rows.values()) / sum(row["n"] for row in rows.values())
        found[seed] = total if others else first["value"]
    return found


def samples_of(seeds: Seeds) -> dict[int, int]:
    """Return how many samples are behind the value of each seed."""
    return {seed: sum(row["n"] for row in rows.values()) for seed, rows in seeds.items()}


def cell(values: Iterable[float], metric: Metric) -> Cell:
    """Summarise the values that seeds have recorded, in the unit of the metric; any NaN among them shows in all."""
    shown = [metric.scale * value for value in values]
    best = np.max(shown) if metric.higher_is_better else np.min(shown)
    std = float(np.std(shown, ddof=1)) if len(shown) > 1 else math.nan
    return Cell(float(np.mean(shown)), std, float(best), len(shown))


def summarise(records: Records, pool: bool = False, wanted: Callable[[str], bool] = is_headline) -> list[Row]:
    """Return a row per group of last or best weights, of the metrics whose names are wanted; see `group`."""
    rows = []
    for key, seeds in group(of_weights(records, wanted), pool).items():
        chosen = "; ".join(dict.fromkeys(row["selection"] for each in seeds.values() for row in each.values()))
        rows.append(Row(key.experiment, title_of(*key[:3]), key.classifier, key.checkpoint, chosen,
                        *cell(seed_values(seeds).values(), metric_of(key.metric)),
                        span(samples_of(seeds).values()), key.metric))
    return rows


def beside(rows: Iterable[Any], names: Collection[str], across: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Collect rows for one line of a table: values of `names` -> value of `across`, which sets them apart -> row."""
    lines: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    for row in rows:
        lines[tuple(getattr(row, name) for name in names)][getattr(row, across)] = row
    return lines


def slashed(values: Iterable[int | str]) -> str:
    return "/".join(map(str, sorted(set(values))))


def span(values: Iterable[int]) -> str:
    """Return a number as text, or from which to which they go: `3`, `3-5`."""
    found = sorted({int(value) for value in values})
    return "-".join(map(str, found[:: max(1, len(found) - 1)]))


def weights_title(checkpoint: str, selections: Iterable[str]) -> str:
    """Return what tables call weights by how they were chosen: an oracle's, unless no target had a part in it."""
    return "last epoch" if checkpoint == "last" else " or ".join(choices(selections) or [ORACLE])


def choices(selections: Iterable[str]) -> dict[str, str]:
    """Return what tables call best weights -> what they were chosen by, an oracle's first."""
    parts = sorted({part for each in selections for part in each.split("; ")})
    found = {ORACLE: [part.removeprefix("oracle: ") for part in parts if not part.startswith("source: ")],
             ON_SOURCE: [part.removeprefix("source: ") for part in parts if part.startswith("source: ")]}
    return {name: "; ".join(texts) for name, texts in found.items() if texts}


def choices_note(selections: Iterable[str], best: str) -> str:
    """Explain what tables call best weights; best: what an oracle goes by."""
    return " ".join(MEANT[name].format(best=best, by=f" ({by})" if by else "")
                    for name, by in (choices(selections) or {ORACLE: ""}).items())


def best_selections(rows: Iterable[Any]) -> list[str]:
    """Return how the best weights among rows were chosen."""
    return [row.selection for row in rows if row.checkpoint == "best"]


# Experiment, dataset and metric -> whether it is a floor, and its name -> its value as text.
References = dict[tuple[str, str, str], dict[tuple[bool, str], str]]


def with_references(rows: list[Row]) -> tuple[list[Row], References]:
    """Return the rows less those that are floors or ceilings of others, and these, which stand beside those.

    They are taken from the last weights where both have them, as they do not change while a model trains.
    """
    known = {row: reference_of(row.metric, row.classifier) for row in rows}
    plain = {(row.experiment, row.dataset, row.metric) for row in rows if not known[row]}
    main, found = [], defaultdict(dict)
    for row, reference in known.items():
        of = (row.experiment, row.dataset, reference.metric) if reference else ()
        if of in plain:
            text = metric_of(row.metric).text(row.mean, row.std)
            found[of].setdefault((reference.is_floor, reference.name), text)
        else:
            main.append(row)
    return main, dict(found)


def _columns(found: References) -> list[tuple[str, bool, list[str]]]:
    """Return the columns that floors and ceilings need: title, whether it is of floors, and what stands in it."""
    marks = dict.fromkeys(each for known in found.values() for each in known)
    columns = [(title, low, [name for each, name in marks if each == low])
               for title, low in (("floor", True), ("ceiling", False))]
    # What is the same in all cells is said above them.
    return [(f"{title}: {names[0]}" if len(names) == 1 else title, low, names)
            for title, low, names in columns if names]


def header(rows: list[Row]) -> tuple[str, ...]:
    rows, found = with_references(rows)
    titles = [weights_title(name, best_selections(rows)) for name in WEIGHTS]
    best = "/".join(dict.fromkeys(metric_of(row.metric).best for row in rows)) or "max"
    return ("dataset", "classifier" if any(row.classifier for row in rows) else "metric", "experiment",
            *(title for title, *_ in _columns(found)),
            *(part for name in titles for part in (f"{name}: mean ± std", best)), "seeds", "test images")


def grid(rows: list[Row]) -> list[tuple[str, ...]]:
    """Arrange rows as text cells: floors and ceilings, last and best weights side by side, `-` where there is none."""
    lines, (rows, references) = [], with_references(rows)
    for (data, metric, classifier, name), found in beside(
            rows, ("dataset", "metric", "classifier", "experiment"), "checkpoint").items():
        text, near = metric_of(metric).text, references.get((name, data, metric), {})
        what = subject({"metric": metric, "classifier": classifier})
        cells = ["\n".join(f"{near[low, name]} {name}" if len(names) > 1 else near[low, name] for name in names
                           if (low, name) in near) or "-" for _, low, names in _columns(references)]
        cells += [part for weights in WEIGHTS for part in (
            (text(*found[weights][5:7]), text(found[weights].best)) if weights in found else "--")]
        # Of what else, stands in the other columns.
        lines.append((data, what.removesuffix(" translated").rstrip(",") if near else what, name, *cells,
                      slashed(row.seeds for row in found.values()), slashed(row.samples for row in found.values())))
    return lines


def footnote(rows: list[Row]) -> str:
    """Explain the columns, with the data that the best weights were chosen on, and what floors and ceilings are."""
    rows, found = with_references(rows)
    names = dict.fromkeys(row.metric for row in rows)
    shown = units(names)
    # With other metrics the data may be a validation set, which its name says.
    best = "test accuracy, chosen on the test data itself" if set(names) <= {"accuracy"} else "value"
    notes = [f" {'Floor' if low else 'Ceiling'}: {'; '.join(f'{name}, {MEANINGS[name]}' for name in names)}."
             for _, low, names in _columns(found)]
    return (f"{shown[:1].upper()}{shown[1:]}. ± is the sample standard deviation over seeds (n - 1). Last epoch: "
            f"weights after the last epoch. {choices_note(best_selections(rows), best)}" + "".join(notes))


def render(rows: list[Row], style: str, note: str = "") -> str:
    """Render as `terminal`, `markdown` or `latex`, last and best weights side by side, or as `csv`.

    CSV is for other programs: one line per row, in full precision. note: what else is to be said below the table.
    """
    if style == "csv":
        return FORMATS[style](Row._fields, rows)
    return FORMATS[style](header(rows), grid(rows), 3, " ".join(filter(None, (footnote(rows), note))))
