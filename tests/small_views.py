"""Small rendered views with poses and clouds, and cut-outs, for tests."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat
from scipy.spatial.transform import Rotation


def coloured_disc(rng: np.random.Generator, side: int = 16) -> Image.Image:
    """Return a disc of noise, RGBA, transparent around it."""
    pixels = rng.integers(1, 256, (side, side, 4), dtype=np.uint8)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    pixels[..., 3] = np.where(np.hypot(x, y) < rng.uniform(side / 4, side / 2.2), 255, 0)
    return Image.fromarray(pixels)


def write_views(root: Path, models: int, views: int = 3) -> Path:
    """Write the layout of rendered views; return its root."""
    rng = np.random.default_rng(0)
    (root / "points").mkdir(parents=True)
    for number in range(models):
        folder = root / "views" / f"car_{number}"
        folder.mkdir(parents=True)
        poses = []
        for view in range(views):
            coloured_disc(rng).save(folder / f"{view}.png")
            rotation = Rotation.from_euler("yx", [40 * (number + view), 10], degrees=True).as_matrix()
            poses.append({"file": f"{view}.png", "distance": 2.0, "fov_y": 29.0, "R": rotation.tolist()})
        (folder / "cameras.json").write_text(json.dumps(poses))
        np.save(root / "points" / f"car_{number}.npy", rng.normal(size=(20, 3)).astype(np.float16))
    return root


def write_shapenet(root: Path, models: list[str], views: int = 6) -> Path:
    """Write the layout of the published renderings, without lists of splits; return its root."""
    rng = np.random.default_rng(2)
    for model in models:
        folder = root / "renders/02958343" / model
        folder.mkdir(parents=True)
        for view in range(views):
            coloured_disc(rng).save(folder / f"render_{view}.png")
            angle = np.radians(50 * view)
            savemat(folder / f"camera_{view}.mat", {"pos": 2 * np.array([[np.cos(angle), np.sin(angle), 0]]),
                                                    "extrinsic": np.eye(4)})
        clouds = root / "gt/downsampled/02958343"
        clouds.mkdir(parents=True, exist_ok=True)
        savemat(clouds / f"{model}.mat", {"points": rng.normal(size=(30, 3))})
    return root


def write_cut_outs(root: Path, count: int) -> Path:
    """Write a folder of cut-outs; return its root."""
    rng = np.random.default_rng(1)
    (root / "cut_outs").mkdir(parents=True)
    for number in range(count):
        coloured_disc(rng, 20).save(root / "cut_outs" / f"{number}.png")
    return root
