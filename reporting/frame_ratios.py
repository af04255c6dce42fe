"""Figure of how large objects are in their frames: cut-outs before and after, beside rendered images."""

from pathlib import Path

import numpy as np

from reporting.style import COLOURS, DASHES, PAGE_INCHES, new_figure, save

# The tail of what is shown, which a few crops with hardly any background would draw out.
SHOWN = 0.995
BINS = 30


def draw_ratios(path: Path, before: np.ndarray, after: np.ndarray, rendered: np.ndarray,
                normal: tuple[float, float] | None) -> list[Path]:
    """Draw densities of frame ratios, before at the left and after at the right, as PDF and PNG; return their paths.

    before, after: of cut-outs (n,), infinite where there is no background; rendered: (m,), may be empty; normal: mean
    and deviation of the distribution that ratios were drawn from.
    """
    figure = new_figure(PAGE_INCHES, 2.4)
    figure.get_layout_engine().set(wspace=0.05)
    for ax, (title, ratios) in zip(figure.subplots(1, 2), {"before: cropped to the box": before,
                                                            "after: finished cut-outs": after}.items(), strict=True):
        shown = [values[np.isfinite(values)] for values in (ratios, rendered)]
        edges = np.linspace(0, max(np.quantile(values, SHOWN) for values in shown if len(values)), BINS + 1)
        for number, (name, values) in enumerate(zip(("cut-outs", "rendered images"), shown, strict=True)):
            if len(values):
                # By all values, also those that are not shown.
                weights = np.full(len(values), 1 / (len(values) * edges[1]))
                ax.hist(values, edges, weights=weights, histtype="step", color=COLOURS[number],
                        linestyle=DASHES[number], linewidth=1.2, label=f"{name}: {describe(values)}")
        if normal is not None:
            x = np.linspace(0, edges[-1], 400)
            density = np.exp(-(((x - normal[0]) / normal[1]) ** 2) / 2) / (normal[1] * np.sqrt(2 * np.pi))
            ax.plot(x, density, color=COLOURS[6], linestyle=DASHES[3], label="drawn from: normal distribution, "
                    f"{normal[0]:.3f} ± {normal[1]:.3f}")
        ax.set(title=title, xlabel="frame ratio: pixels of the object / pixels of the background", ylabel="density",
               xlim=(0, edges[-1]))
        # Room for the legend above the curves.
        ax.set_ylim(0, ax.get_ylim()[1] * 1.35)
        ax.legend(loc="upper right")
    return save(figure, path)


def describe(values: np.ndarray) -> str:
    """Return mean, deviation (n) and number of ratios as text."""
    return f"{values.mean():.3f} ± {values.std():.3f}, n = {len(values)}"
