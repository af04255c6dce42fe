"""Run folders of every published kind, evaluated as they are: nothing but places is given, no trap is opened."""

import builtins
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from published_files import autoencoder, classifier, conv_state, head_state, publish

from autoencoder.saved_latents import load
from experiment import records
from experiment.run import expand

# Dataset, split and test images: mirrored ones of TICaM too, of SVIRO half of what is drawn, less one with an empty
# child seat, and both variants of SVIRO-Illumination.
VEHICLES = {("ticam", "all", 8), ("sviro", "train", 2), ("sviro_illumination", "all", 8)}
FEW = {"knn": 3, "dimension": 6}


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Write a run folder, and see afterwards that none of its traps was opened or has run."""
    opened = set()

    def recording(function):
        def call(file, *arguments, **options):
            if isinstance(file, (str, Path)):
                opened.add(Path(file))
            return function(file, *arguments, **options)
        return call

    folder, files = tmp_path / "paper" / "20210810-120000", {}

    def write(state, tables):
        publish(folder, state, tables)
        files.update((path, path.read_bytes()) for path in folder.rglob("*") if path.is_file())
        for module in (builtins, io, os):
            monkeypatch.setattr(module, "open", recording(module.open))
        return folder

    yield write
    weights = {folder / "checkpoints" / f"{name}_model.pth" for name in ("last", "best")}
    # That weights were opened shows that somebody was watching.
    assert opened & weights
    assert opened & files.keys() <= {folder / "cfg.toml", folder / "logs" / "accuracy.log", *weights}
    assert not (folder / "executed").exists()
    monkeypatch.undo()
    assert all(path.read_bytes() == content for path, content in files.items())
    # The traps do spring where they are trusted.
    np.load(folder / "checkpoints" / "label_dict.npy", allow_pickle=True)
    assert (folder / "executed").exists()


@pytest.fixture
def places(standins, cache):
    return ("--set", f"dataset.root={standins}", f"dataset.cache={cache}", "training.device=cpu")


def extractor_state(generator):
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None)
    layers = torch.nn.Sequential(*list(network.children())[:-3])
    return head_state(generator, 256, 8, 6) | {f"extractor.{key}": value for key, value in layers.state_dict().items()}


KINDS = {
    "TAE": (autoencoder("conv", "tae", FEW), lambda generator: conv_state(generator, "conv", 8, 6)),
    "digits": (autoencoder("conv", "tae", FEW, {"loss": "MSE", "epochs": 20}, name="mnist"),
               lambda generator: conv_state(generator, "conv", 8, 6)),
    "II-E-TAE": (autoencoder("extractor", "tae", FEW | {"extractor": "resnet18", "layer": -3},
                             {"make_scene_impossible": True, "make_instance_impossible": True}), extractor_state),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_autoencoder_is_judged_on_the_published_datasets(succeed, places, published, generator,
                                                            kind):
    tables, weights = KINDS[kind]
    folder = published(weights(generator), tables)
    succeed("eval_ae.py", folder, *places)
    rows = records.read(folder)
    expected = {("digit_photos", "all", 10)} if kind == "digits" else VEHICLES
    assert {(row["dataset"], row["split"], row["n"]) for row in rows} == expected
    assert {(row["classifier"], row["checkpoint"], row["epoch"]) for row in rows} == {("knn", "last", 4),
                                                                                     ("knn", "best", 2)}
    table = succeed("calculate_mean_and_var_accuracy.py", folder.parent, "--format", "csv")
    assert table.count("\npaper,") == 2 * len(expected)
    assert kind == "digits" or kind in succeed("calculate_mean_and_var_accuracy.py", folder, "--table", "s6")


def test_a_classifier_of_vehicles_is_judged_on_the_three_datasets(succeed, places, standins, published):
    names = [path.name for path in standins.glob("SEATS_AND_PEOPLE_NOCAR/*/*/*")]
    labels = {tuple(name.split("_")[-3:]) for name in names}
    outputs = len(labels | {label[::-1] for label in labels})
    torch.manual_seed(0)
    state = torchvision.models.resnet18(weights=None, num_classes=outputs).state_dict()
    folder = published({f"pre_trained_model.{key}": value for key, value in state.items()},
                       classifier("resnet18", pretrained=False))
    succeed("eval_classifier.py", folder, "--checkpoint", "last", *places)
    assert {(row["dataset"], row["split"], row["n"], row["classifier"]) for row in records.read(folder)} == {
        (*row, "network") for row in VEHICLES}


@pytest.mark.parametrize("kind", ["conv", "vae", "factorvae"])
def test_an_autoencoder_of_the_robot_arm_is_scored_on_real_images(fail, succeed, places, published, generator, kind):
    folder = published(conv_state(generator, kind, 4, 6, channels=3),
                       autoencoder(kind, "", FEW, {"kl_weight": 1, "tc_weight": 10}, name="mpi3d", factor="toy"))
    assert "names no [[evaluation.datasets]]" in fail("eval_ae.py", folder, *places)
    succeed("compute_mpi3d_score.py", folder, "--metric", "ssim", "--limit", 20, "--checkpoint", "last",
            *places)
    assert {(row["n"], row["epoch"]) for row in records.read(folder)} == {(20, 4)}


def test_latents_are_drawn_of_each_dataset_once_also_where_one_is_the_training_data(succeed, places, published,
                                                                                    generator, tmp_path):
    folder = published(conv_state(generator, "conv", 8, 6), autoencoder("conv", "", FEW, name="sviro"))
    succeed("recon_and_save_latent_space.py", folder, "--checkpoint", "last", "--images", 1,
            *places)
    assert {path.name for path in (folder / "latents").glob("*.npz")} == {
        f"{name}_last.npz" for name in ("ticam_all", "sviro_train", "sviro_illumination_all")}
    assert load(folder / "latents" / "ticam_all_last.npz").about["epoch"] == 4
    succeed("plot_extracted_and_saved_latent_space.py", folder, "--method", "pca")
    assert {row["metric"] for row in records.read(folder)} == {"gap/domain_classifier", "gap/knn_overlap"}
    succeed("report.py", folder, "--out", tmp_path / "report.html")
    assert "nearest training images of sviro" in (tmp_path / "report.html").read_text()


def test_a_config_within_a_run_folder_makes_no_run(tmp_path):
    for name in ("a", "b"):
        publish(tmp_path / name, {}, autoencoder("conv"))
        assert (tmp_path / name / "scripts" / "cfg.toml").exists()
    assert expand([str(tmp_path)]) == [tmp_path / "a", tmp_path / "b"]
