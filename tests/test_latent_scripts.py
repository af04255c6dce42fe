"""Saving, showing and projecting latent spaces, on finished runs."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from autoencoder.saved_latents import ABOUT, load
from experiment import records
from readers.labels import label_codes

SAVE, PLOT = "recon_and_save_latent_space.py", "plot_extracted_and_saved_latent_space.py"

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def trained(finished, tmp_path):
    return finished("extractor", "tae", "training.make_instance_impossible=true",
                    copy=tmp_path / "results" / "tiny" / "run")


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_latents_of_all_datasets_are_left_with_sheets_and_give_the_recorded_accuracy(succeed, trained):
    before = (trained / "records.jsonl").read_bytes()
    out = succeed(SAVE, trained, "--images", 4)
    stems = {f"{data}_{checkpoint}" for data in ("glyphs_train", "handwritten_all") for checkpoint in ("last", "best")}
    assert names(trained / "latents") == {f"{stem}.npz" for stem in stems}
    assert {f"latent_{stem}.{kind}" for stem in stems for kind in ("png", "pdf")} <= names(trained / "images")
    with Image.open(trained / "images" / "latent_handwritten_all_last.png") as image:
        assert np.ptp(np.asarray(image.convert("L"))) > 200
    assert len(out.splitlines()) == 4 * 3
    assert (trained / "records.jsonl").read_bytes() == before
    # They reproduce the recorded accuracy.
    for checkpoint in ("last", "best"):
        train, target = (load(trained / "latents" / f"{data}_{checkpoint}.npz")
                         for data in ("glyphs_train", "handwritten_all"))
        predicted = KNeighborsClassifier(5).fit(train.latents, train.codes).predict(target.latents)
        [row] = [row for row in records.read(trained) if (row["metric"], row["checkpoint"]) == ("accuracy", checkpoint)]
        assert np.mean(predicted == target.codes) == pytest.approx(row["value"])
        assert (target.about["epoch"], target.about["selection"]) == (row["epoch"], row["selection"])
        assert (label_codes(target.labels) == target.codes).all()
        assert set(target.about) == set(ABOUT)
        assert (train.about["role"], target.about["role"]) == ("training", "evaluation")
        assert target.about["environment"]["packages"]["torch"].startswith(torch.__version__.split("+")[0])


def test_other_datasets_are_saved_and_plotted_on_demand(fail, succeed, trained):
    other = 'evaluation.datasets=[{name="glyphs", split="test", limit=6}, {name="handwritten", limit=30}]'
    succeed(SAVE, trained, "--checkpoint", "last", "--images", 1, "--set", other)
    assert names(trained / "latents") == {"glyphs_train_last.npz", "glyphs_test_last.npz", "handwritten_all_last.npz"}
    # All ten variants of each of six sceneries, of which one counts for the gap.
    assert len(load(trained / "latents" / "glyphs_test_last.npz")) == 60
    out = succeed(PLOT, trained, "--method", "pca", "--datasets", "glyphs_test", "--format", "csv")
    _, line = csv.reader(out[out.index("experiment,"):].splitlines())
    assert (line[3], line[-1]) == ("glyphs, test", "6")
    assert "did you mean 'glyphs_test'?" in fail(PLOT, trained, "--datasets", "glyph_test")


def test_a_plot_leaves_figures_records_and_a_table(succeed, trained):
    succeed(SAVE, trained, "--checkpoint", "last", "--images", 1)
    out = succeed(PLOT, trained, "--method", "tsne", "pca")
    assert {f"latents_{method}_last.{kind}" for method in ("tsne", "pca") for kind in ("png", "pdf")} <= names(
        trained / "images")
    rows = {row["metric"]: row for row in records.read(trained) if row["metric"].startswith("gap/")}
    assert set(rows) == {"gap/domain_classifier", "gap/knn_overlap"}
    assert {(row["dataset"], row["checkpoint"], row["epoch"], row["n"]) for row in rows.values()} == {
        ("handwritten", "last", 3, 60)}
    # A network without training tells drawn digits from handwritten ones, as these look unlike.
    assert rows["gap/domain_classifier"]["value"] > 0.8
    assert 0 <= rows["gap/knn_overlap"]["value"] < 0.8
    assert f"{100 * rows['gap/domain_classifier']['value']:.1f}" in out
    assert f"{rows['gap/knn_overlap']['value']:.2f}" in out
    assert "gap" not in succeed("calculate_mean_and_var_accuracy.py", trained)


def test_a_plot_shows_at_most_so_many_latents_of_each_dataset(succeed, trained, monkeypatch):
    from reporting import latents

    drawn = []
    monkeypatch.setattr(latents, "latent_scatter", lambda path, domains, *_: drawn.append(domains) or [path])
    succeed(SAVE, trained, "--checkpoint", "last", "--images", 1)
    for limit in (35, 1000):
        succeed(PLOT, trained, "--method", "pca", "--limit", limit)
    assert [[len(domain.points) for domain in domains] for domains in drawn] == [[35, 35], [40, 60]]
    train = load(trained / "latents" / "glyphs_train_last.npz")
    assert (drawn[1][0].labels == train.labels).all()


def test_latents_of_a_run_that_was_trained_again_are_not_mixed(succeed, fail, trained):
    succeed(SAVE, trained, "--checkpoint", "last", "--images", 1)
    path = trained / "checkpoints" / "last_model.pth"
    state = torch.load(path, weights_only=True)
    torch.save({name: 2 * value for name, value in state.items()}, path)
    other = 'evaluation.datasets=[{name="glyphs", split="test", limit=6}]'
    succeed(SAVE, trained, "--checkpoint", "last", "--images", 1, "--set", other)
    assert "handwritten_all_last.npz: comes from other weights than glyphs_train_last.npz" in fail(PLOT, trained)


@pytest.mark.parametrize(("arguments", "message"), [
    ((SAVE, "--images", 0), "--images: found 0; allowed: 1 to 100"),
    ((SAVE, "--set", "model.knn=3"), "a finished run is evaluated as it was trained"),
    ((PLOT,), "no latents are saved there; make them with recon_and_save_latent_space.py"),
    ((PLOT, "--checkpoint", "best"), "no latents of the training dataset under the best weights"),
    ((PLOT, "--limit", 0), "--limit: found 0; allowed: 1 or more"),
    ((PLOT, "--seed", -1), "--seed: found -1; allowed: 0 to")])
def test_what_cannot_be_done_is_said_in_one_line(script, trained, arguments, message):
    name, *options = arguments
    code, _, err = script(name, trained, *options)
    assert code == 2
    *warnings, error = err.strip().splitlines()
    assert message in error
    assert all(line.startswith("warning: 50 of 50 test images") for line in warnings)
    assert not (trained / "latents").exists()


def test_a_classifier_has_no_latents(fail, finished):
    run = finished("classifier", "scratch")
    assert "which train_classifier.py trains; allowed: conv, extractor" in fail(SAVE, run)


def test_a_run_without_evaluation_datasets_is_drawn_alone(succeed, trained):
    succeed(SAVE, trained, "--checkpoint", "last", "--images", 1, "--set", "evaluation.datasets=[]")
    out = succeed(PLOT, trained, "--method", "pca")
    assert "domain classifier" not in out
    assert not any(row["metric"].startswith("gap/") for row in map(json.loads, (trained / "records.jsonl").open()))
    assert "latents_pca_last.png" in names(trained / "images")
