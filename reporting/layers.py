"""Where the boxes of a small graph go: in columns, by what feeds what, so that lines are short and seldom cross.

The steps are those of Sugiyama, Tagawa, Toda, "Methods for visual understanding of hierarchical system structures"
(1981): circles are opened, boxes get columns, long links get points to pass through in the columns between, columns are
ordered by their neighbours' means, and boxes moved towards these.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import numpy as np
from scipy.optimize import isotonic_regression

Point = tuple[float, float]
Link = tuple[int, int]
# In pixels: between boxes of a column; between columns, and around a text between them; between links at a box; height
# of a link that passes through a column.
BELOW, BESIDE, AROUND, APART, PASSING = 16, 44, 28, 9, 4
SWEEPS = 8


@dataclass(frozen=True)
class Layout:
    """boxes: left, upper end, width and height of each; routes: the points that each link goes through, in its
    direction, where every other stretch is level, none for a link of a box with itself; all in pixels."""

    boxes: list[tuple[float, float, float, float]]
    routes: list[list[Point]]
    width: float
    height: float


def in_order(count: int, links: Iterable[Link]) -> tuple[list[int], set[Link]]:
    """Return `count` boxes so that each comes after what feeds it, and the links without those that close a circle."""
    kept = {(source, target) for source, target in links if source != target}
    while True:
        fed_by: dict[int, list[int]] = {each: [] for each in range(count)}
        for source, target in sorted(kept):
            fed_by[target].append(source)
        try:
            return list(TopologicalSorter(fed_by).static_order()), kept
        except CycleError as error:
            kept.remove(tuple(error.args[1][:2]))


def columns(count: int, links: Iterable[Link]) -> list[int]:
    """Return the column of each box: right of all that feeds it, and what nothing feeds beside what it feeds first."""
    order, kept = in_order(count, links)
    column = [0] * count
    for each in order:
        column[each] = max((column[source] + 1 for source, target in kept if target == each), default=0)
    fed = {target for _, target in kept}
    for each in set(range(count)) - fed:
        column[each] = min((column[target] - 1 for source, target in kept if source == each), default=0)
    return column


def arrange(sizes: Sequence[Point], links: Sequence[Link], texts: Sequence[float]) -> Layout:
    """Place boxes of sizes (width, height), linked from and to by number, with texts on links, of so many pixels.

    Boxes are made as wide as the widest of their column.
    """
    column, heights = columns(len(sizes), links), [height for _, height in sizes]
    grid: list[list[int]] = [[] for _ in range(max(column, default=0) + 1)]
    for each, place in enumerate(column):
        grid[place].append(each)
    paths: list[list[int]] = []
    for link in links:
        # From left to right, through what stands for it in the columns between.
        first, last = sorted(link, key=column.__getitem__)
        between = range(column[first] + 1, column[last])
        passing = range(len(heights), len(heights) + len(between))
        heights += [PASSING] * len(passing)
        for each, place in zip(passing, between, strict=True):
            grid[place].append(each)
        paths.append([first, *passing, last] if first != last else [])
    middle = _middles(grid, [pair for path in paths for pair in pairwise(path)], heights)
    ends, x = [], 0.0
    for place, members in enumerate(grid):
        width = max((sizes[each][0] for each in members if each < len(sizes)), default=0.0)
        ends.append((x, x + width))
        beside = [text + AROUND for path, text in zip(paths, texts, strict=True) if path and text
                  and column[path[0]] == place]
        x += width + max([BESIDE, *beside])
    routes = _routes(paths, grid, middle, heights, ends)
    low = min([middle[each] - height / 2 for each, height in enumerate(heights)], default=0.0)
    high = max([middle[each] + height / 2 for each, height in enumerate(heights)], default=0.0)
    boxes = [(ends[column[each]][0], middle[each] - height / 2 - low, ends[column[each]][1] - ends[column[each]][0],
              height) for each, (_, height) in enumerate(sizes)]
    routes = [[(x, y - low) for x, y in (route if path[:1] == [source] else route[::-1])]
              for (source, _), path, route in zip(links, paths, routes, strict=True)]
    return Layout(boxes, routes, ends[-1][1], high - low)


def _middles(grid: list[list[int]], pairs: list[Link], heights: list[float]) -> list[float]:
    """Sort each column in place, so that links of neighbouring columns seldom cross, and return where boxes have their
    middles: as near to those of their neighbours as is possible without touching each other."""
    middle = [0.0] * len(heights)
    before, after = ([[] for _ in heights] for _ in range(2))
    for one, other in pairs:
        after[one].append(other)
        before[other].append(one)

    def mean(each: int, near: list[int]) -> float:
        return sum(middle[other] for other in near) / len(near) if near else middle[each]

    def steps(members: list[int]) -> np.ndarray:
        """How far each middle is below the first one where boxes are as close as they may be."""
        gaps = [(heights[one] + heights[other]) / 2 + BELOW for one, other in pairwise(members)]
        return np.cumsum([0.0, *gaps])

    def put(members: list[int], wanted: list[float]) -> None:
        below = steps(members)
        found = isotonic_regression(np.array(wanted) - below).x + below
        for each, y in zip(members, found, strict=True):
            middle[each] = float(y)

    for members in grid:
        put(members, [0.0] * len(members))
    for sweep in range(SWEEPS):
        near, across = (after, reversed(grid)) if sweep % 2 else (before, grid)
        for members in across:
            members.sort(key=lambda each, near=near: mean(each, near[each]))
            put(members, [0.0] * len(members))
    for sweep in range(SWEEPS):
        for members in reversed(grid) if sweep % 2 else grid:
            put(members, [mean(each, before[each] + after[each]) for each in members])
    return middle


def _routes(paths: list[list[int]], grid: list[list[int]], middle: list[float], heights: list[float],
            ends: list[Point]) -> list[list[Point]]:
    """Return the points of each path, from left to right; those that share a side of a box are set apart there."""
    place = {each: number for number, members in enumerate(grid) for each in members}
    # Side of a box -> which paths meet there.
    sides: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for number, path in enumerate(paths):
        for each, right in ((path[0], True), (path[-1], False)) if path else ():
            sides[each, right].append(number)
    shift: dict[tuple[int, int], float] = {}
    for (each, right), numbers in sides.items():
        numbers.sort(key=lambda number, right=right: middle[paths[number][1 if right else -2]])
        apart = min(APART, (heights[each] - 2 * APART) / len(numbers))
        for rank, number in enumerate(numbers):
            shift[number, each] = (rank - (len(numbers) - 1) / 2) * apart
    routes = []
    for number, path in enumerate(paths):
        points = [(end, middle[each] + shift.get((number, each), 0.0)) for each in path for end in ends[place[each]]]
        routes.append(points[1:-1])
    return routes
