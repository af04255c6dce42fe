"""The losses of shape and pose, as functions of tensors, and what they are scheduled by."""

import torch
from torch import Tensor

from shape_pose.camera import conjugate, multiply


def mask_error(masks: Tensor, silhouettes: Tensor) -> Tensor:
    """Return half the sum of squared differences (...) of masks and silhouettes (..., h, w)."""
    return (masks - silhouettes).square().sum(dim=(-2, -1)) / 2


def student_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean of sin^2 of half the angle between poses (n, 4); only the student's get a gradient.

    Source: the published code, 1 - w^2 of the unit quaternion between both, which has no sign.
    """
    between = multiply(teacher.detach(), conjugate(student))
    return (1 - between[:, 0].square() / between.square().sum(dim=1).clamp(min=1e-24)).mean()


def scheduled(ends: tuple[float, float], iteration: int, iterations: int) -> float:
    """Return what changes linearly from its first value, at iteration 0, to its last, at the end of training."""
    first, last = ends
    return first + (last - first) * iteration / iterations


def subsets(rows: int, count: int, kept: int, device: torch.device) -> Tensor:
    """Draw `kept` of `count` numbers without replacement, for each of so many rows: int64 (rows, kept)."""
    if kept == count:
        return torch.arange(count, device=device).expand(rows, -1)
    return torch.rand(rows, count, device=device).topk(kept, dim=1, sorted=False).indices
