"""Segmentation from the command line: training, resuming, evaluation, tables, a look at the data."""

import csv
import gc
import json

import numpy as np
import pytest
import torch
from PIL import Image
from runs import stop_after

from evaluation.segmentation_metrics import confusion, miou
from experiment import records
from readers.class_maps import load_class_map
from standin import write_standin

CONFIG = """
[dataset]
name = "camvid"
root = "{root}"
cache = "{cache}"
split = "train"
image_size = [48, 32]
classes = "street11"

[model]
type = "deeplab"
weights = "none"

[training]
batch_size = 3
epochs = 3
learning_rate = 0.02
crop = [40, 32]
scale = [0.8, 1.25]
device = "cpu"

[[evaluation.datasets]]
name = "camvid"
split = "val"
image_size = [40, 32]

[[evaluation.datasets]]
name = "carla"
factor = "Town07"
split = "test"
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("streets")
    write_standin("camvid", root, sceneries=12)
    write_standin("carla", root, sceneries=10)
    return root


@pytest.fixture
def config(tmp_path, data, cache):
    path = tmp_path / "streets.toml"
    path.write_text(CONFIG.format(root=data, cache=cache))
    return path


def state(run, name):
    return torch.load(run / "checkpoints" / name, weights_only=True)


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def without_pictures(patch, drawn):
    for name in ("label_sheet", "class_figure"):
        patch.setattr(f"segmentation.judge.{name}", lambda path, *_: drawn.append(path.name))


def test_a_run_is_trained_stopped_resumed_evaluated_and_tabulated(script, config, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with monkeypatch.context() as patch:
        without_pictures(patch, [])
        assert script("train_segmentation.py", config, "--out", whole, "--name", "streets")[0] == 0

    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert script("train_segmentation.py", config, "--out", broken, "--name", "streets")[0] == 130
    # The lock goes with the run, as it does with its process.
    gc.collect()
    code, _, err = script("train_segmentation.py", "--resume", broken)
    assert (code, "resumed after epoch 2" in err) == (0, True), err
    for name in ("last.pth", "last_model.pth", "best_model.pth"):
        assert same(state(whole, name), state(broken, name)), name
    assert records.read(whole) == records.read(broken)
    rates = [group["lr"] for group in state(whole, "last.pth")["step"]["optimizer"]["param_groups"]]
    assert rates == [pytest.approx(0.002), 0.02]
    figures = {path.name for path in (broken / "images").iterdir()}
    kept = {f"{kind}_{dataset}_last{end}" for dataset in ("camvid_val", "carla_Town07_test")
            for kind, end in (("segmentation", ".png"), ("classes", ".png"), ("classes", ".pdf"))}
    assert figures == kept | {"data_camvid_train.png", "data_camvid_val.png", "data_carla_Town07_test.png"}
    for path in (broken / "images").glob("*.png"):
        assert np.asarray(Image.open(path).convert("L")).std() > 10, path

    # Evaluation says what training said of the epochs that the weights come from.
    rows, drawn = records.read(whole), []
    count = len((whole / "records.jsonl").read_text().splitlines())
    with monkeypatch.context() as patch:
        without_pictures(patch, drawn)
        code, out, err = script("eval_segmentation.py", whole)
    assert code == 0, err
    added = [json.loads(line) for line in (whole / "records.jsonl").read_text().splitlines()[count:]]
    assert records.read(whole) == rows
    found = {(row["dataset"], row["checkpoint"]): row["value"] for row in added if row["metric"] == "miou"}
    assert found.keys() == {(name, checkpoint) for name in ("camvid", "carla") for checkpoint in ("last", "best")}
    assert {name.partition(".")[0] for name in drawn} == {
        f"{kind}_{dataset}_{checkpoint}" for kind in ("segmentation", "classes")
        for dataset in ("camvid_val", "carla_Town07_test") for checkpoint in ("last", "best")}
    assert "network mIoU" in out
    assert "(n = 2)" in out
    code, out, err = script("calculate_mean_and_var_accuracy.py", whole, broken, "--format", "csv")
    assert code == 0, err
    table = {(line["dataset"], line["checkpoint"]): float(line["mean"])
             for line in csv.DictReader(out.splitlines()) if line["metric"] == "miou"}
    assert table["camvid, val", "last"] == pytest.approx(100 * found["camvid", "last"])
    assert len(table) == 4
    code, out, err = script("calculate_mean_and_var_accuracy.py", whole)
    assert (code, "mIoU" in out) == (0, True), err


def test_a_look_at_the_data_counts_pixels_and_draws_label_maps(script, config, data, tmp_path):
    code, out, err = script("inspect_dataset.py", config, "--out", tmp_path / "look")
    assert code == 0, err
    lines = {line.strip().split("  ")[0]: line.split()[-3:] for line in out.splitlines() if line.strip()}
    mapped = load_class_map("camvid", "street11")
    for column, (split, size) in enumerate([("train", (48, 32)), ("val", (40, 32))]):
        ids = [np.asarray(Image.open(path).resize(size, Image.Resampling.NEAREST))
               for path in (data / "CamVid" / f"{split}annot").iterdir()]
        classes = mapped.to_class[np.stack(ids)]
        for number, name in [*enumerate(mapped.classes), (255, "ignored")]:
            assert lines[name][column] == f"{100 * (classes == number).mean():.2f}"
        common = max(mapped.classes, key=lambda each: float(lines[each][0]))
        counts = confusion(torch.full(classes.shape, mapped.classes.index(common)), torch.from_numpy(classes), 11)
        assert lines[f"mIoU of nothing but {common}"][column] == f"{100 * miou(counts):.2f}"
    assert {path.name for path in (tmp_path / "look").iterdir()} == {
        "data_camvid_train.png", "data_camvid_val.png", "data_carla_Town07_test.png"}
    assert all(np.asarray(Image.open(path).convert("L")).std() > 10 for path in (tmp_path / "look").iterdir())


MISTAKES = {
    "no label maps": ("dataset.name=mnist", "'mnist' is not known; allowed: carla, cityscapes, camvid, street_folder"),
    "evaluation": ('evaluation.datasets=[{name="ticam"}]', "'ticam' is not known; allowed: carla"),
    "no class map": ("dataset.name=street_folder", "dataset.class_map: street_folder has none of its own"),
    "nearest": ("dataset.class_map=camvids", "'camvids' is not known; allowed: camvid, carla13"),
    "not for these": ("dataset.classes=street16", "camvid.csv: column: 'street16' is not known"),
    "split": ('evaluation.datasets=[{name="carla", split="val"}]', "'val' is not known; allowed: train, test, all"),
}


@pytest.mark.parametrize("kind", MISTAKES)
@pytest.mark.parametrize("name", ["train_segmentation.py", "inspect_dataset.py"])
def test_a_mistake_in_a_config_is_one_line(script, config, tmp_path, name, kind):
    change, said = MISTAKES[kind]
    code, _, err = script(name, config, "--out", tmp_path / "out", "--set", change)
    assert (code, err.count("\n"), err.startswith("error: ")) == (2, 1, True)
    assert said in err
    assert not (tmp_path / "out" / "cfg.toml").exists()


def test_configs_of_systems_and_datasets_that_do_not_go_together_are_refused(script, config, config_file, tmp_path):
    code, _, err = script("train_ae.py", config, "--out", tmp_path / "out")
    assert (code, "'deeplab', which train_segmentation.py trains" in err) == (2, True)
    code, _, err = script("train_segmentation.py", config_file(), "--out", tmp_path / "out")
    assert (code, "allowed: deeplab" in err) == (2, True)
    code, _, err = script("train_ae.py", config_file(), "--out", tmp_path / "out", "--set", "dataset.name=camvid")
    assert (code, "dataset.name: 'camvid' is not known; allowed: sviro" in err, err.count("\n")) == (2, True, 1)
    assert not (tmp_path / "out").exists()


def test_damaged_label_maps_stop_a_training_and_are_left_out_on_request(script, config, data, tmp_path):
    write_standin("camvid", tmp_path, sceneries=12)
    bad = tmp_path / "CamVid" / "trainannot" / "standin_00001.png"
    Image.fromarray(np.full((180, 240), 77, np.uint8)).save(bad)
    change = f"dataset.root={tmp_path}"
    code, _, err = script("train_segmentation.py", config, "--dry-run", "--set", change)
    assert (code, f"{bad}: id 77 is not in class map 'camvid'" in err.splitlines()[-1]) == (2, True)
    code, out, err = script("train_segmentation.py", config, "--dry-run", "--set", change, "dataset.skip_bad=true",
                            'evaluation.datasets=[{name="camvid", split="val"}]')
    assert code == 0, err
    assert "6 images of 48x32" in out
    assert "1 left out: image cannot be read" in out
