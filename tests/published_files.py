"""Config files and run folders as the published code leaves them, from the published table of keys alone.

Run folders are made of traps: what is pickled in them touches `executed` where somebody trusts it.
"""

import json
import pickle

import numpy as np
import torch
from refusals import Trap

BACKBONES = {"vgg11": 14, "resnet50": 129, "densenet121": 261}
SHARED = {"gpu": "0", "batch_size": 64, "optimizer": "AdamW", "learning_rate": 0.0001, "weight_decay": 0.00001,
          "epochs": 250, "frequency": 1}
RECONSTRUCTING = {"loss": "SSIM", "augment": False, "make_scene_impossible": False, "make_instance_impossible": False}
LATENT = {"dimension": 64, "knn": 115, "activation": "ReLU"}
IMPOSSIBLE = {"E-AE": (False, False), "E-TAE": (False, False), "I-E-TAE": (True, False), "II-E-TAE": (True, True)}


def autoencoder(type, variation="", model=(), training=(), **dataset):
    """The tables of an autoencoder's config; model, training: keys that differ or come on top."""
    return {"dataset": {"name": "seats_and_people_nocar", "factor": ""} | dataset,
            "model": {"type": type, "variation": variation} | LATENT | dict(model),
            "training": SHARED | RECONSTRUCTING | dict(training)}


def classifier(architecture, pretrained=True, frozen=None, training=(), **dataset):
    """The tables of a classifier's config."""
    frozen = frozen if frozen is not None else BACKBONES.get(architecture, 0) * pretrained
    return {"dataset": {"name": "seats_and_people_nocar", "factor": ""} | dataset,
            "model": {"type": "classification", "variation": "", "architecture": architecture,
                      "use_pretrained": pretrained, "freeze_n_first_layers": frozen},
            "training": SHARED | dict(training)}


def all_files():
    """Name -> tables of the twenty published files."""
    found = {}
    for backbone in BACKBONES:
        for name, (scene, instance) in IMPOSSIBLE.items():
            found[f"{backbone}-{name}"] = autoencoder(
                "extractor", "tae" if "TAE" in name else "", {"extractor": backbone, "layer": -3},
                {"make_scene_impossible": scene, "make_instance_impossible": instance})
        found[backbone] = classifier(backbone, pretrained=False)
    arm = {"name": "mpi3d", "factor": "toy"}
    small, on_arm = {"dimension": 10}, {"epochs": 100, "loss": "BCE", "kl_weight": 1}
    return found | {
        "conv_ae": autoencoder("conv", "", small, {"epochs": 100}, **arm),
        "extractor_ae": autoencoder("extractor", "", {"dimension": 64, "extractor": "vgg11", "layer": -3},
                                    {"epochs": 20, "loss": "MSE"}, name="mnist"),
        "vae": autoencoder("vae", "", small, on_arm, **arm),
        "factorvae": autoencoder("factorvae", "", small, on_arm | {"tc_weight": 10}, **arm),
        "pretrained_classifier": classifier("resnet50"),
    }


def toml_text(tables):
    """TOML of tables of texts, numbers and switches, which are written as in JSON."""
    return "\n".join(f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
                     for name, table in tables.items())


def with_biases(generator, shapes):
    """Random weights and biases of layers, by name and shape of the weights."""
    weights = {}
    for name, shape in shapes.items():
        outputs = shape[1] if name.startswith("decoder_conv") else shape[0]
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) / np.prod(shape[1:]) ** 0.5
        weights[f"{name}.bias"] = torch.randn(outputs, generator=generator) * 0.1
    return weights


def decoder(grid, dimension, channels):
    return {"decoder_fc.0": (256, dimension), "decoder_fc.2": (64 * grid**2, 256), "decoder_conv.0": (64, 64, 4, 4),
            "decoder_conv.2": (64, 32, 4, 4), "decoder_conv.4": (32, 32, 4, 4), "decoder_conv.6": (32, channels, 4, 4)}


def conv_state(generator, kind, grid, dimension, channels=1):
    """The state dict of an autoencoder of type conv, vae or factorvae for images of 16 grid pixels."""
    shapes = {"encoder.0": (32, channels, 4, 4), "encoder.2": (32, 32, 4, 4), "encoder.4": (64, 32, 4, 4),
              "encoder.6": (64, 64, 4, 4), "encoder.9": (256, 64 * grid**2)}
    if kind == "conv":
        shapes["encoder.11"] = (dimension, 256)
    else:
        shapes |= {"encoder_fc21": (dimension, 256), "encoder_fc22": (dimension, 256)}
    if kind == "factorvae":
        shapes |= {"discriminator.0": (1000, dimension), "discriminator.10": (2, 1000)}
        shapes |= {f"discriminator.{i}": (1000, 1000) for i in (2, 4, 6, 8)}
    return with_biases(generator, shapes | decoder(grid, dimension, channels))


def head_state(generator, channels, grid, dimension):
    """The state dict of an extractor autoencoder but for the extractor, which has so many channels."""
    shapes = {"conv.1": (256, channels, 4, 4), "encoder.2": (256, 256 * 16), "encoder.4": (dimension, 256)}
    return with_biases(generator, shapes | decoder(grid, dimension, 1))


def publish(folder, state, tables, accuracies="0.25\n0.5\n0.5\n0.125\n"):
    """Write a run folder."""
    for name in ("checkpoints", "logs", "scripts", "images", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "cfg.toml").write_text(toml_text(tables))
    for name in ("last", "best"):
        torch.save(state, folder / "checkpoints" / f"{name}_model.pth")
    (folder / "logs" / "training.log").write_text("loss 1\n")
    if accuracies is not None:
        (folder / "logs" / "accuracy.log").write_text(accuracies)
    trap = Trap(folder / "executed")
    np.save(folder / "checkpoints" / "label_dict.npy", np.array({"0_0_0": trap}, dtype=object), allow_pickle=True)
    poison = pickle.dumps(trap)
    for place in ("best_classifier.joblib", "checkpoints/best_classifier.joblib", "images/latents.npy",
                  "images/sample.png", "data/train.pkl"):
        (folder / place).write_bytes(poison)
    touch = f"from pathlib import Path\nPath({str(folder / 'executed')!r}).touch()\n"
    for place in ("scripts/model.py", "scripts/__init__.py", "scripts/cfg.toml"):
        (folder / place).write_text(touch)
    return folder

