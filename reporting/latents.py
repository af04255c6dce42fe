"""Latent spaces projected to two dimensions: domains as markers, classes as colours, a panel per seat."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from reporting.style import COLOURS, PAGE_INCHES, new_figure, save

MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
# Ten colours that colour-blind readers tell apart: Petroff, "Accessible color sequences for data visualization" (2021).
TEN = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
SEATS = ("left seat", "middle seat", "right seat")
COLUMNS = 2
# Width of a bold character as a share of a panel.
NAME_ROOM = 0.03


@dataclass(frozen=True)
class Domain:
    """One dataset in a projection: its name, points (n, 2) and labels (n, seats)."""

    name: str
    points: np.ndarray
    labels: np.ndarray


def latent_scatter(path: Path, domains: Sequence[Domain], classes: Sequence[str], axes: tuple[str, str], title: str,
                   note: str) -> list[Path]:
    """Draw domains, the training one first, as PDF and PNG; return the paths.

    The first panel colours by domain, one more per seat (or one where there is a single label) by class. classes:
    names of the labels; axes: names of the two axes; note: text below. Points are pixels in the PDF, as thousands of
    them would make it slow; the rest of it is vectors.
    """
    seats = domains[0].labels.shape[1]
    names = SEATS if seats == len(SEATS) else [f"label {i + 1}" for i in range(seats)] if seats > 1 else ["class"]
    rows = -(-(1 + seats) // COLUMNS)
    figure = new_figure(PAGE_INCHES, 3.3 * rows + 0.35 + 0.13 * note.count("\n"))
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for ax in panels:
        ax.set_visible(False)
    _by_domain(panels[0], domains, axes)
    for seat, (ax, name) in enumerate(zip(panels[1:], names, strict=False)):
        _by_class(ax, domains, seat, classes, axes, name)
    figure.suptitle(title, fontsize=8)
    if note:
        figure.supxlabel(note, fontsize=7)
    return save(figure, path)


def _by_domain(ax: Axes, domains: Sequence[Domain], axes: tuple[str, str]) -> None:
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(domains))]
    for i, domain in enumerate(domains):
        _scatter(ax, domain.points, i, colours[i])
    _finish(ax, axes, "domain", [(f"{domain.name} (n = {len(domain.points)})", MARKERS[i % len(MARKERS)], colours[i])
                                 for i, domain in enumerate(domains)])


def _by_class(ax: Axes, domains: Sequence[Domain], seat: int, classes: Sequence[str], axes: tuple[str, str],
              name: str) -> None:
    together = np.concatenate([domain.labels for domain in domains])
    present = np.unique(together)
    if len(present) > len(TEN):
        # Too many for one legend of all seats, which gives a class the same colour in each.
        present = np.unique(together[:, seat])
    colours, few = _colours(len(present)), len(present) <= len(TEN)
    for i, domain in enumerate(domains):
        number = np.searchsorted(present, domain.labels[:, seat])
        # In random order, so that no class lies on top of all others.
        order = np.random.default_rng(0).permutation(len(number))
        _scatter(ax, domain.points[order], i, np.array(colours)[number[order]])
    if few and domains[0].labels.shape[1] == 1:
        _name_classes(ax, domains[0], classes)
    names = [classes[label] for label in present]
    if not few:
        _colour_bar(ax, colours, names)
    _finish(ax, axes, name, [(each, "o", colour) for each, colour in zip(names, colours, strict=True)] if few else [])


def _name_classes(ax: Axes, domain: Domain, classes: Sequence[str]) -> None:
    """Write each class amid its points of a domain, where no other one stands, for readers who see few colours."""
    span, placed = np.ptp(domain.points, axis=0), []
    for label in np.unique(domain.labels[:, 0]):
        centre = np.median(domain.points[domain.labels[:, 0] == label], axis=0)
        room = NAME_ROOM * np.array([max(1, len(classes[label])), 1.5])
        if any((np.abs(centre - other) < room * span).all() for other in placed):
            continue
        placed.append(centre)
        ax.text(*centre, classes[label], ha="center", va="center", fontsize=7, fontweight="bold", zorder=20,
                path_effects=[withStroke(linewidth=2, foreground="white")])


def _scatter(ax: Axes, points: np.ndarray, number: int, colours: str | np.ndarray) -> None:
    """Draw points (n, 2): the training domain (number 0) small and pale, the others larger and edged, above it."""
    size = float(np.clip(12000 / len(points), 2, 14))
    edge = {"edgecolors": "black", "linewidths": 0.3} if number else {"linewidths": 0}
    ax.scatter(*points.T, s=size if number else size / 2 + 1, c=colours, marker=MARKERS[number % len(MARKERS)],
               alpha=0.9 if number else 0.5, zorder=2 + number, rasterized=True, **edge)


def _colours(count: int) -> list[str]:
    """Return a colour per class: of the palette or of ten where they suffice, else even steps of one map."""
    for palette in (COLOURS, TEN):
        if count <= len(palette):
            return list(palette[:count])
    return [matplotlib.colors.to_hex(colour) for colour in matplotlib.colormaps["viridis"](np.linspace(0, 1, count))]


def _colour_bar(ax: Axes, colours: list[str], names: list[str]) -> None:
    shown = np.unique(np.linspace(0, len(names) - 1, min(len(names), 11)).round().astype(int))
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(-0.5, len(names) - 0.5), ListedColormap(colours))
    bar = ax.figure.colorbar(scale, ax=ax, location="bottom", ticks=shown, shrink=0.9, aspect=40, pad=0.02)
    bar.ax.set_xticklabels([names[i] for i in shown])


def _finish(ax: Axes, axes: tuple[str, str], title: str, entries: list[tuple[str, str, str]]) -> None:
    """Name a panel and its axes, and explain it; entries: text, marker and colour of each line of the legend."""
    ax.set_visible(True)
    ax.set(xticks=[], yticks=[], xlabel=axes[0], ylabel=axes[1], title=title)
    ax.spines[:].set_visible(True)
    ax.set_box_aspect(1)
    if entries:
        handles = [Line2D([], [], linestyle="", marker=marker, color=colour, markersize=4, label=text)
                   for text, marker, colour in entries]
        # Below the panel, where it covers no point.
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.06), handletextpad=0.1,
                  columnspacing=0.8, ncols=1 if len(entries[0][0]) > 20 else 5)
