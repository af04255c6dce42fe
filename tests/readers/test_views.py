"""Views of models: layouts, splits, alpha, poses and clouds, and what is wrong with files."""

import json

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from scipy.spatial.transform import Rotation
from small_views import write_shapenet

from readers import create_reader
from readers.cameras import azimuth_elevation, look_at
from readers.prepare import prepare
from readers.splits import permuted_splits, read_splits

RNG = np.random.default_rng(0)
MODELS = [f"{kind}_{i}" for kind in ("van", "bus") for i in range(5)]


def disc(side=16):
    """Return noise RGBA, opaque inside a circle, half so at its rim."""
    pixels = RNG.integers(0, 256, (side, side, 4), dtype=np.uint8)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    radius = np.hypot(x, y)
    pixels[..., 3] = np.where(radius < side / 4, 255, np.where(radius < side / 3, 128, 0))
    return pixels


def turned(i):
    """Return rows right, up, back of a camera."""
    return Rotation.from_euler("yx", [40 * i, 10], degrees=True).as_matrix()


def write(root, models=MODELS, views=3):
    for number, model in enumerate(models):
        folder = root / "views" / model
        folder.mkdir(parents=True)
        poses = []
        for view in range(views):
            Image.fromarray(disc()).save(folder / f"{view}.png")
            poses.append({"file": f"{view}.png", "distance": 2.0, "fov_y": 29.0, "R": turned(number + view).tolist()})
        (folder / "cameras.json").write_text(json.dumps(poses))
        (root / "points").mkdir(exist_ok=True)
        np.save(root / "points" / f"{model}.npy", RNG.normal(size=(20, 3)).astype(np.float16))
    return root


def opened(root, split="all", factor=(), name="views", **options):
    return create_reader(name, root, list(factor), split, **options)


def said(root, tmp_path, **options):
    return refused(prepare, opened(root, **options), 16, tmp_path / "cache")


def test_a_model_is_a_scenery_its_views_are_variants_and_splits_share_none(tmp_path):
    write(tmp_path)
    parts = {split: opened(tmp_path, split).listing() for split in ("train", "val", "test", "all")}
    assert parts["all"].sceneries == sorted(MODELS)
    assert all(len(views) == 3 for views in parts["all"].sources)
    assert [len(parts[split].sceneries) for split in ("train", "val", "test")] == [7, 1, 2]
    assert sorted(name for split in ("train", "val", "test") for name in parts[split].sceneries) == sorted(MODELS)
    assert opened(tmp_path, None).split == "train"
    # Parts have the splits of the whole.
    part = opened(tmp_path, "train", ["bus"]).listing().sceneries
    assert part == [name for name in parts["train"].sceneries if name.startswith("bus")]
    assert "'buss' is not known; allowed: bus, van; did you mean 'bus'?" in said(tmp_path, tmp_path, factor=["buss"])
    assert "did you mean 'val'?" in said(tmp_path, tmp_path, split="vall")


def test_permuted_splits_have_the_sizes_of_the_published_ones():
    for count, sizes in ((7497, (5247, 750, 1500)), (6778, (4744, 678, 1356)), (4045, (2831, 404, 810))):
        splits = list(permuted_splits([str(i) for i in range(count)]).values())
        assert tuple(splits.count(split) for split in ("train", "val", "test")) == sizes


def test_a_table_of_splits_rules_and_its_mistakes_are_named(tmp_path):
    write(tmp_path, ["a", "b", "c"])
    table = tmp_path / "splits.csv"
    table.write_text("model,split\na,test\nb,train\n")
    assert opened(tmp_path, "test").listing().sceneries == ["a"]
    assert list(opened(tmp_path).listing().dropped) == ["not in splits.csv"]
    table.write_text("model,split\na,test\na,train\n")
    assert f"{table}: a is in two splits, test and train; allowed: one" in said(tmp_path, tmp_path)
    table.write_text("model,split\na,tests\n")
    assert "split of a: 'tests' is not known; allowed: train, val, test; did you mean 'test'?" in said(tmp_path,
                                                                                                      tmp_path)
    for short in ("split,model\ntrain,a\ntest\n", "model,split\nb,train\na\n", "model,split\nb,train\n,test\n"):
        table.write_text(short)
        assert f"{table}, line 3: a model or its split is missing" in said(tmp_path, tmp_path)
    table.write_text("name,split\n")
    assert "columns: found name, split; expected model, split" in said(tmp_path, tmp_path)
    odd = {"sedan, 1998": "train", 'a "quoted" one': "test"}
    table.write_text(opened(tmp_path).tables(list(odd), list(odd.values()))["splits.csv"])
    assert read_splits(table) == odd
    table.write_text("model,split\na,test\nz,test\n")
    assert f"{tmp_path / 'views' / 'z'}: no such folder, but {table} names the model" in said(tmp_path, tmp_path)


def test_colours_come_from_where_the_model_is_and_alpha_is_coverage(tmp_path):
    write(tmp_path, ["a"], views=1)
    [image] = prepare(opened(tmp_path), 8, tmp_path / "cache").images
    pixels = np.asarray(Image.open(tmp_path / "views/a/0.png")).astype(float)
    alpha, blocks = pixels[..., 3:], lambda values: values.reshape(8, 2, 8, 2, -1).mean(axis=(1, 3))
    coverage = blocks(alpha)[..., 0]
    assert np.abs(image[3] - coverage).max() <= 1
    colours = blocks(pixels[..., :3] * alpha) / np.maximum(blocks(alpha), 1e-9)
    seen = coverage > 0
    # Eight bits, multiplied and divided: less is known of what is hardly seen.
    assert np.abs(image[:3].transpose(1, 2, 0) - colours)[seen].max() <= 255 / coverage[seen].min() + 2
    assert not image[:3, ~seen].any()
    assert (~seen).any()


def test_of_the_same_size_pixels_stay_and_a_larger_one_shows_nothing_new(tmp_path):
    write(tmp_path, ["a"], views=1)
    pixels = np.asarray(Image.open(tmp_path / "views/a/0.png"))
    [same] = prepare(opened(tmp_path), 16, tmp_path / "cache").images
    wanted = np.where(pixels[..., 3:] > 0, pixels, 0)
    assert np.array_equal(same.transpose(1, 2, 0), wanted)
    [large] = prepare(opened(tmp_path), 32, tmp_path / "cache").images
    assert not large[:, :3].any()
    assert large[3].max() == 255


def test_poses_turn_points_as_the_rows_of_the_camera_do(tmp_path):
    write(tmp_path)
    reader, points = opened(tmp_path), RNG.normal(size=(10, 3))
    listing = reader.listing()
    for model, sources in zip(listing.sceneries, listing.sources, strict=True):
        for view, source in enumerate(sources):
            camera = reader.camera(source)
            right, up, back = (points @ row for row in turned(MODELS.index(model) + view))
            found = Rotation.from_quat(camera.quaternion, scalar_first=True).apply(points)
            assert np.allclose(found, np.stack([-back, up, right], axis=1))
            assert camera.focal == pytest.approx(0.5 / np.tan(np.radians(14.5)))
        cloud = reader.cloud(model)
        assert (cloud.shape, cloud.dtype) == ((20, 3), np.float64)
    (tmp_path / "points" / f"{MODELS[0]}.npy").unlink()
    assert reader.cloud(MODELS[0]) is None


# Azimuth, elevation, quaternion, and where (depth, y, x) the point (.1, .2, -.3) is seen, by an independent look-at.
GOLDEN = [(0, 0, (0, 0, 1, 0), (-.1, .197368, .296053)),
          (90, 0, (-.707107, 0, -.707107, 0), (-.3, .220588, -.110294)),
          (30, 20, (-.254887, .167731, -.951251, -.044943), (-.290738, .117392, .230152)),
          (-120, -15, (-.858616, .065263, .495722, .113039), (.351015, .090121, -.050561)),
          (180, 35, (-.953717, 0, 0, -.300706), (-.0328, .210821, -.285939))]


@pytest.mark.parametrize(("azimuth", "elevation", "wanted", "seen"), GOLDEN)
def test_published_cameras_look_where_they_did(azimuth, elevation, wanted, seen):
    a, e = np.radians([azimuth, elevation])
    [quaternion] = look_at(2 * np.array([[np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)]]))
    assert min(np.abs(quaternion - wanted).max(), np.abs(quaternion + wanted).max()) < 1e-6
    depth, up, right = Rotation.from_quat(quaternion, scalar_first=True).apply([.1, .2, -.3])
    assert np.allclose((depth, 1.875 * up / (depth + 2), 1.875 * right / (depth + 2)), seen, atol=1e-6)


def cameras(root, **changes):
    path = root / "views/a/cameras.json"
    views = json.loads(path.read_text())
    path.write_text(json.dumps([views[0] | changes, *views[1:]]))


# What is done, and what is said.
BAD = {
    "no cameras": (lambda root: (root / "views/a/cameras.json").unlink(), "cameras cannot be read: No such file"),
    "no list": (lambda root: (root / "views/a/cameras.json").write_text("{}"), "expected a list of views"),
    "no pose": (lambda root: cameras(root, file="9.png"), "0.png: a view without a pose in"),
    "no unit quaternion": (lambda root: cameras(root, quaternion=[1, 1, 0, 0]),
                           "0.png: quaternion [1, 1, 0, 0]; expected four numbers w, x, y, z of norm 1"),
    "three numbers": (lambda root: cameras(root, quaternion=[1, 0, 0]), "expected four numbers"),
    "no number": (lambda root: cameras(root, quaternion=[1, 0, 0, "x"]), "have to be numbers"),
    "mirrored": (lambda root: cameras(root, R=(-np.eye(3)).tolist()), "R is no rotation"),
    "no rotation": (lambda root: cameras(root, R=np.ones((3, 3)).tolist()), "R is no rotation"),
    "no distance": (lambda root: cameras(root, distance=None), "have to be numbers"),
    "too near": (lambda root: cameras(root, distance=0.1), "distance 0.1, fov_y 29; allowed: above 0.5"),
    "no alpha": (lambda root: Image.new("RGB", (16, 16)).save(root / "views/a/0.png"), "image of mode RGB; allowed"),
    "empty mask": (lambda root: Image.new("RGBA", (16, 16)).save(root / "views/a/0.png"), "the mask is empty"),
    "not square": (lambda root: Image.fromarray(disc()[:8]).save(root / "views/a/0.png"), "view of 16x8 pixels"),
    "no image": (lambda root: (root / "views/a/0.png").write_bytes(b"x"), "image cannot be read"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_view_that_is_none_is_named_and_left_out_on_request(tmp_path, kind):
    damage, problem = BAD[kind]
    write(tmp_path, ["a", "b"])
    damage(tmp_path)
    message = said(tmp_path, tmp_path)
    assert problem in message
    assert str(tmp_path / "views/a") in message
    kept = prepare(opened(tmp_path, skip_bad=True), 16, tmp_path / "cache")
    assert len(kept.sources) < 6
    assert "b" in kept.names


@pytest.mark.parametrize(("array", "problem"), [
    (np.zeros((3, 20)), "cloud of float64 (3, 20); expected numbers (points, 3)"),
    (np.zeros((0, 3)), "cloud of float64 (0, 3)"),
    (np.full((20, 3), np.nan), "cloud holds values that are not finite"),
    (np.array([["a"] * 3]), "expected numbers"),
    (np.array([[None] * 3]), "cloud cannot be read"),
])
def test_a_cloud_that_is_none_is_named(tmp_path, array, problem):
    write(tmp_path, ["a"])
    np.save(tmp_path / "points/a.npy", array)
    message = refused(opened(tmp_path).cloud, "a")
    assert problem in message
    assert message.startswith(f"{tmp_path / 'points/a.npy'}: ")


def test_the_published_layout_is_read_and_its_lists_of_splits_rule(tmp_path):
    write_shapenet(tmp_path, ["m0", "m1", "m2"])
    listing = opened(tmp_path, name="shapenet_views").listing()
    assert [len(views) for views in listing.sources] == [5, 5, 5]
    reader = opened(tmp_path, name="shapenet_views")
    camera = reader.camera(listing.sources[0][3])
    position = 2 * np.array([[np.cos(np.radians(150)), np.sin(np.radians(150)), 0]])
    assert np.allclose(camera.quaternion, look_at(position))
    assert (camera.focal, camera.distance) == (1.875, pytest.approx(2))
    assert reader.cloud("02958343/m1").shape == (30, 3)
    assert reader.cloud("02958343/m9") is None
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/02958343_test.txt").write_text("02958343/m2\n")
    (tmp_path / "splits/02958343_train.txt").write_text("m0\nm1\n")
    assert opened(tmp_path, "test", name="shapenet_views").listing().sceneries == ["02958343/m2"]
    (tmp_path / "splits/02958343_train.txt").write_text("m0\nm2\n")
    assert "m2 is in two splits, train and test" in said(tmp_path, tmp_path, name="shapenet_views")
    (tmp_path / "splits/02958343_train.txt").write_bytes(b"\xff")
    assert "02958343_train.txt: cannot be read: 'utf-8' codec" in said(tmp_path, tmp_path, name="shapenet_views")
    (tmp_path / "splits/02958343_train.txt").write_text("m0\nm1\n")
    twice = opened(tmp_path, "train", ["02958343"] * 2, name="shapenet_views").listing()
    assert twice.sceneries == ["02958343/m0", "02958343/m1"]


def test_a_published_view_without_camera_or_with_a_damaged_one_is_named(tmp_path):
    write_shapenet(tmp_path, ["m0"])
    folder = tmp_path / "renders/02958343/m0"
    (folder / "camera_2.mat").write_bytes(b"x")
    reader = opened(tmp_path, name="shapenet_views")
    assert f"{folder / 'camera_2.mat'}: holds no pos" in refused(reader.camera, str(folder / "render_2.png"))
    (folder / "camera_2.mat").unlink()
    assert f"{folder / 'render_2.png'}: a view without a pose; looked for {folder / 'camera_2.mat'}" in said(
        tmp_path, tmp_path, name="shapenet_views")


def test_azimuth_and_elevation_are_where_a_camera_was_put_whatever_its_roll():
    azimuth, elevation = RNG.uniform(-180, 180, 50), RNG.uniform(-89, 89, 50)
    a, e = np.radians(azimuth), np.radians(elevation)
    turns = look_at(2 * np.stack([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)], axis=1))
    roll = Rotation.from_rotvec(RNG.uniform(-3, 3, (50, 1)) * [1, 0, 0])
    rolled = (roll * Rotation.from_quat(turns, scalar_first=True)).as_quat(scalar_first=True)
    for quaternions in (turns, -3 * turns, rolled):
        found = azimuth_elevation(quaternions)
        assert np.allclose(found[0], azimuth)
        assert np.allclose(found[1], elevation)
    assert np.allclose(azimuth_elevation(np.array([look_at(np.array([[0.0, 0, 2]]))[0]]))[1], 90)
