"""Train an autoencoder, or judge the frozen features it would train on: one config, one run."""

from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from autoencoder.board import sheet_epochs, write_projector, write_reconstructions
from autoencoder.config import AutoencoderConfig
from autoencoder.judge import LatentEvaluation
from autoencoder.step import FeaturesStep, create_step
from dataset import Batches, Scenes, open_evaluation_datasets
from errors import run_script
from evaluation.embedding import embed, reconstruct
from evaluation.sheets import draw_data, pick
from experiment.systems import AUTOENCODER
from frozen.inputs import create_inputs, uncached_because
from model import Autoencoder, FrozenFeatures, check_fits, create_autoencoder
from reporting.pictures import reconstruction_sheet
from training.command import Job, train_command
from training.fabric import Fabric

# With fewer, models of digits reconstruct grey blobs; with as many, digits (docs/reproduction.md).
ENOUGH_STEPS = 3000


def build(config: AutoencoderConfig, fabric: Fabric, dry: bool = False) -> Job:
    """Build data, model, step and evaluation from a config; dry: for a dry run."""
    size, cache, training = config.dataset.image_size, config.dataset.cache, config.training
    check_fits(config.model, size)
    scenes = Scenes(config.dataset, size, cache, fabric.device)
    tests = open_evaluation_datasets(config, scenes)
    model = create_autoencoder(config.model, size, scenes.channels).to(fabric.device)
    plain = [(each, create_inputs(model, each, cache, dry=dry)) for each in (scenes, *tests)]
    evaluation = LatentEvaluation(plain[0], plain[1:], config.model.knn, training.seed)

    def rows() -> list[dict[str, Any]]:
        return [row for found in evaluation.outcomes(model, ["knn"]) for row in found.rows]

    def draw(folder: Path) -> None:
        for each, feed in plain:
            draw_data(each, folder)
            if not isinstance(model, FrozenFeatures):
                draw_reconstructions(model, each, feed, folder)

    def board(writer: SummaryWriter, epoch: int) -> None:
        datasets = (evaluation.train, *evaluation.tests)
        if epoch in sheet_epochs(training.epochs):
            write_reconstructions(writer, model, datasets, epoch)
        if epoch == training.epochs:
            write_projector(writer, model, datasets, epoch)

    if isinstance(model, FrozenFeatures):
        step, batches, notes = features_parts(model, evaluation, training.seed)
    else:
        # Evaluation sees images as they are; where training does too, both share what may be gigabytes on a GPU.
        inputs = create_inputs(model, scenes, cache, True, dry=dry) if training.augment else plain[0][1]
        batches = Batches(scenes, inputs, training.batch_size, training.seed, triplet=config.model.variation == "tae",
                          impossible=training.impossible, every_variant=training.variants == "all",
                          second=config.model.variation == "factorvae")
        step = create_step(config.model.variation, model, training, fabric)
        notes = uncached_because(model, training.augment) + few_steps(training.epochs, len(batches))
    # kNN judges a model while it trains; the rehearsal makes sure that the other classifiers will work, too.
    return Job(step, batches, lambda: evaluation.rehearse(model, config.evaluation.classifiers), rows, batches.identity,
               batches.about, draw, notes, None if isinstance(model, FrozenFeatures) else board)


def features_parts(model: FrozenFeatures, evaluation: LatentEvaluation,
                   seed: int) -> tuple[FeaturesStep, Batches, tuple[str, ...]]:
    """Return step, batches and notes of frozen features: one batch of everything, which asks for no image."""
    train = evaluation.train
    model.check(len(train.codes))
    # Principal components are fitted on all features.
    size = 4 * len(train.codes) * (len(model.center) if model.kind == "pca" else model.dimension) / 2**20
    return (FeaturesStep(model, lambda: embed(torch.nn.Flatten(), train.inputs, train.index, train.flip)),
            Batches(train.scenes, lambda index, flip: index, len(train.scenes), seed, reconstruct=False),
            (f"nothing trains: frozen features ({model.kind}) as latents of {model.dimension:,} dimensions, "
             f"{size:,.0f} MiB of the training data in memory",))


def few_steps(epochs: int, batches: int) -> tuple[str, ...]:
    """Return the line to say when a run starts that has too few steps for an autoencoder to learn much, or nothing."""
    steps = epochs * batches
    if steps >= ENOUGH_STEPS:
        return ()
    return (f"warning: {steps:,} steps in all may be too few for an autoencoder to learn much; for {ENOUGH_STEPS:,}: "
            f"--set training.epochs={-(-ENOUGH_STEPS // batches)}",)


def draw_reconstructions(model: Autoencoder, scenes: Scenes, inputs, folder: Path) -> None:
    """Write a sheet of images of a dataset and of what the model makes of them."""
    chosen = pick(scenes, 10)
    index = scenes.first[chosen]
    images = scenes.pixels(index).cpu().numpy()
    labels = [scenes.label_text(i) for i in chosen.tolist()]
    reconstruction_sheet(folder / f"reconstruction_{scenes.file_name}.png", images, reconstruct(model, inputs, index),
                         labels, f"Reconstruction of {scenes.title}, {scenes.split}; class above")


if __name__ == "__main__":
    run_script(lambda: train_command(__doc__, AUTOENCODER, build))
