"""Figures of shapes and poses: images with silhouettes and clouds from three sides, errors of poses and of masks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from reporting.style import COLOURS, PAGE_INCHES, line_style, new_figure, save, save_figure

# Pairs of axes that a cloud is seen along: title, and which are across and up.
SIDES = {"along x": (2, 1), "along z": (0, 1), "along y, from above": (2, 0)}
MOST, BOX = 2000, 0.5
TRUTH, OURS = "truth", "prediction"


@dataclass(frozen=True)
class Sight:
    """An image float (3, H, W) in [0, 1], its true mask and that of the prediction bool (H, W), the predicted cloud
    (n, 3) and the true one, or None, both in the axes of the data; angle: error of the pose in degrees, or None."""

    image: np.ndarray
    mask: np.ndarray
    found: np.ndarray
    cloud: np.ndarray
    truth: np.ndarray | None
    angle: float | None


def shape_sheet(path: Path, sights: list[Sight], title: str) -> None:
    """Draw a row per image: it, the outline that is predicted over the true mask, and the clouds from three sides."""
    figure = new_figure(PAGE_INCHES, 1.4 * len(sights) + 0.6)
    grid = figure.subplots(len(sights), 2 + len(SIDES), squeeze=False)
    for line, sight in zip(grid, sights, strict=True):
        line[0].imshow(sight.image.transpose(1, 2, 0))
        line[1].imshow(_overlaid(sight.mask, sight.found))
        if sight.angle is not None:
            line[0].text(0.02, 0.02, f"pose off by {sight.angle:.0f}°", transform=line[0].transAxes, fontsize=6)
        for ax in line[:2]:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(True)
        for ax, axes in zip(line[2:], SIDES.values(), strict=True):
            if sight.truth is not None:
                _scatter(ax, sight.truth, axes, COLOURS[4], TRUTH)
            _scatter(ax, sight.cloud, axes, COLOURS[0], OURS)
            ax.set(xlim=(-BOX, BOX), ylim=(-BOX, BOX), aspect="equal", xticks=[], yticks=[])
    for ax, name in zip(grid[0], ("image", "mask", *SIDES), strict=True):
        ax.set_title(name, pad=2)
    handles, names = grid[0, 2].get_legend_handles_labels()
    for handle in figure.legend(handles, names, loc="outside lower center", ncols=2, markerscale=6).legend_handles:
        handle.set_alpha(1)
    figure.suptitle(f"{title}\nmask: grey where both agree, blue where only the prediction is, orange where only the "
                    "truth is", fontsize=7)
    save_figure(figure, path)


def _overlaid(mask: np.ndarray, found: np.ndarray) -> np.ndarray:
    colours = {(True, True): "#808080", (False, True): COLOURS[0], (True, False): COLOURS[4]}
    picture = np.ones((*mask.shape, 3))
    for (true, predicted), colour in colours.items():
        picture[(mask == true) & (found == predicted)] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return picture


def _scatter(ax: Axes, cloud: np.ndarray, axes: tuple[int, int], colour: str, label: str) -> None:
    cloud = cloud[:: max(1, len(cloud) // MOST)]
    ax.scatter(cloud[:, axes[0]], cloud[:, axes[1]], s=0.3, color=colour, alpha=0.6, linewidths=0, label=label,
               rasterized=True)


def error_histogram(path: Path, angles: np.ndarray, title: str) -> list[Path]:
    """Draw how many images (%) have which error of the pose, in bins of 5 degrees; return the paths of PDF and PNG."""
    figure = new_figure(PAGE_INCHES / 2, 2.2)
    ax = figure.subplots()
    ax.hist(angles, bins=np.arange(0, 181, 5), weights=np.full(len(angles), 100 / len(angles)), color=COLOURS[0])
    ax.axvline(30, color=COLOURS[1], linestyle="--", linewidth=0.8, label="counted as right: below 30°")
    ax.set(xlabel="error of the pose (°)", ylabel="images (%)", xlim=(0, 180), xticks=range(0, 181, 30))
    ax.legend()
    ax.set_title(f"{title} (n = {len(angles)})", fontsize=6, wrap=True)
    return save(figure, path)


def cumulative_figure(path: Path, curves: dict[str, tuple[np.ndarray, np.ndarray]], label: str) -> list[Path]:
    """Draw cumulative distributions by name: values (m,) and which part of the images (m,) is not above them."""
    figure = new_figure(PAGE_INCHES / 2, 2.6)
    ax = figure.subplots()
    for number, (name, (values, parts)) in enumerate(curves.items()):
        ax.plot(values, 100 * parts, label=name, **line_style(number))
    ax.set(xlabel=label, ylabel="images (%)", ylim=(0, 100))
    ax.set_xlim(left=0)
    ax.grid()
    ax.legend()
    return save(figure, path)
