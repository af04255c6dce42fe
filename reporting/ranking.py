"""Experiments in the order of what they reach on one test set: on held-out data of the source, to choose a model by."""

import math

from errors import choice_error
from reporting.metrics import CLASSIFIERS, METRICS, metric_of, subject
from reporting.tables import Row


def ranked(rows: list[Row], by: str) -> tuple[list[Row], str]:
    """Order the experiments of each test set by their mean on the test set `by`, last epoch, best first.

    Returns the rows, and a sentence on their order. Of several metrics and classifiers on `by` the first in the order
    of preference counts; experiments without a value come last. Raises UserError where nothing is recorded of `by`.
    """
    judged = [row for row in rows if (row.dataset, row.checkpoint) == (by, "last")]
    if not judged:
        raise choice_error("--rank-by: test set", by, dict.fromkeys(row.dataset for row in rows))
    first = min(judged, key=_preference)
    sign = -1 if metric_of(first.metric).higher_is_better else 1
    place = {row.experiment: sign * row.mean for row in judged if _subject(row) == _subject(first)
             and math.isfinite(row.mean)}
    blocks = list(dict.fromkeys((row.dataset, _subject(row)) for row in rows))
    ordered = sorted(rows, key=lambda row: (blocks.index((row.dataset, _subject(row))),
                                            place.get(row.experiment, math.inf)))
    return ordered, f"Experiments are in the order of {_subject(first)} on {by}, last epoch, the best first."


def _subject(row: Row) -> str:
    return subject(row._asdict())


def _preference(row: Row) -> tuple[int, int]:
    families, names = list(METRICS), list(CLASSIFIERS)
    family = row.metric if row.metric in METRICS else f"{row.metric.partition('/')[0]}/"
    return (families.index(family) if family in families else len(families),
            names.index(row.classifier) if row.classifier in names else len(names))
