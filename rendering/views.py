"""Views of one mesh, written: images, cameras, points."""

import json
import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from errors import UserError
from files import replacing
from readers.cameras import DISTANCE, FOCAL, look_at
from rendering import surface
from rendering.meshes import Mesh, load_mesh, sample_surface
from rendering.surface import Surface

# Samples along each side of a pixel.
FINER = 4
# Least and most of lights, of light from everywhere, and of what lights add to it.
LIGHTS, AMBIENT, ADDED = (1, 4), (0.45, 0.7), (0.4, 0.8)


@dataclass(frozen=True)
class Recipe:
    """How views are made. elevations: least and most, degrees; renderer: `opengl` or `software`; up: `y` or `z`."""

    views: int
    size: int
    elevations: tuple[int, int]
    renderer: str
    seed: int
    up: str

    @property
    def note(self) -> dict[str, object]:
        """What views depend on."""
        return {"views": self.views, "size": self.size, "elevations": list(self.elevations), "seed": self.seed,
                "up": self.up}


def render_model(name: str, path: Path, recipe: Recipe, out: Path) -> tuple[str, list[str]]:
    """Write `views/<name>/` and `points/<name>.npy`, the folder of views last and whole; return name and warnings."""
    mesh = load_mesh(path, recipe.up)
    # Of the name, so that other meshes change nothing.
    rng = np.random.default_rng([recipe.seed, *name.encode()])
    points = out / "points" / f"{name}.npy"
    with replacing(points) as temporary, temporary.open("wb") as file:
        np.save(file, sample_surface(mesh.triangles, rng), allow_pickle=False)
    folder = out / "views" / f".{name}.partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    azimuth = np.radians(rng.integers(-180, 180, recipe.views))
    elevation = np.radians(rng.integers(recipe.elevations[0], recipe.elevations[1] + 1, recipe.views))
    flat = np.cos(elevation)
    positions = DISTANCE * np.stack([np.cos(azimuth) * flat, np.sin(azimuth) * flat, np.sin(elevation)], axis=1)
    cameras = []
    for number, quaternion in enumerate(look_at(positions)):
        image = view(mesh, quaternion, recipe, rng)
        if not image[..., 3].any():
            raise UserError(f"{path}: nothing of the mesh is seen in view {number}; is it a line?")
        Image.fromarray(image).save(folder / f"{number}.png")
        cameras.append({"file": f"{number}.png", "azimuth": float(np.degrees(azimuth[number])),
                        "elevation": float(np.degrees(elevation[number])), "distance": DISTANCE,
                        "fov_y": float(np.degrees(2 * np.arctan(0.5 / FOCAL))), "quaternion": quaternion.tolist()})
    (folder / "cameras.json").write_text(json.dumps(cameras), encoding="utf-8")
    os.rename(folder, out / "views" / name)
    return name, [f"{path}: texture {each} is missing; grey instead" for each in mesh.missing]


def view(mesh: Mesh, quaternion: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Return a view uint8 (size, size, 4), under lights that are drawn; alpha is coverage."""
    rotation = Rotation.from_quat(quaternion, scalar_first=True).as_matrix()
    # Into the axes of the mesh: what looks at the camera.
    back = -rotation[0]
    found = renderer(recipe.renderer)(mesh, rotation, FOCAL, DISTANCE, FINER * recipe.size)
    return shade(found, back, rng)


@cache
def renderer(name: str):
    """Return the function that rasterises, by `opengl` or `software`."""
    if name == "software":
        return surface.rasterise
    from rendering import opengl

    return opengl.rasterise


def shade(found: Surface, back: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light what is seen by several lights from above, matt, and average the samples of each pixel; uint8 RGBA."""
    normals = found.normals / np.maximum(np.linalg.norm(found.normals, axis=2, keepdims=True), 1e-6)
    # Both sides of a surface are seen.
    normals = np.where((normals @ back < 0)[..., None], -normals, normals)
    lights = rng.normal(size=(rng.integers(*LIGHTS, endpoint=True), 3))
    lights[:, 1] = np.abs(lights[:, 1])
    lights /= np.linalg.norm(lights, axis=1, keepdims=True)
    added = rng.uniform(*ADDED) * (parts := rng.uniform(0.5, 1, len(lights))) / parts.sum()
    light = rng.uniform(*AMBIENT) + (normals @ lights.T).clip(0).astype(np.float32) @ added
    samples = np.concatenate([(found.colours * light[..., None]).clip(0, 1), np.ones_like(light)[..., None]], axis=2)
    samples[~found.seen] = 0
    size = len(samples) // FINER
    sums = samples.reshape(size, FINER, size, FINER, 4).sum(axis=(1, 3))
    colours = sums[..., :3] / np.maximum(sums[..., 3:], 1)
    return np.round(255 * np.concatenate([colours, sums[..., 3:] / FINER**2], axis=2)).astype(np.uint8)
