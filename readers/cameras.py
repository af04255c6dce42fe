"""Cameras of views: how they are turned towards what they show, as unit quaternions.

A quaternion (w, x, y, z) rotates points from the axes of a model into those of its camera: (depth, up, right). So
depth grows away from the camera, rows of the image run against up, its columns along right.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from errors import reason
from files import parse_json, read_text
from readers.base import BadImage
from readers.listing import stamp

# The published cameras: a lens of 60 mm before a sensor of 32 mm, and the distance to the model's centre.
FOCAL, DISTANCE = 1.875, 2.0
# Files hold rounded numbers.
CLOSE = 1e-3


@dataclass(frozen=True)
class Camera:
    """quaternion: (4,), see above; focal: focal length by the width of the image, which spans [-0.5, 0.5];
    distance: to the origin."""

    quaternion: np.ndarray
    focal: float = FOCAL
    distance: float = DISTANCE


def read_cameras(path: Path) -> dict[str, Camera]:
    """Return file name -> camera of a `cameras.json`, a list of views. Raises BadImage.

    Each has `file`, `distance`, `fov_y` (degrees), and `quaternion`, or `R`, whose rows are the camera's right, up and
    back.
    """
    try:
        return _cameras(path, stamp(path))
    except (OSError, ValueError) as error:
        raise BadImage(path, f"cameras cannot be read: {reason(error)}") from None


@lru_cache(maxsize=1)
def _cameras(path: Path, _: str) -> dict[str, Camera]:
    """Read a file once for all views in it; the stamp beside the path makes a changed file another one."""
    views = parse_json(read_text(path))
    if not isinstance(views, list) or not all(isinstance(view, dict) and "file" in view for view in views):
        raise ValueError("expected a list of views, each with its file")
    return {str(view["file"]): _camera(view, path) for view in views}


def _camera(view: dict[str, Any], path: Path) -> Camera:
    def bad(problem: str) -> BadImage:
        return BadImage(path, f"{view['file']}: {problem}")

    try:
        distance, angle = float(view["distance"]), float(view["fov_y"])
        turn = np.array(view["quaternion"] if "quaternion" in view else view["R"], dtype=np.float64)
    except KeyError as error:
        raise bad(f"no {error} in the pose; expected distance, fov_y, and quaternion or R") from None
    except (TypeError, ValueError):
        raise bad("distance, fov_y, quaternion and R have to be numbers") from None
    if not (distance > 0.5 and 0 < angle < 180):
        raise bad(f"distance {distance:g}, fov_y {angle:g}; allowed: above 0.5, and between 0 and 180")
    if "quaternion" in view:
        if turn.shape != (4,) or not abs(np.linalg.norm(turn) - 1) < CLOSE:
            raise bad(f"quaternion {view['quaternion']}; expected four numbers w, x, y, z of norm 1")
        quaternion = turn / np.linalg.norm(turn)
    else:
        if turn.shape != (3, 3) or not (np.abs(turn @ turn.T - np.eye(3)) < CLOSE).all() or np.linalg.det(turn) < 0:
            raise bad("R is no rotation; expected the camera's right, up and back as rows")
        # Here, as it takes a while that readers of other datasets need not wait.
        from scipy.spatial.transform import Rotation

        right, up, back = turn
        rotation = Rotation.from_matrix(np.stack([-back, up, right]))
        quaternion = rotation.as_quat(canonical=True, scalar_first=True)
    return Camera(quaternion, float(0.5 / np.tan(np.radians(angle) / 2)), distance)


def look_at(position: np.ndarray) -> np.ndarray:
    """Return the quaternions (n, 4) of cameras at positions (n, 3), seen from the model, that look at its centre.

    position: in axes with z up and x to the front, those of the published renderings; the model's own have y up and x
    to the front. A camera with azimuth 0 and elevation 0 is at x > 0 and sees the front.
    """
    x, y, z = np.asarray(position, dtype=np.float64).T
    flat = np.hypot(x, y)
    yaw = np.arccos(np.clip(x / np.where(flat > 0, flat, 1), -1, 1))
    yaw = np.where(y > 0, 2 * np.pi - yaw, yaw) + np.pi
    pitch = np.arctan2(z, flat)
    (cp, sp), (cy, sy) = ((np.cos(angle / 2), np.sin(angle / 2)) for angle in (pitch, yaw))
    # The product of the turn by `pitch` about the third axis and that by `yaw` about the second.
    return np.stack([cp * cy, -sp * sy, cp * sy, sp * cy], axis=1)


def azimuth_elevation(quaternions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return from where cameras (n, 4), of any length but zero, look: azimuths and elevations (n,) in degrees.

    Azimuths are in [-180, 180], elevations in [-90, 90]; the inverse of `look_at`, whatever the roll.
    """
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    # What the camera looks along, in the axes of the model.
    front, up, side = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    return np.degrees(np.arctan2(side, -front)), np.degrees(np.arcsin(np.clip(-up, -1, 1)))
