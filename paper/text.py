"""The paper's tables as text: a block per column of the paper, numbered notes below."""

import math
from functools import reduce
from itertools import chain

from paper.tables import BESIDE, TABLES, Column, Entry, Line, Table, difference, lines, marks, unplaced
from reporting.formats import FORMATS, heading, remarks
from reporting.metrics import Metric
from reporting.tables import WEIGHTS, Cell, choices_note, slashed, weights_title

LEGEND = ("±, ours: sample standard deviation over seeds (n - 1); published: the paper does not say which. Last epoch: "
          "weights after the last epoch. {chosen} Difference: ours less the published mean. Seeds: with a figure, of "
          "the runs given. A dash: missing. *: best of its column, or equal to it as printed; ≈: mean ± std overlaps "
          "with that of the best; where there is one seed only, no spread is known.")


NOTHING = Cell(math.nan, math.nan, math.nan, 0)


def render(names: list[str], entries: list[Entry], style: str) -> str:
    """Render tables by name (`s5`, `s6`, `s7`) as `terminal`, `markdown` or `latex`: a block per column, then notes.

    `csv` is for other programs: one line per row and column, all columns in one file, in full precision.
    """
    tables = [(name, TABLES[name], [entry for entry in entries if entry.table == name]) for name in names]
    if style == "csv":
        body = [cells for name, table, ours in tables for cells in _csv(name, table, ours)]
        return FORMATS[style](CSV_HEADER, body)
    notes: dict[str, int] = {}
    blocks, selections = [], []
    filled = [(table, column, lines(table, column, ours)) for _, table, ours in tables for column in table.columns]
    for table, column, found in filled:
        chosen = [line.selection for line in found if line.selection]
        selections += chosen
        figures = (f"{kind}: mean ± std" for kind in ("published", *(weights_title(each, chosen) for each in WEIGHTS)))
        header = (*table.names, "experiment", *(part for each in figures for part in (each, column.shown.best)),
                  "difference", "seeds", "test images")
        text = FORMATS[style](header, _grid(table, column, found, notes), len(table.names) + 1)
        blocks.append(heading(style, f"{table.title}: {column.name}") + text)
    legend = LEGEND.format(chosen=choices_note(selections, "value, chosen on test data"))
    below = [*(table.remark for _, table, _ in tables), legend]
    below += [f"[{number}] {text}." for text, number in notes.items()]
    for _, table, ours in tables:
        if others := unplaced(table, ours):
            below.append(f"Measured too, but in no column of {table.title}: {'; '.join(others)}.")
    # Added, as HTML that is joined to a plain text would be escaped no more.
    return reduce(lambda above, block: above + "\n" + block, (block.rstrip() + "\n" for block in blocks)) + remarks(
        style, below)


def _grid(table: Table, column: Column, found: list[Line], notes: dict[str, int]) -> list[tuple[str, ...]]:
    """Arrange lines as text cells; notes, numbered in the order of their first use, are added to `notes`."""
    metric, figures = column.shown, []
    for kind in ([line.published for line in found],
                 *([line.scores.get(name, NOTHING) for line in found] for name in WEIGHTS)):
        # A floor or a ceiling is none of those of which one is the best.
        marked = marks([NOTHING[:2] if line.row in BESIDE else each[:2]
                        for line, each in zip(found, kind, strict=True)], metric)
        figures.append([(f"{_number(metric, *each[:2])} {mark}".rstrip(), _number(metric, each[2]))
                        for each, mark in zip(kind, marked, strict=True)])
    grid = []
    for line, *cells in zip(found, *figures, strict=True):
        numbers = "".join(f" [{notes.setdefault(text, len(notes) + 1)}]" for text in line.notes)
        grid.append((*line.row, (line.experiment or "-") + numbers, *chain(*cells),
                     _number(metric, difference(table, line), sign="+"), _seeds(line), slashed(line.images) or "-"))
    return grid


def _number(metric: Metric, value: float, std: float = math.nan, sign: str = "") -> str:
    return metric.text(value, std, sign) if math.isfinite(value) else "-"


def _seeds(line: Line) -> str:
    """Say how many seeds have a figure: of last/best weights where they differ, `of` how many runs where some lack."""
    if not line.runs:
        return "-"
    counts = list(dict.fromkeys(score.seeds for score in line.scores.values())) or [0]
    return "/".join(map(str, counts)) + (f" of {line.runs}" if min(counts) < line.runs else "")


CSV_HEADER = ("table", "column", "row", "experiment", "published_mean", "published_std", "published_max",
              *(f"{name}_{what}" for name in ("last", "oracle") for what in ("mean", "std", "best", "seeds")),
              "oracle_selection", "difference", "runs", "test_images", "notes")


def _csv(name: str, table: Table, entries: list[Entry]) -> list[tuple[object, ...]]:
    return [(name, column.name, " / ".join(line.row), line.experiment, *line.published,
             *chain(*(line.scores.get(kind, NOTHING) for kind in WEIGHTS)), line.selection, difference(table, line),
             line.runs, slashed(line.images), "; ".join(line.notes))
            for column in table.columns for line in lines(table, column, entries)]
