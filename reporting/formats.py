"""Text tables for the terminal, Markdown, CSV and LaTeX."""

import csv
import io
import textwrap
from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

Lines = Iterable[Sequence[str]]


def terminal(header: Sequence[str], lines: Lines, texts: int, note: str = "") -> str:
    """Render for a terminal, in the table's own width: a terminal that is narrower wraps rather than loses text.

    The first `texts` columns are aligned left, the others, which hold numbers, right; `note` goes below.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(header):
        table.add_column(name, no_wrap=True, justify="left" if i < texts else "right")
    for line in lines:
        table.add_row(*line)
    text = io.StringIO()
    Console(file=text, width=500, markup=False, emoji=False, highlight=False).print(table)
    return "\n".join([*(line.rstrip() for line in text.getvalue().splitlines()), *textwrap.wrap(note, 110), ""])


def markdown(header: Sequence[str], lines: Lines, texts: int, note: str = "") -> str:
    rule = ["---"] * texts + ["---:"] * (len(header) - texts)
    table = [_markdown_line(cells) for cells in (header, rule, *lines)]
    return "\n".join([*table, *(["", note] if note else []), ""])


def comma_separated(header: Sequence[object], lines: Iterable[Sequence[object]], _: int = 0, __: str = "") -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()


def latex(header: Sequence[str], lines: Lines, texts: int, note: str = "") -> str:
    """Render a booktabs tabular."""
    rows = [" & ".join(map(_latex, line)) + r" \\" for line in (header, *lines)]
    columns = "l" * texts + "r" * (len(header) - texts)
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule",
            r"\end{tabular}"]
    return "\n".join([*body, *([f"% {note}"] if note else []), ""])


def heading(style: str, text: str) -> str:
    """Return a line above a table that is one of several."""
    return {"terminal": f"{text}\n", "markdown": f"**{text}**\n\n", "latex": f"% {text}\n"}[style]


def remarks(style: str, texts: list[str]) -> str:
    """Return paragraphs below a table, one per text; comments in LaTeX."""
    if style == "latex":
        return "".join(f"% {text}\n" for text in texts)
    wrap = textwrap.fill if style == "terminal" else lambda text, _: text
    return "".join(f"\n{wrap(text, 110)}\n" for text in texts)


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


_LATEX = {character: "\\" + character for character in "&%_#${}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"±": r"$\pm$", "β": r"$\beta$", "γ": r"$\gamma$", "↑": r"$\uparrow$", "↓": r"$\downarrow$"}
_LATEX["≈"] = r"$\approx$"

FORMATS: dict[str, Callable[..., str]] = {
    "terminal": terminal, "markdown": markdown, "csv": comma_separated, "latex": latex,
}  # fmt: skip
