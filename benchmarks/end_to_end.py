"""A whole experiment in stages: preparation, frozen features, an epoch, an evaluation, and the total they imply.

Datasets are those that lie below --root: downloads, or stand-ins of full size, for example
`python -m standin --dataset sviro_nocar ticam --out standin`. Each stage is timed on --sceneries of every
dataset, weights are random, and its cost is multiplied up to the whole dataset and all epochs; neighbours are looked
for among random latents of the full number. With --full nothing is multiplied: the stages run on everything, and then
train_ae.py from the first epoch to the last.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from autoencoder.judge import LatentEvaluation
from autoencoder.latent_classifiers import fit
from autoencoder.step import create_step
from benchmarks.common import describe, print_table, seconds, write_json
from dataset import Batches, Inputs, Scenes, open_evaluation_datasets
from errors import run_script
from experiment.config import Config, EvaluationDataset, load_config
from frozen.inputs import create_inputs
from model import Autoencoder, create_autoencoder
from readers import create_reader
from training.command import PRECISIONS, create_fabric
from utils import tune

PROJECT = Path(__file__).parent.parent


def main() -> None:
    arguments = parse()
    device = torch.device(arguments.device)
    tune(device)
    limit = "" if arguments.full else f", limit={arguments.sceneries}"
    targets = ", ".join(f'{{name="{name}"{limit}}}' for name in arguments.targets)
    with tempfile.TemporaryDirectory(dir=arguments.cache) as cache:
        sets = [f"dataset.root={arguments.root}", f"dataset.cache={cache}", f"evaluation.datasets=[{targets}]",
                f"training.device={arguments.device}", f"training.precision={arguments.precision}",
                "model.weights=none", *([] if arguments.full else [f"dataset.limit={arguments.sceneries}"])]
        config = load_config(arguments.config, sets, seed=1)
        fabric = create_fabric(device, arguments.precision)
        rows = stages(config, fabric)
        total = sum(row["full_seconds"] for row in rows)
        if arguments.full:
            command = [sys.executable, "train_ae.py", arguments.config, "--out", f"{cache}/run", "--set", *sets]
            rows.append(stage("train_ae.py from start to end", 1,
                              seconds(partial(subprocess.run, command, cwd=PROJECT, check=True), device), 1))
    print_table((("stage", "stage", "{}", 1), ("items", "items", "{:,}", 1), ("s", "seconds", "{:.1f}", 1),
                 ("ms per item", "per_item", "{:.3f}", 1e3), ("items at full size", "full_items", "{:,}", 1),
                 ("s at full size", "full_seconds", "{:,.0f}", 1)), rows)
    print(f"{describe(device)}, {arguments.precision} bit: {total / 60:.1f} min in all for "
          f"{config.training.epochs} epochs with an evaluation every {config.training.frequency}")
    write_json(arguments.out, {"device": describe(device), "precision": arguments.precision, "total_s": total,
                               "stages": rows})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default=str(PROJECT / "cfg" / "nocar_resnet50_ii_e_tae.toml"),
                        help="of an autoencoder with extractor (default: cfg/nocar_resnet50_ii_e_tae.toml)")
    parser.add_argument("--root", default="standin", help="folder of the datasets (default: standin)")
    parser.add_argument("--targets", nargs="+", default=["ticam"], help="test datasets (default: ticam)")
    parser.add_argument("--sceneries", type=int, default=256, help="of each dataset (default: 256)")
    parser.add_argument("--full", action="store_true", help="all sceneries and all epochs")
    parser.add_argument("--cache", metavar="DIR", help="where the temporary cache lies (default: the system's place)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=PRECISIONS, default="32")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    return parser.parse_args()


def stages(config: Config, fabric: Fabric) -> list[dict]:
    """Return a row per stage."""
    device, training = fabric.device, config.training
    whole = [sizes(section) for section in (config.dataset, *config.evaluation_datasets())]
    opened: list[Scenes] = []
    fed: list[Inputs] = []

    def prepare() -> None:
        opened.append(Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, device))
        opened.extend(open_evaluation_datasets(config, opened[0]))

    def extract() -> None:
        fed.extend(create_inputs(model, scenes, config.dataset.cache) for scenes in opened)

    spent = seconds(prepare, device)
    rows = [stage("preparation", sum(len(each.images) for each in opened), spent, sum(n for _, n in whole))]
    torch.manual_seed(0)
    model = create_autoencoder(config.model, config.dataset.image_size, opened[0].channels).to(device)
    spent = seconds(extract, device)
    rows.append(stage("features", sum(len(each.images) * each.flips for each in opened), spent,
                      sum(n * each.flips for (_, n), each in zip(whole, opened, strict=True))))
    spent = epoch_seconds(config, fabric, model, opened[0], fed[0])
    rows.append(stage("epochs", len(opened[0]), spent, whole[0][0] * training.epochs))

    evaluation = LatentEvaluation((opened[0], fed[0]), list(zip(opened[1:], fed[1:], strict=True)), config.model.knn, 1)
    model.eval()
    embedded = (evaluation.train, *evaluation.targets)
    spent = seconds(lambda: [each.embed(model) for each in embedded], device)
    trained = whole[0][0] * opened[0].flips
    tested = sum(n * (each.flips if each.mirrors_in_test else 1)
                 for (_, n), each in zip(whole[1:], opened[1:], strict=True))
    times = training.epochs // training.frequency
    rows.append(stage("embedding", sum(len(each.index) for each in embedded), spent, (trained + tested) * times))
    spent = seconds(partial(neighbours, trained, tested, config, device), device)
    rows.append(stage("neighbours, all at once", 1, spent, times))
    return rows


def stage(name: str, items: int, spent: float, full_items: int) -> dict:
    """Return a row: what was measured, and what it comes to for the full number of items."""
    return {"stage": name, "items": items, "seconds": spent, "per_item": spent / items, "full_items": full_items,
            "full_seconds": spent / items * full_items}


def sizes(section: EvaluationDataset) -> tuple[int, int]:
    """Return the number of sceneries and of images of a whole dataset, whatever its limit."""
    listing = create_reader(section.name, section.root, section.factor, section.split, section.skip_bad).listing()
    return len(listing.sources), sum(map(len, listing.sources))


def epoch_seconds(config: Config, fabric: Fabric, model: Autoencoder, scenes: Scenes,
                  inputs: Inputs) -> float:
    """Return the seconds of an epoch after a first batch."""
    training = config.training
    batches = Batches(scenes, inputs, training.batch_size, 1, triplet=config.model.variation == "tae",
                      impossible=training.impossible)
    step = create_step(config.model.variation, model, training, fabric)
    model.train()
    step.update(next(iter(batches.epoch(0))))

    def epoch() -> None:
        for batch in batches.epoch(1):
            step.update(batch)

    return seconds(epoch, fabric.device)


def neighbours(trained: int, tested: int, config: Config, device: torch.device) -> None:
    """Fit and apply k-nearest-neighbours on random latents."""
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(trained + tested, config.model.dimension)).astype(np.float32)
    codes = rng.integers(0, 64, trained)
    fit("knn", latents[:trained], codes, config.model.knn, 0, device).predict(latents[trained:])


if __name__ == "__main__":
    run_script(main)
