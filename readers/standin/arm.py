"""Stand-in of MPI3D: a robot arm holds an object; every combination of seven factors is an image of 64x64."""

import math
import os
import zipfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

# Colour, shape, size, camera height, background; the two axes follow. The last factor runs fastest.
FACTORS = (4, 4, 2, 3, 3)
AXES = 40
DOMAINS = {"toy": 0.0, "realistic": 0.4, "real": 1.0}
SIDE = 64

_COLOURS = np.array([[0.92, 0.92, 0.9], [0.15, 0.7, 0.25], [0.85, 0.15, 0.12], [0.15, 0.3, 0.85]], np.float32)
_STRIPES = np.array([[0.55, 0.25, 0.6], [0.2, 0.6, 0.5], [0.9, 0.5, 0.4]], np.float32)
_WALL, _TABLE, _METAL = (np.array(c, np.float32) for c in ([0.12, 0.13, 0.16], [0.35, 0.33, 0.31], [0.6, 0.62, 0.66]))
# Half sizes of small and large objects; camera pitch in degrees per height.
_SIZES, _PITCH = (0.11, 0.19), (12, 30, 50)
_NOISE = 1 << 22


def factor_sizes(steps: int) -> tuple[int, ...]:
    """Return the numbers of values of the seven factors."""
    return (*FACTORS, steps, steps)


def write_domain(path: Path, domain: str, gap: float, steps: int, seed: int) -> None:
    """Write an uncompressed .npz with `images`, uint8 (N, 64, 64, 3), in the order of the factors, as a stream.

    Where `steps` is not the download's 40 it also holds `factor_sizes`, int64 (7,). Memory stays within a few blocks
    of steps x steps x 3 images, whatever N is.
    """
    blocks = list(product(*(range(size) for size in FACTORS[:4])))
    count = math.prod(factor_sizes(steps))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, SIDE, SIDE, 3)}
            np.lib.format.write_array_header_1_0(member, header)
            with tqdm(total=count, desc=f"drawing mpi3d {domain}", unit="image", disable=None) as bar:
                for block in _in_order(blocks, gap, steps, seed):
                    member.write(memoryview(block).cast("B"))
                    bar.update(len(block))
        if steps != AXES:
            with archive.open("factor_sizes.npy", "w") as member:
                np.lib.format.write_array(member, np.array(factor_sizes(steps), np.int64), allow_pickle=False)


def _in_order(blocks: list[tuple[int, ...]], gap: float, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Draw blocks in parallel threads, few ahead of what is taken; NumPy's arithmetic releases the lock."""
    noise = noise_row(seed)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: deque = deque()
        for number, block in enumerate(blocks):
            waiting.append(pool.submit(draw_block, block, gap, steps, noise, np.random.default_rng([seed, number])))
            if len(waiting) > (os.cpu_count() or 1):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def noise_row(seed: int) -> np.ndarray:
    """Return a long row of normal numbers that images take a stretch of; drawing them anew would cost the most."""
    return np.random.default_rng(seed).standard_normal(_NOISE, dtype=np.float32)


def draw_block(block: tuple[int, ...], gap: float, steps: int, noise: np.ndarray,
               rng: np.random.Generator) -> np.ndarray:
    """Draw all backgrounds and axis positions of (colour, shape, size, camera height).

    Returns uint8 (3 * steps * steps, 64, 64, 3). noise: see `noise_row`; rng: says where in it to begin.
    """
    colour, shape, size, camera = block
    images = np.empty((FACTORS[4], steps, steps, SIDE, SIDE, 3), np.uint8)
    rooms = [_room(camera, stripe, gap) for stripe in range(FACTORS[4])]
    shine = min(1.0, 2.5 * gap)
    for first in range(steps):
        arm, shade, held, round_off = _masks(shape, size, camera, first / max(1, steps - 1), steps, gap)
        held_light = (1 - shine * (0.55 - 0.6 * round_off)) * held
        arm_light = (1 - shine * (0.6 - 0.7 * shade)) * arm * (1 - held)
        clear = (1 - arm) * (1 - held)
        for channel in range(3):
            drawn = arm_light * _toned(_METAL, gap)[channel] + held_light * _toned(_COLOURS[colour], gap)[channel]
            for stripe, room in enumerate(rooms):
                images[stripe, first, ..., channel] = _seen(
                    clear * room[..., channel] + drawn, channel, gap, noise, int(rng.integers(_NOISE - drawn.size)))
    return images.reshape(-1, SIDE, SIDE, 3)


def _seen(image: np.ndarray, channel: int, gap: float, noise: np.ndarray, start: int) -> np.ndarray:
    """Return what a camera makes of one channel, in [0, 255]: cast and uneven light, lower contrast, noise."""
    if gap > 0:
        image *= _lamp(gap, channel)
        image += noise[start : start + image.size].reshape(image.shape) * np.float32(0.022 * gap * gap)
    image *= 255
    image += 0.5
    return np.clip(image, 0, 255, out=image)


def _lamp(gap: float, channel: int) -> np.ndarray:
    """Return the light that falls on each pixel (64, 64): from the left, warmer than white."""
    x, y = _grid()
    cast = 1 + gap * (0.1, 0.0, -0.14)[channel]
    return ((1 - gap * (0.22 * x - 0.1 * y - 0.15)) * cast).astype(np.float32)


def _toned(colour: np.ndarray, gap: float) -> np.ndarray:
    """Return a colour as paint has it: duller the wider the gap."""
    return colour + (colour.mean() * 0.9 - colour) * np.float32(0.35 * gap)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Return x (1, 64) and y (64, 1) of the pixels in [-1, 1], y upwards."""
    axis = ((np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE) * 2 - 1
    return axis[None], -axis[:, None]


def _soft(gap: float) -> np.float32:
    """Return the width of an edge: one pixel, three where the camera blurs."""
    return np.float32((1 + 2 * gap) / SIDE)


def _inside(distance: np.ndarray, soft: np.float32) -> np.ndarray:
    """Turn a signed distance, negative inside, into coverage in [0, 1], in place."""
    distance *= -0.5 / soft
    distance += 0.5
    return np.clip(distance, 0, 1, out=distance)


def _project(points: np.ndarray, camera: int) -> np.ndarray:
    """Project points (..., 3), x right, y up, z to the viewer, for a camera height; returns (..., 2), float32."""
    pitch = math.radians(_PITCH[camera])
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    depth = z * math.cos(pitch) + y * math.sin(pitch)
    scale = 0.95 / (1 - 0.18 * depth)
    up = y * math.cos(pitch) - z * math.sin(pitch)
    return np.stack([x * scale, up * scale - 0.35], axis=-1).astype(np.float32)


def _room(camera: int, stripe: int, gap: float) -> np.ndarray:
    """Draw wall, round table, the coloured stripe around it and the arm's foot; float32 (64, 64, 3)."""
    x, y = _grid()
    soft, flat = _soft(gap), math.sin(math.radians(_PITCH[camera]))
    image = np.broadcast_to(_toned(_WALL, gap) * 1.0, (SIDE, SIDE, 3)).copy()
    image *= 1 + min(1.0, 2.5 * gap) * 0.5 * y[..., None]
    low = -0.35
    for radius, colour in ((0.98, _STRIPES[stripe]), (0.74, _TABLE), (0.2, _METAL * 0.6)):
        ring = (np.sqrt(x**2 + ((y - low) / flat) ** 2) - radius) * flat
        cover = _inside(ring, soft)[..., None]
        image += (_toned(colour, gap) - image) * cover
    return image


def _masks(shape: int, size: int, camera: int, first: float, steps: int,
           gap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw arm and object at one position of the first axis and all of the second, float32 (steps, 64, 64) each.

    Returns the arm's coverage and how much its surface faces the light, in [0, 1], and the same of the object.
    """
    azimuth, lift = math.radians(20 + 140 * first), np.radians(np.linspace(-5, 75, steps))
    ahead = np.array([math.cos(azimuth), 0.0, math.sin(azimuth)])
    shoulder = np.array([0.0, 0.3, 0.0])
    elbow = shoulder + 0.25 * ahead + (0, 0.25, 0)
    tip = elbow + 0.5 * (np.cos(lift)[:, None] * ahead + np.sin(lift)[:, None] * (0, 1, 0))
    soft = _soft(gap)
    joints = [_project(np.broadcast_to(point, (steps, 3)), camera) for point in (shoulder * 0, shoulder, elbow, tip)]
    arm = shade = None
    for start, end, width in zip(joints[:-1], joints[1:], (0.1, 0.075, 0.055), strict=True):
        across = _rod(start, end)
        facing = np.clip(1 - (across / np.float32(width)) ** 2, 0, 1)
        cover = _inside(across - np.float32(width), soft)
        shade = facing if shade is None else np.where(cover > 0.5, facing, shade)
        arm = cover if arm is None else np.maximum(arm, cover, out=arm)
    held, round_off = _object(shape, _SIZES[size], joints[-1], soft)
    return arm, shade, held, round_off


def _rod(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the distance of every pixel to the lines from `start` to `end` (n, 2), (n, 64, 64)."""
    x, y = _grid()
    axis = end - start
    length = np.maximum((axis**2).sum(axis=1), 1e-6)
    dx, dy = x - start[:, 0, None, None], y - start[:, 1, None, None]
    along = (dx * axis[:, 0, None, None] + dy * axis[:, 1, None, None]) / length[:, None, None]
    np.clip(along, 0, 1, out=along)
    return np.hypot(dx - along * axis[:, 0, None, None], dy - along * axis[:, 1, None, None])


def _object(shape: int, size: float, centre: np.ndarray, soft: np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Draw ball, cube, cone or ring at the arm's tip (n, 2): coverage and facing, (n, 64, 64) each."""
    x, y = _grid()
    x, y, size = x - centre[:, 0, None, None], y - centre[:, 1, None, None], np.float32(size)
    radius = np.hypot(x, y)
    if shape == 0:
        distance = radius - size
    elif shape == 1:
        distance = np.maximum(np.abs(x), np.abs(y)) - size * np.float32(0.85)
    elif shape == 2:
        distance = np.maximum(-y - size * np.float32(0.8), (np.abs(x) * 2 + y - size) / np.float32(math.sqrt(5)))
    else:
        distance = np.abs(radius - size * np.float32(0.72)) - size * np.float32(0.28)
    facing = np.clip(np.float32(0.75) + (y - x) / (2 * size), 0, 1)
    return _inside(distance, soft), facing
