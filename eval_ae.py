"""Evaluate trained autoencoders: fit classifiers on the training latents, score them on the target datasets."""

import argparse
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dataset import Scenes, open_targets
from errors import UserError
from experiment import records
from experiment.command import run_script
from experiment.run import expand, open_run
from latent.evaluate import LatentEvaluation
from model import create_autoencoder
from training.features import create_inputs
from training.finished import CHECKPOINTS, check_autoencoder, check_overrides, checkpoints_of, restore
from training.journal import selection
from utils import choose_device


def main() -> None:
    arguments = parse()
    check_overrides(arguments.set)
    folders = expand(arguments.runs)
    for folder in folders:
        check_autoencoder(open_run(folder), arguments.checkpoint)
    for folder in tqdm(folders, desc="runs", unit="run", disable=None):
        rows = evaluate(folder, arguments.set, arguments.checkpoint, arguments.classifiers)
        records.append(folder, rows)
        for row in rows:
            tqdm.write(f"{folder}  {row['dataset']} {row['factor']}  {row['checkpoint']} (epoch {row['epoch']})  "
                       f"{row['classifier']}  {100 * row['value']:.1f} %  (n = {row['n']})")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, experiment folders or globs")
    parser.add_argument("--classifiers", nargs="+", choices=("knn", "forest", "svm"),
                        help="default: evaluation.classifiers of the run's config")
    parser.add_argument("--checkpoint", nargs="+", choices=CHECKPOINTS,
                        help="weights of the last epoch, or those with the best test accuracy (an oracle); "
                             "default: those that the run has")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="SECTION.KEY=VALUE",
                        help="override keys of [evaluation] and of places, for example "
                             "--set 'evaluation.datasets=[{name=\"sviro\", factor=\"x5\"}]'")
    return parser.parse_args()


def evaluate(folder: Path, overrides: list[str], checkpoints: list[str] | None,
             classifiers: list[str] | None) -> list[dict[str, Any]]:
    """Return the records of a run's checkpoints on the datasets of its config, with overrides."""
    run, config = open_run(folder), open_run(folder, overrides).config
    if not config.evaluation.datasets:
        raise UserError(f"{folder}: the config names no [[evaluation.datasets]]; "
                        "give some with --set 'evaluation.datasets=[{name=\"...\"}]'")
    device = choose_device(config.training.device, config.training.gpu)
    size, cache = config.dataset.image_size, config.dataset.cache
    train = Scenes(config.dataset, size, cache, device)
    scenes = [train, *open_targets(config, train)]
    # The checkpoint holds the frozen extractor as well, so its weights need not be found again.
    model = create_autoencoder(config.model.model_copy(update={"weights": "none"}), size, train.channels).to(device)
    rows = []
    for checkpoint in checkpoints or checkpoints_of(run):
        epoch = restore(model, run, checkpoint)
        model.eval()
        feeds = [(each, create_inputs(model, each, cache)) for each in scenes]
        evaluation = LatentEvaluation(feeds[0], feeds[1:], config.model.knn, config.training.seed)
        for row in evaluation.accuracies(model, classifiers or config.evaluation.classifiers):
            rows.append(records.record(experiment=run.experiment, seed=config.training.seed, checkpoint=checkpoint,
                                       selection=selection(run, checkpoint), epoch=epoch, **row))
    return rows


if __name__ == "__main__":
    run_script(main)
