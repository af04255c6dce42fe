"""Curves over the epochs, mean and spread over seeds, from records."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from reporting.metrics import CLASSIFIERS, metric_of, reference_of, title_of
from reporting.style import PAGE_INCHES, line_style, new_figure, save
from reporting.tables import Records, cell, group, seed_values, span

COLUMNS = 3
PANEL_HEIGHT = 1.85
# Characters of a title that fit above a panel.
TITLE = 40
# And of a label that fit beside one.
LABEL = 22
# Losses that span more than this factor within a panel are drawn on a logarithmic axis.
WIDE = 20


@dataclass(frozen=True)
class Curve:
    """Epochs (n,) of one experiment in a panel; mean, deviation (n - 1, NaN for one) and number of seeds at each."""

    experiment: str
    epochs: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    seeds: np.ndarray


Panels = dict[tuple[str, str], list[Curve]]


def curves(records: Records, metric: str, pool: bool = False) -> Panels:
    """Return panel -> curves of a metric, by its name before a slash (`accuracy`, `loss`), in its unit, sorted by name.

    A panel is a classifier and its test set, or a loss and the data it is of; the total loss goes first. Values that
    are not finite, records that do not say their epoch, and floors and ceilings, which do not change, are left out.
    """
    wanted = [row for row in records if row["metric"].partition("/")[0] == metric and row["checkpoint"] == "epoch"
              and row["epoch"] is not None and math.isfinite(row["value"])]
    names = {row["metric"] for row in wanted}
    still = {name for name in names if (floor := reference_of(name, "")) and floor.metric in names}
    points: dict[tuple[tuple[str, str], str], list[tuple[int, float, float, int]]] = defaultdict(list)
    for key, seeds in group((row for row in wanted if row["metric"] not in still), pool).items():
        shown = metric_of(key.metric)
        what = key.metric.partition("/")[2] or CLASSIFIERS.get(key.classifier, key.classifier) or shown.title
        mean, std, _, count = cell(seed_values(seeds).values(), shown)
        points[(what, title_of(*key[:3])), key.experiment].append((key.epoch, mean, std, count))
    panels: Panels = defaultdict(list)
    for (panel, experiment), found in sorted(points.items(), key=lambda each: (each[0][0][0] != "total", each[0])):
        panels[panel].append(Curve(experiment, *(np.array(values) for values in zip(*found, strict=True))))
    return dict(panels)


def draw_curves(path: Path, found: dict[str, Panels]) -> list[Path]:
    """Draw the panels of metrics, one after the other, under one legend, as PDF and PNG; return their paths.

    Percentages of a metric that is alone share a scale.
    """
    panels = [(metric, *panel, lines) for metric, each in found.items() for panel, lines in each.items()]
    rows, columns = -(-len(panels) // COLUMNS), min(COLUMNS, len(panels))
    drawn = [curve for *_, lines in panels for curve in lines]
    names = sorted({curve.experiment for curve in drawn})
    labels = [f"{name} ({_count(drawn, name)})" for name in names]
    width = PAGE_INCHES * max(columns, 1.5) / COLUMNS
    legend_columns = max(1, min(len(names), int(width // (0.5 + 0.055 * max(map(len, labels))))))
    figure = new_figure(width, PANEL_HEIGHT * rows + 0.17 * -(-len(names) // legend_columns) + 0.42)
    figure.get_layout_engine().set(hspace=0.06, wspace=0.04)
    shared = len(found) == 1 and metric_of(panels[0][0]).unit == "%"
    grid = figure.subplots(rows, columns, squeeze=False, sharey=shared).ravel()
    for ax in grid[len(panels):]:
        ax.remove()
    for number, (ax, (metric, what, data, lines)) in enumerate(zip(grid, panels, strict=False)):
        bottom = _bottom(lines) if metric == "loss" else -math.inf
        _panel(ax, lines, names, bottom)
        ax.set_title("\n".join([f"{what} loss" if metric == "loss" else what, *wrap(data, TITLE)]))
        ax.set_xlabel("epoch" if number + columns >= len(panels) else "")
        same = number % columns and panels[number - 1][0] == metric
        ax.set_ylabel("" if same else "\n".join(wrap(metric_of(metric).label, LABEL)))
        if math.isfinite(bottom):
            _make_logarithmic(ax, bottom)
    handles = [Line2D([], [], marker="o", markersize=2, **line_style(number)) for number in range(len(names))]
    figure.legend(handles, labels, loc="outside lower center", ncols=legend_columns, title=describe(drawn) or None,
                  title_fontsize=7)
    return save(figure, path)


def describe(found: Iterable[Curve]) -> str:
    """Say what lines, bands and bars are; nothing where every line is a single seed."""
    several = any(curve.seeds.max() > 1 for curve in found)
    return "mean ± standard deviation over seeds (n - 1)" if several else ""


def _panel(ax: Axes, found: list[Curve], names: list[str], bottom: float) -> None:
    for curve in found:
        style = line_style(names.index(curve.experiment))
        few = len(curve.epochs) <= 30
        ax.plot(curve.epochs, curve.mean, label=curve.experiment, marker="o" if few else None, markersize=2, **style)
        # A band that reaches down to zero would end in a cliff, and stretch a logarithmic axis without end.
        low, high = np.maximum(curve.mean - curve.std, bottom), curve.mean + curve.std
        ax.fill_between(curve.epochs, low, high, where=np.isfinite(curve.std), alpha=0.2, color=style["color"],
                        linewidth=0)
        if len(curve.epochs) == 1:
            # A band has no width there.
            ax.errorbar(curve.epochs, curve.mean, curve.std, color=style["color"], capsize=2, linewidth=0.8)
    ax.grid(axis="y")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _bottom(found: list[Curve]) -> float:
    """Return where a logarithmic axis of losses that span a wide range ends, minus infinity for others."""
    values = np.concatenate([curve.mean for curve in found])
    return values.min() / 1.5 if values.min() > 0 and values.max() > WIDE * values.min() else -math.inf


def _make_logarithmic(ax: Axes, bottom: float) -> None:
    ax.set_yscale("log")
    # Plain numbers: mathematical notation is off, for names that hold dollar signs.
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(bottom=bottom)


def _count(found: list[Curve], name: str) -> str:
    """Say over how many seeds an experiment's curves go."""
    text = span(count for curve in found if curve.experiment == name for count in curve.seeds)
    return f"{text} seed{'' if text == '1' else 's'}"
