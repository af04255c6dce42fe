"""How far clouds, poses and masks are from the truth."""

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.special import ndtr

# Half a turn about the axis that points up.
HALF_TURN = Rotation.from_quat([0, 0, 1, 0], scalar_first=True)


def chamfer(points: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return precision and coverage of points (n, 3) against true ones (m, 3), 0 where they are the same.

    Precision is the mean distance of points to the nearest true one, coverage that of true points to the nearest of
    ours; Euclidean, not squared. Their sum is the Chamfer distance.
    """
    return tuple(float(cKDTree(other).query(each, workers=-1)[0].mean())
                 for each, other in ((points, truth), (truth, points)))


def pose_errors(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the angles (n,) in degrees, 0 to 180, between rotations given as quaternions (n, 4)."""
    return np.degrees((_rotation(truth).inv() * _rotation(poses)).magnitude())


def pose_errors_up_to_half_turns(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the same where what is taken for its own back, turned by half a turn about the up axis, is right, too."""
    turned = (_rotation(poses) * HALF_TURN).as_quat(scalar_first=True)
    return np.minimum(pose_errors(poses, truth), pose_errors(turned, truth))


def _rotation(quaternions: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.asarray(quaternions, dtype=np.float64), scalar_first=True)


def median(errors: np.ndarray) -> float:
    """Return the element n // 2 of the sorted errors, as the published figures are taken."""
    return float(np.sort(errors)[len(errors) // 2])


def mask_errors(masks: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of each of masks bool (n, h, w) the pixels that differ as a part of the true ones (n,), and IoU (n,).

    Source: the first is Definition 1 of "Annotation Invariant Style Transfer"; 0 where masks are equal, 1 where nothing
    is found.
    """
    different, both, either, true = ((part.sum(axis=(1, 2))) for part in (masks ^ truth, masks & truth, masks | truth,
                                                                          truth))
    return different / np.maximum(true, 1), both / np.maximum(either, 1)


def smooth_cumulative(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the cumulative distribution at places (m,) of a Gaussian kernel density estimate from values (n,).

    Bandwidth by Scott's rule, n^(-1/5) standard deviations; in closed form.
    """
    width = max(len(values) ** -0.2 * np.std(values, ddof=1) if len(values) > 1 else 0.0, 1e-9)
    return ndtr((at[:, None] - values) / width).mean(axis=1)
