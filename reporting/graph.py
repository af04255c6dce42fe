"""A small graph as inline SVG: boxes with a few lines of text, and links between them."""

import re
import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap

from markupsafe import Markup

from reporting import page
from reporting.layers import arrange

# In pixels: widest text, around texts, size of letters, from line to line.
WIDEST, PADDING, SIZE, LINE = 138, 9, 12, 15
# Letters of a name, which are bold, and of all else, in parts of SIZE.
BOLD, SMALL = 1.15, 0.85
MOST_LINES, MOST_NOTES = 3, 4
# More boxes than this that are linked alike are drawn as one.
MOST_ALIKE = 5


@dataclass(frozen=True)
class Box:
    """head: what it is, in small letters; name; notes: below; kind: class of its look; tip: shown where it is pointed
    at; target: what a click leads to, a part of the page."""

    head: str
    name: str
    notes: tuple[str, ...] = ()
    kind: str = ""
    tip: str = ""
    target: str = ""

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Its lines of text, each with its class."""
        notes = [line for note in self.notes[:MOST_NOTES] for line in fitted(note, SMALL, 2)]
        more = len(self.notes) - MOST_NOTES
        return [(self.head, "small"), *((line, "name") for line in fitted(self.name, BOLD)),
                *((line, "small") for line in notes), *([(f"and {more} more", "small")] if more > 0 else [])]


@dataclass(frozen=True)
class Arrow:
    """From one box to another, by number. One with a text on it is a broken line."""

    source: int
    target: int
    text: str = ""


def width_of(text: str, scale: float) -> float:
    """Return about how wide a text is in pixels; fonts differ, so rather too wide."""
    wide = sum(1.0 if unicodedata.east_asian_width(each) in "WF" else 0.75 if each.isupper() or each in "mw%@" else
               0.35 if each in "iljft.,:;|'() " else 0.6 for each in text)
    return SIZE * scale * wide


def fitted(text: str, scale: float, most: int = MOST_LINES) -> list[str]:
    """Break a text into lines that fit a box; what is beyond `most` lines is left out."""
    # Names break after what joins their words.
    parts = re.findall(r"[^\s_/-]+[\s_/-]*|[\s_/-]+", text)
    lines = [""]
    for part in parts:
        if lines[-1] and width_of(lines[-1] + part.rstrip(), scale) > WIDEST:
            lines.append("")
        lines[-1] += part
    broken = [piece for line in lines for piece in _broken(line.strip(), scale)]
    return broken if len(broken) <= most else [*broken[: most - 1], broken[most - 1][:-1] + "…"]


def _broken(line: str, scale: float) -> list[str]:
    if width_of(line, scale) <= WIDEST:
        return [line]
    return wrap(line, max(1, int(len(line) * WIDEST / width_of(line, scale))))


def fewer(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> tuple[list[Box], list[Arrow]]:
    """Return a graph in which many boxes of one kind, with the same links to the same boxes, are one."""
    near: list[list[tuple[int, int, str]]] = [[] for _ in boxes]
    for each in arrows:
        near[each.source].append((0, each.target, each.text))
        near[each.target].append((1, each.source, each.text))
    alike: dict[Hashable, list[int]] = {}
    for place, each in enumerate(boxes):
        alike.setdefault((each.kind, each.head, frozenset(near[place])), []).append(place)
    shown, number = [], {}
    for places in alike.values():
        for group in [places] if len(places) > MOST_ALIKE else [[place] for place in places]:
            number |= dict.fromkeys(group, len(shown))
            first, names = boxes[group[0]], tuple(boxes[place].name for place in group)
            shown.append(first if len(group) == 1 else
                         replace(first, name=f"{len(group)} alike", notes=names, tip=", ".join(names)))
    return shown, list(dict.fromkeys(replace(each, source=number[each.source], target=number[each.target])
                                     for each in arrows))


def draw(label: str, boxes: Sequence[Box], arrows: Sequence[Arrow]) -> Markup:
    """Return a graph that scrolls by itself where it is wider than the page. label: what is to be seen."""
    boxes, arrows = fewer(boxes, arrows)
    sizes = [(max(width_of(text, SMALL if kind == "small" else BOLD) for text, kind in box.lines) + 2 * PADDING,
              len(box.lines) * LINE + 2 * PADDING - 3) for box in boxes]
    texts = [width_of(each.text, SMALL) for each in arrows]
    found = arrange(sizes, [(each.source, each.target) for each in arrows], texts)
    placed = [(*place, box, [(text, kind, place[1] + PADDING + LINE * (row + 0.7)) for row, (text, kind) in
                             enumerate(box.lines)]) for place, box in zip(found.boxes, boxes, strict=True)]
    drawn = [(arrow, route(points), head(points), middle(points)) for arrow, points in
             zip(arrows, found.routes, strict=True) if points]
    return page.graph(label, round(found.width + 2), round(found.height + 2), PADDING, placed, drawn)


def route(points: Sequence[tuple[float, float]]) -> str:
    """Return the data of a path: curves between columns, level through them."""
    (x, y), *rest = points
    data = [f"M{x:.1f} {y:.1f}"]
    for number, (to_x, to_y) in enumerate(rest):
        half = (x + to_x) / 2
        data.append(f"H{to_x:.1f}" if number % 2 else
                    f"C{half:.1f} {y:.1f} {half:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(data)


def head(points: Sequence[tuple[float, float]]) -> str:
    """Return the data of the arrow's head."""
    (before, _), (x, y) = points[-2:]
    back = -7 if before < x else 7
    return f"M{x:.1f} {y:.1f}l{back} -3.5v7z"


def middle(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return where the text of a link is in the middle of its last curve."""
    (x, y), (to_x, to_y) = points[-2:]
    return (x + to_x) / 2, (y + to_y) / 2
