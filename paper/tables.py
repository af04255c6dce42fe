"""The paper's tables with our figures beside the published ones, from records."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from experiment.run import Run
from paper.placement import departures, look_of, paper_row
from paper.published import TABLE_4_3, TABLE_6_2, TABLE_S5, TABLE_S6, TABLE_S7, Published
from reporting.metrics import CLASSIFIERS, Metric, metric_of, title_of
from reporting.tables import WEIGHTS, Cell, cell, group, of_weights

Row = tuple[str, ...]
UNPUBLISHED = Published(math.nan)


@dataclass(frozen=True)
class Column:
    """One column of published results, and the records that belong into it.

    dataset: of the records, empty where rows say it; classifiers: whose records count; samples: test images behind the
    published values, where known; published: row -> result; factor: of the test set, None for any.
    """

    name: str
    dataset: str
    split: str
    classifiers: tuple[str, ...]
    published: dict[Row, Published]
    samples: int | None = None
    factor: str | None = ""
    metric: str = "accuracy"

    @property
    def shown(self) -> Metric:
        return metric_of(self.metric)

    def holds(self, record: dict[str, Any]) -> bool:
        """Say whether a record of the last or the best weights belongs into this column."""
        names = ("dataset", "split", "metric") if self.dataset else ("split", "metric")
        return (all(record[name] == getattr(self, name) for name in names)
                and self.factor in (record["factor"], None) and record["classifier"] in self.classifiers
                and record["checkpoint"] in WEIGHTS)


@dataclass(frozen=True)
class Table:
    """A table of the paper. like: which of our weights its figures are compared with, `last` or `best`."""

    title: str
    names: tuple[str, ...]
    columns: tuple[Column, ...]
    like: str
    remark: str


def _column(name: str, dataset: str, split: str, classifiers: tuple[str, ...], table: dict[Any, dict[str, Any]],
            key: str, samples: int | None = None, **others: Any) -> Column:
    found = {row: values[key] for row, values in table.items() if key in values}
    published = {row: each if isinstance(each, Published) else Published(each) for row, each in found.items()}
    return Column(name, dataset, split, classifiers, published, samples, **others)


def _s5(metric: str) -> Column:
    shown = metric_of(metric)
    return _column(f"{shown.title} ({'higher' if shown.higher_is_better else 'lower'} is better)", "mpi3d", "all",
                   ("",), TABLE_S5, metric, factor="real", metric=f"{metric}/synthetic")


def _4_3(name: str, metric: str, key: str = "", samples: int | None = None) -> Column:
    return _column(name, "carla", "test", ("",), TABLE_4_3, key, samples, factor=None, metric=metric)


def _shapes(name: str, metric: str) -> Column:
    return _column(name, "", "test", ("network",), TABLE_6_2, metric, 7500, metric=metric)


# The network classifies for itself; in the latent space of an autoencoder kNN does.
_S6 = ("knn", "network")

TABLES = {
    "s5": Table("Table S5", ("trained on", "model", "variant"), (_s5("ssim"), _s5("lpips")), "last",
                "Table S5: reconstructions of real MPI3D images, compared with the synthetic images that have the same "
                "factors. The paper does not say which epoch; the difference is that of the last one."),
    "s6": Table("Table S6", ("model", "variant"), (
        _column("TICaM", "ticam", "all", _S6, TABLE_S6, "ticam", 13356),
        _column("SVIRO", "sviro", "train", _S6, TABLE_S6, "sviro", 11959),
        _column("SVIRO-Illumination", "sviro_illumination", "all", _S6, TABLE_S6, "sviro_illumination"),
    ), "best", "Table S6: accuracy in % of classifiers, and of kNN in the latent space of autoencoders. The published "
               "figures are an oracle's over ten runs (of each the epoch that is best on TICaM), so the difference is "
               "that of our best weights. SVIRO-Illumination: published beside the weights, as means only."),
    "s7": Table("Table S7", ("model",), tuple(
        _column(CLASSIFIERS[key], "digit_photos", "all", (key,), TABLE_S7, key) for key in ("knn", "forest", "svm")
    ), "last", "Table S7: accuracy in % on photographed digits after training on MNIST. The paper does not say which "
               "epoch; the difference is that of the last one. The SVM of II-E-TAE is not printed clearly there."),
    "4.3": Table("Table 4.3", ("λ_out", "λ_in"), (
        _4_3("overall accuracy", "agreement/translated", "overall", 400),
        _4_3("mean accuracy", "agreement_mean/translated", "mean", 400),
        _4_3("mIoU", "agreement_miou/translated", "miou", 400), _4_3("FID", "fid", "fid", 400),
        _4_3("1000 × kernel distance of EfficientNet-Lite0's features", "kernel/translated"),
        _4_3("Fréchet distance of EfficientNet-Lite0's features", "frechet/translated"),
    ), "last", "Table 4.3 of the label-consistent swapping autoencoder: what a judge that was trained on real images "
               "finds of the labels in translated ones, in %, and the distance to real images. Below its rows what the "
               "same judge finds in untranslated images (floor) and in real ones (ceiling), which is not published. "
               "FID is that of Inception's features; those of EfficientNet-Lite0 have other distances. One run per "
               "row, and which epoch is not said."),
    "6.2": Table("Table 6.2", ("trained on", "tested on"), (
        _shapes("precision, prediction → truth", "precision"), _shapes("coverage, truth → prediction", "coverage"),
        _shapes("Chamfer distance, sum of both", "chamfer"),
        _shapes("accuracy of poses at 30° in %", "pose_accuracy"),
        _shapes("median error of poses in °", "pose_median"),
    ), "last", "Table 6.2 (Annotation Invariant Style Transfer): shape and pose of cars, last weights; distances "
               "times 100, by the diagonal of a model's box. Published are single runs on 7497 cars of ShapeNet; ours "
               "on other cars cannot be compared with them, only with each other. Views in a folder whose name ends in "
               "stylised_2 are Stylized 2, and so on; all others are Original."),
}  # fmt: skip


# Floor and ceiling of translations: rows, and whose metrics stand there.
BESIDE = {("untranslated", "-"): "/untranslated", ("real images", "-"): "/real"}


class Entry(NamedTuple):
    """A run: where its config puts it (table, row), in what it departs from the published runs, and its records."""

    experiment: str
    seed: int
    table: str
    row: Row
    departures: tuple[str, ...]
    records: list[dict[str, Any]]


def place(run: Run, records: list[dict[str, Any]]) -> list[Entry]:
    """Return a run's entries in the papers' tables, none where it belongs to none; published runs depart in nothing.

    A translation has two more, of its floor and its ceiling; shape and pose has one for each test set.
    """
    config, found = run.config, paper_row(run.config)
    shapes = config.model.type == "point_cloud"
    departs = tuple(departures(config)) if (found or shapes) and not run.published else ()
    if shapes:
        looks = dict.fromkeys(look_of(Path(root).name) for root in config.dataset.roots)
        trained, name = " + ".join(looks), config.dataset.name
        tested = {row["dataset"] for row in records if row["dataset"].startswith(f"{name} ")}
        return [Entry(run.experiment, config.training.seed, "6.2", (trained, look_of(title)), departs,
                      [row for row in records if row["dataset"] == title]) for title in sorted(tested)]
    if not found:
        return []
    if not run.published:
        departs = (*(f"dataset.root = a copy by {maker} (rendered)" for maker in run.translated_by if maker), *departs)
    entries = [Entry(run.experiment, config.training.seed, *found, departs, records)]
    for row, kind in BESIDE.items() if found[0] == "4.3" else ():
        same = [record | {"metric": record["metric"].replace(kind, "/translated")} for record in records
                if record["metric"].endswith(kind)]
        entries.append(Entry(run.experiment, config.training.seed, "4.3", row, (), same))
    return entries


@dataclass(frozen=True)
class Line:
    """One row of one column: the published figure, and ours of one experiment (empty where there is none).

    runs: how many of the experiment were given, whether they have a figure or not; images: test images; notes: what
    sets the experiment apart from the published runs, or is wrong with it; selection: how the best weights were chosen.
    """

    row: Row
    published: Published
    experiment: str = ""
    scores: dict[str, Cell] = field(default_factory=dict)
    runs: int = 0
    images: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    selection: str = ""


def lines(table: Table, column: Column, entries: list[Entry]) -> list[Line]:
    """Return the paper's rows in its order, and below them ours that it does not have; every experiment has its line.

    Runs of an experiment whose configs depart in different ways from the published ones have lines of their own.
    """
    groups: dict[tuple[Row, str, tuple[str, ...]], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.row, entry.experiment, entry.departures].append(entry)
    known = list(dict.fromkeys(row for each in table.columns for row in each.published))
    others = sorted({row for row, _, _ in groups} - set(known))
    found = []
    for row in [*known, *others]:
        published = column.published.get(row, UNPUBLISHED)
        ours = [_line(table, column, group) for key, group in sorted(groups.items()) if key[0] == row]
        found += ours or [Line(row, published)]
    return found


def _line(table: Table, column: Column, entries: list[Entry]) -> Line:
    first = entries[0]
    departures = ", ".join(first.departures)
    notes = [f"departs from the published runs (theirs in brackets): {departures}"] if departures else []
    scores, sizes, chosen = {}, set(), ""
    groups = group(row for entry in entries for row in entry.records if column.holds(row))
    parts = list(dict.fromkeys((key.dataset, key.factor) for key in groups))
    if len(parts) > 1:
        named = [f"{data} ({factor})" if factor else data for data, factor in parts]
        notes.append(f"{column.name}: tested on several, shown is {named[0]}, not {', '.join(named[1:])}")
    for key, seeds in groups.items():
        if (key.dataset, key.factor) != parts[0]:
            continue
        rows = {seed: row for seed, factors in seeds.items() for row in factors.values()}
        finite = {seed: row for seed, row in rows.items() if math.isfinite(row["value"])}
        lost = ", ".join(str(seed) for seed in sorted(rows.keys() - finite.keys()))
        if lost:
            notes.append(f"not a number, left out of {column.name}, {key.checkpoint}: seed {lost}")
        if finite:
            scores[key.checkpoint] = cell((row["value"] for row in finite.values()), column.shown)
            sizes |= {row["n"] for row in finite.values()}
        if key.checkpoint == "best":
            chosen = "; ".join(sorted({row["selection"] for row in finite.values()}))
    if len(sizes) > 1:
        notes.append(f"{column.name}: not all seeds were tested on the same number of images")
    if column.samples and sizes - {column.samples}:
        notes.append(f"{column.name}: published on {column.samples} test images")
    published = column.published.get(first.row, UNPUBLISHED)
    runs = len({entry.seed for entry in entries})
    return Line(first.row, published, first.experiment, scores, runs, tuple(sorted(sizes)), tuple(notes), chosen)


def difference(table: Table, line: Line) -> float:
    """Return our mean less the published one, of the weights that the table's figures belong to; NaN if one lacks."""
    score = line.scores.get(table.like)
    return math.nan if score is None else score.mean - line.published.mean


def marks(values: Sequence[tuple[float, float]], metric: Metric) -> list[str]:
    """Mark the best of (mean, std) pairs: `*` for the best, also where it ties with others as printed; `≈` where the
    intervals mean ± std overlap with that of the best; nothing for the others, for NaN, and in a column of one."""
    sign = 1 if metric.higher_is_better else -1
    present = [(sign * mean, std) for mean, std in values if math.isfinite(mean)]
    if len(present) < 2:
        return [""] * len(values)
    best, spread = max(present, key=lambda pair: pair[0])
    # Without a spread on both sides (a single seed) there is nothing to overlap.
    return ["*" if metric.text(sign * mean) == metric.text(best) else "≈" if sign * mean + std >= best - spread else ""
            for mean, std in values]


def unplaced(table: Table, entries: list[Entry]) -> list[str]:
    """Name the test sets that entries have figures on, and no column of the table."""
    measures, beside = {column.metric.partition("/")[0] for column in table.columns}, tuple(BESIDE.values())
    rows = of_weights((row for entry in entries for row in entry.records),
                      lambda name: name.partition("/")[0] in measures and not name.endswith(beside))
    return sorted({f"{title_of(row['dataset'], row['factor'], row['split'])}, {row['classifier'] or row['metric']}"
                   for row in rows if not any(column.holds(row) for column in table.columns)})
