"""What the papers' tables call a model, and in what configs depart from the published runs."""

import re
from operator import attrgetter
from pathlib import Path
from typing import Any

from experiment.config import Config

MODELS = {"ae": "AE", "tae": "TAE", "vae": "VAE", "factorvae": "FactorVAE",
          "scratch": "Scratch", "pretrained": "Pre-trained"}
IMPOSSIBLE = {"none": "", "scene": "I-", "instance": "II-"}
BACKBONES = {"vgg11": "VGG-11", "resnet50": "ResNet-50", "densenet121": "DenseNet-121"}

# Keys that the published runs of every table share.
COMMON: dict[str, Any] = {
    "dataset.limit": None, "model.normalize": False, "training.batch_size": 64,
    "training.optimizer": "adamw", "training.learning_rate": 1e-4, "training.weight_decay": 1e-5,
    "training.augment": False, "training.variants": "random",
}  # fmt: skip
# Those that frozen features, which do not train, depend on.
OF_FEATURES = ("dataset.limit", "dataset.image_size", "model.normalize", "model.extractor", "model.layer", "model.knn")
# Those of one table; `None` as split is the dataset's default, which is what the table wants.
OF_TABLE: dict[str, dict[str, Any]] = {
    "s5": {"dataset.image_size": 64, "training.epochs": 100},
    "s6": {"dataset.image_size": 128, "training.epochs": 250},
    "s7": {"dataset.image_size": 128, "training.epochs": 20},
}
OF_AUTOENCODERS: dict[str, dict[str, Any]] = {
    "s5": {"model.activation": "relu", "model.dimension": 10},
    "s6": {"model.activation": "relu", "model.dimension": 64, "model.knn": 115, "training.loss": "ssim"},
    "s7": {"model.activation": "relu", "model.dimension": 64, "model.knn": 115, "training.loss": "mse"},
}
OF_SWAPPING: dict[str, Any] = {
    "target.name": "cityscapes", "dataset.classes": "street16", "dataset.image_size": (512, 256), "model.structure": 8,
    "model.texture": 2048, "model.downsamplings": 4, "model.encoder_capacity": 1.0, "model.generator_capacity": 1.0,
    "model.discriminator_capacity": 1.0, "model.patch_capacity": 1.0, "model.patch_size": 128,
    "training.batch_size": 8, "training.iterations": 312500, "training.learning_rate": 0.002,
    "training.crop": (256, 256), "training.lambda_swap": 0.5, "training.real_domain": "both", "training.ramp": 0.0,
    "training.average": 0.0,
}
OF_SHAPES: dict[str, Any] = {
    "dataset.image_size": 128, "dataset.limit": None, "model.points": 8000, "model.candidates": 4, "model.width": 1024,
    "model.grid": 64, "training.batch_size": 4, "training.views_per_model": 4, "training.iterations": 600_000,
    "training.learning_rate": 1e-4, "training.weight_decay": 1e-3, "training.sigma": (3.0, 0.2), "training.taps": 21,
    "training.keep": (0.07, 1.0), "training.student_weight": 20.0, "training.masks": "published",
}  # fmt: skip
SPLITS = {"s5": (None, "all"), "s6": (None, "all"), "s7": (None, "train")}


def paper_name(config: Config) -> tuple[str, str]:
    """Return model and variant of an autoencoder as in Table S5, such as `E-AE`, `SSIM` and `β-VAE`, `BCE, β = 4`.

    Frozen features, which no table of the paper has, are named alike everywhere.
    """
    model, training = config.model, config.training
    if model.variation == "features":
        return f"frozen features ({model.features})", "-"
    beta = f", β = {training.kl_weight:g}" if training.kl_weight != 1 else ""
    name, variant = MODELS[model.variation], training.loss.upper()
    if model.variation == "vae":
        name, variant = ("β-" if beta else "") + name, variant + beta
    if model.variation == "factorvae":
        variant += f", γ = {training.tc_weight:g}{beta}"
    return f"{IMPOSSIBLE[training.impossible]}{'E-' if model.type == 'extractor' else ''}{name}", variant


def look_of(folder: str) -> str:
    """Return what Table 6.2 calls the views in a folder: stylised ones where its name ends so, such as cars_stylised_2.
    """
    found = re.search(r"styli[sz]ed_(\w+)$", folder, re.IGNORECASE)
    return f"Stylized {found[1]}" if found else "Original"


def paper_row(config: Config) -> tuple[str, tuple[str, ...]] | None:
    """Return the table (`s5`, `s6`, `s7`, `4.3`) that a run belongs to by what it was trained on, and its row there.

    The row need not be one that the table has: `("s6", ("resnet18", "E-TAE"))`. None for other training data.
    """
    name, model = config.dataset.name, config.model
    if model.type == "swapping" and name == "carla":
        return "4.3", (f"{config.training.lambda_out:g}", f"{config.training.lambda_in:g}")
    if model.type not in ("conv", "extractor", "classifier"):
        return None
    reconstructs = model.type in ("conv", "extractor") and model.variation != "features"
    if name == "mpi3d" and config.dataset.factor in (["toy"], ["realistic"]) and reconstructs:
        return "s5", (config.dataset.factor[0], *paper_name(config))
    if name == "sviro_nocar":
        variant = MODELS[model.variation] if model.type == "classifier" else paper_name(config)[0]
        return "s6", ("-" if model.type == "conv" else BACKBONES.get(model.extractor, model.extractor), variant)
    if name == "mnist" and model.type != "classifier":
        return "s7", (paper_name(config)[0],)
    return None


def departures(config: Config) -> list[str]:
    """Say in which keys a config of a table's run departs from the published ones: `training.epochs = 5 (250)`.

    Table S7 names no extractor; VGG-11 is that of the tables of the network (S3, S4). ImageNet weights may come from a
    file.
    """
    roots = config.dataset.roots
    joined = [f"dataset.root = {' + '.join(roots)} (one root)"] if len(roots) > 1 else []
    model = config.model
    if model.type == "point_cloud":
        return joined + _differing(config, OF_SHAPES)
    table, _ = paper_row(config)
    if table == "4.3":
        return joined + _differing(config, OF_SWAPPING)
    expected = COMMON | OF_TABLE[table] | ({} if model.type == "classifier" else OF_AUTOENCODERS[table])
    if model.type == "extractor" and table != "s6":
        expected["model.extractor"] = "vgg11"
    if model.type == "extractor" or model.variation == "pretrained":
        expected["model.layer"] = -3
        # VGG-11 has no BatchNorm; in the others the published runs let it take batch statistics.
        if model.extractor != "vgg11":
            expected["model.batchnorm"] = "reference"
    if model.variation == "features":
        expected = {key: value for key, value in expected.items() if key in OF_FEATURES}
    found = joined + _differing(config, expected)
    if config.dataset.split not in SPLITS[table]:
        found.append(f"dataset.split = {config.dataset.split} ({SPLITS[table][1]})")
    # Other weights are a file, which has a suffix, or the run of a classifier.
    if "model.layer" in expected and model.weights != "imagenet" and not Path(model.weights).suffix:
        found.append(f"model.weights = {model.weights} (imagenet)")
    return found


def _differing(config: Config, expected: dict[str, Any]) -> list[str]:
    return [f"{key} = {_text(value)} ({_text(wanted)})" for key, wanted in expected.items()
            if (value := attrgetter(key)(config)) != wanted]


def _text(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value).lower()
