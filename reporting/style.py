"""One look for all figures: readable at 8 pt in a two-column paper, in colours that colour-blind readers tell apart."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from files import replacing

PAGE_INCHES = 7.16

# Okabe and Ito, "Color universal design" (2008), without the yellow, which white paper swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Beyond the colours, and in print without colour, lines differ by their dashes.
DASHES = ("-", "--", "-.", ":")
STYLES = len(COLOURS) * len(DASHES)
# From white (none) to dark; even steps of lightness, so that it reads in grey too.
SEQUENTIAL = "Blues"

matplotlib.rcParams.update({
    "font.size": 8,
    "axes.titlesize": 8,
    "figure.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.linewidth": 0.4,
    "grid.color": "#d0d0d0",
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "image.interpolation": "nearest",
    # Names of experiments and classes may hold dollar signs.
    "text.parse_math": False,
    # Text stays text in a PDF: TrueType, which journals ask for, instead of Type 3.
    "pdf.fonttype": 42,
})


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of a size in inches that needs no display and keeps no global state."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.02, hspace=0, wspace=0))
    FigureCanvasAgg(figure)
    return figure


def line_style(number: int) -> dict[str, str]:
    """Return colour and dashes of the line with this number (from 0): different for the first STYLES of a figure."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}


def save(figure: Figure, path: Path, kinds: Sequence[str] = ("pdf", "png")) -> list[Path]:
    """Write a figure for a paper as vector PDF and as PNG, replacing earlier ones; return the paths.

    path: without a suffix, or with that of either; each file is the old or the whole new one.
    """
    _make_printable(figure)
    stem = path.with_suffix("") if path.suffix in (".pdf", ".png") else path
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = [stem.with_name(f"{stem.name}.{kind}") for kind in kinds]
    for target, kind in zip(written, kinds, strict=True):
        # Without a date, the same figure is the same file.
        with replacing(target) as temporary:
            figure.savefig(temporary, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None)
    return written


def _make_printable(figure: Figure) -> None:
    """Show bytes in names of folders that are no text as escapes, as error messages do; no font can draw them."""
    for each in _texts(figure):
        printable = each.get_text().encode(errors="backslashreplace").decode()
        if printable != each.get_text():
            each.set_text(printable)


def _texts(artist: Artist) -> Iterator[Text]:
    """Yield the texts in an artist, without those of axes that are off, whose ticks would be made for that alone."""
    if isinstance(artist, Text):
        yield artist
    off = {artist.xaxis, artist.yaxis} if isinstance(artist, Axes) and not artist.axison else set()
    for child in artist.get_children():
        if child not in off:
            yield from _texts(child)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, replacing an earlier one: for sheets of images, which have nothing to gain from vectors."""
    save(figure, path, ("png",))
