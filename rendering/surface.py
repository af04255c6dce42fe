"""What of a mesh is seen through each pixel, without OpenGL: a z-buffer over all pairs of triangles and pixels."""

from dataclasses import dataclass

import numpy as np

from rendering.meshes import Mesh, Part

# Pairs of triangle and pixel at a time.
PAIRS = 4_000_000


@dataclass(frozen=True)
class Surface:
    """What pixels show, row 0 at the top: colours float32 (h, w, 3) in [0, 1], not lit; normals float32 (h, w, 3), in
    the axes of the mesh; seen: bool (h, w)."""

    colours: np.ndarray
    normals: np.ndarray
    seen: np.ndarray


def rasterise(mesh: Mesh, rotation: np.ndarray, focal: float, distance: float, size: int) -> Surface:
    """Return what a camera sees; rotation: (3, 3), into the axes (depth, up, right); focal: by the image's width."""
    nearest = np.full(size * size, np.inf)
    colours, normals = (np.zeros((size * size, 3), np.float32) for _ in range(2))
    for part in mesh.parts:
        depth, up, right = np.moveaxis(part.corners @ rotation.T, -1, 0)
        depth = depth + distance
        # In pixels, whose centres are whole numbers.
        x, y = size * (focal * right / depth + 0.5) - 0.5, size * (0.5 - focal * up / depth) - 0.5
        for triangle, column, row in _pairs(x, y, size):
            weights = _weights(x[triangle], y[triangle], column, row)
            hit = (weights >= 0).all(axis=1)
            triangle, weights, pixel = triangle[hit], weights[hit], (row * size + column)[hit]
            # Linear in 1 / depth, as perspective is.
            weights = weights / depth[triangle]
            z = 1 / weights.sum(axis=1)
            weights *= z[:, None]
            closer = z < nearest[pixel]
            order = np.flatnonzero(closer)[np.argsort(-z[closer], kind="stable")]
            # Of several in a pixel the last is kept: the nearest.
            triangle, weights, pixel, z = triangle[order], weights[order], pixel[order], z[order]
            nearest[pixel] = z
            pixel, last = np.unique(pixel[::-1], return_index=True)
            triangle, weights = triangle[::-1][last], weights[::-1][last]
            colours[pixel] = _colours(part, triangle, weights)
            normals[pixel] = np.einsum("nk,nkc->nc", weights, part.normals[triangle])
    shape = (size, size)
    return Surface(colours.reshape(*shape, 3), normals.reshape(*shape, 3), np.isfinite(nearest).reshape(shape))


def _pairs(x: np.ndarray, y: np.ndarray, size: int):
    """Yield triangles, columns and rows (n,) of all pixels in the boxes around triangles (m, 3), some at a time."""
    left, top = (np.ceil(axis.min(axis=1)).clip(0, size).astype(np.int64) for axis in (x, y))
    width, height = (np.maximum(np.floor(axis.max(axis=1)).clip(-1, size - 1).astype(np.int64) - start + 1, 0)
                     for axis, start in ((x, left), (y, top)))
    count = width * height
    ends = np.cumsum(count)
    start = 0
    while start < len(count):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + PAIRS, side="right")), start + 1)
        triangle = np.repeat(np.arange(start, stop), count[start:stop])
        place = np.arange(len(triangle)) - np.repeat(ends[start:stop] - count[start:stop] - before, count[start:stop])
        wide = np.maximum(width[triangle], 1)
        yield triangle, left[triangle] + place % wide, top[triangle] + place // wide
        start = stop


def _weights(x: np.ndarray, y: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return the barycentric coordinates (n, 3) of pixels in triangles (n, 3); negative outside, and where flat."""
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    flat = np.abs(area) < 1e-12
    across, down = x - column[:, None], y - row[:, None]
    parts = [across[:, i] * down[:, j] - across[:, j] * down[:, i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.where(flat[:, None], -1, np.stack(parts, axis=1) / np.where(flat, 1, area)[:, None])


def _colours(part: Part, triangle: np.ndarray, weights: np.ndarray) -> np.ndarray:
    colours = np.einsum("nk,nkc->nc", weights, part.colours[triangle])
    if part.texture is None:
        return colours
    height, width, _ = part.texture.shape
    u, v = np.einsum("nk,nkc->nc", weights, part.places[triangle]).T
    column, row = np.floor(u * width).astype(int) % width, np.floor((1 - v) * height).astype(int) % height
    return colours * part.texture[row, column] / 255
