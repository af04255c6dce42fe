"""Two experiments compared across their common seeds: paired tests and effect size, from records."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from errors import UserError
from reporting.formats import FORMATS
from reporting.metrics import IGNORANT, METRICS, Metric, is_judged, metric_of, subject, title_of, units
from reporting.tables import Records, group, of_weights, samples_of, seed_values, span, weights_title

LEVEL = 0.05
# Two differences leave a t-test one degree of freedom: it then sees next to nothing, and normality is all it goes by.
LEAST_SEEDS = 3
# The smallest p that the exact test can give for n pairs is 2 / 2^n, so below six it cannot fall under 5 %.
LEAST_WILCOXON = 6


@dataclass(frozen=True)
class Comparison:
    """A less B over common seeds, in the unit of the metric (accuracies: points).

    low, high: 95 % confidence interval of the mean difference (t distribution); p_t: paired t-test; p_wilcoxon:
    Wilcoxon's signed-rank test; effect: Cohen's d of paired samples, the mean difference over its standard deviation
    (n - 1); samples: how many test images, of A and of B where they differ. All tests are two-sided; NaN where there
    are too few seeds, or nothing varies.
    """

    seeds: int
    mean_a: float
    mean_b: float
    difference: float
    low: float = math.nan
    high: float = math.nan
    p_t: float = math.nan
    p_wilcoxon: float = math.nan
    effect: float = math.nan
    samples: str = "-"


def paired(a: list[float], b: list[float]) -> Comparison:
    """Compare values of the same seeds, in the same order; empty lists give NaN."""
    if not a:
        return Comparison(0, math.nan, math.nan, math.nan)
    apart = np.subtract(a, b)
    found = (len(a), float(np.mean(a)), float(np.mean(b)), float(apart.mean()))
    # Equal differences up to rounding: no spread to measure anything against.
    if len(a) < LEAST_SEEDS or np.ptp(apart) < 1e-9:
        return Comparison(*found)
    from scipy import stats

    test = stats.ttest_rel(a, b)
    low, high = test.confidence_interval(0.95)
    # Rounding makes equal differences unequal, and ranks them.
    wilcoxon = float(stats.wilcoxon(apart.round(9)).pvalue) if len(a) >= LEAST_WILCOXON else math.nan
    return Comparison(*found, float(low), float(high), float(test.pvalue), wilcoxon,
                      float(apart.mean() / apart.std(ddof=1)))


def in_words(found: Comparison, a: str, b: str, metric: Metric = METRICS["accuracy"]) -> str:
    """Say what a comparison of the experiments named `a` and `b` tells."""
    other = f"; not the same test images ({found.samples})" if "/" in found.samples else ""
    return _told(found, a, b, metric) + other


def _told(found: Comparison, a: str, b: str, metric: Metric) -> str:
    if found.seeds < LEAST_SEEDS:
        return f"too few common seeds: {found.seeds}, at least {LEAST_SEEDS} needed"
    higher, lower = (a, b) if found.difference > 0 else (b, a)
    amount = metric.text(abs(found.difference)) + (" points" if metric.unit == "%" else "")
    if math.isnan(found.p_t):
        return ("equal for every seed" if abs(found.difference) < 1e-9 else
                f"{higher} {amount} above {lower} for every seed alike; no spread to test against")
    if found.p_t >= LEVEL:
        return f"not told apart: {higher} {amount} above {lower}, p = {found.p_t:.2g}"
    return f"{higher} {amount} above {lower}, p = {found.p_t:.2g}, {_size(abs(found.effect))} effect"


def _size(effect: float) -> str:
    """Name an effect's size as Cohen (1988) does."""
    return "large" if effect >= 0.8 else "medium" if effect >= 0.5 else "small" if effect >= 0.2 else "very small"


HEADER = ("dataset", "classifier", "weights", "in words", "A", "B", "A - B", "95 % interval", "p (t-test)",
          "p (Wilcoxon)", "effect d", "seeds", "test images")


def comparisons(records: Records, a: str, b: str, pool: bool = False,
                wanted: Callable[[str], bool] = is_judged) -> list[tuple[str, str, str, str, Comparison]]:
    """Return test set, classifier or metric, checkpoint, metric's name and comparison of what both were evaluated on.

    Classifiers are compared with themselves; a network's own predictions, which have none beside them, with all. Raises
    UserError where the experiments have nothing in common.
    """
    own = (row for row in records if row["experiment"] in (a, b) and row["classifier"] not in IGNORANT)
    groups = group(of_weights(own, wanted), pool)
    pairs = [(key, other) for key in groups for other in groups
             if (key.experiment, other.experiment) == (a, b) and key.checkpoint == other.checkpoint
             and key[:4] == other[:4] and (key.classifier == other.classifier
                                           or "network" in (key.classifier, other.classifier))]
    if not pairs:
        raise UserError(f"--compare: {a} and {b} have no test set, classifier and weights in common")
    found = []
    for key, other in pairs:
        ours, theirs, scale = seed_values(groups[key]), seed_values(groups[other]), metric_of(key.metric).scale
        common = [seed for seed in sorted(ours.keys() & theirs.keys())
                  if math.isfinite(ours[seed]) and math.isfinite(theirs[seed])]
        pair = paired([scale * ours[seed] for seed in common], [scale * theirs[seed] for seed in common])
        what = " / ".join(dict.fromkeys(subject(each._asdict()) for each in (key, other)))
        images = [span(samples_of(groups[each])[seed] for seed in common) for each in (key, other)]
        pair = replace(pair, samples="/".join(dict.fromkeys(images)) or "-")
        found.append((title_of(*key[:3]), what, key.checkpoint, key.metric, pair))
    return sorted(found, key=lambda each: (each[0], each[3] != "accuracy", each[3], each[1], each[2] != "last"))


def render(records: Records, a: str, b: str, pool: bool, style: str,
           wanted: Callable[[str], bool] = is_judged) -> str:
    """Render the comparison of two experiments in one of the formats; `csv` in full precision."""
    names = ("dataset", "classifier", "checkpoint", *Comparison.__dataclass_fields__, "in_words", "metric")
    exact, lines, pairs = [], [], comparisons(records, a, b, pool, wanted)
    chosen = [row["selection"] for row in records if row["experiment"] in (a, b) and row["checkpoint"] == "best"]
    for data, what, checkpoint, name, found in pairs:
        said = in_words(found, a, b, metric_of(name))
        exact.append((data, what, checkpoint, *vars(found).values(), said, name))
        lines.append((data, what, weights_title(checkpoint, chosen), said, *_cells(found, metric_of(name))))
    if style == "csv":
        return FORMATS[style](names, exact)
    tests = sum(math.isfinite(found.p_t) for *_, found in pairs)
    return FORMATS[style](HEADER, lines, 4, _note(a, b, units(name for *_, name, _ in pairs), tests))


def _cells(found: Comparison, metric: Metric) -> list[str]:
    interval = f"{metric.text(found.low, sign='+')} to {metric.text(found.high, sign='+')}"
    numbers = (metric.text(found.mean_a), metric.text(found.mean_b), metric.text(found.difference, sign="+"), interval,
               f"{found.p_t:.2g}", f"{found.p_wilcoxon:.2g}", f"{found.effect:+.2f}")
    return ["-" if text.endswith("nan") else text for text in numbers] + [str(found.seeds), found.samples]


def _note(a: str, b: str, shown: str, tests: int) -> str:
    chance = (f" {tests} tests, p not corrected for their number: at {LEVEL:g}, {tests * LEVEL:.2g} would be expected "
              "by chance alone." if tests else "")
    return (f"A: {a}, B: {b}; {shown}, means over the seeds that both have. Two-sided paired t-test, from "
            f"{LEAST_SEEDS} common seeds on; it takes the differences to be normal. Wilcoxon's signed-rank test, from "
            f"{LEAST_WILCOXON} on, does not; with fewer pairs it cannot fall below {LEVEL}. Effect d: mean difference "
            "over the standard deviation of the differences (n - 1); 0.2 small, 0.5 medium, 0.8 large. Seeds stand for "
            f"repeated training, not for other test images.{chance}")
