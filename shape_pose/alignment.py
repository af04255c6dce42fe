"""The axes of predicted clouds, which are a network's own, turned into those of the data by one rotation.

Source: the published evaluation. Of validation models, views whose clouds fit best after ICP have a say, and the mean
of their rotations is taken; here of most of them, those that agree.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

RADIUS, STEPS, CHANGE = 0.2, 30, 1e-6
VIEWS, MODELS, AGREEING = 2, 15, np.radians(30)


@dataclass(frozen=True)
class Fit:
    """What a view says: the rotation that turns its cloud into the true one, and how far inliers are then (RMSE)."""

    model: int
    rotation: Rotation
    error: float


def icp(points: np.ndarray, truth: np.ndarray, start: Rotation) -> tuple[Rotation, float]:
    """Return the rotation by which points (n, 3) come closest to true ones (m, 3), and the RMSE of inliers.

    Point to point, with a translation that is not returned; ends as Open3D's does by default. Infinite where no point
    is near.
    """
    tree, rotation, shift, last = cKDTree(truth), start, np.zeros(3), (-1.0, -1.0)
    for _ in range(STEPS + 1):
        distance, nearest = tree.query(rotation.apply(points) + shift, distance_upper_bound=RADIUS, workers=-1)
        near = np.isfinite(distance)
        if near.sum() < 3:
            return rotation, np.inf
        found = (float(near.mean()), float(np.sqrt(np.mean(distance[near] ** 2))))
        if all(abs(a - b) < CHANGE for a, b in zip(found, last, strict=True)):
            break
        last = found
        source, target = points[near], truth[nearest[near]]
        rotation = kabsch(source - source.mean(axis=0), target - target.mean(axis=0))
        shift = target.mean(axis=0) - rotation.apply(source.mean(axis=0))
    return rotation, found[1]


def kabsch(points: np.ndarray, truth: np.ndarray) -> Rotation:
    """Return the rotation of centred points (n, 3) onto true ones (n, 3) with the least squared distances."""
    left, _, right = np.linalg.svd(truth.T @ points)
    sign = np.sign(np.linalg.det(left @ right))
    return Rotation.from_matrix(left @ np.diag([1, 1, sign]) @ right)


def fit(model: int, points: np.ndarray, pose: np.ndarray, truth: np.ndarray, true_pose: np.ndarray) -> Fit:
    """Return what a view says: its cloud (n, 3) and pose (4,), and the true ones (m, 3), (4,)."""
    pose, true_pose = (Rotation.from_quat(each, scalar_first=True) for each in (pose, true_pose))
    return Fit(model, *icp(points, truth, true_pose.inv() * pose))


def mean_rotation(fits: list[Fit]) -> Rotation:
    """Return the mean rotation of the best views of the best models, of those that agree.

    Two views of each model, of the fifteen models in which these fit best. Of their rotations the one that has most
    others within 30 degrees, and these, count: the published code takes all, whose mean lies at neither where some
    clouds have front and back the other way round. The mean is Markley's, the eigenvector of the largest eigenvalue of
    the sum of q q^T.
    """
    models: dict[int, list[Fit]] = {}
    for each in sorted(fits, key=lambda each: each.error):
        models.setdefault(each.model, []).append(each)
    best = sorted((views[:VIEWS] for views in models.values()),
                  key=lambda views: float(np.mean([view.error for view in views])))[:MODELS]
    quaternions = np.stack([view.rotation.as_quat(scalar_first=True) for views in best for view in views])
    near = 2 * np.arccos(np.clip(np.abs(quaternions @ quaternions.T), 0, 1)) < AGREEING
    quaternions = quaternions[near[near.sum(axis=1).argmax()]]
    return Rotation.from_quat(np.linalg.eigh(quaternions.T @ quaternions)[1][:, -1], scalar_first=True)
