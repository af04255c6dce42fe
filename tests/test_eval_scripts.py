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
def trained(finished, tmp_path):
    """A finished tiny classifier of the test's own, evaluated on two datasets while it trained."""
    targets = 'evaluation.datasets=[{name="handwritten", limit=60}, {name="glyphs", split="test", limit=6}]'
    return finished("classifier", "scratch", targets, copy=tmp_path / "results" / "tiny" / "run")


def final(run):
    return {(row["checkpoint"], row["dataset"], row["split"]): row for row in records.read(run)
            if row["metric"] == "accuracy" and row["checkpoint"] != "epoch"}


def test_a_classifiers_rows_are_those_known_from_training_and_of_the_predictions_that_are_kept(succeed, trained):
    told = final(trained)
    lines = len((trained / "records.jsonl").read_text().splitlines())
    out = succeed("eval_classifier.py", trained)
    assert len((trained / "records.jsonl").read_text().splitlines()) == lines + 4
    assert set(told) == {(checkpoint, *data) for checkpoint in ("last", "best")
                         for data in (("handwritten", "all"), ("glyphs", "test"))}
    assert final(trained) == told
    assert {row["classifier"] for row in told.values()} == {"network"}
    assert (len(out.splitlines()), "network" in out) == (4, True)
    kept = {(each.checkpoint, each.dataset, each.split): each for each in predictions.read(trained)}
    assert kept.keys() == told.keys()
    for key, each in kept.items():
        assert len(each.true) == told[key]["n"]
        assert (each.predicted == each.true).all(axis=1).mean() == pytest.approx(told[key]["value"])
        assert each.classes.tolist() == [str(digit) for digit in range(10)]
        assert (each.seed, each.classifier) == (told[key]["seed"], "network")
    out = succeed("calculate_mean_and_var_accuracy.py", trained, "--format", "csv")
    rows = [line.split(",") for line in out.splitlines()[1:]]
    assert len(rows) == 4
    assert all("network" in row for row in rows)


@pytest.mark.parametrize(("spoil", "arguments", "message"), [
    (lambda run: (run / "predictions").touch(), [], "predictions: cannot be written"),
    (lambda run: (run / "checkpoints" / "best_model.pth").unlink(), ["--checkpoint", "best"], "no best weights"),
    (lambda run: (run / "done").unlink(), [], "continue it with train_classifier.py --resume {run}"),
    (lambda run: None, ["--set", "evaluation.datasets=[]"], "no [[evaluation.datasets]]"),
    *((lambda run: None, ["--set", override], "evaluated as it was trained") for override in (
        "model.layer=-2", "training.seed=7", "dataset.limit=5"))])
def test_what_cannot_be_evaluated_is_refused_beforehand(fail, trained, spoil, arguments, message):
    spoil(trained)
    before = records.read(trained)
    assert message.format(run=trained) in fail("eval_classifier.py", trained, *arguments)
    assert records.read(trained) == before


def test_a_classifiers_accuracy_equals_a_count_over_single_images(succeed, trained, cache):
    target = 'evaluation.datasets=[{name="glyphs", split="test", limit=9}]'
    succeed("eval_classifier.py", trained, "--checkpoint", "last", "--set", target)
    row = final(trained)["last", "glyphs", "test"]
    section = EvaluationDataset(name="glyphs", root="x", split="test", limit=9)
    scenes = Scenes(section, 32, str(cache), torch.device("cpu"))
    train = Scenes(EvaluationDataset(name="glyphs", root="x", limit=40), 32, str(cache), torch.device("cpu"))
    numbers = sorted({int(label) for label in train.labels[:, 0]})
    network = build_network("small_cnn", len(numbers)).eval()
    state = torch.load(trained / "checkpoints" / "last_model.pth", weights_only=True)
    network.load_state_dict({name.removeprefix("pre_trained_model."): value for name, value in state.items()})
    right = 0
    for image, pixels in enumerate(scenes.pixels(torch.arange(len(scenes.rows)))):
        scenery = int(np.searchsorted(scenes.first.numpy(), image, side="right")) - 1
        with torch.no_grad():
            output = int(network(pixels.float()[None].repeat(1, 3, 1, 1) / 255).argmax())
        right += numbers[output] == int(scenes.labels[scenery, 0])
    assert (row["n"], row["value"]) == (90, pytest.approx(right / 90))


def test_each_script_refuses_the_runs_of_the_other(fail, finished, trained):
    autoencoder = finished()
    for name, run, kind, trainer in (("eval_classifier.py", autoencoder, "extractor", "train_ae.py"),
                                     ("train_classifier.py --resume", autoencoder, "extractor", "train_ae.py"),
                                     ("eval_ae.py", trained, "classifier", "train_classifier.py"),
                                     ("train_ae.py --resume", trained, "classifier", "train_classifier.py")):
        assert f"{run}: model.type: found '{kind}', which {trainer} trains; allowed: " in fail(*name.split(), run)


def test_a_run_is_evaluated_on_as_many_roots_as_it_was_trained_on(fail, trained):
    message = fail("eval_classifier.py", trained, "--set", 'dataset.root=["a", "b"]')
    assert f"--set dataset.root: found 2 root(s), {trained} was trained on 1; allowed: as many" in message


def test_weights_that_do_not_fit_are_one_line(fail, trained):
    path = trained / "checkpoints" / "last_model.pth"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"pre_trained_model.classifier.2.bias": torch.zeros(64)}, path)
    before = records.read(trained)
    message = fail("eval_classifier.py", trained, "--checkpoint", "last")
    assert all(piece in message for piece in (str(path), "does not fit", "(64,), expected (10,)"))
    assert records.read(trained) == before


@pytest.mark.parametrize(("kind", "variation", "evaluation"), [("classifier", "scratch", "eval_classifier.py"),
                                                               ("conv", "ae", "eval_ae.py")])
def test_try_evaluates_each_kind_of_model_with_its_script(
        succeed, config_file, tmp_path, monkeypatch, kind, variation, evaluation):
    typed = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: typed.append(command) or
                        subprocess.CompletedProcess(command, 0))
    succeed("try_config.py", config_file(kind, variation), "--out", tmp_path / "try")
    run = str(tmp_path / "try" / "run")
    assert Path(typed[2][1]).name == evaluation
    assert typed[2][2:] == [run]
    assert typed[1][-1] == run
