"""Figures of label maps: images under them, and how well each class is found."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.patches import Patch

from reporting.style import COLOURS, PAGE_INCHES, SEQUENTIAL, new_figure, save, save_figure

OPACITY = 0.6
# Wrong pixels are black, right ones white, what is ignored grey: readable without colour.
WRONG, RIGHT, IGNORED = (0.0, 1.0, 0.6)
IGNORE = 255


def label_sheet(path: Path, images: np.ndarray, maps: dict[str, np.ndarray], classes: tuple[str, ...],
                colours: np.ndarray, title: str) -> None:
    """Draw a row per image: the image, then each label map over it, and, of truth and prediction, where they differ.

    images: float (n, 3, H, W) in [0, 1]; maps: title -> class numbers (n, H, W), 255 where ignored, which shows the
    image; the first is the truth where there are two; colours: uint8 (classes, 3).
    """
    columns = {"image": images.transpose(0, 2, 3, 1)}
    columns |= {name: overlay(columns["image"], labels, colours) for name, labels in maps.items()}
    if len(maps) == 2:
        truth, predicted = maps.values()
        columns["errors"] = np.where(truth == IGNORE, IGNORED, np.where(truth == predicted, RIGHT, WRONG))
    height = min(PAGE_INCHES / len(columns) * images.shape[2] / images.shape[3], 9 / len(images))
    # The legend needs some width, whatever the images do.
    width = max(height * images.shape[3] / images.shape[2] * len(columns), 0.7 * PAGE_INCHES)
    figure = new_figure(width, height * len(images) + 0.8)
    grid = figure.subplots(len(images), len(columns), squeeze=False)
    for column, (name, pictures) in enumerate(columns.items()):
        grid[0, column].set_title(name, pad=2)
        for ax, picture in zip(grid[:, column], pictures, strict=True):
            ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
            ax.axis("off")
    handles = [Patch(facecolor=colour / 255, edgecolor="black", linewidth=0.3) for colour in colours]
    names = list(classes)
    if len(maps) == 2:
        handles += [Patch(facecolor=str(shade), edgecolor="black", linewidth=0.3) for shade in (WRONG, RIGHT, IGNORED)]
        names += ["wrong", "right", "ignored"]
    figure.legend(handles, names, loc="outside lower center", ncols=7)
    figure.suptitle(title)
    save_figure(figure, path)


def overlay(images: np.ndarray, labels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return images float (n, H, W, 3) in [0, 1] under the colours of their class numbers (n, H, W)."""
    table = np.zeros((IGNORE + 1, 3))
    table[: len(colours)] = colours / 255
    opacity = np.where(labels == IGNORE, 0, OPACITY)[..., None]
    return (1 - opacity) * images + opacity * table[labels]


def class_figure(path: Path, counts: np.ndarray, iou: np.ndarray, classes: tuple[str, ...], title: str) -> list[Path]:
    """Draw a confusion matrix (classes, classes), rows being the truth, beside the IoU (classes,) of each class.

    Classes that are neither there nor found, which have no IoU (NaN), are left out. Returns the paths of PDF and PNG.
    """
    shown = np.flatnonzero(np.isfinite(iou))
    names = [classes[number] for number in shown]
    counts, iou = counts[np.ix_(shown, shown)], iou[shown]
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(PAGE_INCHES, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    image = left.imshow(shares, cmap=matplotlib.colormaps[SEQUENTIAL], vmin=0, vmax=100)
    left.set(xlabel="predicted class", ylabel="true class")
    left.set_xticks(range(len(names)), names, rotation=45, ha="right")
    left.set_yticks(range(len(names)), names)
    for row, column in np.argwhere(shares >= 0.5):
        left.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=6,
                  color="white" if shares[row, column] > 55 else "black")
    left.spines[:].set_visible(False)
    figure.colorbar(image, ax=left, label="share of true class (%)", shrink=0.8, pad=0.02)
    right.barh(range(len(names)), 100 * iou, color=COLOURS[0])
    for row, value in enumerate(iou):
        right.text(100 * value + 1, row, f"{100 * value:.0f}", va="center", fontsize=6)
    right.set_yticks(range(len(names)), names)
    right.invert_yaxis()
    right.set(xlim=(0, 108), xlabel="IoU (%)")
    right.grid(axis="x")
    right.set_axisbelow(True)
    figure.suptitle(title)
    return save(figure, path)
