"""Sheets of images with labels: what is trained on, and what is reconstructed."""

from itertools import zip_longest
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from reporting.style import COLOURS, PAGE_INCHES, new_figure, save, save_figure

# Images in a row, and characters of full size that fit above each of them.
COLUMNS, LONGEST = 10, 8
# A verdict's colour, dashes and mark: told apart without colour, too. Bluish green and vermilion of the palette.
RIGHT, WRONG = (COLOURS[2], "-", "✓"), (COLOURS[1], (0, (3, 2)), "✗")


# Name at the left, images (n, C, H, W) with values in 0..255 or [0, 1], and a text above each, or none.
Row = tuple[str, np.ndarray, list[str]]


def contact_sheet(path: Path, images: list[np.ndarray], labels: list[str], title: str) -> None:
    """Draw one row per scenery with its variants (variants, C, H, W) side by side and its label at the left."""
    columns = max(map(len, images))
    numbers = [str(number) for number in range(1, columns + 1)] if columns > 1 else []
    rows = [(label, variants, [] if row else numbers) for row, (label, variants) in
            enumerate(zip(labels, images, strict=True))]
    explained = "one scenery per row (class at the left), one variant per column" if numbers else "class at the left"
    _sheet(path, rows, f"{title}; {explained}", columns, 0.6 * len(images) + 0.5, at=-0.15)


def sample_sheet(path: Path, images: np.ndarray, labels: list[str], title: str, columns: int = COLUMNS) -> None:
    """Draw images (n, C, H, W) in rows of `columns`, each with its class above it."""
    rows = [("", images[i : i + columns], labels[i : i + columns]) for i in range(0, len(images), columns)]
    _sheet(path, rows, title, columns, 0.85 * len(rows) + 0.35, width=PAGE_INCHES)


def reconstruction_sheet(path: Path, inputs: np.ndarray, outputs: np.ndarray, labels: list[str], title: str) -> None:
    """Draw inputs (n, C, H, W) above their reconstructions, with the classes at the top."""
    rows = [("input", inputs, labels), ("reconstruction", outputs, [])]
    _sheet(path, rows, title, len(inputs), 1.75, turned=90)


def pair_sheet(path: Path, rows: dict[str, tuple[np.ndarray, list[str]]], title: str) -> None:
    """Draw rows of images (n, C, H, W) with a class above each; the keys name the rows."""
    columns = max(len(labels) for _, labels in rows.values())
    tallest = max(images.shape[-2] / images.shape[-1] for images, _ in rows.values())
    height = (0.6 * tallest + 0.18) * len(rows) + 0.25
    _sheet(path, [(name, *row) for name, row in rows.items()], title, columns, height, size=7)


def _sheet(path: Path, rows: list[Row], title: str, columns: int, height: float, width: float = 0, size: float = 8,
           at: float = -0.1, turned: float = 0) -> None:
    """Draw rows; `at`, `turned`: where their names are, as a share of an image's width, and turned by what angle."""
    figure = new_figure(width or min(PAGE_INCHES, 0.6 * columns + 0.9), height)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, images, texts) in zip(grid, rows, strict=True):
        for ax, image, text in zip_longest(line, images, texts):
            ax.axis("off")
            if image is not None:
                _show(ax, image)
            _label(ax, text or "", size)
        line[0].text(at, 0.5, name, transform=line[0].transAxes, ha="right", va="center", rotation=turned)
    figure.suptitle(title, fontsize=8, wrap=True)
    save_figure(figure, path)


def verdict_sheet(path: Path, rows: dict[str, tuple[np.ndarray, list[str]]], predicted: list[str], right: list[bool],
                  title: str) -> list[Path]:
    """Draw rows of images (n, C, H, W) as PDF and PNG, every column framed by whether its prediction is right.

    The keys name the rows; each has a text per image, or none, to write above it. predicted: the predicted class of
    each column, written with a tick or a cross under the first row's text; right: the verdicts. More images than
    ten go on below. Returns the paths.
    """
    starts, lines = range(0, len(right), COLUMNS), len(rows)
    width = min(COLUMNS, len(right))
    figure = new_figure(min(PAGE_INCHES, 0.62 * width + 0.9), (0.66 * lines + 0.42) * len(starts) + 0.45)
    grid = figure.subplots(lines * len(starts), width, squeeze=False)
    for ax in grid.ravel():
        ax.set_visible(False)
    for block, start in enumerate(starts):
        chosen = range(start, min(start + COLUMNS, len(right)))
        for line, (name, (images, texts)) in enumerate(rows.items()):
            for ax, i in zip(grid[block * lines + line], chosen, strict=False):
                _show(ax, images[i])
                _frame(ax, right[i])
                text = texts[i] if texts else ""
                if line == 0:
                    mark = (RIGHT if right[i] else WRONG)[2]
                    text = f"{text}\n{mark} {predicted[i]}"
                # Room for the underscores between seats, above the frame.
                _label(ax, text, pad=4)
            first = grid[block * lines + line, 0]
            first.text(-0.15, 0.5, name, transform=first.transAxes, ha="right", va="center", fontsize=7)
    figure.suptitle(title, fontsize=8)
    handles = [Line2D([], [], color=colour, linestyle=dashes, linewidth=1.5) for colour, dashes, _ in (RIGHT, WRONG)]
    figure.legend(handles, [f"{RIGHT[2]} predicted class is right", f"{WRONG[2]} wrong"], loc="outside lower center",
                  ncols=2)
    return save(figure, path)


def _frame(ax: Axes, right: bool) -> None:
    """Frame an image by a verdict."""
    ax.set_visible(True)
    ax.set(xticks=[], yticks=[])
    colour, dashes, _ = RIGHT if right else WRONG
    for spine in ax.spines.values():
        spine.set(visible=True, color=colour, linestyle=dashes, linewidth=1.5, capstyle="butt")


def _label(ax: Axes, label: str, size: float = 8, pad: float = 2) -> None:
    """Write a class above an image, smaller where it is so long that it would run into its neighbours."""
    longest = max(map(len, label.split("\n")))
    # At a place of its own: to find one, matplotlib would make the ticks of every image.
    ax.set_title(label, y=1, pad=pad, fontsize=size * min(1, LONGEST / max(1, longest)))


def _show(ax: Axes, image: np.ndarray) -> None:
    """Show an image (C, H, W), uint8 or float in [0, 1], grey or colour."""
    top = 255 if image.dtype == np.uint8 else 1
    if image.shape[0] == 1:
        ax.imshow(image[0], cmap="gray", vmin=0, vmax=top)
    else:
        ax.imshow(image.transpose(1, 2, 0))
