"""Meshes rendered into views: closed forms, both renderers, what is written, what is refused."""

import json

import numpy as np
import pytest
import trimesh
from PIL import Image
from refusals import refused
from scipy.spatial.transform import Rotation

from readers import create_reader
from rendering import opengl, surface
from rendering.meshes import find_meshes, load_mesh, sample_surface

SIZE = 64
IDENTITY = np.eye(3)
needs_opengl = pytest.mark.skipif(not opengl.works(), reason="no OpenGL (EGL) here")


def save(mesh, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    mesh.export(path)
    return path


def coloured_box(extents=(0.6, 0.2, 0.4)):
    mesh = trimesh.creation.box(extents=extents)
    mesh.visual.face_colors = np.repeat(np.array([[250, 0, 0, 255], [0, 250, 0, 255], [0, 0, 250, 255]]), 4, axis=0)
    return mesh


def textured(folder, texture=True):
    """Write a square with a texture of four colours, to be seen from x > 0; returns its file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.obj").write_text(
        "mtllib model.mtl\nusemtl paint\nv 0 0 1\nv 0 0 -1\nv 0 1 -1\nv 0 1 1\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n")
    (folder / "model.mtl").write_text("newmtl paint\nKd 1 1 1\nmap_Kd paint.png\n")
    if texture:
        pixels = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
        Image.fromarray(pixels.repeat(16, axis=0).repeat(16, axis=1)).save(folder / "paint.png")
    return folder / "model.obj"


@pytest.mark.parametrize("renderer", [surface, pytest.param(opengl, marks=needs_opengl)], ids=["software", "opengl"])
def test_a_sphere_is_seen_as_geometry_says(tmp_path, renderer):
    path = save(trimesh.creation.icosphere(subdivisions=4), tmp_path / "ball.ply")
    mesh = load_mesh(path)
    radius = 0.5 / 3**0.5
    assert np.abs(np.linalg.norm(mesh.triangles, axis=2) - radius).max() < 1e-3
    found = renderer.rasterise(mesh, IDENTITY, 1.875, 2.0, 256)
    wanted = np.pi * (256 * 1.875 * radius) ** 2 / (4 - radius**2)
    assert found.seen.sum() == pytest.approx(wanted, rel=0.01)
    # What faces the camera, nearer along the first axis, is seen in the middle.
    assert found.normals[128, 128] == pytest.approx([-1, 0, 0], abs=0.05)


@pytest.mark.parametrize("renderer", [surface, pytest.param(opengl, marks=needs_opengl)], ids=["software", "opengl"])
def test_textures_and_faces_are_where_they_belong(tmp_path, renderer):
    mesh = load_mesh(textured(tmp_path / "sign"))
    # From x > 0: y up, and z to the left.
    rotation = Rotation.from_euler("y", 180, degrees=True).as_matrix()
    found = renderer.rasterise(mesh, rotation, 1.875, 2.0, SIZE)
    assert np.array_equal((found.colours > 0.5)[[25, 25, 39, 39], [20, 44, 20, 44]],
                          [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    box = load_mesh(save(coloured_box(), tmp_path / "box.ply"))
    colour = renderer.rasterise(box, IDENTITY, 1.875, 2.0, SIZE).colours[32, 32]
    # The nearest side is that at x < 0, of the first colour or what trimesh calls it.
    side = np.flatnonzero(np.isclose(box.triangles[..., 0], box.triangles[..., 0].min()).all(axis=1))[0]
    assert colour == pytest.approx(box.parts[0].colours[side, 0], abs=0.01)


@needs_opengl
def test_both_renderers_see_the_same(tmp_path):
    mesh = load_mesh(save(coloured_box(), tmp_path / "box.ply"))
    for turn in Rotation.random(4, rng=0):
        one, other = (each.rasterise(mesh, turn.as_matrix(), 1.875, 2.0, 4 * SIZE) for each in (surface, opengl))
        assert (one.seen & other.seen).sum() >= 0.999 * (one.seen | other.seen).sum()
        both = one.seen & other.seen
        assert np.abs(one.colours - other.colours)[both].mean() < 0.005
        assert np.abs(one.normals - other.normals)[both].mean() < 0.01


def test_many_triangles_at_a_time_or_few_are_the_same(tmp_path, monkeypatch):
    mesh = load_mesh(save(coloured_box(), tmp_path / "box.ply"))
    turn = Rotation.random(rng=1).as_matrix()
    whole = surface.rasterise(mesh, turn, 1.875, 2.0, SIZE)
    monkeypatch.setattr(surface, "PAIRS", 300)
    parts = surface.rasterise(mesh, turn, 1.875, 2.0, SIZE)
    assert np.array_equal(whole.colours, parts.colours)


def test_meshes_are_centred_scaled_and_turned(tmp_path):
    box = coloured_box((2, 4, 4)).apply_translation([5, 6, 7])
    for up, wanted in (("y", (1, 2, 2)), ("z", (1, 2, 2))):
        corners = load_mesh(save(box, tmp_path / "box.glb"), up).triangles.reshape(-1, 3)
        assert corners.min(axis=0) == pytest.approx(-corners.max(axis=0))
        assert np.ptp(corners, axis=0) == pytest.approx(np.array(wanted) / 3)
    line = trimesh.Trimesh([[0, 0, 0], [0, 0, 9], [0, 1, 0]], [[0, 1, 2]])
    turned = load_mesh(save(line, tmp_path / "line.stl"), "z").triangles
    # What pointed up along z does so along y.
    assert np.ptp(turned.reshape(-1, 3), axis=0) == pytest.approx(np.array([0, 9, 1]) / 82**0.5)


def test_points_lie_on_the_surface_by_area_and_thinned():
    triangles = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 1], [0.1, 0, 1], [0, 0.1, 1]]], float) * 0.5
    points = sample_surface(triangles, np.random.default_rng(0))
    assert points.dtype == np.float32
    on_first = np.abs(points[:, 2]) < 1e-6
    assert (on_first | (np.abs(points[:, 2] - 0.5) < 1e-6)).all()
    cells = np.unique(np.floor(points[on_first] / 0.01).astype(int), axis=0)
    assert len(cells) == on_first.sum()
    # A cell a point: as many as half a square of 0.5 holds cells of 0.01.
    assert on_first.sum() == pytest.approx(0.125 / 0.01**2, rel=0.05)
    few = sample_surface(triangles, np.random.default_rng(0), count=2000, cell=1e-6)
    assert (few[:, 2] < 0.1).mean() == pytest.approx(1 / 1.01, abs=0.01)


@pytest.fixture
def meshes(tmp_path):
    for i in range(4):
        save(coloured_box((0.6, 0.2 + 0.1 * i, 0.4)), tmp_path / "meshes" / f"box_{i}" / "model.obj")
    textured(tmp_path / "meshes" / "sign")
    return tmp_path / "meshes"


OPTIONS = ("--size", "32", "--views", "3", "--renderer", "software")


def test_views_are_read_as_they_were_made_and_a_stopped_rendering_goes_on(meshes, tmp_path, succeed, fail):
    out = tmp_path / "out"
    succeed("render_views.py", meshes, "--out", out, *OPTIONS)
    reader = create_reader("views", out, [], "all")
    listing = reader.listing()
    assert listing.sceneries == ["box_0", "box_1", "box_2", "box_3", "sign"]
    assert all(len(views) == 3 for views in listing.sources)
    assert sorted(listing.splits).count("train") == 3
    for model, views in zip(listing.sceneries, listing.sources, strict=True):
        cloud = reader.cloud(model)
        for view in views:
            camera = reader.camera(view)
            assert (camera.focal, camera.distance) == (pytest.approx(1.875), 2)
            depth, up, right = Rotation.from_quat(camera.quaternion, scalar_first=True).apply(cloud).T
            seen = np.asarray(Image.open(view))[..., 3] > 0
            row = ((0.5 - 1.875 * up / (depth + 2)) * 32).astype(int)
            column = ((0.5 + 1.875 * right / (depth + 2)) * 32).astype(int)
            assert seen[row, column].mean() > 0.98
            found = np.argwhere(seen)
            assert np.abs(found.min(axis=0) - [row.min(), column.min()]).max() <= 1
            assert np.abs(found.max(axis=0) - [row.max(), column.max()]).max() <= 1
    assert (out / "contact_sheet.png").exists()
    # As if stopped: what is whole stays, what is missing is made as it was.
    kept, made = out / "views/box_0/0.png", out / "views/box_1/0.png"
    before, time = made.read_bytes(), kept.stat().st_mtime_ns
    (out / "views/box_1").rename(out / "views/.box_1.partial")
    succeed("render_views.py", meshes, "--out", out, *OPTIONS)
    assert made.read_bytes() == before
    assert kept.stat().st_mtime_ns == time
    assert not list((out / "views").glob(".*"))
    assert "was begun with size 32, now 64" in fail("render_views.py", meshes, "--out", out,
                                                           *OPTIONS[2:], "--size", "64")
    for text in ("{", "[]"):
        (out / "views.json").write_text(text)
        assert f"{out / 'views.json'}: cannot be read: " in fail("render_views.py", meshes, "--out", out, *OPTIONS)
    assert "holds no views that were begun" in fail("render_views.py", meshes, "--out", tmp_path, *OPTIONS)


def broken(path, kind):
    vertices = {"nan": "v 0 0 0\nv nan 0 0\nv 0 1 0\n", "no extent": "v 1 1 1\n" * 3}.get(kind, "v 0 0 0\nv 1 0 0\n")
    path.write_text(vertices + ("" if kind == "no faces" else "f 1 2 3\n"))


@pytest.mark.parametrize(("kind", "said"), [
    ("no faces", "mesh has no faces; expected triangles"), ("nan", "mesh has corners that are not finite"),
    ("no extent", "mesh has no extent; all corners are at [1.0, 1.0, 1.0]"), ("damaged", "mesh cannot be read")])
def test_a_mesh_that_is_none_is_named_and_left_out_on_request(meshes, tmp_path, fail, script, kind, said):
    path = meshes / "bad.obj"
    broken(path, kind)
    if kind == "damaged":
        path = path.rename(meshes / "bad.glb")
        path.write_bytes(b"glTF")
    line = fail("render_views.py", meshes, "--out", tmp_path / "out", *OPTIONS)
    assert f"{path}: {said}" in line
    assert "--skip-bad leaves it out" in line
    assert not (tmp_path / "out/views/bad").exists()
    code, out, err = script("render_views.py", meshes, "--out", tmp_path / "out", "--skip-bad", *OPTIONS)
    assert (code, "5 models" in out) == (0, True)
    assert f"warning: {path}: {said}" in err


def test_a_missing_texture_is_warned_of_and_grey(tmp_path, script):
    path = textured(tmp_path / "meshes/sign", texture=False)
    code, _, err = script("render_views.py", tmp_path / "meshes", "--out", tmp_path / "out", *OPTIONS)
    assert code == 0
    assert f"warning: {path}: texture paint.png is missing; grey instead" in err
    [part] = load_mesh(path).parts
    assert part.texture is None
    assert np.ptp(part.colours, axis=2).max() < 1e-9


def test_folders_and_options_that_make_no_sense_are_refused(tmp_path, fail):
    assert "no folder; expected one with meshes" in fail("render_views.py", tmp_path / "x", "--out", tmp_path / "o")
    assert "no meshes; looked for .obj" in fail("render_views.py", tmp_path, "--out", tmp_path / "o")
    for name in ("a/b", "a_b"):
        save(coloured_box(), tmp_path / f"meshes/{name}.stl")
    assert "both would be called a_b; rename one" in refused(find_meshes, tmp_path / "meshes")
    for option, said in ((("--views", "0"), "--views: found 0; allowed: 1 to 1000"),
                         (("--elevation", "40", "10"), "--elevation: found 40 10; allowed")):
        assert said in fail("render_views.py", tmp_path / "meshes", "--out", tmp_path / "o", *option)


def test_where_there_is_no_opengl_it_is_said(monkeypatch, meshes, tmp_path, script, fail):
    monkeypatch.setattr(opengl, "works", lambda: False)
    assert "there is no OpenGL" in fail("render_views.py", meshes, "--out", tmp_path / "o", "--renderer", "opengl")
    code, _, err = script("render_views.py", meshes, "--out", tmp_path / "o", "--size", "16", "--views", "1")
    assert code == 0
    assert "no OpenGL" in err
    assert len(json.loads((tmp_path / "o/views/box_0/cameras.json").read_text())) == 1
