"""Figures of what is taken for what: confusion matrices, and accuracy by seat and by class."""

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from reporting.classwise import Classwise
from reporting.style import COLOURS, PAGE_INCHES, SEQUENTIAL, new_figure, save

# Up to so many classes, cells have room for a number.
NUMBERED = 12
# Up to so many, the axes have room for names.
NAMED = 40
TOTAL = "#808080"


def draw_classwise(folder: Path, found: Classwise) -> list[Path]:
    """Draw the confusion matrix of each seat, pooled over seeds, above bars of accuracies, mean and spread over seeds.

    Writes `<experiment>_<data>_<classifier>_<weights>` as PDF and PNG and returns their paths.
    """
    shown, several = found.occurring, len(found.seats) > 1
    seeds = f"{len(found.whole)} seed{'s' if len(found.whole) > 1 else ''}"
    figure = new_figure(PAGE_INCHES, 4.5 if several else 3.1)
    names = [found.classes[number] for number in shown]
    if several:
        top, bottom = figure.subfigures(2, 1, height_ratios=(1.25, 1))
        left, right = bottom.subplots(1, 2, width_ratios=(1, 2))
        _bars(left, ["all seats", *found.seats], np.column_stack([found.whole, found.by_seat])[:, None],
              colours=[[TOTAL, *COLOURS]])
        _bars(right, names, found.recall[:, :, shown], COLOURS, found.seats)
        left.set(xlabel="seat", ylabel="accuracy (%)", title="by seat, over all classes")
        right.set_title("by true class")
    else:
        top, bottom = figure.subfigures(1, 2, width_ratios=(1.15, 1))
        right = bottom.subplots()
        _bars(right, ["all", *names], np.column_stack([found.whole, found.recall[:, 0, shown]])[:, None],
              colours=[[TOTAL, *[COLOURS[0]] * len(shown)]])
    right.set(xlabel="true class", ylabel="recognised (%)")
    matrices = top.subplots(1, len(found.seats), sharey=True, squeeze=False)[0]
    for seat, (ax, name) in enumerate(zip(matrices, found.seats, strict=True)):
        image = _matrix(ax, found, seat, shown)
        ax.set(title=f"{name} seat" if name in ("left", "middle", "right") else name, xlabel="predicted class")
    matrices[0].set_ylabel("true class")
    top.colorbar(image, ax=list(matrices), label="share of true class (%)", shrink=0.8, pad=0.02)
    figure.get_layout_engine().set(wspace=0.05, hspace=0.04, h_pad=0.05)
    figure.suptitle(f"{found.experiment}: {found.classifier} on {found.data}, {found.weights}, {seeds}")
    if len(found.whole) > 1:
        figure.supxlabel("matrices: all seeds together; bars: mean ± standard deviation (n - 1), a dot per seed",
                         fontsize=7)
    name = f"{found.experiment} {found.data} {found.classifier} {found.weights}"
    return save(figure, folder / re.sub(r"[^\w.-]+", "_", name).strip("_"))


def _matrix(ax: Axes, found: Classwise, seat: int, shown: list[int]) -> AxesImage:
    """Draw shares of each true class in percent; rows of classes that never occur at this seat stay grey."""
    shares = 100 * found.confusion[seat][np.ix_(shown, shown)]
    colours = matplotlib.colormaps[SEQUENTIAL].with_extremes(bad="#e8e8e8")
    image = ax.imshow(np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=100)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    names = [found.classes[number] for number in shown]
    if len(shown) <= NAMED:
        long = max(map(len, names)) > 2
        ax.set_xticks(range(len(shown)), names, rotation=30 if long else 0, ha="right" if long else "center")
        ax.set_yticks(range(len(shown)), names)
    if len(shown) <= NUMBERED:
        for row, column in np.argwhere(shares > 0):
            ax.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=7,
                    color="white" if shares[row, column] > 55 else "black")
    return image


def _bars(ax: Axes, names: list[str], values: np.ndarray, colours: Sequence[str | list[str]],
          series: Sequence[str] = ("",)) -> None:
    """Draw values (seeds, series, names) in [0, 1]: means, deviations, a dot per seed; colours: per series or bar."""
    width = 0.8 / len(series)
    for number, label in enumerate(series):
        percent = 100 * values[:, number]
        at = np.arange(len(names)) + (number - (len(series) - 1) / 2) * width
        known = np.isfinite(percent).all(axis=0)
        means = np.where(known, percent.mean(axis=0), np.nan)
        std = percent.std(axis=0, ddof=1) if len(percent) > 1 else None
        picked = colours[number % len(colours)]
        # From the beginning again, where there are more bars than colours.
        colour = picked if isinstance(picked, str) else [picked[bar % len(picked)] for bar in range(len(names))]
        ax.bar(at, means, width * 0.92, color=colour, label=label or None, yerr=std,
               error_kw={"elinewidth": 0.8, "capsize": 1.5})
        if len(percent) > 1:
            for seed in percent:
                ax.plot(at + 0.2 * width, seed, ".", color="black", markersize=2.5)
    ax.set_ylim(0, 105)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    if len(names) <= NAMED:
        ax.set_xticks(range(len(names)), names)
    if len(series) > 1:
        ax.legend(title="seat", loc="upper left", bbox_to_anchor=(1, 1))
