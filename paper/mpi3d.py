"""The MPI3D score over seeds, from records, beside the published one (Table S5)."""

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass, fields
from typing import Any

from paper.published import TABLE_S5
from reporting.formats import FORMATS

METRICS = {"ssim": "SSIM ↑", "lpips": "LPIPS ↓", "l1": "L1 ↓"}
COMPARISONS = ("synthetic", "real")


@dataclass(frozen=True)
class Origin:
    """Where records come from: what was trained on, the model's name in Table S5, whether it has that table's sizes."""

    trained_on: str
    model: str
    variant: str
    as_published: bool


@dataclass(frozen=True)
class Row:
    """One score over the seeds of an experiment.

    compared_with: `synthetic` (the image with the same factors) or `real` (the input); metric: ssim, lpips or l1;
    std: sample standard deviation (n - 1), NaN for a single seed; images: behind the score of each seed; published:
    Table S5's value, NaN where it has none.
    """

    experiment: str
    trained_on: str
    model: str
    variant: str
    checkpoint: str
    selection: str
    images: int
    compared_with: str
    metric: str
    mean: float
    std: float
    seeds: int
    published: float


def summarise(records: list[tuple[Origin, dict[str, Any]]]) -> list[Row]:
    """Group score records into rows, sorted; scores over different numbers of images stay apart."""
    groups: dict[tuple[Any, ...], dict[int, dict[str, Any]]] = defaultdict(dict)
    for origin, row in records:
        metric, _, against = row["metric"].partition("/")
        if metric in METRICS and against in COMPARISONS:
            key = (row["experiment"], origin, row["checkpoint"], row["n"], against, metric)
            groups[key][row["seed"]] = row
    return [_row(*key, list(rows.values())) for key, rows in sorted(groups.items(), key=lambda item: _order(*item[0]))]


def _order(experiment: str, origin: Origin, checkpoint: str, images: int, against: str, metric: str) -> tuple[Any, ...]:
    return (origin.trained_on, experiment, origin.model, origin.variant, checkpoint != "last", images,
            COMPARISONS.index(against), list(METRICS).index(metric))


def _row(experiment: str, origin: Origin, checkpoint: str, images: int, against: str, metric: str,
         rows: list[dict[str, Any]]) -> Row:
    values = [row["value"] for row in rows]
    name = (origin.trained_on, origin.model, origin.variant)
    known = TABLE_S5.get(name, {}) if origin.as_published and against == "synthetic" else {}
    return Row(
        experiment, *name, checkpoint, "; ".join(dict.fromkeys(row["selection"] for row in rows)), images, against,
        metric, statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan, len(values),
        known.get(metric, math.nan),
    )  # fmt: skip


HEADER = ("experiment", "trained on", "model", "variant", "weights", "compared with", "SSIM ↑", "published",
          "LPIPS ↓", "published", "L1 ↓", "seeds", "images")
FOOTNOTE = ("Reconstructions of the real images of MPI3D (large objects), compared with the synthetic image that has "
            "the same factors, or with the real image itself; mean over images, then mean ± sample standard deviation "
            "(n - 1) over seeds. SSIM: higher is better. LPIPS: AlexNet, lower is better. L1: mean absolute error per "
            "pixel and channel, of values in [0, 1]. Published: Table S5")


def grid(rows: list[Row]) -> list[tuple[str, ...]]:
    """Arrange rows as text cells under HEADER: the metrics side by side, `-` where there is none."""
    lines: dict[tuple[Any, ...], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        weights = "last epoch" if row.checkpoint == "last" else "oracle"
        key = (row.experiment, row.trained_on, row.model, row.variant, weights, row.compared_with, row.images)
        lines[key][row.metric] = row
    return [(*map(str, key[:-1]), *_cells(found), str(key[-1])) for key, found in lines.items()]


def _cells(found: dict[str, Row]) -> list[str]:
    cells = []
    for metric in METRICS:
        row = found.get(metric)
        spread = "" if row is None or math.isnan(row.std) else f" ± {row.std:.3f}"
        cells.append("-" if row is None else f"{row.mean:.3f}{spread}")
        if metric != "l1":
            cells.append("-" if row is None or math.isnan(row.published) else f"{row.published:.3f}")
    seeds = sorted({row.seeds for row in found.values()})
    return [*cells, "/".join(map(str, seeds))]


def footnote(rows: list[Row]) -> str:
    """Explain the columns, with the data that the oracle looked at."""
    chosen = {part for row in rows if row.checkpoint == "best" for part in row.selection.split("; ")}
    oracles = sorted(part.removeprefix("oracle: ") for part in chosen)
    return f"{FOOTNOTE}. Oracle: weights of the epoch with the {'; '.join(oracles)}." if oracles else f"{FOOTNOTE}."


def render(rows: list[Row], style: str) -> str:
    """Render as `terminal`, `markdown` or `latex`, the metrics side by side, or as `csv`: a line per row, in full."""
    if style == "csv":
        names = [field.name for field in fields(Row)]
        return FORMATS[style](names, [[getattr(row, name) for name in names] for row in rows])
    return FORMATS[style](HEADER, grid(rows), 6, footnote(rows))
