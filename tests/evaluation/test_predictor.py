"""Runs used from Python: the document's own examples, arrays, and latents as evaluation has them."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bare_runs import SHAPES, STREETS, write_run
from refusals import refused
from shape_views import write_views

from autoencoder.judge import TrainedAutoencoder
from evaluation.predictor import open_predictor
from evaluation.trained import restore
from experiment.run import open_run
from standin import write_standin

DOCUMENT = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_examples_of_the_document_run_as_they_are(finished, standins, cache, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    finished(copy=Path("results/demo/e_tae/1-x"))
    finished("classifier", "scratch", copy=Path("results/demo/letters"))
    write_standin("camvid", Path("data"), sceneries=5)
    write_run(Path("results/streets/1-x"), STREETS, tmp_path / "data", cache)
    write_run(Path("results/cars/1-x"), SHAPES, write_views(tmp_path / "views", models=8), cache)
    shutil.copytree(standins / "digit_photos" / "1", "photos")
    for place, file in (("streets", next(Path("data/CamVid/val").iterdir())), ("cars", Path("views/views/box_0/0.png")),
                        ("photos", next(Path("photos").iterdir()))):
        Path(place).mkdir(exist_ok=True)
        shutil.copy(file, Path(place) / "0.png")
    first, second = re.findall("^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    assert len(first.strip().splitlines()) == 11
    names = {}
    exec(first, names)
    count, size = len(names["images"]), (1, 32, 32)
    assert (names["images"].shape, names["images"].dtype) == ((count, *size), np.uint8)
    assert (names["latents"].shape, names["latents"].dtype) == ((count, 8), np.float32)
    assert (names["labels"].shape, names["labels"].dtype) == ((count, 1), np.uint8)
    assert names["confidence"].shape == names["rows"].shape == names["distances"].shape == (count,)
    assert (names["pictures"].shape, names["pictures"].dtype) == ((count, *size), np.float32)
    assert f"'{names['labels'][0, 0]}'" in capsys.readouterr().out
    exec(second, names)
    assert names["probability"].shape == (1,)
    assert (names["maps"].shape, names["maps"].dtype) == ((1, 48, 64), np.uint8)
    assert names["maps"].max() < len(names["streets"].classes)
    assert (names["seen"].points.shape, names["seen"].poses.shape) == ((1, 64, 3), (1, 4))


# Features from the cache, which are rounded; none that are frozen; BatchNorm whose statistics have moved.
@pytest.mark.parametrize("kind", [("extractor", "tae"), ("conv", "vae"),
                                  ("extractor", "tae", "model.batchnorm=reference")])
def test_an_image_has_the_latent_that_it_has_in_a_dataset(finished, tmp_path, kind):
    run = finished(*kind, copy=tmp_path / "run")
    trained = TrainedAutoencoder(open_run(run), torch.device("cpu"))
    restore(trained.model, open_run(run), "last")
    trained.model.eval()
    evaluation = trained.evaluation()
    [samples] = evaluation.tests
    predictor = open_predictor(run)
    images = samples.scenes.pixels(torch.arange(len(samples.scenes.rows))).numpy()
    expected = samples.embed(trained.model)
    latents = predictor.embed(images)
    assert np.abs(latents - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(predictor.embed(images.astype(np.float32) / 255) - latents).max() < 1e-5 * np.abs(expected).max()
    assert np.array_equal(predictor.train.codes, evaluation.train.codes)
    assert np.array_equal(predictor.train.latents, evaluation.train.embed(trained.model))
    decoded = trained.model.decode(torch.from_numpy(latents)).detach().numpy()
    assert np.array_equal(predictor.decode(latents), decoded)


def test_arrays_that_are_no_images_of_the_run_are_refused(finished, tmp_path):
    predictor = open_predictor(finished(copy=tmp_path / "run"))
    assert "images: found none" in refused(predictor.read, [])
    shapes = ((2, 3, 32, 32), (0, 1, 32, 32), (1, 32, 32), (2, 1, 32, 16))
    for images in (*(np.zeros(shape, np.uint8) for shape in shapes), np.full((2, 1, 32, 32), 7.0),
                   np.full((2, 1, 32, 32), np.nan), np.zeros((2, 1, 32, 32), int)):
        assert refused(predictor.embed, images) == (
            f"images: found {images.dtype} {images.shape}; allowed: uint8, or float in [0, 1], of shape (n, 1, 32, 32)")


def test_frozen_features_have_no_reconstructions(finished, tmp_path):
    changes = ("model.variation=features", "model.features=mean", "evaluation.datasets=[]")
    predictor = open_predictor(finished("extractor", "tae", *changes, copy=tmp_path / "run"))
    images = np.zeros((1, 1, 32, 32), np.uint8)
    assert "frozen features have no decoder" in refused(predictor.decode, predictor.embed(images))
    predictor.draw(tmp_path / "sheet.png", images, "title")
    assert (tmp_path / "sheet.png").exists()
