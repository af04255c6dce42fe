"""Tables for the terminal, Markdown, CSV, LaTeX and HTML."""

import csv
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup
from rich import box
from rich.console import Console
from rich.table import Table

from reporting import page

Lines = Iterable[Sequence[str]]
# Characters of an HTML cell that stay in one line, and in one piece.
LINE, WORD = 36, 14


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
    # Wider than any: what does not fit is cut off.
    Console(file=text, width=100_000, markup=False, emoji=False, highlight=False).print(table)
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
    """Render a booktabs tabular; `note` becomes a comment."""
    rows = [_latex_line(line) for line in (header, *lines)]
    columns = "l" * texts + "r" * (len(header) - texts)
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule",
            r"\end{tabular}"]
    return "\n".join([*body, *([_comment(note)] if note else []), ""])


def html(header: Sequence[str], lines: Lines, texts: int, note: str = "") -> str:
    """Render a fragment of HTML: a table in a container that scrolls by itself, all text escaped.

    Beyond the first `texts` columns, those in which every cell begins with a number, or is a dash, get the class `n`;
    other cells `long` where they have a line that is better wrapped, `word` where they have a word that is better
    broken than a narrow page exceeded.
    """
    body = [tuple(line) for line in lines]
    numbers = [i >= texts and all(_NUMBER.match(line[i]) for line in body) for i in range(len(header))]
    # A plus-minus sign stays with what it stands between.
    heads = [_html_cell(text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"), number, len(text))
             for text, number in zip(header, numbers, strict=True)]
    return page.table(", ".join(header), heads, [list(map(_html_cell, line, numbers)) for line in body], note)


def _html_cell(text: str, number: bool, line: int = LINE) -> tuple[Markup, str]:
    lines = text.split("\n")
    long, word = max(map(len, lines)) > line, max(map(len, text.split()), default=0) > WORD
    return Markup("<br>").join(lines), "n" if number else "long" if long else "word" if word else ""


_NUMBER = re.compile(r"[+-]?(\d|nan)|-$")


def heading(style: str, text: str) -> str:
    """Return a line above a table that is one of several."""
    return {"terminal": f"{text}\n", "markdown": f"**{text}**\n\n", "latex": f"{_comment(text)}\n",
            "html": page.heading(text)}[style]


def remarks(style: str, texts: list[str]) -> str:
    """Return paragraphs below a table, one per text; comments in LaTeX."""
    if style == "latex":
        return "".join(f"{_comment(text)}\n" for text in texts)
    if style == "html":
        return page.join(map(page.note, texts))
    wrap = textwrap.fill if style == "terminal" else lambda text, _: text
    return "".join(f"\n{wrap(text, 110)}\n" for text in texts)


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_MARKDOWN.sub(r"\\\g<0>", _one_line(cell)) for cell in cells) + " |"


# What would end a cell, or be read as HTML, a character's name, code, mathematics or emphasis; a lone asterisk is none.
_MARKDOWN = re.compile(r"[|<`$]|&(?=#?\w+;)|\*(?=\S)|(?<=\S)\*")


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _latex_line(cells: Sequence[str]) -> str:
    line = " & ".join(_latex(_one_line(cell)) for cell in cells) + r" \\"
    # At the start of a row, either would be taken for an argument of the line break before it.
    return "{}" + line if line.startswith(("[", "*")) else line


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in text)
    # Before a number that stands by itself: a minus sign instead of a hyphen.
    return re.sub(r"(?<!\S)-(?=\d+(\.\d+)?(\s|$))", "$-$", escaped)


def _comment(text: str) -> str:
    return f"% {_one_line(text)}"


_LATEX = {character: "\\" + character for character in "&%_#${}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
# Other characters in LaTeX's default font encoding.
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
_LATEX |= {"±": r"$\pm$", "β": r"$\beta$", "γ": r"$\gamma$", "λ": r"$\lambda$", "≈": r"$\approx$"}
_LATEX |= {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$"}

FORMATS: dict[str, Callable[..., str]] = {
    "terminal": terminal, "markdown": markdown, "csv": comma_separated, "latex": latex,
    "html": html,
}  # fmt: skip
