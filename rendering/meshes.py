"""Meshes: read from files, put into a unit frame, sampled."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from errors import UserError

SUFFIXES = (".obj", ".glb", ".ply", ".stl")
# What has no colour, or whose texture is missing.
GREY = 0.6
POINTS, CELL = 100_000, 0.01


@dataclass(frozen=True)
class Part:
    """Triangles of one material.

    corners: float64 (n, 3, 3), the corners of each; normals: (n, 3, 3), of unit length, of each corner; colours:
    (n, 3, 3) in [0, 1], which multiply the texture; places: (n, 3, 2) in it, from its lower left corner; texture: uint8
    (h, w, 3), or None.
    """

    corners: np.ndarray
    normals: np.ndarray
    colours: np.ndarray
    places: np.ndarray
    texture: np.ndarray | None


@dataclass(frozen=True)
class Mesh:
    """Triangles with y up, their bounding box in the middle and its diagonal 1. missing: textures that are not."""

    parts: list[Part]
    missing: list[str]

    @property
    def triangles(self) -> np.ndarray:
        """Corners (n, 3, 3) of all triangles."""
        return np.concatenate([part.corners for part in self.parts])


def find_meshes(root: Path) -> dict[str, Path]:
    """Return name -> file of the meshes in a folder and below; UserError where there are none, or two of a name.

    Folders below are part of the name; what is called `model` goes by its folder alone.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no folder; expected one with meshes ({', '.join(SUFFIXES)})")
    found: dict[str, Path] = {}
    for path in sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        parts = path.relative_to(root).with_suffix("").parts
        name = "_".join(parts[:-1] if len(parts) > 1 and parts[-1] == "model" else parts)
        if name in found:
            raise UserError(f"{found[name]} and {path}: both would be called {name}; rename one")
        found[name] = path
    if not found:
        raise UserError(f"{root}: no meshes; looked for {', '.join(SUFFIXES)}, here and in folders below")
    return found


def load_mesh(path: Path, up: str = "y") -> Mesh:
    """Read a mesh, `y` or `z` pointing up in its file. Raises UserError where there is nothing to be seen."""
    import trimesh

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scene = trimesh.load_scene(path, process=False)
            pieces = [piece for piece in scene.dump() if isinstance(piece, trimesh.Trimesh) and len(piece.faces)]
    # A damaged file makes the parsers raise nearly anything.
    except Exception as error:
        raise UserError(f"{path}: mesh cannot be read: {error or type(error).__name__}") from None
    if not pieces:
        raise UserError(f"{path}: mesh has no faces; expected triangles")
    for piece in pieces:
        if not np.isfinite(piece.vertices).all():
            raise UserError(f"{path}: mesh has corners that are not finite (NaN or infinite)")
    corners = np.concatenate([piece.triangles.reshape(-1, 3) for piece in pieces])
    lowest, highest = corners.min(axis=0), corners.max(axis=0)
    diagonal = float(np.linalg.norm(highest - lowest))
    if diagonal <= 0:
        raise UserError(f"{path}: mesh has no extent; all corners are at {lowest.tolist()}")
    parts = [_part(piece, (lowest + highest) / 2, diagonal, up) for piece in pieces]
    return Mesh(parts, _missing_textures(path))


def _part(piece, centre: np.ndarray, diagonal: float, up: str) -> Part:
    turn = np.eye(3) if up == "y" else np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    faces, visual = piece.faces, piece.visual
    colours, places, texture = np.full((len(faces), 3, 3), GREY), np.zeros((len(faces), 3, 2)), None
    material = getattr(visual, "material", None)
    if material is not None:
        image = getattr(material, "image", None) or getattr(material, "baseColorTexture", None)
        if image is not None and visual.uv is not None:
            texture, colours = np.asarray(image.convert("RGB")), np.ones_like(colours)
            places = visual.uv[faces]
        elif not _is_unset(material):
            colours = np.broadcast_to(material.main_color[:3] / 255, colours.shape)
    elif visual.kind == "face":
        colours = np.repeat(visual.face_colors[:, None, :3] / 255, 3, axis=1)
    elif visual.kind == "vertex":
        colours = visual.vertex_colors[faces][..., :3] / 255
    normals = piece.vertex_normals[faces] @ turn.T
    return Part((piece.vertices[faces] - centre) @ turn.T / diagonal, normals, colours, places, texture)


def _is_unset(material) -> bool:
    """Say whether a material was made up because the file has none."""
    return material.name is None and getattr(material, "diffuse", None) is None


def _missing_textures(path: Path) -> list[str]:
    """Return the textures that the materials of an OBJ file name, and that are not there."""
    if path.suffix.lower() != ".obj":
        return []
    libraries = [line.split(maxsplit=1)[1].strip() for line in path.read_text("utf-8", "replace").splitlines()
                 if line.startswith("mtllib ")]
    named = [line.split()[-1] for name in libraries if (path.parent / name).is_file()
             for line in (path.parent / name).read_text("utf-8", "replace").splitlines()
             if line.strip().lower().startswith("map_kd ")]
    return sorted({name for name in named if not (path.parent / name).is_file()})


def sample_surface(triangles: np.ndarray, rng: np.random.Generator, count: int = POINTS,
                   cell: float = CELL) -> np.ndarray:
    """Return points float32 (n, 3) on triangles (m, 3, 3), drawn by area, those in the same cell of a grid averaged.

    A stand-in for the published clouds, vertices and midpoints of edges that are halved, which are thinned alike.
    """
    a, b, c = triangles.transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = rng.choice(len(area), count, p=area / area.sum())
    u, v = rng.random((2, count, 1))
    root = np.sqrt(u)
    points = (1 - root) * a[chosen] + root * (1 - v) * b[chosen] + root * v * c[chosen]
    _, place, number = np.unique(np.floor(points / cell).astype(np.int64), axis=0, return_inverse=True,
                                 return_counts=True)
    place = place.ravel()
    return np.stack([np.bincount(place, points[:, axis]) / number for axis in range(3)], axis=1).astype(np.float32)
