"""Meshes of things that differ in front and back, drawn from boxes: cars, vans, boats, planes and animals of sorts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

# The eight corners of a box and its twelve triangles, seen from outside against the clock.
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
TRIANGLES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],
                      [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]])
GLASS, TYRE, LIGHT = (60, 80, 110), (30, 30, 30), (240, 230, 150)
Box = tuple[np.ndarray, tuple[int, int, int]]


def box(centre: tuple[float, float, float], size: tuple[float, float, float], colour: tuple[int, int, int],
        taper: tuple[float, float] = (1.0, 1.0)) -> Box:
    """Return corners (8, 3) and colour of a box; taper: length and width of its top by those of its base."""
    corners = CORNERS * size
    top = CORNERS[:, 1] > 0
    corners[top, 0] *= taper[0]
    corners[top, 2] *= taper[1]
    return corners + centre, colour


def wheels(length: float, width: float, radius: float) -> list[Box]:
    return [box((x, radius, z), (2 * radius, 2 * radius, 0.08), TYRE)
            for x in (-length / 3, length / 3) for z in (-width / 2, width / 2)]


def car(rng: np.random.Generator, colour: tuple[int, int, int]) -> list[Box]:
    length, width = rng.uniform(1.7, 2.2), rng.uniform(0.7, 0.9)
    return [box((0, 0.35, 0), (length, 0.35, width), colour),
            box((-rng.uniform(0.15, 0.35), 0.68, 0), (rng.uniform(0.8, 1.1), 0.35, 0.9 * width), GLASS, (0.6, 0.8)),
            box((length / 2, 0.35, 0), (0.04, 0.12, 0.8 * width), LIGHT),
            box((-length / 2 + 0.1, 0.62, 0), (0.12, 0.2, width), colour), *wheels(length, width, 0.18)]


def van(rng: np.random.Generator, colour: tuple[int, int, int]) -> list[Box]:
    length, height = rng.uniform(1.8, 2.4), rng.uniform(0.8, 1.1)
    return [box((-0.2, 0.25 + height / 2, 0), (0.75 * length, height, 0.8), colour),
            box((0.42 * length, 0.5, 0), (0.35 * length, 0.5, 0.75), GLASS, (0.6, 1.0)),
            box((0.6 * length, 0.35, 0), (0.05, 0.12, 0.7), LIGHT), *wheels(length, 0.8, 0.2)]


def boat(rng: np.random.Generator, colour: tuple[int, int, int]) -> list[Box]:
    length = rng.uniform(1.8, 2.4)
    return [box((0, 0.2, 0), (length, 0.3, 0.6), colour, (1.15, 1.1)),
            box((0.6 * length, 0.28, 0), (0.3 * length, 0.14, 0.25), colour),
            box((-0.25 * length, 0.55, 0), (0.35 * length, 0.4, 0.45), (220, 220, 220), (0.8, 0.9)),
            box((-0.3 * length, 1.0, 0), (0.08, rng.uniform(0.4, 0.7), 0.08), TYRE)]


def plane(rng: np.random.Generator, colour: tuple[int, int, int]) -> list[Box]:
    length, span = rng.uniform(1.8, 2.2), rng.uniform(1.6, 2.2)
    return [box((0, 0, 0), (length, 0.25, 0.25), colour), box((0.2, 0, 0), (0.4, 0.06, span), (200, 200, 210)),
            box((-0.45 * length, 0.3, 0), (0.25, 0.45, 0.06), colour, (0.6, 1.0)),
            box((-0.45 * length, 0.1, 0), (0.22, 0.05, 0.7), (200, 200, 210)),
            box((0.5 * length, 0, 0), (0.06, 0.5, 0.06), TYRE)]


def animal(rng: np.random.Generator, colour: tuple[int, int, int]) -> list[Box]:
    length, legs = rng.uniform(1.0, 1.4), rng.uniform(0.4, 0.7)
    return [box((0, legs + 0.2, 0), (length, 0.4, 0.4), colour),
            box((0.55 * length, legs + 0.65, 0), (0.25, 0.6, 0.2), colour),
            box((0.75 * length, legs + 0.9, 0), (0.45, 0.25, 0.25), colour, (0.8, 0.9)),
            box((-0.55 * length, legs + 0.3, 0), (0.15, 0.1, 0.1), TYRE),
            *(box((x, legs / 2, z), (0.14, legs, 0.14), TYRE) for x in (-0.4 * length, 0.4 * length)
              for z in (-0.13, 0.13))]


KINDS: dict[str, Callable[[np.random.Generator, tuple[int, int, int]], list[Box]]] = {
    "car": car, "van": van, "boat": boat, "plane": plane, "animal": animal}


def shapes(folder: Path, sceneries: int, seed: int, factors: list[str]) -> Iterator[int]:
    """Draw meshes, `<kind>_<number>.ply` with coloured faces, y up and the front at x > 0."""
    folder.mkdir(parents=True)
    for kind in factors:
        for number in range(sceneries):
            rng = np.random.default_rng([seed, number, *kind.encode()])
            colour = tuple(rng.integers(90, 230, 3).tolist())
            write_ply(folder / f"{kind}_{number:02}.ply", KINDS[kind](rng, colour))
            yield 1


def write_ply(path: Path, boxes: list[Box]) -> None:
    """Write boxes as a PLY of text, the corners of each face its own, so that edges stay sharp."""
    corners = np.concatenate([points[TRIANGLES].reshape(-1, 3) for points, _ in boxes])
    colours = np.concatenate([np.tile(colour, (TRIANGLES.size, 1)) for _, colour in boxes])
    head = ["ply", "format ascii 1.0", f"element vertex {len(corners)}", *(f"property float {axis}" for axis in "xyz"),
            *(f"property uchar {name}" for name in ("red", "green", "blue")), f"element face {len(corners) // 3}",
            "property list uchar int vertex_indices", "end_header"]
    lines = [f"{x:.5f} {y:.5f} {z:.5f} {r} {g} {b}" for (x, y, z), (r, g, b) in zip(corners, colours, strict=True)]
    lines += [f"3 {i} {i + 1} {i + 2}" for i in range(0, len(corners), 3)]
    path.write_text("\n".join([*head, *lines]) + "\n", encoding="ascii")
