"""Views of small models for tests: boxes with a fin, drawn as their points; every model differs in front and back."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from readers.cameras import look_at

FIELD_OF_VIEW = float(np.degrees(2 * np.arctan(0.5 / 1.875)))


def points_of(number: int, count: int = 3000) -> np.ndarray:
    """Return points of a box that is longer than wide, with a fin at its back, in axes with y up."""
    rng = np.random.default_rng(number)
    size = np.array([0.7, 0.15 + 0.02 * number, 0.3])
    box = (rng.random((2 * count // 3, 3)) - 0.5) * size
    fin = (rng.random((count - len(box), 3)) - 0.5) * [0.15, 0.2, 0.25] + [-0.27, size[1] / 2 + 0.1, 0]
    return np.concatenate([box, fin])


def write_views(root: Path, models: int = 10, views: int = 3, size: int = 32, points: bool = True) -> Path:
    """Write a dataset of the reader `views`; returns its root."""
    rng = np.random.default_rng(0)
    (root / "points").mkdir(parents=True)
    for number in range(models):
        folder, cloud = root / "views" / f"box_{number}", points_of(number)
        folder.mkdir(parents=True)
        cameras = []
        for view in range(views):
            azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.6)
            flat = np.cos(elevation)
            [turn] = look_at([[2 * np.cos(azimuth) * flat, 2 * np.sin(azimuth) * flat, 2 * np.sin(elevation)]])
            draw(cloud, turn, size).save(folder / f"{view}.png")
            cameras.append({"file": f"{view}.png", "distance": 2.0, "fov_y": FIELD_OF_VIEW,
                            "quaternion": turn.tolist()})
        (folder / "cameras.json").write_text(json.dumps(cameras))
        if points:
            np.save(root / "points" / f"box_{number}.npy", cloud[::6].astype(np.float32))
    return root


def draw(cloud: np.ndarray, quaternion: np.ndarray, size: int) -> Image.Image:
    """Return points as a camera sees them, coloured by where they are, RGBA."""
    from scipy.spatial.transform import Rotation

    depth, up, right = Rotation.from_quat(quaternion, scalar_first=True).apply(cloud).T
    row, column = (np.clip(((0.5 - sign * 1.875 * axis / (depth + 2)) * size).astype(int), 0, size - 1)
                   for axis, sign in ((up, 1), (right, -1)))
    pixels = np.zeros((size, size, 4), np.uint8)
    far_first = np.argsort(-depth)
    pixels[row[far_first], column[far_first], :3] = 40 + 200 * (cloud[far_first] + 0.5).clip(0, 1)
    pixels[row, column, 3] = 255
    return Image.fromarray(pixels)
