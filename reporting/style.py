"""One look for all figures: readable at 8 pt in a two-column paper."""

from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

PAGE_INCHES = 7.16

matplotlib.rcParams.update({
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "image.interpolation": "nearest",
})


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of a size in inches that needs no display and keeps no global state."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.02, hspace=0, wspace=0))
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, replacing an earlier one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
