"""Experiments in the order of what they reach on one test set: on held-out data of the source, to choose a model by."""

import math

from errors import choice_error
from reporting.metrics import CLASSIFIERS, METRICS, metric_of, reference_of, subject
from reporting.tables import Row


def ranked(rows: list[Row], by: str) -> tuple[list[Row], str]:
    """Order the experiments of each test set by their mean on the test set `by`, last epoch, best first.

    Returns the rows, and a sentence on their order. Of several metrics on `by` that are no floors or ceilings the first
    in the order of preference counts, and of several classifiers the first that an experiment has; experiments without
    a value come last. Raises UserError where nothing is recorded of `by`.
    """
    judged = sorted((row for row in rows if (row.dataset, row.checkpoint) == (by, "last")
                     and not reference_of(row.metric, row.classifier)), key=_preference)
    if not judged:
        raise choice_error("--rank-by: test set", by, dict.fromkeys(row.dataset for row in rows))
    chosen: dict[str, Row] = {}
    for row in judged:
        if row.metric == judged[0].metric:
            chosen.setdefault(row.experiment, row)
    sign = -1 if metric_of(judged[0].metric).higher_is_better else 1
    place = {name: sign * row.mean for name, row in chosen.items() if math.isfinite(row.mean)}
    blocks = list(dict.fromkeys((row.dataset, _subject(row)) for row in rows))
    ordered = sorted(rows, key=lambda row: (blocks.index((row.dataset, _subject(row))),
                                            place.get(row.experiment, math.inf)))
    what = " or ".join(dict.fromkeys(map(_subject, chosen.values())))
    return ordered, f"Experiments are in the order of {what} on {by}, last epoch, the best first."


def _subject(row: Row) -> str:
    return subject(row._asdict())


def _preference(row: Row) -> tuple[int, int]:
    families, names = list(METRICS), list(CLASSIFIERS)
    family = row.metric if row.metric in METRICS else f"{row.metric.partition('/')[0]}/"
    return (families.index(family) if family in families else len(families),
            names.index(row.classifier) if row.classifier in names else len(names))
