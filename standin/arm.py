"""Stand-in of MPI3D: an arm holds an object over a table; every combination of seven factors is an image of 64x64."""

import math
import zipfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

# Colour, shape, size, camera height, background; the two axes follow. The last factor runs fastest.
FACTORS = (4, 4, 2, 3, 3)
AXES = 40
# How far each domain is from the clean look.
DOMAINS = {"toy": 0.0, "realistic": 0.4, "real": 1.0}
SIDE = 64

COLOURS = ((235, 235, 230), (38, 178, 64), (217, 38, 31), (38, 76, 217))
BACKGROUNDS = ((140, 64, 153), (51, 153, 128), (230, 128, 102))
_WALL, _METAL = (31, 33, 41), (153, 158, 168)


def mpi3d(folder: Path, factors: list[str], gap: float | None, steps: int, seed: int) -> Iterator[int]:
    """Write an uncompressed .npz per domain with `images`, uint8 (N, 64, 64, 3), in the order of the factors.

    Where `steps` is not the download's 40 it also holds `factor_sizes`, int64 (7,). Images are written as a stream.
    """
    folder.mkdir()
    sizes = (*FACTORS, steps, steps)
    for domain in factors:
        rng = np.random.default_rng([seed, list(DOMAINS).index(domain)])
        with zipfile.ZipFile(folder / f"{domain}.npz", "w", zipfile.ZIP_STORED) as archive:
            with archive.open("images.npy", "w", force_zip64=True) as member:
                header = {"descr": "|u1", "fortran_order": False, "shape": (math.prod(sizes), SIDE, SIDE, 3)}
                np.lib.format.write_array_header_1_0(member, header)
                for values in product(*map(range, sizes)):
                    image = draw(values, steps, DOMAINS[domain] if gap is None else gap, rng)
                    member.write(image.tobytes())
                    yield 1
            if steps != AXES:
                with archive.open("factor_sizes.npy", "w") as member:
                    np.lib.format.write_array(member, np.array(sizes, np.int64), allow_pickle=False)


def draw(values: tuple[int, ...], steps: int, gap: float, rng: np.random.Generator) -> np.ndarray:
    """Draw one combination of the factors' values, uint8 (64, 64, 3).

    gap: 0 is flat colour; towards 1 colours get duller, the light comes from the left, and there is noise.
    """
    colour, shape, size, camera, background, *axes = values
    across, up = (axis / max(1, steps - 1) for axis in axes)
    # Twice as fine, so that edges are smooth.
    image = Image.new("RGB", (2 * SIDE, 2 * SIDE), _WALL)
    pen = ImageDraw.Draw(image)
    foot = 110 - 8 * camera
    x, y, radius = 64 + 76 * (across - 0.5), foot - 24 - 46 * up, (7, 12)[size]
    pen.ellipse((4, foot - 24, 124, foot + 24), BACKGROUNDS[background])
    pen.line((64, foot, 64 + 40 * (across - 0.5), foot - 40, x, y), _METAL, width=8)
    pen.regular_polygon((x, y, radius), (3, 4, 5, 20)[shape], fill=COLOURS[colour])
    image = np.asarray(image.reduce(2), np.float32)
    if gap > 0:
        image = image + gap * 0.35 * (0.9 * image.mean(axis=-1, keepdims=True) - image)
        image = image * (1 + gap * np.linspace(0.1, -0.2, SIDE)[:, None])
        image = image + gap * 6 * rng.standard_normal(image.shape, np.float32)
    return image.round().clip(0, 255).astype(np.uint8)
