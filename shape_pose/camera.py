"""Cameras: rotations as quaternions (w, x, y, z), and where points are seen.

Points of a model are rotated into the axes (depth, up, right) of a camera that looks at their origin.
"""

import torch
from torch import Tensor


def multiply(p: Tensor, q: Tensor) -> Tensor:
    """Return the product (..., 4) of quaternions: the rotation q, then p."""
    a, b, c, d = p.unbind(-1)
    e, f, g, h = q.unbind(-1)
    return torch.stack([a * e - b * f - c * g - d * h, a * f + b * e + c * h - d * g,
                        a * g - b * h + c * e + d * f, a * h + b * g - c * f + d * e], dim=-1)


def conjugate(q: Tensor) -> Tensor:
    """Return the inverse (..., 4) of unit quaternions."""
    return torch.cat([q[..., :1], -q[..., 1:]], dim=-1)


def matrix_of(q: Tensor) -> Tensor:
    """Return the rotations (..., 3, 3) of quaternions (..., 4) of any length but zero, which get a gradient."""
    w, x, y, z = (q / q.norm(dim=-1, keepdim=True).clamp(min=1e-12)).unbind(-1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def project(points: Tensor, q: Tensor, focal: float, distance: float) -> Tensor:
    """Return where points (n, m, 3) are in the frames of cameras (n, 4): (n, m, 3), depth, y and x.

    The image spans [-0.5, 0.5] in x and y, y upwards; depth is metric and 0 at the origin, at a distance from the
    camera. Source: Insafutdinov and Dosovitskiy, "Unsupervised learning of shape and pose with differentiable point
    clouds" (2018).
    """
    depth, up, right = (points @ matrix_of(q).transpose(-1, -2)).unbind(-1)
    magnified = focal / (depth + distance)
    return torch.stack([depth, up * magnified, right * magnified], dim=-1)
