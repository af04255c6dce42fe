"""Silhouettes of point clouds, differentiable: trilinear splat, clamp, blur, and what a ray does not pass.

Source: Insafutdinov and Dosovitskiy, "Unsupervised learning of shape and pose with differentiable point clouds" (2018),
as their code computes it. Here without the probabilities along rays, as a silhouette is 1 - prod (1 - y) of a ray's
occupancies y, in whatever order; the blur is products with banded matrices; and the gradient is in closed form.
"""

import math
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Occupancies are kept this far from 0 and 1. The published code puts the same number before and behind each ray, as a
# logarithm, by which a ray's first occupancy counts a little more.
LEAST = 1e-5
FIRST = math.expm1(LEAST)
# Parts of a point this small do not change what is rendered, in 32 bits.
NOTHING = 1e-9


def silhouettes(places: Tensor, scale: Tensor, sigma: float, size: int, taps: int = 21) -> Tensor:
    """Return silhouettes (n, size, size), in [0, 1], of points at places (n, m, 3) as `project` returns them.

    scale: (n,), above 0, occupancy per point; sigma: of the blur, in voxels, over so many taps. Points outside of
    [-0.5, 0.5]^3 show nothing and have no gradient. Row 0 is the top; pixel i lies at i / (size - 1) - 0.5.
    """
    return _Silhouettes.apply(places, scale, sigma, size, taps)


def kernel(sigma: float, taps: int) -> Tensor:
    """Return the blur's weights float64 (taps,), which sum to 1."""
    weights = torch.exp(-((torch.arange(taps, dtype=torch.float64) - taps // 2) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


@lru_cache(maxsize=4)
def _band(sigma: float, taps: int, size: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, int]:
    """Return the symmetric matrix (size, size) whose product with a column blurs it, zeros around, and its radius."""
    band, weights = torch.zeros(size, size, dtype=torch.float64), kernel(sigma, taps).tolist()
    for i, weight in enumerate(weights):
        offset = i - taps // 2
        if abs(offset) < size:
            band.diagonal(offset)[:] = weight
    return band.to(device, dtype), sum(weight > NOTHING for weight in weights) // 2


class _Splat(NamedTuple):
    """Points in the part of the grid that they reach.

    lower: where the part begins along depth, y and x; shape: its sides; corners: int64 (n, 8, m), the neighbours of
    each point in all parts one behind the other; parts: per axis those (n, m) of the lower and the upper neighbour;
    inside: (n, m), 1 or 0.
    """

    lower: tuple[int, ...]
    shape: tuple[int, ...]
    corners: Tensor
    parts: list[tuple[Tensor, Tensor]]
    inside: Tensor

    def weights(self) -> Tensor:
        """Return what each of the neighbours gets of each point (n, 8, m)."""
        depth, down, across = self.parts
        depth = [part * self.inside for part in depth]
        flat = [a * b for a, b in product(depth, down)]
        return torch.stack([part * c for part, c in product(flat, across)], dim=1)

    def slopes(self, near: Tensor) -> Tensor:
        """Return how an interpolation of neighbours (n, 8, m) grows along depth, y and x: (n, m, 3)."""
        (d0, d1), (y0, y1), (x0, x1) = self.parts
        corners = near.unflatten(1, (4, 2)).unbind(2)
        mixed, along_x = corners[0] * x0[:, None] + corners[1] * x1[:, None], corners[1] - corners[0]
        along = [(mixed[:, 2] - mixed[:, 0]) * y0 + (mixed[:, 3] - mixed[:, 1]) * y1,
                 (mixed[:, 1] - mixed[:, 0]) * d0 + (mixed[:, 3] - mixed[:, 2]) * d1,
                 (along_x[:, 0] * y0 + along_x[:, 1] * y1) * d0 + (along_x[:, 2] * y0 + along_x[:, 3] * y1) * d1]
        return torch.stack(along, dim=-1)


def _splat(places: Tensor, size: int) -> _Splat:
    inside = (places.abs() <= 0.5).all(dim=-1).to(places.dtype)
    positions = ((places.permute(2, 0, 1).contiguous() + 0.5) * (size - 1)).clamp_(0, size - 1)
    # Of the last node, too, which has nothing behind it.
    lower = positions.floor().clamp_(max=size - 2)
    upper = positions - lower
    first, shape = (0, 0, 0), (size, size, size)
    if places.device.type == "cpu":
        # Points outside count, too: rarely many, and at the border.
        ends = [(int(axis.min()), int(axis.max()) + 2) for axis in lower]
        first, shape = tuple(start for start, _ in ends), tuple(stop - start for start, stop in ends)
    depth, down, across = (axis - start for axis, start in zip(lower, first, strict=True))
    # In floating point, which holds the number of any voxel of a grid exactly.
    base = ((depth * shape[1] + down) * shape[2] + across).long()
    base += (torch.arange(len(places), device=places.device) * math.prod(shape))[:, None]
    steps = [(i * shape[1] + j) * shape[2] + k for i, j, k in product((0, 1), repeat=3)]
    corners = base[:, None] + torch.tensor(steps, device=places.device)[:, None]
    return _Splat(first, shape, corners, [(1 - part, part) for part in upper], inside)


def _reach(splat: _Splat, radius: int, size: int) -> list[slice]:
    """Return the part of the grid, along depth, y and x, that a blur reaches."""
    return [slice(max(0, start - radius), min(size, start + length + radius))
            for start, length in zip(splat.lower, splat.shape, strict=True)]


def _blur(grid: Tensor, bands: list[Tensor]) -> Tensor:
    """Return grids (n, D, Y, X) blurred by matrices (D', D), (Y', Y), (X', X), the first of which may be each grid's
    own (n, D', D): (n, D', Y', X')."""
    depth, down, across = bands
    n, d, y, x = grid.shape
    found = (grid.reshape(-1, x) @ across.T).view(n * d, y, len(across))
    found = torch.bmm(down.expand(n * d, -1, -1), found).view(n, d, -1)
    return torch.bmm(depth.expand(n, -1, -1), found).view(n, -1, len(down), len(across))


class _Silhouettes(torch.autograd.Function):
    """The part of the grid that points do not reach, even blurred, is left out: there all occupancies are the least."""

    @staticmethod
    def forward(ctx, places: Tensor, scale: Tensor, sigma: float, size: int, taps: int) -> Tensor:
        splat = _splat(places, size)
        grid = places.new_zeros(len(places) * math.prod(splat.shape))
        grid.scatter_add_(0, splat.corners.flatten(), splat.weights().flatten())
        # Where more than one point's worth has gathered, it has no gradient.
        free = grid <= 1 if any(ctx.needs_input_grad) else None
        band, radius = _band(sigma, taps, size, places.device, places.dtype)
        reach = _reach(splat, radius, size)
        inner = [slice(start, start + length) for start, length in zip(splat.lower, splat.shape, strict=True)]
        bands = [band[wide, narrow].contiguous() for wide, narrow in zip(reach, inner, strict=True)]
        bands[0] = bands[0] * -scale[:, None, None]
        # What a voxel lets pass.
        clear = _blur(grid.clamp_(max=1).view(-1, *splat.shape), bands).add_(1)
        passed = _product(clear.clamp(LEAST, 1 - LEAST)) * (1 - LEAST) ** (size - clear.shape[1])
        first = 1 - clear[:, 0].clamp(LEAST, 1 - LEAST) if reach[0].start == 0 else LEAST
        found = places.new_full((len(places), size, size), 1 - (1 - LEAST) ** size + FIRST * LEAST)
        found[:, reach[1], reach[2]] = 1 - passed + FIRST * first
        if free is not None:
            ctx.splat, ctx.reach, ctx.bands = splat, reach, bands
            ctx.save_for_backward(scale, clear, passed, free)
        return found.flip(1)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scale, clear, passed, free = ctx.saved_tensors
        gradient = gradient.flip(1)
        size = gradient.shape[-1]
        gradient = gradient[:, ctx.reach[1], ctx.reach[2]]
        of_clear = (gradient * passed)[:, None] / clear.clamp(LEAST, 1 - LEAST)
        if ctx.reach[0].start == 0:
            of_clear[:, 0] += FIRST * gradient
        of_clear *= (clear >= LEAST) & (clear <= 1 - LEAST)
        of_scale = torch.einsum("nijk,nijk->n", of_clear, 1 - clear) / scale
        bands = [band.transpose(-1, -2) for band in ctx.bands]
        of_grid = _blur(of_clear, [-bands[0], *bands[1:]]).flatten().mul_(free)
        slopes = ctx.splat.slopes(of_grid[ctx.splat.corners])
        return slopes.mul_((size - 1) * ctx.splat.inside[..., None]), of_scale, None, None, None


def _product(clear: Tensor) -> Tensor:
    """Return the products (n, h, w) along depth of (n, depth, h, w)."""
    while (depth := clear.shape[1]) > 1:
        half = depth // 2
        found = clear[:, :half] * clear[:, half : 2 * half]
        if depth % 2:
            found[:, 0] *= clear[:, -1]
        clear = found
    return clear[:, 0]
