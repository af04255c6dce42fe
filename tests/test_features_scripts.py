"""Frozen features as a run: trained by nothing, and in every table, figure and page like any other."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from autoencoder.saved_latents import load
from experiment import predictions, records
from experiment.config import load_config
from train_ae import few_steps

pytestmark = pytest.mark.usefixtures("no_pictures")

FEATURES = ("model.variation=features", "model.features=pca", "evaluation.classifiers=[\"knn_cosine\", \"logistic\"]")


@pytest.fixture
def run(finished, tmp_path):
    """A finished run on the config of an E-TAE."""
    return finished("extractor", "tae", *FEATURES, "--name", "features", copy=tmp_path / "results" / "features" / "run")


def test_any_extractors_config_makes_a_baseline_of_one_epoch_without_reconstructions(fail, run):
    config = load_config(run / "cfg.toml")
    assert (config.training.epochs, config.model.variation, config.model.dimension) == (1, "features", 8)
    log = (run / "logs" / "training.log").read_text()
    assert "nothing trains: frozen features (pca) as latents of 8 dimensions" in log
    assert "epoch 1/1  knn on handwritten" in log
    assert {path.name for path in run.iterdir()} == {
        "cfg.toml", "environment.json", "checkpoints", "records.jsonl", "logs", "images", "done", "lock"}
    assert [(row["checkpoint"], row["epoch"], row["metric"]) for row in records.read(run)] == [
        (checkpoint, 1, "accuracy") for checkpoint in ("epoch", "last", "best")]
    assert "frozen features have no decoder" in fail("compute_mpi3d_score.py", run)


def test_evaluation_equals_scikit_learn_on_the_saved_latents(succeed, run):
    succeed("eval_ae.py", run, "--checkpoint", "last", "--classifiers", "knn", "knn_cosine", "logistic")
    succeed("recon_and_save_latent_space.py", run, "--checkpoint", "last", "--images", 4)
    train, test = (load(run / "latents" / f"{name}_last.npz") for name in ("glyphs_train", "handwritten_all"))
    assert train.latents.shape == (40, 8)
    np.testing.assert_allclose(train.latents.mean(axis=0), 0, atol=1e-4 * np.abs(train.latents).max())
    variance = np.cov(train.latents.T)
    np.testing.assert_allclose(variance, np.diag(np.diag(variance)), atol=1e-4 * variance.max())
    scale = train.latents.var(axis=0).mean() ** 0.5
    expected = {
        "knn": KNeighborsClassifier(5).fit(train.latents, train.codes).predict(test.latents),
        "knn_cosine": KNeighborsClassifier(5, metric="cosine").fit(train.latents, train.codes).predict(test.latents),
        "logistic": LogisticRegression(max_iter=1000).fit(train.latents / scale, train.codes).predict(
            test.latents / scale),
    }
    kept = {each.classifier: each for each in predictions.read(run)}
    found = {row["classifier"]: row["value"] for row in records.read(run) if row["checkpoint"] == "last"}
    assert kept.keys() == found.keys() == expected.keys()
    for name, codes in expected.items():
        assert np.array_equal(kept[name].predicted[:, 0], codes), name
        assert found[name] == np.mean(codes == test.codes)


def test_tables_and_the_page_show_it_beside_an_autoencoder(succeed, finished, run, tmp_path):
    both = [run.parent, finished(copy=tmp_path / "results" / "tiny" / "run").parent]
    succeed("eval_ae.py", *both, "--classifiers", "logistic", "--checkpoint", "last")
    table = succeed("calculate_mean_and_var_accuracy.py", *both)
    assert all(any(name in line and "logistic" in line for line in table.splitlines()) for name in ("features", "tiny"))
    assert "logistic regression" in succeed("plot_class_accuracy.py", run.parent, "--out", tmp_path / "figures")
    succeed("report.py", *both, "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "frozen features (pca), small_cnn" in page
    assert "logistic regression" in page


@pytest.mark.parametrize(("options", "message"), [
    (("--profile", 2, "--set", *FEATURES), "--profile: nothing trains with this config"),
    (("--set", *FEATURES, "model.dimension=41"), "model.dimension: found 41, but 40 training features"),
    (("--set", *FEATURES, "model.type=conv"), "variation 'features' does not go with type 'conv'"),
    (("--set", *FEATURES, "model.features=max"), "model.features: 'max' is not known"),
])
def test_what_cannot_be_is_one_line(fail, config_file, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert message in fail("train_ae.py", config_file(), *options)
    assert not (tmp_path / "results").exists()


def test_a_run_of_few_steps_is_told_how_many_epochs_are_enough(succeed, config_file):
    # 40 sceneries in batches of 16: three a time.
    out = succeed("train_ae.py", config_file(), "--dry-run")
    assert "warning: 9 steps in all may be too few" in out
    assert "--set training.epochs=1000" in out
    assert "warning" not in succeed("train_ae.py", config_file(), "--dry-run", "--set", "training.epochs=1000")
    assert "training.epochs=429" in few_steps(428, 7)[0]
    assert few_steps(429, 7) == ()
