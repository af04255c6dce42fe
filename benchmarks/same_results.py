"""Whether cached features train as live ones do: loss curves and accuracy of one config, trained both ways.

Both trainings have the same seed and precision 32; they differ in whether features come from the cache, in 16 bit, or
through the frozen network at every step, so the second takes as long as training without a cache.
"""

import argparse

import torch
from tqdm import tqdm

from autoencoder.judge import LatentEvaluation
from autoencoder.step import create_step
from benchmarks.common import write_json
from dataset import Batches, Inputs, Scenes, open_evaluation_datasets
from errors import UserError, run_script
from experiment.config import Config, load_config
from frozen.inputs import CachedInputs, LiveInputs, create_inputs
from model import create_autoencoder
from training.command import create_fabric
from utils import seed_everything, tune

STEPS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="of an autoencoder with extractor, with test datasets")
    parser.add_argument("--set", nargs="+", default=[], metavar="SECTION.KEY=VALUE", help="as in train_ae.py")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    arguments = parser.parse_args()
    config = load_config(arguments.config, [*arguments.set, "training.device=cpu", "training.precision=32"], seed=1)
    tune(torch.device("cpu"))
    figures = {name: train(config, cached) for name, cached in (("cached", True), ("live", False))}
    (curve, accuracies), (other, others) = figures["cached"], figures["live"]
    worst = max(abs(a - b) / abs(b) for a, b in zip(curve[:STEPS], other[:STEPS], strict=True))
    print(f"loss of the first {min(STEPS, len(curve))} steps: largest relative difference {worst:.1e}")
    for name, value in accuracies.items():
        print(f"kNN on {name} after {len(curve)} steps: cached {100 * value:.1f} %, live {100 * others[name]:.1f} %")
    write_json(arguments.out, {"worst": worst, **figures})


def train(config: Config, cached: bool) -> tuple[list[float], dict[str, float]]:
    """Train a config's model; return the loss of each step and the last accuracies by dataset."""
    fabric, training = create_fabric(torch.device("cpu")), config.training
    scenes = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, fabric.device)
    tests = open_evaluation_datasets(config, scenes)
    seed_everything("model", training.seed)
    model = create_autoencoder(config.model, config.dataset.image_size, scenes.channels)

    def feed(each: Scenes) -> Inputs:
        inputs = create_inputs(model, each, config.dataset.cache)
        if not isinstance(inputs, CachedInputs):
            raise UserError("this config's model has no features that could be cached")
        return inputs if cached else LiveInputs(model, each)

    batches = Batches(scenes, feed(scenes), training.batch_size, training.seed,
                      triplet=config.model.variation == "tae", impossible=training.impossible)
    step = create_step(config.model.variation, model, training, fabric)
    model.train()
    with tqdm(total=training.epochs * len(batches), desc="cached" if cached else "live", disable=None) as bar:
        curve = []
        for epoch in range(1, training.epochs + 1):
            for batch in batches.epoch(epoch):
                curve.append(float(step.update(batch)["total"]))
                bar.update()
    model.eval()
    evaluation = LatentEvaluation((scenes, feed(scenes)), [(each, feed(each)) for each in tests], config.model.knn, 1)
    return curve, {found.scenes.title: found.rows[0]["value"] for found in evaluation.outcomes(model, ["knn"])}


if __name__ == "__main__":
    run_script(main)
