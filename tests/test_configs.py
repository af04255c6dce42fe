"""Every file in cfg/ trains a step and evaluates on small stand-ins of its datasets."""

import copy
from pathlib import Path

import pytest
import torch
from runs import configs

import pretrained_model
import train_ae
import train_classifier
import train_segmentation
from experiment.config import Config, load_config
from standin import KINDS, write_standin
from training.command import create_fabric

# Those of translations, and of shape and pose, have tests of their own.
CONFIGS = configs('type = "(?!cyclegan|swapping|point_cloud)')
CARS = {"sviro": ["i3", "escape", "tucson", "lexus", "x5", "tesla"], "sviro_illumination": ["kodiaq"],
        "mpi3d": ["toy", "realistic"]}
SCENERIES = {"sviro": 6, "digit_photos": 10, "mnist": 20}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a small stand-in of every dataset."""
    root = tmp_path_factory.mktemp("data")
    for name, kind in KINDS.items():
        options = {"sceneries": SCENERIES.get(name, 8), "variants": 2, "factors": CARS.get(name), "steps": 1}
        write_standin(name, root, **{key: value for key, value in options.items() if key in kind.defaults})
    return root


@pytest.fixture(scope="module")
def networks():
    """Make networks as `build_network` does, but draw the weights of each kind once, as that takes seconds."""
    build, drawn = pretrained_model.build_network, {}

    def make(name: str, num_classes: int) -> torch.nn.Module:
        if torch.get_default_device().type == "meta":
            return build(name, num_classes)
        key = name, num_classes
        drawn[key] = drawn.get(key) or build(name, num_classes)
        return copy.deepcopy(drawn[key])

    return make


def tiny(path: Path, data: Path, cache: Path) -> Config:
    """Load a config for a few sceneries, random weights and few neighbours; everything else stays."""
    config = load_config(path, [f"dataset.root={data}", f"dataset.cache={cache}", "training.batch_size=4",
                                "training.device=cpu", "dataset.limit=4"])
    if config.model.type == "deeplab":
        return tiny_street(config)
    targets = [target.model_copy(update={"limit": 2}) for target in config.evaluation.datasets]
    # The schema refuses to freeze random weights, and rightly so: here only shapes and the course of things count.
    fewer = {"dimension": 4} if config.model.variation == "features" else {}
    fewer |= {} if config.model.type == "classifier" else {"knn": 1}
    model = config.model.model_copy(update={"weights": "none", **fewer})
    evaluation = config.evaluation.model_copy(update={"datasets": targets})
    return config.model_copy(update={"model": model, "evaluation": evaluation})


def tiny_street(config: Config) -> Config:
    """Return a config for a few small street scenes."""
    dataset = config.dataset.model_copy(update={"image_size": (96, 64), "limit": 5})
    targets = [target.model_copy(update={"limit": 2, "image_size": (96, 64)}) for target in config.evaluation.datasets]
    training = config.training.model_copy(update={"iterations": None, "crop": (64, 64)})
    return config.model_copy(update={
        "dataset": dataset, "training": training, "model": config.model.model_copy(update={"weights": "none"}),
        "evaluation": config.evaluation.model_copy(update={"datasets": targets})})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_step_changes_what_trains_and_nothing_else_and_evaluation_works(path, data, cache, networks, monkeypatch):
    # A quarter of the pixels of 224, and still enough for the paper's cuts.
    monkeypatch.setattr(pretrained_model, "TORCHVISION_SIZE", 128)
    monkeypatch.setattr(pretrained_model, "build_network", networks)
    config = tiny(path, data, cache)
    script = {"classifier": train_classifier, "deeplab": train_segmentation}.get(config.model.type, train_ae)
    torch.manual_seed(0)
    job = script.build(config, create_fabric(torch.device("cpu")))
    before = {name: weight.clone() for name, weight in job.step.model.named_parameters()}
    job.step.model.train()
    losses = job.step.update(next(job.batches.epoch(1)))
    assert all(loss.isfinite() for loss in losses.values())
    variation = getattr(config.model, "variation", "")
    nothing_trains = variation == "features"
    expected = {"total", "reconstruction"} if config.model.type in ("conv", "extractor") else {"total"}
    expected = set() if nothing_trains else expected
    expected |= {"triplet"} if variation == "tae" else set()
    expected |= {"kl"} if variation in ("vae", "factorvae") else set()
    expected |= {"tc", "discriminator"} if variation == "factorvae" else set()
    assert set(losses) == expected
    moved = {name for name, weight in job.step.model.named_parameters() if not torch.equal(weight, before[name])}
    trainable = {name for name, weight in job.step.model.named_parameters() if weight.requires_grad}
    assert moved <= trainable
    assert bool(trainable) is not nothing_trains
    assert len(moved) > 0.5 * len(trainable) or nothing_trains
    job.step.model.eval()
    rows = job.rows()
    headline = [row for row in rows if row["metric"] in ("accuracy", "miou")]
    assert [row["dataset"] for row in headline] == [target.name for target in config.evaluation.datasets]
    assert not rows or rows[0] is headline[0]


def test_experiments_beside_the_papers_tables_have_their_configs():
    assert {"sviro_unseen_car_features", "sviro_tesla_e_ae", "illumination_kodiaq_e_ae",
            "illumination_kodiaq_i_e_ae"} <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_names_say_what_is_inside(path):
    config, parts = load_config(path), path.stem.split("_")
    if config.model.type == "deeplab":
        assert config.model.backbone.partition("_")[0] .removesuffix("_lite0") == parts[-1]
        assert config.dataset.name in ("carla" if parts[0] == "town07" else parts[0])
        return
    for backbone in ("vgg11", "resnet50", "densenet121"):
        assert (backbone in parts) <= (config.model.extractor == backbone)
    assert config.model.variation in {"tae": ("tae",), "vae": ("vae",), "pretrained": ("pretrained",),
                                      "scratch": ("scratch",)}.get(parts[-1], (config.model.variation,))
    if config.model.type == "classifier":
        return
    wanted = "instance" if "ii" in parts else "scene" if "i" in parts else "none"
    assert config.training.impossible == wanted
    for loss in ("bce", "ssim"):
        assert (parts[-1] == loss) <= (config.training.loss == loss)
    if "beta" in parts:
        assert (config.model.variation, config.training.kl_weight) == ("vae", float(parts[-1]))
    if "factor" in parts:
        assert (config.model.variation, config.training.tc_weight) == ("factorvae", float(parts[-1]))


# Written out from the paper: image size, latent size, epochs, loss, neighbours.
FIGURES = {"nocar": (128, 64, 250, "ssim", 115), "sviro_tesla": (128, 64, 250, "ssim", 115),
           "illumination": (128, 64, 250, "ssim", 115), "mpi3d": (64, 10, 100, None, None),
           "mnist": (128, 64, 20, "mse", 115)}
PAPER = [(path, figures) for path in CONFIGS for family, figures in FIGURES.items() if path.stem.startswith(family)]


@pytest.mark.parametrize(("path", "figures"), PAPER, ids=lambda value: getattr(value, "stem", ""))
def test_the_papers_configs_have_the_papers_figures(path, figures):
    config = load_config(path)
    size, dimension, epochs, loss, neighbours = figures
    nothing_trains = config.model.variation == "features"
    epochs = 1 if nothing_trains else epochs
    training = config.training
    assert (config.dataset.image_size, training.epochs, training.batch_size) == (size, epochs, 64)
    assert (training.optimizer, training.learning_rate, training.weight_decay) == ("adamw", 1e-4, 1e-5)
    assert (config.dataset.limit, training.augment, config.model.normalize) == (None, False, False)
    if config.model.type == "classifier":
        return
    assert (config.model.dimension, config.model.activation, config.model.layer) == (dimension, "relu", -3)
    assert loss in (training.loss, None) or nothing_trains
    assert neighbours in (config.model.knn, None)
    assert (training.kl_weight, training.tc_weight) == (1, 0) or config.model.variation in ("vae", "factorvae")
