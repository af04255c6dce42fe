import io
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from autoencoder.board import sheet_epochs, write_projector
from autoencoder.judge import LatentEvaluation, TrainedAutoencoder
from dataset import Scenes
from evaluation.trained import restore
from experiment import records
from experiment.config import EvaluationDataset
from experiment.run import open_run
from frozen.inputs import LiveInputs

TITLES = ("glyphs, train", "handwritten, all")


@pytest.fixture(scope="module")
def run(finished):
    return open_run(finished())


@pytest.fixture(scope="module")
def events(run):
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    return EventAccumulator(str(run.logs), size_guidance={"images": 0, "scalars": 0}).Reload()


@pytest.fixture(scope="module")
def evaluated(run):
    """The model with its last weights, and the views that evaluation embeds."""
    trained = TrainedAutoencoder(run, torch.device("cpu"))
    restore(trained.model, run, "last")
    trained.model.eval()
    evaluation = trained.evaluation()
    return trained.model, (evaluation.train, *evaluation.tests)


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 20, 250])
def test_sheets_are_few_and_include_the_first_and_the_last_epoch(epochs):
    chosen = sheet_epochs(epochs)
    assert {1, epochs} <= chosen <= set(range(1, epochs + 1))
    assert len(chosen) == min(epochs, 5)


def test_curves_are_those_of_the_records(run, events):
    for row in records.read(run.folder):
        if row["checkpoint"] != "epoch":
            continue
        tag = row["metric"] if row["metric"].startswith("loss/") else "accuracy/knn handwritten, all"
        [found] = [event.value for event in events.Scalars(tag) if event.step == row["epoch"]]
        assert found == pytest.approx(row["value"], rel=1e-6)
    losses = {"loss/total", "loss/reconstruction", "loss/triplet"}
    assert set(events.Tags()["scalars"]) == {*losses, "accuracy/knn handwritten, all"}


def test_reconstructions_are_inputs_above_what_the_model_makes_of_them(events, evaluated):
    model, datasets = evaluated
    assert set(events.Tags()["images"]) == {f"reconstruction/{title}" for title in TITLES}
    for views, title in zip(datasets, TITLES, strict=True):
        images = events.Images(f"reconstruction/{title}")
        assert [image.step for image in images] == [1, 2, 3]
        sheet = np.asarray(Image.open(io.BytesIO(images[-1].encoded_image_string)).convert("L"))
        assert sheet.shape == (64, 320)
        inputs, outputs = (np.split(row, 10, axis=1) for row in np.split(sheet, 2))
        known = views.scenes.pixels(torch.arange(len(views.scenes.rows)))[:, 0].numpy()
        for image, output in zip(inputs, outputs, strict=True):
            assert (known == image).all(axis=(1, 2)).any()
            with torch.no_grad():
                expected = model(torch.from_numpy(image / np.float32(255))[None, None])[0][0, 0].numpy()
            # Features are cached in 16 bit, and the sheet has whole grey values.
            np.testing.assert_allclose(output / 255, expected, atol=0.02)


def test_the_projector_holds_latents_of_the_last_epoch_with_labels_and_thumbnails(run, evaluated):
    model, datasets = evaluated
    [folder] = [path.parent for path in run.logs.rglob("tensors.tsv")]
    assert str(folder.relative_to(run.logs)) in (run.logs / "projector_config.pbtxt").read_text()
    assert int(folder.parent.name) == 3
    latents = np.loadtxt(folder / "tensors.tsv", delimiter="\t")
    expected = np.concatenate([views.embed(model) for views in datasets])
    np.testing.assert_allclose(latents, expected, rtol=1e-4, atol=1e-5)
    header, *lines = (folder / "metadata.tsv").read_text().splitlines()
    assert header == "class\tdataset"
    assert lines == [f"{views.scenes.class_text(label)}\t{title}" for views, title in zip(datasets, TITLES, strict=True)
                     for label in views.labels]
    with Image.open(folder / "sprite.png") as sprite:
        columns = int(np.ceil(np.sqrt(len(latents))))
        assert sprite.size == (32 * columns, 32 * columns)
        first = np.asarray(sprite)[:32, :32, 0] / 255
    image = datasets[0].scenes.gather(datasets[0].index[:1], datasets[0].flip[:1])[0, 0].numpy()
    np.testing.assert_allclose(first, image, atol=0.01)


def test_little_is_written_however_large_the_dataset(run, cache, tmp_path, evaluated):
    model, _ = evaluated
    scenes = Scenes(EvaluationDataset(name="handwritten", root="x"), 32, str(cache), torch.device("cpu"))
    assert len(scenes) > 1000
    with SummaryWriter(tmp_path) as board:
        write_projector(board, model, [LatentEvaluation((scenes, LiveInputs(model, scenes)), [], 1, 0).train], 1)
    assert len(next(tmp_path.rglob("tensors.tsv")).read_text().splitlines()) == 1000
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 3e6
