"""The scripts as a user runs them, on experiments of seconds."""

import gc
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from inverted import write_inverted
from runs import same, stop_after, until, weights
from test_features_scripts import FEATURES

from dataset import Scenes
from experiment import records
from experiment.config import load_config
from experiment.run import open_run
from pretrained_model import build_network

PROJECT = Path(__file__).parent.parent


def assert_same_run(run: Path, other: Path):
    """Check that two runs ended with the same weights, bit for bit, and the same records."""
    for name in ("last_model.pth", "best_model.pth"):
        assert same(weights(run, name), weights(other, name)), name
    assert records.read(run) == records.read(other)


@pytest.fixture
def trained(finished, tmp_path):
    """A finished tiny E-TAE run of the test's own."""
    return finished(copy=tmp_path / "results" / "tiny" / "run")


def test_a_run_leaves_all_that_it_should(succeed, config_file, tmp_path):
    run = tmp_path / "run"
    succeed("train_ae.py", config_file(), "--out", run)
    assert {path.name for path in run.iterdir()} == {
        "cfg.toml", "environment.json", "checkpoints", "records.jsonl", "logs", "images", "done", "lock"}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last.pth", "last_model.pth", "best_model.pth"}
    assert load_config(run / "cfg.toml") == load_config(config_file())
    environment = json.loads((run / "environment.json").read_text())
    assert environment["packages"]["torch"].startswith(torch.__version__.split("+")[0])
    assert environment["device"] == "cpu"
    assert {path.name for path in (run / "images").iterdir()} == {
        f"{kind}_{data}.png" for kind in ("data", "reconstruction") for data in ("glyphs_train", "handwritten_all")}
    log = (run / "logs" / "training.log").read_text()
    assert [f"epoch {n}/3" in log for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert list((run / "logs").glob("events.out.tfevents*"))


def test_records_hold_losses_and_accuracies_of_every_epoch_and_of_both_checkpoints(finished):
    rows = records.read(finished())
    losses = [(row["epoch"], row["metric"]) for row in rows if row["metric"].startswith("loss/")]
    assert losses == [(epoch, f"loss/{name}") for epoch in (1, 2, 3) for name in ("total", "reconstruction", "triplet")]
    scores = {(row["checkpoint"], row["epoch"]): row for row in rows if row["metric"] == "accuracy"}
    best = max(("epoch", epoch) for epoch in (1, 2, 3))
    by_epoch = {epoch: scores["epoch", epoch]["value"] for epoch in (1, 2, 3)}
    first_best = min(epoch for epoch in by_epoch if by_epoch[epoch] == max(by_epoch.values()))
    assert set(scores) == {("epoch", 1), ("epoch", 2), best, ("last", 3), ("best", first_best)}
    assert scores["last", 3]["value"] == by_epoch[3]
    assert scores["best", first_best]["value"] == max(by_epoch.values())
    assert scores["best", first_best]["selection"] == "oracle: highest accuracy on handwritten, all"
    assert scores["last", 3]["n"] == 60


KINDS = [("train_ae.py", "conv", "factorvae", ["training.tc_weight=10", "training.augment=true",
                                               "dataset.root=['nowhere', '{copy}']", "dataset.limit=16"]),
         ("train_classifier.py", "classifier", "scratch", ["training.augment=true"]),
         ("train_ae.py", "extractor", "tae", ["model.batchnorm=reference"]),
         ("train_classifier.py", "classifier", "pretrained", ["model.batchnorm=reference", "model.weights={weights}"])]


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(("name", "kind", "variation", "changes"), KINDS)
def test_a_stopped_and_resumed_run_ends_bit_for_bit_where_an_uninterrupted_one_does(
        succeed, script, config_file, tmp_path, monkeypatch, name, kind, variation, changes):
    config, whole, broken = config_file(kind, variation), tmp_path / "whole", tmp_path / "broken"
    torch.save(build_network("small_cnn", 10).state_dict(), tmp_path / "weights.pth")
    copy = write_inverted("glyphs", "nowhere", tmp_path / "copy", limit=16) if kind == "conv" else ""
    options = ["--name", "tiny", "--set", *(change.format(weights=tmp_path / "weights.pth", copy=copy)
                                            for change in changes)]
    succeed(name, config, "--out", whole, *options)

    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert script(name, config, "--out", broken, *options)[0] == 130
    # The lock goes with the run, as it does with its process.
    gc.collect()
    code, _, err = script(name, "--resume", broken)
    assert code == 0, err
    assert "resumed after epoch 2" in err
    assert_same_run(whole, broken)


@pytest.mark.usefixtures("no_pictures")
def test_a_run_killed_at_any_moment_ends_bit_for_bit_where_an_uninterrupted_one_does(succeed, config_file, tmp_path):
    whole, broken, options = tmp_path / "whole", tmp_path / "broken", ["--name", "tiny", "--set", "training.epochs=12"]
    succeed("train_ae.py", config_file(), "--out", whole, *options)
    process = subprocess.Popen([sys.executable, "train_ae.py", config_file(), "--out", broken, *options], cwd=PROJECT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = broken / "logs" / "training.log"
    until(lambda: log.exists() and "epoch 3/" in log.read_text(), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (broken / "done").exists()
    succeed("train_ae.py", "--resume", broken)
    assert "resumed after epoch" in (broken / "logs" / "training.log").read_text()
    assert_same_run(whole, broken)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("changes", [(), (*FEATURES, "--name", "features")])
def test_a_run_killed_before_its_first_checkpoint_starts_anew(succeed, finished, tmp_path, changes):
    whole = finished("extractor", "tae", *changes)
    killed = shutil.copytree(whole, tmp_path / "run")
    (killed / "done").unlink()
    (killed / "records.jsonl").unlink()
    shutil.rmtree(killed / "checkpoints")
    (killed / "checkpoints").mkdir()
    succeed("train_ae.py", "--resume", killed)
    assert_same_run(whole, killed)


def test_resuming_a_finished_run_changes_nothing(succeed, trained):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    assert "finished" in succeed("train_ae.py", "--resume", trained)
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("no_pictures")
def test_seeds_make_runs_differ_and_repeat(succeed, config_file, finished, tmp_path):
    for name, seed in (("again", 1), ("other", 2)):
        succeed("train_ae.py", config_file(), "--seed", seed, "--name", "tiny", "--out", tmp_path / name)
    again, other, first = (weights(run) for run in (tmp_path / "again", tmp_path / "other", finished()))
    assert same(first, again)
    assert not any(torch.equal(first[key], other[key]) for key in first if key.startswith("encoder"))


def test_mixed_precision_trains_to_nearly_the_same_loss(finished):
    full, mixed = ([row["value"] for row in records.read(finished("extractor", "tae", *changes))
                    if row["metric"] == "loss/total"] for changes in ((), ("training.precision=bf16",)))
    assert mixed == pytest.approx(full, rel=0.02)
    assert mixed != full


@pytest.mark.parametrize(("variation", "parts"), [("vae", ["kl"]), ("factorvae", ["kl", "tc", "discriminator"])])
def test_a_vae_is_trained_in_both_precisions_evaluated_and_drawn(
        succeed, config_file, tmp_path, monkeypatch, variation, parts):
    monkeypatch.setattr("evaluation.sheets.draw_data", lambda *_: None)
    config, history = config_file("conv", variation, loss="bce", limit=60), {}
    for precision in ("32", "bf16"):
        run = tmp_path / precision
        succeed("train_ae.py", config, "--out", run, "--set", "training.tc_weight=10",
                "training.epochs=6", "training.frequency=6", f"training.precision={precision}")
        losses = [row for row in records.read(run) if row["metric"].startswith("loss/")]
        history[precision] = [row["value"] for row in losses if row["metric"] == "loss/reconstruction"]
        assert [row["metric"] for row in losses[: len(losses) // 6]] == [
            f"loss/{name}" for name in ("total", "reconstruction", *parts)]
        assert history[precision][-1] < history[precision][0]
        assert (run / "images" / "reconstruction_handwritten_all.png").exists()
        told = [row for row in records.read(run) if row["classifier"] == "knn" and row["checkpoint"] != "epoch"]
        out = succeed("eval_ae.py", run, "--classifiers", "knn")
        assert len(out.splitlines()) == 2
        again = [row for row in records.read(run) if row["classifier"] == "knn" and row["checkpoint"] != "epoch"]
        assert again == told, "evaluation is not of the mean alone"
    assert history["bf16"] == pytest.approx(history["32"], rel=0.02)
    assert history["bf16"] != history["32"]


@pytest.mark.parametrize("variation", ["ae", "vae", "factorvae"])
def test_a_run_that_diverges_stops_in_one_line(script, config_file, tmp_path, variation):
    code, _, err = script("train_ae.py", config_file("conv", variation, loss="bce"), "--out", tmp_path / "run", "--set",
                          "training.learning_rate=1e30", "training.tc_weight=10")
    assert (code, "is not finite in epoch 1, batch" in err, "Traceback" in err) == (2, True, False)


def test_a_dry_run_says_what_would_be_trained_and_leaves_nothing(script, config_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = 'evaluation.datasets=[{name="glyphs", limit=40}]'
    code, out, err = script("train_ae.py", config_file(), "--dry-run", "--set", target)
    assert code == 0
    assert "40 sceneries, 400 images, 10 classes" in out
    assert "3 epochs of 3 batches" in out
    assert "warning: 400 of 400 test images of glyphs, train, are trained on" in err
    assert not (tmp_path / "results").exists()


def test_a_dry_run_computes_no_features_of_the_dataset(succeed, config_file, cache, monkeypatch):
    """Of random weights, by a seed that no other test has: in a cache they would have folders of their own."""
    before = set((cache / "features").glob("*"))
    seen, gather = [], Scenes.gather
    monkeypatch.setattr(Scenes, "gather", lambda self, i, flip: seen.append(len(i)) or gather(self, i, flip))
    succeed("train_ae.py", config_file(), "--dry-run", "--seed", 4711)
    assert set((cache / "features").glob("*")) == before
    # Two chunks of 64 views of each dataset, for time and room; a batch of 16 triplets with its targets; an image of
    # each dataset. There are 400 + 60 images.
    assert 0 < sum(seen) <= 2 * 2 * 64 + 2 * 3 * 16 + 2


@pytest.mark.usefixtures("no_pictures")
def test_a_classifier_run_serves_as_extractor_weights(succeed, config_file, finished, tmp_path):
    classifier = finished("classifier", "scratch", copy=tmp_path / "classifier")
    # As it was when the config of a classifier held the keys of autoencoders.
    path = classifier / "cfg.toml"
    old = path.read_text().replace("[model]", '[model]\ndimension = 64\nknn = 115\nactivation = "relu"')
    old = old.replace("[training]", '[training]\nloss = "ssim"\nmake_scene_impossible = false\ntc_weight = 0.0')
    assert "[evaluation]\n" in old
    path.write_text(old.replace("[evaluation]\n", '[evaluation]\nclassifiers = ["knn"]\n'))
    (classifier / "done").unlink()
    for name, *arguments in (("train_classifier.py", "--resume", classifier), ("eval_classifier.py", classifier),
                             ("calculate_mean_and_var_accuracy.py", classifier)):
        out = succeed(name, *arguments)
    assert "handwritten" in out
    succeed("train_ae.py", config_file(), "--out", tmp_path / "ae",
            "--set", f"model.weights={classifier}")
    trained, used = weights(classifier), weights(tmp_path / "ae")
    pairs = [(f"pre_trained_model.features.{key.removeprefix('extractor.')}", key) for key in used
             if key.startswith("extractor.")]
    assert pairs
    assert all(torch.equal(trained[theirs], used[ours]) for theirs, ours in pairs)


MISTAKES = [
    pytest.param(["training.epoch=3"], ["training.epoch", "did you mean 'training.epochs'"], id="unknown key"),
    pytest.param(["training.epochs=many"], ["training.epochs", "many"], id="mistyped value"),
    pytest.param(["dataset.name=glyph"], ["dataset.name", "did you mean 'glyphs'"], id="unknown dataset"),
    pytest.param(["dataset.name=sviro", "dataset.root=/nowhere"], ["/nowhere", "/nowhere/SVIRO", "does not exist"],
                 id="absent dataset"),
    pytest.param(["dataset.root=['x', 'x']"], ["dataset.root", "allowed: each folder once"], id="a root twice"),
    pytest.param(["dataset.name=sviro", "dataset.root=['{standins}', '/nowhere']"], ["no sviro at /nowhere"],
                 id="absent second root"),
    pytest.param(["model.extractor=small_cmm"], ["model.extractor", "did you mean 'small_cnn'"], id="extractor"),
    pytest.param(["model.layer=-40"], ["model.layer", "-40", "allowed: "], id="layer"),
    pytest.param(["model.weights=/nowhere/w.pth"], ["model.weights", "/nowhere/w.pth"], id="absent weights"),
    pytest.param(['evaluation.datasets=[{name="handwritten", limit=60}, {name="handwritten", limit=9}]'],
                 ["two are called handwritten"], id="two targets of one name"),
    pytest.param(["dataset.limit=1", "model.knn=1"], ["no label of glyphs has a negative"], id="no negative"),
    pytest.param(["model.knn=500"], ["model.knn", "500", "40 training latents"], id="too many neighbours"),
    pytest.param(["model.type=conv", "model.variation=factorvae"], ["training.tc_weight", "found 0", "above 0"],
                 id="FactorVAE without a weight"),
    pytest.param(["training.device=cuda:7"], ["training.device", "GPU 7"], id="absent GPU"),
    pytest.param(['evaluation.datasets=[{name="letters", limit=9}]'], ["letters has other classes (A, B, C, D, ...)"],
                 id="target with other classes"),
    pytest.param(["epochs"], ["--set epochs", "section.key=value"], id="override without a value"),
]


@pytest.mark.parametrize(("overrides", "pieces"), MISTAKES)
def test_a_mistake_is_one_line_with_exit_code_2_and_leaves_nothing(
        script, config_file, standins, tmp_path, monkeypatch, overrides, pieces):
    monkeypatch.chdir(tmp_path)
    overrides = [override.replace("{standins}", str(standins)) for override in overrides]
    code, out, err = script("train_ae.py", config_file(), "--set", *overrides)
    lines = [line for line in err.splitlines() if line.strip()]
    assert code == 2
    assert len(lines) == 1, err
    assert all(piece in lines[0] for piece in pieces), lines[0]
    assert out == ""
    assert not (tmp_path / "results").exists()


def test_an_output_folder_that_is_taken_is_refused_before_any_work(fail, config_file, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    assert "output folder is taken" in fail("train_ae.py", config_file(), "--out", tmp_path / "taken")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["thesis.txt"]


def test_eval_adds_rows_for_every_classifier_and_checkpoint(succeed, trained):
    before = records.read(trained)
    out = succeed("eval_ae.py", trained)
    rows = records.read(trained)
    final = {(row["checkpoint"], row["classifier"]): row for row in rows
             if row["metric"] == "accuracy" and row["checkpoint"] != "epoch"}
    assert set(final) == {(c, k) for c in ("last", "best") for k in ("knn", "forest", "svm")}
    told = {(row["checkpoint"], row["classifier"]): row for row in before if row["checkpoint"] in ("last", "best")}
    for key, row in told.items():
        assert final[key] == row, "the value known from training and the one evaluated anew differ"
    assert len(out.splitlines()) == 6


def test_eval_on_other_datasets_by_override_keeps_the_judge_that_chose_the_best_checkpoint(succeed, trained):
    target = 'evaluation.datasets=[{name="glyphs", split="test", limit=30}]'
    succeed("eval_ae.py", trained, "--classifiers", "knn", "--set", target)
    for row, checkpoint in zip(records.read(trained)[-2:], ("last", "best"), strict=True):
        assert (row["dataset"], row["split"], row["classifier"], row["checkpoint"], row["n"]) == (
            "glyphs", "test", "knn", checkpoint, 300)
        assert (row["seed"], row["experiment"]) == (1, "tiny_extractor_tae")
    assert row["selection"] == "oracle: highest accuracy on handwritten, all"


def test_a_run_without_targets_has_no_best_checkpoint_and_can_be_evaluated_later(succeed, fail, finished, tmp_path):
    run = finished("extractor", "tae", "evaluation.datasets=[]", copy=tmp_path / "blind")
    target = ["--set", 'evaluation.datasets=[{name="handwritten", limit=30}]']
    succeed("eval_ae.py", run, "--classifiers", "knn", *target)
    assert [row["checkpoint"] for row in records.read(run) if row["metric"] == "accuracy"] == ["last"]
    assert "no best weights" in fail("eval_ae.py", run, "--checkpoint", "best", *target)


def test_all_runs_are_checked_before_one_is_evaluated(fail, finished, trained):
    classifier = finished("classifier", "scratch", copy=trained.parent / "z_classifier")
    before = records.read(trained)
    assert str(classifier) in fail("eval_ae.py", trained.parent)
    assert records.read(trained) == before


def test_the_table_is_made_from_records(succeed, trained, tmp_path):
    accuracy = next(row for row in records.read(trained) if row["checkpoint"] == "last")["value"]
    assert f"{100 * accuracy:.1f}" in succeed("calculate_mean_and_var_accuracy.py", trained.parent)
    succeed("calculate_mean_and_var_accuracy.py", trained, "--format", "latex", "--out", tmp_path / "t.tex")
    assert r"\toprule" in (tmp_path / "t.tex").read_text()


def test_the_table_warns_of_mixed_configs_and_refuses_a_seed_twice(script, finished, trained):
    config = finished(copy=trained.parent / "twin") / "cfg.toml"
    config.write_text(config.read_text().replace("learning_rate = 0.001", "learning_rate = 0.5"))
    records.append(config.parent, [row | {"value": 0.5 * row["value"] + 0.1} for row in records.read(config.parent)])
    code, _, err = script("calculate_mean_and_var_accuracy.py", trained.parent)
    assert "differ in training.learning_rate" in err
    assert code == 2
    assert "seed 1" in err


def test_a_run_that_is_being_trained_and_one_with_other_frozen_weights_are_not_resumed(fail, trained):
    (trained / "done").unlink()
    state = torch.load(trained / "checkpoints" / "last.pth", weights_only=True)
    torch.save({**state, "frozen": "other"}, trained / "checkpoints" / "last.pth")
    assert "model.weights changed" in fail("train_ae.py", "--resume", trained)
    gc.collect()
    run = open_run(trained)
    run.lock()
    assert "another process is training this run" in fail("train_ae.py", "--resume", trained)
    run.release()


@pytest.mark.parametrize("name", sorted(path.name for path in PROJECT.glob("*.py")
                                        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")))
def test_help_is_complete(succeed, name):
    out = succeed(name, "--help")
    assert out.startswith("usage:")
    assert "--" in out
