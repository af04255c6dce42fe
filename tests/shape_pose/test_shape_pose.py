"""Shape and pose from the config to the records: training, evaluation, floors, figures, refusals."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation
from shape_views import draw, points_of, write_views

from experiment import records
from experiment.config import load_config
from experiment.run import open_run
from shape_pose.config import ShapePoseConfig
from shape_pose.data import open_evaluation_shapes, open_training
from shape_pose.judge import Judged, Predictor, ShapePoseJudge, constant, disc_masks
from training.loop import Loop

CFG = Path(__file__).parent.parent.parent / "cfg"
CONFIG = """
[dataset]
name = "views"
root = "{root}"
cache = "{cache}"
image_size = 32

[model]
type = "point_cloud"
points = 64
width = 16
grid = 16

[training]
batch_size = 2
views_per_model = 3
iterations = 4
epochs = 2
taps = 7
sigma = [1.5, 0.3]
device = "cpu"

[[evaluation.datasets]]
name = "views"
split = "test"

[[evaluation.datasets]]
name = "cut_outs"
root = "{cuts}"
"""


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("shapes")
    write_views(root / "data")
    (root / "cuts").mkdir()
    for i in range(3):
        draw(points_of(i), np.array([1.0, 0, 0, 0]), 40).save(root / "cuts" / f"{i}.png")
    path = root / "tiny.toml"
    path.write_text(CONFIG.format(root=root / "data", cache=root / "cache", cuts=root / "cuts"))
    return root


def config(folders):
    return ShapePoseConfig.model_validate({
        "dataset": {"name": "views", "root": str(folders / "data"), "cache": str(folders / "cache"), "image_size": 32},
        "model": {"type": "point_cloud", "points": 64, "width": 16, "grid": 16}, "training": {"epochs": 1},
        "evaluation": {"datasets": [{"name": "views", "split": "test"}, {"name": "cut_outs",
                                                                         "root": str(folders / "cuts")}]}})


def test_a_run_is_trained_resumed_and_evaluated(folders, tmp_path, succeed, fail):
    run = tmp_path / "run"
    assert "7 models" in succeed("train_shape_pose.py", folders / "tiny.toml", "--dry-run")
    succeed("train_shape_pose.py", folders / "tiny.toml", "--out", run)
    losses = {row["metric"].removeprefix("loss/") for row in records.read(run) if row["metric"].startswith("loss/")}
    assert losses == {"silhouette", "student", "total", "head_1", "head_2", "head_3", "head_4"}
    assert (run / "images" / "shapes_views_data_test_network_last.png").exists()
    out = succeed("eval_shape_pose.py", run, "--checkpoint", "last", "--floors")
    assert "network 100 × Chamfer distance" in out
    rows = {(row["classifier"], row["dataset"], row["metric"]): row for row in records.read(run)
            if row["checkpoint"] == "last"}
    for name in ("network", "untrained", "constant"):
        chamfer, precision, coverage = (rows[name, "views data", metric]["value"]
                                        for metric in ("chamfer", "precision", "coverage"))
        assert chamfer == pytest.approx(precision + coverage)
        assert rows[name, "views data", "pose_accuracy"]["n"] == 6
        assert rows[name, "cut_outs cuts", "mask_xor"]["n"] == 3
        assert (name, "cut_outs cuts", "pose_median") not in rows
    assert (run / "images" / "pose_errors_views_data_test_network_last.pdf").exists()
    with np.load(run / "errors" / "views_data_test_network_last.npz") as kept:
        assert set(kept) == {"precision", "coverage", "angle", "angle_half_turn", "xor", "iou"}
        assert kept["angle"].shape == (6,)
    table = succeed("calculate_mean_and_var_accuracy.py", run)
    assert "median pose error" in table
    succeed("plot_mask_errors.py", run, "--out", tmp_path / "curves")
    assert (tmp_path / "curves.pdf").exists()
    assert "no errors of 'nobody'" in fail("plot_mask_errors.py", run, "--of", "nobody")
    (run / "done").unlink()
    assert "not finished" in fail("eval_shape_pose.py", run)


def test_a_stopped_run_ends_where_another_does(folders, tmp_path, monkeypatch, script, succeed):
    options = ("--set", "evaluation.datasets=[]")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    succeed("train_shape_pose.py", folders / "tiny.toml", "--out", whole, *options)
    save = Loop._save

    def stop(self, progress, score, due):
        save(self, progress, score, due)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_save", stop)
        assert script("train_shape_pose.py", folders / "tiny.toml", "--out", stopped, *options)[0] == 130
    succeed("train_shape_pose.py", "--resume", stopped)
    ours, theirs = (torch.load(run / "checkpoints" / "last_model.pth", weights_only=True) for run in (whole, stopped))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert open_run(stopped).done


@pytest.mark.parametrize("path", [path for path in sorted(CFG.glob("*.toml")) if "point_cloud" in path.read_text()],
                         ids=lambda path: path.stem)
def test_every_config_trains_a_step_and_is_judged(folders, tmp_path, succeed, path):
    root, focal = write_views(tmp_path / "data", models=8, views=4), load_config(path).model.focal_length
    for cameras in root.rglob("cameras.json"):
        angle = float(np.degrees(2 * np.arctan(0.5 / focal)))
        cameras.write_text(json.dumps([view | {"fov_y": angle} for view in json.loads(cameras.read_text())]))
    (root / "photos").mkdir()
    (root / "masks").mkdir()
    for folder, mode in (("photos", "RGB"), ("masks", "L")):
        (root / folder / "stanford").mkdir()
        Image.new(mode, (40, 40), 200 if mode == "L" else "red").save(root / folder / "stanford" / "0.png")
    changes = (f"dataset.root={root}", f"dataset.cache={tmp_path}", "training.iterations=1", "training.epochs=1",
               "training.frequency=1", "model.points=100", "model.width=16")
    succeed("train_shape_pose.py", path, "--out", tmp_path / "run", "--set", *changes)
    rows = [row for row in records.read(tmp_path / "run") if row["checkpoint"] == "epoch"]
    assert {row["metric"] for row in rows} >= {"chamfer", "pose_median", "mask_iou", "loss/total"}


def oracle(datasets, turn):
    """Return what says the truth of every image, in axes that are turned."""
    images = torch.cat([shapes.take(torch.arange(len(shapes.rows)))[0] for shapes in datasets]).flatten(1)
    poses = np.concatenate([shapes.poses for shapes in datasets])
    clouds = [shapes.cloud(model) for shapes in datasets for model in shapes.model_of]

    def predict(seen):
        places = [(images - image).abs().sum(dim=1).argmin() for image in seen.flatten(1)]
        points = torch.stack([torch.from_numpy(turn.inv().apply(clouds[place])) for place in places])
        turned = Rotation.from_quat(poses[[int(place) for place in places]], scalar_first=True) * turn
        return points.float(), torch.from_numpy(turned.as_quat(scalar_first=True)).float()

    return Predictor("network", predict)


def test_what_is_right_but_for_its_axes_is_right(folders):
    section, device = config(folders), torch.device("cpu")
    [test, _] = open_evaluation_shapes(section, device)
    validation = open_training(section.dataset, section.model, device, "val")
    judge = ShapePoseJudge(oracle([test, validation], Rotation.random(rng=4)), [test], validation, section.model, 50)
    found = {row["metric"]: row["value"] for row in judge.rows()}
    assert found["chamfer"] < 1e-5
    assert found["pose_accuracy"] == 1
    assert found["pose_median"] < 1e-2
    assert found["half_turns"] == 0
    assert found["mask_iou"] > 0.7
    # Half a turn: the alignment takes it away, as axes are the network's own.
    judge.predictor = oracle([test, validation], Rotation.from_rotvec([0, np.pi, 0]))
    assert judge.rows()[3]["value"] == 1


def test_test_views_that_are_trained_on_are_told(folders, capsys):
    section, device = config(folders), torch.device("cpu")
    open_evaluation_shapes(section, device)
    assert capsys.readouterr().err == ""
    section.evaluation.datasets[0] = section.evaluation.datasets[0].model_copy(update={"split": "all"})
    open_evaluation_shapes(section, device)
    assert "warning: 21 of 30 test images of views data, all, are trained on" in capsys.readouterr().err


def test_a_metric_counts_the_images_that_it_is_of():
    errors = np.array([0.1, np.nan, 0.3])
    names = ("precision", "coverage", "angle", "angle_half_turn", "xor", "iou")
    values = {name: errors if name in names[:2] else np.ones(3) for name in names}
    rows = Judged(Predictor("network", None), SimpleNamespace(identity={}), values, []).rows
    assert {row["metric"]: row["n"] for row in rows} == dict.fromkeys(("chamfer", "precision", "coverage"), 2) | (
        dict.fromkeys(("pose_accuracy", "pose_median", "pose_accuracy_half_turn", "pose_median_half_turn", "half_turns",
                       "mask_xor", "mask_iou"), 3))
    assert rows[0]["value"] == pytest.approx(0.4)


def test_the_constant_has_the_axes_of_the_data(folders):
    section, device = config(folders), torch.device("cpu")
    shapes = open_training(section.dataset, section.model, device)
    predictor = constant(shapes, 64)
    points, poses = predictor.predict(torch.zeros(2, 3, 32, 32))
    assert (points.shape, poses.shape) == ((2, 64, 3), (2, 4))
    assert np.abs(points.numpy()).max(axis=(0, 1)) == pytest.approx([0.35, 0.3, 0.15], abs=0.1)
    judge = ShapePoseJudge(predictor, open_evaluation_shapes(section, device)[:1], None, section.model, 50)
    assert judge.alignment.magnitude() == 0


def test_discs_are_where_spheres_are_seen():
    section = ShapePoseConfig.model_validate({"dataset": {"name": "views"}, "model": {"type": "point_cloud"},
                                              "training": {"epochs": 1}}).model
    points = torch.zeros(1, 8000, 3)
    points[:, 0] = torch.tensor([0.1, 0.2, -0.3])
    identity = torch.tensor([[1.0, 0, 0, 0]])
    [found] = disc_masks(points, identity, 128, section).numpy()
    y, x = np.mgrid[:128, :128]
    wanted = np.zeros((128, 128), bool)
    for depth, up, right in ((0, 0, 0), (0.1, 0.2, -0.3)):
        row, column = (0.5 - 1.875 * up / (2 + depth)) * 128 - 0.5, (0.5 + 1.875 * right / (2 + depth)) * 128 - 0.5
        wanted |= np.hypot(y - row, x - column) <= 128 * 1.875 * 0.01 / (2 + depth)
    assert np.array_equal(found, wanted)
    # A mask that leaves the image is cut off.
    assert not disc_masks(points[:, :1] + 5, identity, 128, section).any()


@pytest.mark.parametrize(("changes", "said"), [
    ("dataset.name=cut_outs dataset.root={cuts}", "allowed: views, shapenet_views"),
    ("dataset.name=mnist", "'mnist' is not known; allowed: views, shapenet_views, cut_outs"),
    ("dataset.image_size=48", "allowed: powers of 2 (found 48)"),
    ("model.grid=24", "dataset.image_size = 32 is no multiple of model.grid = 24"),
    ("training.taps=4", "taps: allowed: odd numbers (found 4)"),
    ("training.keep=[0.0,1.0]", "greater than 0"),
    ("training.views_per_model=4", "training.views_per_model: found 4; allowed: up to 3"),
    ("training.batch_size=8", "training.batch_size: found 8; allowed: up to 7"),
    ("training.devices=2", "training.devices"),
])
def test_configs_that_make_no_sense_are_refused(folders, fail, changes, said):
    changes = changes.format(cuts=folders / "cuts").split()
    assert said in fail("train_shape_pose.py", folders / "tiny.toml", "--dry-run", "--set", *changes)


def test_clouds_that_are_not_there_or_damaged_are_named(folders, tmp_path, fail):
    bare = write_views(tmp_path / "bare", points=False)
    assert "no clouds of its models" in fail("train_shape_pose.py", folders / "tiny.toml", "--set",
                                             f"dataset.root={bare}", "--dry-run")
    damaged = write_views(tmp_path / "damaged")
    for path in (damaged / "points").iterdir():
        np.save(path, np.zeros((3, 5)))
    assert "cloud of float64 (3, 5); expected numbers (points, 3)" in fail(
        "train_shape_pose.py", folders / "tiny.toml", "--set", f"dataset.root={damaged}", "--dry-run")


def test_an_empty_mask_and_a_view_without_a_pose_are_named(folders, tmp_path, fail):
    root = write_views(tmp_path / "data")
    Image.new("RGBA", (32, 32)).save(root / "views" / "box_0" / "1.png")
    arguments = ("train_shape_pose.py", folders / "tiny.toml", "--dry-run", "--set", f"dataset.root={root}",
                 "dataset.split=all")
    assert "1.png: the mask is empty" in fail(*arguments)
    path = root / "views" / "box_0" / "cameras.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:2]))
    assert "2.png: a view without a pose" in fail(*arguments)
