"""Every benchmark runs, small, and its figures hang together."""

import json
import sys
from pathlib import Path

import pytest
import torch

import pretrained_model
from benchmarks import same_results, scaling, train_speed
from benchmarks.plain_shape_pose import PlainShapePoseStep
from shape_pose.config import Model, Training
from shape_pose.data import Batch
from shape_pose.losses import subsets
from shape_pose.step import ShapePoseStep, create_network
from standin import write_standin
from training.command import create_fabric

PROJECT = Path(__file__).parent.parent


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a benchmark as from the command line; returns its figures and what it printed."""

    def main(module, *arguments):
        out = tmp_path / "figures.json"
        monkeypatch.chdir(PROJECT)
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments), "--out", str(out)])
        module.main()
        return json.loads(out.read_text()), capsys.readouterr().out

    return main


def test_training_beside_its_plain_baseline(run):
    figures, out = run(train_speed, "a?", "--sceneries", 4, "--batch", 4, "--rounds", 1)
    [row] = figures["rows"]
    assert row["ratio"] == pytest.approx(row["ours_per_s"] / row["plain_per_s"])
    assert "| ae | " in out
    # Torch alone takes more than the one, and eight images less than the other.
    assert all(0.1 < row[f"{side}_gib"] < 4 for side in ("ours", "plain"))


@pytest.mark.parametrize("name", ["factorvae", "scratch_resnet50"])
def test_both_sides_of_a_row_train(tmp_path, monkeypatch, name):
    monkeypatch.setattr(pretrained_model, "TORCHVISION_SIZE", 64)
    write_standin("sviro_nocar", tmp_path, sceneries=4, variants=train_speed.VARIANTS)
    *sides, samples = train_speed.rows()[name](train_speed.Setting(tmp_path, 4, torch.device("cpu"), "32"))
    assert samples == 4
    for side in sides:
        assert next(side())["total"].isfinite()


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "efficientnet_lite0"])
def test_both_sides_segment_alike(tmp_path, monkeypatch, backbone):
    monkeypatch.setattr(train_speed, "STREETS", 24)
    setting = train_speed.Setting(tmp_path, 2, torch.device("cpu"), "32")
    rows = [train_speed.rows()[f"deeplab_{backbone}{what}"](setting) for what in ("", "_evaluation")]
    assert [samples for _, _, samples in rows] == [2, 16]
    for side in rows[0][:2]:
        assert next(side())["total"].isfinite()
    ours, plain = (torch.as_tensor(next(side())) for side in rows[1][:2])
    # Rounding may decide between classes.
    assert ours.sum() == plain.sum()
    assert (ours - plain).abs().sum() < 1e-3 * ours.sum()


def test_both_sides_swap_alike(tmp_path):
    setting = train_speed.Setting(tmp_path, 2, torch.device("cpu"), "32")
    (ours, _, samples), (_, plain, _) = (train_speed.swapping(32, 2, setting) for _ in range(2))
    assert samples == 4
    ours, plain = ({name: float(value) for name, value in next(side()).items()} for side in (ours, plain))
    assert ours == pytest.approx(plain, rel=0.01)
    assert {"r1", "l1"} <= set(ours)


def test_both_sides_of_shape_and_pose_have_the_same_losses_and_gradients(monkeypatch):
    network_section = Model(type="point_cloud", points=300, width=32, grid=16)
    network = create_network(network_section, 32).double()
    training = Training(epochs=2, batch_size=2, views_per_model=3, taps=9, sigma=(1.5, 0.3))
    batch = Batch(torch.rand(6, 3, 32, 32).double(), (torch.rand(6, 16, 16) > 0.7).double(), 3)
    chosen, found = subsets(24, 300, 160, torch.device("cpu")).view(6, 4, 160), []
    for kind in (ShapePoseStep, PlainShapePoseStep):
        step = kind(network, training, network_section, create_fabric(torch.device("cpu")), 10)
        step.begin(2)
        monkeypatch.setattr(step, "subsets_of", lambda *_: chosen)
        losses = step.losses(batch)
        found.append((losses, torch.autograd.grad(losses["total"], list(network.parameters()))))
    (ours, gradients), (plain, wanted) = found
    assert set(ours) == set(plain)
    assert all(torch.allclose(ours[name], plain[name], rtol=1e-7) for name in ours)
    for one, other in zip(gradients, wanted, strict=True):
        assert (one - other).norm() <= 1e-6 * other.norm()


def test_cost_and_memory_at_growing_sizes(run, tmp_path):
    [row], out = run(scaling, "--sizes", "70x2", "--features", "squeezenet1_1", "--batch", 8, "--rounds", 1, "--steps",
                     1, "--cache", tmp_path)
    assert (row["sceneries"], row["variants"], row["step_ratio"]) == (70, 2, 1)
    assert 0.1 < row["peak_gib"] < 4
    assert "| 70 | 2 | " in out
    assert not list(tmp_path.glob("tmp*"))


def test_cached_features_train_as_live_ones(run, tmp_path):
    figures, out = run(same_results, "cfg/demo_e_tae.toml", "--set", "model.extractor=small_cnn", "model.weights=none",
                       "dataset.limit=40", "dataset.image_size=32", "model.knn=5", "training.epochs=1",
                       "training.batch_size=16", f"dataset.cache={tmp_path}",
                       'evaluation.datasets=[{name="handwritten",limit=40}]')
    assert figures["worst"] < 0.01
    assert "kNN on handwritten after" in out
