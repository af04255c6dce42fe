"""The paper's tables as text: a block per column of the paper, numbered notes below."""

import math

from paper.tables import TABLES, Column, Entry, Line, Score, Table, difference, lines, marks, unplaced
from reporting.formats import FORMATS, heading, remarks

OURS = ("experiment", "published: mean ± std", "max", "last epoch: mean ± std", "max", "oracle: mean ± std", "max",
        "difference", "seeds", "test images")
LEGEND = ("±, ours: sample standard deviation over seeds (n - 1); published: the paper does not say which. Last epoch: "
          "weights after the last epoch. Oracle: weights of the epoch with the best accuracy, chosen on test data. "
          "Difference: ours less the published mean. Seeds: with a figure, of the runs given. A dash: missing. "
          "*: best of its column, or equal to it as printed; ≈: mean ± std overlaps with that of the best; where there "
          "is one seed only, no spread is known.")


class Notes:
    """Numbers notes in the order of their first use."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1

    def marks(self, texts: tuple[str, ...]) -> str:
        return "".join(f" [{self.number(text)}]" for text in texts)


def render(names: list[str], entries: list[Entry], style: str) -> str:
    """Render tables by name (`s5`, `s6`, `s7`) as `terminal`, `markdown` or `latex`: a block per column, then notes.

    `csv` is for other programs: one line per row and column, all columns in one file, in full precision.
    """
    chosen = [(name, TABLES[name], [entry for entry in entries if entry.table == name]) for name in names]
    if style == "csv":
        body = [cells for name, table, ours in chosen for cells in _csv(name, table, ours)]
        return FORMATS[style](CSV_HEADER, body)
    notes, blocks = Notes(), []
    for _, table, ours in chosen:
        for column in table.columns:
            body = _grid(table, column, lines(table, column, ours), notes)
            header = (*table.names, *(_best_name(column) if name == "max" else name for name in OURS))
            text = FORMATS[style](header, body, len(table.names) + 1)
            blocks.append(heading(style, f"{table.title}: {column.name}") + text)
    below = [table.remark for _, table, _ in chosen] + [LEGEND]
    below += [f"[{number}] {text}." for number, text in enumerate(notes.texts, 1)]
    for _, table, ours in chosen:
        if others := unplaced(table, ours):
            below.append(f"Measured too, but in no column of {table.title}: {'; '.join(others)}.")
    return "\n".join(block.rstrip() + "\n" for block in blocks) + remarks(style, below)


def _best_name(column: Column) -> str:
    return "max" if column.higher_is_better else "min"


def _grid(table: Table, column: Column, found: list[Line], notes: Notes) -> list[tuple[str, ...]]:
    decimals = column.decimals
    best = {name: marks([_pair(line.scores.get(name)) for line in found], column.higher_is_better, decimals)
            for name in ("last", "best")}
    known = marks([line.published[:2] for line in found], column.higher_is_better, decimals)
    grid = []
    for number, line in enumerate(found):
        cells = [(line.experiment or "-") + notes.marks(line.notes),
                 _spread(*line.published[:2], decimals, known[number]), _number(line.published.max, decimals)]
        for name in ("last", "best"):
            mean, std = _pair(score := line.scores.get(name))
            cells += [_spread(mean, std, decimals, best[name][number]),
                      _number(score.best if score else math.nan, decimals)]
        cells += [_number(difference(table, line), decimals, "+"), _seeds(line),
                  "/".join(map(str, line.images)) or "-"]
        grid.append((*line.row, *cells))
    return grid


def _pair(score: Score | None) -> tuple[float, float]:
    return (math.nan, math.nan) if score is None else (score.mean, score.std)


def _number(value: float, decimals: int, sign: str = "") -> str:
    return f"{value:{sign}.{decimals}f}" if math.isfinite(value) else "-"


def _spread(mean: float, std: float, decimals: int, mark: str) -> str:
    spread = f" ± {std:.{decimals}f}" if math.isfinite(std) else ""
    return _number(mean, decimals) + spread + (f" {mark}" if mark else "")


def _seeds(line: Line) -> str:
    """Say how many seeds have a figure: of last epoch/oracle where they differ, `of` how many runs where some lack."""
    if not line.runs:
        return "-"
    counts = list(dict.fromkeys(score.seeds for score in line.scores.values())) or [0]
    return "/".join(map(str, counts)) + (f" of {line.runs}" if min(counts) < line.runs else "")


CSV_HEADER = ("table", "column", "row", "experiment", "published_mean", "published_std", "published_max",
              *(f"{name}_{what}" for name in ("last", "oracle") for what in ("mean", "std", "best", "seeds")),
              "oracle_selection", "difference", "runs", "test_images", "notes")


def _csv(name: str, table: Table, entries: list[Entry]) -> list[tuple[object, ...]]:
    rows = []
    for column in table.columns:
        for line in lines(table, column, entries):
            cells: list[object] = []
            for checkpoint in ("last", "best"):
                score = line.scores.get(checkpoint)
                cells += [score.mean, score.std, score.best, score.seeds] if score else [math.nan] * 3 + [0]
            oracle = line.scores.get("best")
            rows.append((name, column.name, " / ".join(line.row), line.experiment, *line.published, *cells,
                         oracle.selection if oracle else "", difference(table, line), line.runs,
                         "/".join(map(str, line.images)), "; ".join(line.notes)))
    return rows
