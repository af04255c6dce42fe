"""Configs of swapping autoencoders: each trains and is judged, and what does not go together is refused."""

from pathlib import Path

import pytest
import torch

import train_translation
from errors import UserError
from evaluation.recogniser import Recogniser
from experiment.config import load_config
from readers.class_maps import MAPS, load_class_map
from standin import write_standin
from training.command import create_fabric

PROJECT = Path(__file__).parent.parent.parent
CONFIGS = [path for path in sorted((PROJECT / "cfg").glob("*.toml")) if 'type = "swapping"' in path.read_text()]
ROWS = [(0, 0), (1, 0), (0, 1), (1, 1), (5, 1), (2, 2), (0, 3)]
SMALL = ["model.texture=16", "model.encoder_capacity=0.0625", "model.generator_capacity=0.0625",
         "model.discriminator_capacity=0.01", "model.patch_capacity=0.02", "model.patch_size=16",
         "model.downsamplings=2", "model.texture_downsamplings=1", "dataset.image_size=[96, 64]",
         "training.crop=[32, 32]", "training.batch_size=2", "training.iterations=8", "training.epochs=2",
         "training.frequency=2", "training.patches=2", "training.device=cpu", "evaluation.samples=4"]


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    """Small stand-ins of street scenes."""
    root = tmp_path_factory.mktemp("streets")
    write_standin("carla", root, sceneries=10, factors=["Town07"])
    for name in ("camvid", "cityscapes"):
        write_standin(name, root, sceneries=20)
    return root


def overrides(streets, cache, *changes):
    return [f"dataset.root={streets}", f"dataset.cache={cache}", *SMALL, *changes]


@pytest.fixture
def constant(monkeypatch):
    """Stand for runs of segmentation networks, which are not there: networks that know each set's classes."""
    def open_recogniser(folder, key, device):
        classes = 16 if "cityscapes" in folder else 11
        names = load_class_map("carla13", f"street{classes}").classes
        return Recogniser(torch.nn.Conv2d(3, classes, 1).requires_grad_(False), lambda images: images, names, True)

    monkeypatch.setattr(train_translation, "open_recogniser", open_recogniser)
    monkeypatch.setattr("translation.models.open_recogniser", open_recogniser)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_trains_both_parts_and_is_judged(path, streets, cache, constant):
    config = load_config(path, overrides(streets, cache, "evaluation.judge=judges/1_" + path.stem,
                                         "evaluation.second_judge=judges/2_" + path.stem))
    torch.manual_seed(0)
    job = train_translation.build(config, create_fabric(torch.device("cpu")))
    job.step.begin(1)
    before = {name: weight.clone() for name, weight in job.step.model.named_parameters()}
    losses = {}
    job.step.model.train()
    for batch, _ in zip(job.batches.epoch(1), range(2), strict=False):
        losses |= job.step.update(batch)
    assert all(loss.isfinite() for loss in losses.values())
    training = config.training
    assert ("inner" in losses, "outer" in losses) == (training.lambda_in > 0, training.lambda_out > 0)
    moved = {name for name, weight in job.step.model.named_parameters() if not torch.equal(weight, before[name])}
    assert len(moved) > 0.9 * len(before)
    job.step.model.eval()
    rows = job.rows()
    assert rows[0]["dataset"] == "carla"
    assert {row["metric"].partition("/")[0] for row in rows} >= {"kernel", "frechet"}
    found = {row["metric"] for row in rows}
    assert found >= {f"{judge}agreement{kind}/{what}" for judge in ("", "second_") for kind in ("", "_mean", "_miou")
                     for what in ("translated", "untranslated", "real")}


def test_the_rows_of_table_4_3_have_their_configs_at_the_published_size():
    for inner, outer in ROWS:
        config = load_config(PROJECT / "cfg" / f"carla_cityscapes_in{inner}_out{outer}.toml")
        training, model = config.training, config.model
        assert (training.lambda_in, training.lambda_out, training.batch_size) == (inner, outer, 8)
        assert (training.iterations * 2 * training.batch_size, training.crop) == (5_000_000, (256, 256))
        assert bool(training.semantic) is (outer > 0)
        assert (model.texture, model.structure, model.downsamplings, training.learning_rate) == (2048, 8, 4, 0.002)
        assert {model.encoder_capacity, model.generator_capacity, model.discriminator_capacity,
                model.patch_capacity} == {1.0}


@pytest.mark.parametrize("path", [*CONFIGS, PROJECT / "cfg/town07_camvid_cyclegan.toml"], ids=lambda path: path.stem)
def test_judges_are_not_measured_on_the_real_images_that_they_are_trained_on(path):
    trained, judged = load_config(path).targets()
    judges = ("camvid_small_efficientnet",) if trained.name == "camvid" else ("cityscapes_resnet50",
                                                                              "cityscapes_mobilenet")
    assert all(load_config(PROJECT / f"cfg/{judge}.toml").dataset.split == "train" for judge in judges)
    assert (trained.split, judged.split, judged.name) == ("train", "val", trained.name)


BAD = {
    "evaluation.second_judge=x": "evaluation.second_judge: there is no first; allowed: with evaluation.judge",
    "training.lambda_out=1": "training: lambda_out needs a run that finds labels: semantic = ",
    "training.batch_size=3": "training.batch_size: Input should be a multiple of 2 (found 3)",
    "training.devices=2": "training: batch_size = 2; allowed: a multiple of 4, as each of 2 process(es)",
    "training.crop=[34, 32]": "Input should be a multiple of 4 (found 34)",
    "model.downsamplings=4": "training.crop: found 36x36; allowed with model.downsamplings 4: multiples of 16",
    "model.texture_downsamplings=3": "model.texture_downsamplings: found 3, which leave nothing of 32x32; allowed: "
                                     "fewer, or a larger training.crop",
    "model.patch_size=48": "model.patch_size: '48' is not known; allowed: 16, 32, 64, 128, 256",
    "training.real_domain=source": "training.real_domain: 'source' is not known; allowed: both, target",
    "model.texure=3": "key: 'model.texure' is not known",
}


@pytest.mark.parametrize("change", BAD)
def test_what_does_not_go_together_is_refused(change, streets, cache):
    changes = ["training.crop=[36, 36]"] if change == "model.downsamplings=4" else []
    with pytest.raises(UserError) as caught:
        load_config(PROJECT / "cfg/town07_camvid_small_out0.toml", overrides(streets, cache, *changes, change))
    assert BAD[change] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_inner_network_learns_from_real_label_maps_with_the_same_classes_alone(streets, cache, tmp_path):
    changes = ["dataset.classes=mine", "training.lambda_in=1"]
    for section, name in (("dataset", "carla13"), ("target", "camvid")):
        table = tmp_path / f"{name}.csv"
        table.write_text((MAPS / f"{name}.csv").read_text().replace("street11", "mine"))
        changes.append(f"{section}.class_map={table}")
    config = load_config(PROJECT / "cfg/town07_camvid_small_out0.toml", overrides(streets, cache, *changes))
    with pytest.raises(UserError, match=r"target.class_map: camvid has the classes sky, building, .*; allowed: the"):
        train_translation.build(config, create_fabric(torch.device("cpu")))


def test_images_without_label_maps_have_no_inner_loss_and_grey_ones_no_swapping(cache):
    path = PROJECT / "cfg/town07_camvid_small_out0.toml"
    common = ["dataset.name=glyphs", "dataset.factor=[]", "dataset.image_size=[32, 32]", "target.name=handwritten",
              "evaluation.datasets=[]", f"dataset.cache={cache}", "dataset.limit=20", "target.limit=20"]
    config = load_config(path, [*SMALL, *common])
    with pytest.raises(UserError, match=r"model\.type: found 'swapping', but .* is grey; allowed: images in colour"):
        train_translation.build(config, create_fabric(torch.device("cpu")))
