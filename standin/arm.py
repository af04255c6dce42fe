"""Stand-in of MPI3D: an arm of two links holds an object; every combination of seven factors is an image of 64x64."""

import math
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

# Colour, shape, size, camera height, background; the two axes follow. The last factor runs fastest.
FACTORS = (4, 4, 2, 3, 3)
AXES = 40
# How far each domain is from the clean look.
DOMAINS = {"toy": 0.0, "realistic": 0.4, "real": 1.0}
SIDE = 64

COLOURS = np.array([[0.92, 0.92, 0.9], [0.15, 0.7, 0.25], [0.85, 0.15, 0.12], [0.15, 0.3, 0.85]])
BACKGROUNDS = np.array([[0.55, 0.25, 0.6], [0.2, 0.6, 0.5], [0.9, 0.5, 0.4]])
_WALL, _METAL = np.array([0.12, 0.13, 0.16]), np.array([0.6, 0.62, 0.66])
_SIZES, _TABLE_HEIGHTS = (0.11, 0.19), (-0.75, -0.6, -0.45)
# x to the right and y upwards in [-1, 1], of the pixels' centres.
_AXIS = (np.arange(SIDE) + 0.5) * 2 / SIDE - 1
_X, _Y = _AXIS[None], -_AXIS[:, None]


def factor_sizes(steps: int) -> tuple[int, ...]:
    """Return the numbers of values of the seven factors."""
    return (*FACTORS, steps, steps)


def write_domain(path: Path, domain: str, gap: float, steps: int, seed: int) -> None:
    """Write an uncompressed .npz with `images`, uint8 (N, 64, 64, 3), in the order of the factors, as a stream.

    Where `steps` is not the download's 40 it also holds `factor_sizes`, int64 (7,). Memory stays within a block of
    3 x steps x steps images, whatever N is.
    """
    blocks, count = list(product(*map(range, FACTORS[:4]))), math.prod(factor_sizes(steps))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, SIDE, SIDE, 3)}
            np.lib.format.write_array_header_1_0(member, header)
            with tqdm(total=count, desc=f"drawing mpi3d {domain}", unit="image", disable=None) as bar:
                for number, block in enumerate(blocks):
                    images = draw_block(block, gap, steps, np.random.default_rng([seed, number]))
                    member.write(memoryview(images).cast("B"))
                    bar.update(len(images))
        if steps != AXES:
            with archive.open("factor_sizes.npy", "w") as member:
                np.lib.format.write_array(member, np.array(factor_sizes(steps), np.int64), allow_pickle=False)


def draw_block(block: tuple[int, ...], gap: float, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Draw all backgrounds and axis positions of (colour, shape, size, camera height).

    Returns uint8 (3 * steps * steps, 64, 64, 3). gap: 0 is flat colour; towards 1 colours get duller, the light comes
    from one side and warmer, and there is noise.
    """
    colour, shape, size, camera = block
    images = np.empty((FACTORS[4], steps, steps, SIDE, SIDE, 3), np.uint8)
    tables = [_table(_TABLE_HEIGHTS[camera], stripe, gap) for stripe in BACKGROUNDS]
    light = (1 - gap * (0.22 * _X - 0.1 * _Y - 0.15))[..., None] * (1 + gap * np.array([0.1, 0.0, -0.14]))
    for first in range(steps):
        arm, held = _masks(shape, _SIZES[size], _TABLE_HEIGHTS[camera], first / max(1, steps - 1), steps)
        for number, table in enumerate(tables):
            image = table + (_dull(_METAL, gap) - table) * arm[..., None]
            image = (image + (_dull(COLOURS[colour], gap) - image) * held[..., None]) * light
            image += gap * 0.025 * rng.standard_normal(image.shape, dtype=np.float32)
            images[number, first] = (image * 255 + 0.5).clip(0, 255)
    return images.reshape(-1, SIDE, SIDE, 3)


def _dull(colour: np.ndarray, gap: float) -> np.ndarray:
    return colour + (0.9 * colour.mean() - colour) * 0.35 * gap


def _inside(distance: np.ndarray) -> np.ndarray:
    """Turn a signed distance, negative inside, into coverage in [0, 1] with an edge of a pixel."""
    return (0.5 - distance * SIDE / 2).clip(0, 1)


def _table(height: float, stripe: np.ndarray, gap: float) -> np.ndarray:
    """Draw the wall, and a round table whose colour is the background factor; float (64, 64, 3)."""
    cover = _inside((np.hypot(_X, (_Y - height) / 0.4) - 0.95) * 0.4)[..., None]
    return _dull(_WALL, gap) + (_dull(stripe, gap) - _dull(_WALL, gap)) * cover


def _masks(shape: int, size: float, height: float, first: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw arm and object at one position of the first axis (left to right) and all of the second (up).

    Returns their coverage, each float (steps, 64, 64).
    """
    turn, lift = math.radians(125 - 70 * first), np.linspace(-0.2, 0.9, steps)
    elbow = np.array([0.55 * math.cos(turn), height + 0.1 + 0.55 * math.sin(turn)])
    tip = np.stack([elbow[0] + 0.45 * np.cos(turn) * np.ones(steps), elbow[1] + 0.5 * lift], axis=1)
    foot, elbow = np.array([[0.0, height]]), elbow[None]
    arm = np.maximum(_inside(_rod(foot, elbow) - 0.08), _inside(_rod(elbow, tip) - 0.055))
    x, y = _X - tip[:, 0, None, None], _Y - tip[:, 1, None, None]
    radius = np.hypot(x, y)
    distance = (
        radius - size,
        np.maximum(np.abs(x), np.abs(y)) - 0.85 * size,
        np.maximum(-y - 0.8 * size, (np.abs(x) * 2 + y - size) / math.sqrt(5)),
        np.abs(radius - 0.72 * size) - 0.28 * size,
    )[shape]
    return arm, _inside(distance)


def _rod(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the distance of every pixel to the lines from `start` to `end` (n, 2), (n, 64, 64)."""
    (ax, ay), (bx, by) = start.T[..., None, None], (end - start).T[..., None, None]
    dx, dy = _X - ax, _Y - ay
    along = ((dx * bx + dy * by) / (bx * bx + by * by)).clip(0, 1)
    return np.hypot(dx - along * bx, dy - along * by)
