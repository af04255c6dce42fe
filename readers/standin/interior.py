"""Vehicle scenes: a bench seen from the front, and who or what sits on it."""

import zlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from readers.standin.canvas import Canvas, Layers, Stage, limb, rounded, turned

SEAT_X = (0.17, 0.5, 0.83)
EMPTY, INFANT, CHILD, ADULT, OBJECT, EMPTY_INFANT, EMPTY_CHILD = range(7)


@dataclass(frozen=True)
class Cabin:
    """How the inside of a car looks.

    seat, trim, door: reflectances; headrest: half width and half height; back: half width of a seat's back; top: where
    the backs begin; power: how angular everything is; seams: per back; console: no middle seat, as between front seats.
    """

    seat: float
    trim: float
    door: float
    headrest: tuple[float, float]
    back: float
    top: float
    power: float
    seams: int
    console: bool = False


def cabin_of(car: str, console: bool = False) -> Cabin:
    """Return the inside of a car; the same name always gives the same."""
    rng = np.random.default_rng(zlib.crc32(car.encode()))
    return Cabin(
        seat=rng.uniform(0.28, 0.62), trim=rng.uniform(0.16, 0.3), door=rng.uniform(0.35, 0.55),
        headrest=(rng.uniform(0.06, 0.09), rng.uniform(0.045, 0.075)), back=rng.uniform(0.135, 0.155),
        top=rng.uniform(0.33, 0.38), power=rng.uniform(3.5, 6), seams=int(rng.integers(0, 4)), console=console)


def draw_scenery(stage: Stage, seats: tuple[int, int, int], cabin: Cabin | None, rng: np.random.Generator) -> Layers:
    """Draw a scenery: raw labels 0 to 6 of the seats, left to right as seen; without a cabin only who sits there."""
    canvas = Canvas(stage)
    if cabin is not None:
        _cabin(canvas, cabin, rng)
    for seat in rng.permutation(3):
        x, scale = SEAT_X[seat] + rng.uniform(-0.03, 0.03), rng.uniform(0.9, 1.1)
        _draw_seat(canvas, seats[seat], _Place(x, rng.uniform(-0.02, 0.03), scale, rng.uniform(-9, 9)), rng)
    return canvas.layers()


@dataclass(frozen=True)
class _Place:
    """Where an occupant sits: x and a shift in y, its scale, and its lean in degrees around its seat."""

    x: float
    y: float
    scale: float
    lean: float

    def at(self, outline: np.ndarray) -> np.ndarray:
        """Move an outline that was drawn for a seat at x = 0 there; what rests on the seat (y = 0.85) stays on it."""
        return turned((outline - (0, 0.85)) * self.scale, self.lean) + np.array([self.x, 0.85 + self.y])


def _draw_seat(canvas: Canvas, raw: int, place: _Place, rng: np.random.Generator) -> None:
    if raw in (INFANT, EMPTY_INFANT):
        _infant_seat(canvas, place, rng, occupied=raw == INFANT)
    elif raw in (CHILD, EMPTY_CHILD):
        _child_seat(canvas, place, rng, occupied=raw == CHILD)
    elif raw == ADULT:
        _adult(canvas, place, rng)
    elif raw == OBJECT:
        _box(canvas, place, rng)


def _cabin(canvas: Canvas, cabin: Cabin, rng: np.random.Generator) -> None:
    """Draw roof, doors and windows, then the bench: cushions, backs, headrests, belts."""
    canvas.fill(np.array([[-1.0, -1], [2, -1], [2, 2], [-1, 2]]), cabin.trim, 0.1)
    canvas.fill(np.array([[-0.3, -1], [1.3, -1], [1.12, 0.06], [-0.12, 0.06]]), cabin.trim + 0.25, 0.15)
    canvas.open(rounded(0.5, 0.17, 0.3, 0.085, cabin.power))
    for side in (-1, 1):
        door = np.array([[0.56, 0.5], [0.66, 0.36], [1.5, 0.4], [1.5, 2], [0.62, 2], [0.6, 0.9]])
        canvas.fill(door * (side, 1) + (0.5, 0), cabin.door, 0.2)
        window = np.array([[0.6, 0.02], [0.95, -0.05], [1.0, 0.42], [0.68, 0.34]])
        canvas.open(window * (side, 1) + (0.5, 0))
        canvas.fill(limb((0.5 + side * 0.6, 0.72), (0.5 + side * 0.85, 0.8), 0.03, 0.04), cabin.door * 0.8, 0.35)
    shift = rng.uniform(-0.01, 0.01)
    if not cabin.console:
        canvas.fill(rounded(0.5, 1.02, 0.56, 0.2, cabin.power), cabin.seat * 1.1, 0.3)
    for x in SEAT_X:
        if cabin.console and x == 0.5:
            canvas.fill(rounded(x, 1.0, 0.1, 0.28, cabin.power), cabin.trim * 0.7, 0.35)
        else:
            _seat(canvas, cabin, x + shift)


def _seat(canvas: Canvas, cabin: Cabin, x: float) -> None:
    width, height = cabin.headrest
    middle = 0.8 if 0.3 < x < 0.7 else 1.0
    for post in (-0.03, 0.03):
        canvas.fill(limb((x + post, cabin.top - 0.05), (x + post, cabin.top + 0.05), 0.006, 0.006), 0.75, 0.3)
    canvas.fill(rounded(x, cabin.top - height * 0.7, width * middle, height * middle, cabin.power),
                cabin.seat * 0.95, 0.45)
    canvas.fill(rounded(x, (cabin.top + 0.88) / 2, cabin.back, (0.9 - cabin.top) / 2, cabin.power), cabin.seat, 0.4)
    for seam in range(1, cabin.seams + 1):
        at = x + cabin.back * (2 * seam / (cabin.seams + 1) - 1)
        canvas.mark(limb((at, cabin.top + 0.05), (at, 0.82), 0.002, 0.002), cabin.seat * 0.75)
    canvas.fill(rounded(x, 0.93, cabin.back, 0.11, cabin.power), cabin.seat * 1.12, 0.5)
    canvas.fill(limb((x + 0.1, cabin.top), (x + 0.12, 0.84), 0.008, 0.008), cabin.trim * 0.6, 0.4, 0.3)


def _head(canvas: Canvas, place: _Place, rng: np.random.Generator, y: float, radius: float, skin: float) -> None:
    """Draw a head around (0, y): hair, face, eyes, mouth; it looks a little to one side."""
    x, look, hair = rng.uniform(-0.02, 0.02), rng.uniform(-0.3, 0.3), rng.uniform(0.05, 0.4)
    tilt = rng.uniform(-12, 12)

    def part(dx: float, dy: float, half_width: float, half_height: float) -> np.ndarray:
        return place.at(rounded(x + dx * radius, y + dy * radius, half_width * radius, half_height * radius, 2, tilt))

    canvas.fill(part(0, -0.15, 1.0, 1.15), hair, 0.85)
    canvas.fill(part(look * 0.4, 0.18, 0.8, 0.98), skin, 1.0, 0.6)
    for side in (-1, 1):
        canvas.mark(part(look + side * 0.33, 0.05, 0.13, 0.08), skin * 0.25)
    canvas.mark(part(look, 0.65, 0.25, 0.06), skin * 0.55)
    canvas.mark(part(look, 0.35, 0.09, 0.12), skin * 0.8)


def _stripes(canvas: Canvas, place: _Place, rng: np.random.Generator, tone: float, top: float, bottom: float,
             half_width: float) -> None:
    """Print stripes on a garment, on some."""
    if rng.random() < 0.4:
        for y in np.linspace(top, bottom, int(rng.integers(3, 7))):
            canvas.mark(place.at(limb((-half_width, y), (half_width, y), 0.006, 0.006)), tone * 0.65)


def _adult(canvas: Canvas, place: _Place, rng: np.random.Generator) -> None:
    skin, shirt, trousers = rng.uniform(0.45, 0.85), rng.uniform(0.15, 0.95), rng.uniform(0.1, 0.5)
    width = rng.uniform(0.12, 0.15)
    for side in (-1, 1):
        knee = (side * rng.uniform(0.06, 0.1), rng.uniform(1.0, 1.06))
        canvas.fill(place.at(limb((side * 0.055, 0.83), knee, 0.055, 0.05)), trousers, 0.8)
    canvas.fill(place.at(limb((0, 0.3), (0, 0.42), 0.035, 0.04)), skin * 0.85, 0.7)
    torso = np.array([[-0.45, 0.37], [0.45, 0.37], [0.95, 0.42], [1.0, 0.5], [0.78, 0.68], [0.8, 0.86], [0.4, 0.9],
                      [-0.4, 0.9], [-0.8, 0.86], [-0.78, 0.68], [-1.0, 0.5], [-0.95, 0.42]]) * (width, 1)
    canvas.fill(place.at(torso), shirt, 0.75)
    _stripes(canvas, place, rng, shirt, 0.5, 0.82, width * 0.72)
    sleeve = skin if rng.random() < 0.5 else shirt
    for side in (-1, 1):
        elbow = (side * (width + rng.uniform(0.0, 0.05)), rng.uniform(0.6, 0.7))
        hand = (side * rng.uniform(0.0, 0.14), rng.uniform(0.7, 0.92))
        canvas.fill(place.at(limb((side * (width - 0.02), 0.44), elbow, 0.042, 0.034)), shirt * 0.93, 0.85)
        canvas.fill(place.at(limb(elbow, hand, 0.033, 0.024)), sleeve * 0.97, 0.95)
        canvas.fill(place.at(rounded(*hand, 0.028, 0.032)), skin, 1.0)
    _head(canvas, place, rng, rng.uniform(0.24, 0.28), rng.uniform(0.068, 0.078), skin)


def _child_seat(canvas: Canvas, place: _Place, rng: np.random.Generator, occupied: bool) -> None:
    """Draw a high-back booster: shell with wings beside head and hips, cushion, and the child in it."""
    shell, padding = rng.uniform(0.08, 0.4), rng.uniform(0.3, 0.9)
    canvas.fill(place.at(rounded(0, 0.67, 0.125, 0.25, 4)), shell, 0.6)
    canvas.fill(place.at(rounded(0, 0.5, 0.11, 0.12, 3)), shell * 1.2, 0.65)
    canvas.fill(place.at(rounded(0, 0.66, 0.088, 0.21, 3.5)), padding, 0.5)
    for side in (-1, 1):
        canvas.fill(place.at(rounded(side * 0.105, 0.52, 0.024, 0.085, 3, side * 8)), padding * 0.8, 0.8)
        canvas.fill(place.at(rounded(side * 0.118, 0.8, 0.028, 0.08, 3)), shell * 1.4, 0.8)
    canvas.fill(place.at(rounded(0, 0.93, 0.125, 0.075, 3)), padding * 0.9, 0.7)
    if occupied:
        _child(canvas, place, rng)


def _child(canvas: Canvas, place: _Place, rng: np.random.Generator) -> None:
    skin, shirt, trousers = rng.uniform(0.5, 0.9), rng.uniform(0.2, 0.95), rng.uniform(0.1, 0.6)
    for side in (-1, 1):
        foot = (side * rng.uniform(0.045, 0.08), rng.uniform(0.98, 1.04))
        canvas.fill(place.at(limb((side * 0.035, 0.84), foot, 0.034, 0.028)), trousers, 0.85)
        canvas.fill(place.at(rounded(*foot, 0.028, 0.034)), trousers * 0.5, 0.9)
    canvas.fill(place.at(rounded(0, 0.73, 0.07, 0.125, 3)), shirt, 0.8)
    _stripes(canvas, place, rng, shirt, 0.68, 0.82, 0.06)
    for side in (-1, 1):
        hand = (side * rng.uniform(0.01, 0.09), rng.uniform(0.78, 0.88))
        canvas.fill(place.at(limb((side * 0.065, 0.65), hand, 0.024, 0.018)), skin, 0.9)
        canvas.mark(place.at(limb((side * 0.04, 0.62), (side * 0.015, 0.86), 0.009, 0.009)), 0.12)
    _head(canvas, place, rng, rng.uniform(0.53, 0.56), rng.uniform(0.055, 0.064), skin)


def _infant_seat(canvas: Canvas, place: _Place, rng: np.random.Generator, occupied: bool) -> None:
    """Draw a bucket with a handle over it, seen from its foot, and the infant's head under a hood or blanket."""
    shell, padding = rng.uniform(0.08, 0.45), rng.uniform(0.35, 0.9)
    canvas.fill(place.at(rounded(0, 0.79, 0.135, 0.165, 2.6)), shell, 0.6)
    canvas.fill(place.at(rounded(0, 0.77, 0.105, 0.13, 2.3)), padding, 0.4)
    if occupied:
        _head(canvas, place, rng, rng.uniform(0.71, 0.73), rng.uniform(0.042, 0.048), rng.uniform(0.55, 0.9))
        canvas.fill(place.at(rounded(0, 0.84, 0.085, 0.075, 2.5)), rng.uniform(0.3, 0.95), 0.75)
    else:
        for side in (-1, 1):
            canvas.mark(place.at(limb((side * 0.04, 0.68), (side * 0.01, 0.84), 0.009, 0.009)), padding * 0.3)
    canvas.fill(place.at(rounded(0, 0.93, 0.125, 0.055, 3)), shell * 1.3, 0.85)
    angle = np.radians(np.linspace(185, 355, 9))
    arch = np.stack([0.135 * np.cos(angle), 0.78 + rng.uniform(0.2, 0.26) * np.sin(angle)], axis=1)
    for start, end in pairwise(arch):
        canvas.fill(place.at(limb(tuple(start), tuple(end), 0.013, 0.013)), shell * 0.8 + 0.05, 1.0, 0.4)


def _box(canvas: Canvas, place: _Place, rng: np.random.Generator) -> None:
    """Draw an everyday object lying on the seat: a box, seen from above its front edge."""
    half, height, depth = rng.uniform(0.05, 0.1), rng.uniform(0.06, 0.16), rng.uniform(0.02, 0.05)
    x, tone, skew = rng.uniform(-0.03, 0.03), rng.uniform(0.2, 0.85), rng.uniform(-0.02, 0.02)
    front = np.array([[-half, 0.93 - height], [half, 0.93 - height], [half, 0.93], [-half, 0.93]])
    front += np.array([x, 0])
    lid = np.array([front[0], front[1], front[1] + (skew - 0.01, -depth), front[0] + (skew + 0.01, -depth)])
    canvas.fill(place.at(front), tone, 0.7)
    canvas.fill(place.at(lid), min(1.0, tone * 1.25), 0.8)
    canvas.mark(place.at(limb((x, 0.93 - height), (x, 0.93), 0.008, 0.008)), tone * 0.7)
