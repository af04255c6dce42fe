"""The MPI3D score over seeds, from records, beside the published one (Table S5)."""

import math
from collections import defaultdict
from typing import NamedTuple

from paper.published import TABLE_S5
from paper.tables import Entry
from reporting import tables
from reporting.formats import FORMATS
from reporting.metrics import metric_of
from reporting.tables import Records, beside, best_selections, choices, slashed, weights_title

METRICS = ("ssim", "lpips", "l1")
KNOWN = ("ssim", "lpips")
COMPARISONS = ("synthetic", "real")
SCORES = {f"{metric}/{against}" for metric in METRICS for against in COMPARISONS}


class Row(NamedTuple):
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


def summarise(entries: list[Entry]) -> list[Row]:
    """Summarise the scores of runs of Table S5, sorted; those over different numbers of images stay apart.

    Runs that depart from the published ones have no published value.
    """
    groups: dict[tuple[tuple[str, ...], bool, int], Records] = defaultdict(list)
    for entry in entries:
        for row in entry.records if entry.table == "s5" else ():
            groups[entry.row, not entry.departures, row["n"]].append(row)
    found = []
    for (place, as_published, images), records in groups.items():
        for row in tables.summarise(records, wanted=SCORES.__contains__):
            metric, _, against = row.metric.partition("/")
            known = TABLE_S5.get(place, {}) if as_published and against == "synthetic" else {}
            found.append(Row(row.experiment, *place, row.checkpoint, row.selection, images, against, metric, row.mean,
                             row.std, row.seeds, known.get(metric, math.nan)))
    return sorted(found, key=lambda row: (row.trained_on, row.experiment, row.model, row.variant,
                                          row.checkpoint != "last", row.images, COMPARISONS.index(row.compared_with),
                                          METRICS.index(row.metric)))


HEADER = ("experiment", "trained on", "model", "variant", "weights", "compared with",
          *(name for metric in METRICS for name in [metric_of(metric).arrow, *["published"] * (metric in KNOWN)]),
          "seeds", "images")
FOOTNOTE = ("Reconstructions of the real images of MPI3D (large objects), compared with the synthetic image that has "
            "the same factors, or with the real image itself; mean over images, then mean ± sample standard deviation "
            "(n - 1) over seeds. SSIM: higher is better. LPIPS: AlexNet, lower is better. L1: mean absolute error per "
            "pixel and channel, of values in [0, 1]. Published: Table S5.")


def grid(rows: list[Row]) -> list[tuple[str, ...]]:
    """Arrange rows as text cells under HEADER: the metrics side by side, `-` where there is none."""
    names = ("experiment", "trained_on", "model", "variant", "checkpoint", "compared_with", "images")
    return [(*key[:4], weights_title(key[4], best_selections(found.values())), key[5],
             *(part for metric in METRICS for part in _cells(found, metric)),
             slashed(row.seeds for row in found.values()), str(key[6]))
            for key, found in beside(rows, names, "metric").items()]


def _cells(found: dict[str, Row], metric: str) -> list[str]:
    row, text = found.get(metric), metric_of(metric).text
    published = ["-" if row is None or math.isnan(row.published) else text(row.published)] if metric in KNOWN else []
    return ["-" if row is None else text(row.mean, row.std), *published]


def footnote(rows: list[Row]) -> str:
    """Explain the columns, with the data that the best weights were chosen on."""
    return " ".join([FOOTNOTE, *(f"{name.capitalize()}: weights of the epoch with the {by}."
                                 for name, by in choices(best_selections(rows)).items())])


def render(rows: list[Row], style: str) -> str:
    """Render as `terminal`, `markdown` or `latex`, the metrics side by side, or as `csv`: a line per row, in full."""
    if style == "csv":
        return FORMATS[style](Row._fields, rows)
    return FORMATS[style](HEADER, grid(rows), 6, footnote(rows))
