"""The evaluation scripts on finished runs; what eval_ae.py makes of an autoencoder is in test_scripts.py."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from dataset import Scenes
from experiment import predictions, records
from experiment.config import EvaluationDataset
from pretrained_model import build_network

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def trained(script, config_file, tmp_path):
    """A finished tiny classifier, evaluated on two datasets while it trained."""
    run = tmp_path / "results" / "tiny" / "run"
    targets = 'evaluation.datasets=[{name="handwritten", limit=60}, {name="glyphs", split="test", limit=6}]'
    code, _, err = script("train_classifier.py", config_file("classifier", "scratch"), "--out", run, "--set", targets)
    assert code == 0, err
    return run


def final(run):
    return {(row["checkpoint"], row["dataset"], row["split"]): row for row in records.read(run)
            if row["metric"] == "accuracy" and row["checkpoint"] != "epoch"}


def test_a_classifiers_rows_are_those_known_from_training(script, trained):
    told = final(trained)
    lines = len((trained / "records.jsonl").read_text().splitlines())
    code, out, err = script("eval_classifier.py", trained)
    assert code == 0, err
    assert len((trained / "records.jsonl").read_text().splitlines()) == lines + 4
    assert set(final(trained)) == {(checkpoint, *data) for checkpoint in ("last", "best")
                                   for data in (("handwritten", "all"), ("glyphs", "test"))}
    assert final(trained) == told
    assert {row["classifier"] for row in told.values()} == {"network"}
    assert len(out.splitlines()) == 4
    assert "network" in out


def test_kept_predictions_are_those_behind_the_records(script, trained):
    assert script("eval_classifier.py", trained)[0] == 0
    kept = {(each.checkpoint, each.dataset, each.split): each for each in predictions.read(trained)}
    rows = final(trained)
    assert kept.keys() == rows.keys()
    for key, each in kept.items():
        assert len(each.true) == rows[key]["n"]
        assert (each.predicted == each.true).all(axis=1).mean() == pytest.approx(rows[key]["value"])
        assert each.classes.tolist() == [str(digit) for digit in range(10)]
        assert (each.seed, each.classifier) == (rows[key]["seed"], "network")


def test_a_run_that_can_keep_no_predictions_is_refused_beforehand(script, trained):
    (trained / "predictions").write_text("a file in the way")
    before = records.read(trained)
    code, _, err = script("eval_classifier.py", trained)
    assert (code, "predictions: cannot be written" in err) == (2, True)
    assert records.read(trained) == before


def test_a_classifiers_accuracy_equals_a_count_over_single_images(script, trained, cache):
    target = 'evaluation.datasets=[{name="glyphs", split="test", limit=9}]'
    code, _, err = script("eval_classifier.py", trained, "--checkpoint", "last", "--set", target)
    assert code == 0, err
    row = final(trained)["last", "glyphs", "test"]
    section = EvaluationDataset(name="glyphs", root="x", split="test", limit=9)
    scenes = Scenes(section, 32, str(cache), torch.device("cpu"))
    train = Scenes(EvaluationDataset(name="glyphs", root="x", limit=40), 32, str(cache), torch.device("cpu"))
    numbers = sorted({int(label) for label in train.labels[:, 0]})
    network = build_network("small_cnn", len(numbers)).eval()
    state = torch.load(trained / "checkpoints" / "last_model.pth", weights_only=True)
    network.load_state_dict({name.removeprefix("pre_trained_model."): value for name, value in state.items()})
    right = 0
    for image, pixels in enumerate(scenes.images):
        scenery = int(np.searchsorted(scenes.first.numpy(), image, side="right")) - 1
        with torch.no_grad():
            output = int(network(pixels.float()[None].repeat(1, 3, 1, 1) / 255).argmax())
        right += numbers[output] == int(scenes.labels[scenery, 0])
    assert (row["n"], row["value"]) == (90, pytest.approx(right / 90))


def test_the_table_has_a_row_per_dataset(script, trained):
    assert script("eval_classifier.py", trained)[0] == 0
    code, out, _ = script("calculate_mean_and_var_accuracy.py", trained, "--format", "csv")
    assert code == 0
    rows = [line.split(",") for line in out.splitlines()[1:]]
    assert len(rows) == 4
    assert all("network" in row for row in rows)


@pytest.mark.parametrize("override", ["model.layer=-2", "training.seed=7", "dataset.limit=5"])
def test_overrides_of_what_a_classifier_was_trained_with_are_refused(script, trained, override):
    before = records.read(trained)
    code, _, err = script("eval_classifier.py", trained, "--set", override)
    assert (code, "evaluated as it was trained" in err) == (2, True)
    assert records.read(trained) == before


def test_each_script_refuses_the_runs_of_the_other(script, config_file, trained, tmp_path):
    autoencoder = tmp_path / "ae"
    code, _, err = script("train_ae.py", config_file("conv", "ae"), "--out", autoencoder)
    assert code == 0, err
    for name, run, kind, trainer in (("eval_classifier.py", autoencoder, "conv", "train_ae.py"),
                                     ("train_classifier.py --resume", autoencoder, "conv", "train_ae.py"),
                                     ("eval_ae.py", trained, "classifier", "train_classifier.py"),
                                     ("train_ae.py --resume", trained, "classifier", "train_classifier.py")):
        code, _, err = script(*name.split(), run)
        assert code == 2
        assert f"{run}: model.type: found '{kind}', which {trainer} trains; allowed: " in err
        assert len(err.strip().splitlines()) == 1


def test_an_unfinished_classifier_and_one_without_best_weights_are_refused(script, trained):
    (trained / "checkpoints" / "best_model.pth").unlink()
    code, _, err = script("eval_classifier.py", trained, "--checkpoint", "best")
    assert (code, "no best weights" in err) == (2, True)
    (trained / "done").unlink()
    code, _, err = script("eval_classifier.py", trained)
    assert (code, f"train_classifier.py --resume {trained}" in err) == (2, True)


def test_a_run_without_targets_says_how_to_give_some(script, trained):
    code, _, err = script("eval_classifier.py", trained, "--set", "evaluation.datasets=[]")
    assert (code, "no [[evaluation.datasets]]" in err) == (2, True)


@pytest.mark.parametrize(("change", "pieces"), [
    (lambda state: state.pop("pre_trained_model.classifier.2.bias"), ["classifier.2.bias is missing"]),
    (lambda state: state.update(extra=torch.zeros(1)), ["extra is not known"]),
    (lambda state: state.update({"pre_trained_model.classifier.2.bias": torch.zeros(64)}), ["(64,), expected (10,)"])])
def test_weights_that_do_not_fit_are_one_line(script, trained, change, pieces):
    path = trained / "checkpoints" / "last_model.pth"
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    before = records.read(trained)
    code, _, err = script("eval_classifier.py", trained, "--checkpoint", "last")
    assert code == 2
    assert all(piece in err for piece in (str(path), "does not fit", *pieces))
    assert len(err.strip().splitlines()) == 1
    assert records.read(trained) == before


@pytest.mark.parametrize(("kind", "variation", "evaluation"), [("classifier", "scratch", "eval_classifier.py"),
                                                               ("conv", "ae", "eval_ae.py")])
def test_try_evaluates_each_kind_of_model_with_its_script(
        script, config_file, tmp_path, monkeypatch, kind, variation, evaluation):
    typed = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: typed.append(command) or
                        subprocess.CompletedProcess(command, 0))
    code, _, err = script("try_config.py", config_file(kind, variation), "--out", tmp_path / "try")
    assert code == 0, err
    run = str(tmp_path / "try" / "run")
    assert Path(typed[2][1]).name == evaluation
    assert typed[2][2:] == [run]
    assert typed[1][-1] == run
