"""Draw what trained autoencoders make of images, and save the latent spaces.

Per dataset and checkpoint, a sheet shows images with their targets, reconstructions and nearest training images in
the latent space, framed by whether k-nearest-neighbours predict the class: images/latent_<dataset>_<checkpoint>.png
and .pdf in the run folder. A training image counts among its own neighbours for the prediction, but the nearest one
shown is of another scenery. Targets are drawn as in training; for models without impossible targets they are the images
themselves. Frozen features have no decoder, so their sheets are without targets and reconstructions. The latents that
evaluation classifies are saved in latents/<dataset>_<checkpoint>.npz; autoencoder/saved_latents.py says what lies in
them. plot_extracted_and_saved_latent_space.py draws them.
"""

import argparse
from pathlib import Path

from tqdm import tqdm

from autoencoder.judge import TrainedAutoencoder, describe
from autoencoder.latent_classifiers import fit
from autoencoder.nearest import Shown, show
from autoencoder.saved_latents import path_of, save
from dataset import Scenes
from errors import check_range, run_script
from evaluation.command import create_parser, open_trained
from evaluation.sheets import pick
from evaluation.trained import restore
from experiment.systems import AUTOENCODER
from reporting.pictures import verdict_sheet
from utils import choose_device

TARGETS = {"none": "target:\ninput", "scene": "target:\nother\nvariant", "instance": "target:\nsame class"}


def main() -> None:
    arguments = parse()
    runs = open_trained(arguments, AUTOENCODER)
    for run in tqdm(runs, desc="runs", unit="run", disable=None):
        trained = TrainedAutoencoder(run, choose_device(run.config.training.device, run.config.training.gpu))
        # The training dataset is drawn and saved anyway.
        trained.tests = [scenes for scenes in trained.tests if scenes.identity != trained.train.identity]
        for checkpoint in arguments.checkpoint or run.saved:
            process(trained, checkpoint, arguments.images)


def parse() -> argparse.Namespace:
    parser = create_parser(__doc__)
    parser.add_argument("--images", type=int, default=20, metavar="N",
                        help="show so many images of each dataset, of as many classes as possible (default: 20)")
    arguments = parser.parse_args()
    check_range("--images", arguments.images, 1, 100)
    return arguments


def process(trained: TrainedAutoencoder, checkpoint: str, count: int) -> None:
    """Save the latents of all datasets of a run under one checkpoint, and draw a sheet of each."""
    run, training, model = trained.run, trained.config.training, trained.model
    about = describe(run, checkpoint, restore(model, run, checkpoint), trained.train.device)
    model.eval()
    evaluation = trained.evaluation()
    train = evaluation.train
    latents = train.embed(model)
    classifier = fit("knn", latents, train.codes, trained.config.model.knn, training.seed)
    for samples in (train, *evaluation.tests):
        own = latents if samples is train else samples.embed(model)
        path = path_of(run.folder, samples.scenes.file_name, checkpoint)
        save(path, samples.pack(own, about | {"role": "training" if samples is train else "evaluation"}))
        tqdm.write(f"latents: {path} ({own.shape[0]} x {own.shape[1]})")
        shown = show(model, samples, own, train, latents, classifier, pick(samples.scenes, count), training.impossible,
                     training.seed)
        for picture in draw(trained, samples.scenes, shown, checkpoint, about["epoch"]):
            tqdm.write(f"picture: {picture}")


def draw(trained: TrainedAutoencoder, scenes: Scenes, shown: Shown, checkpoint: str, epoch: int | None) -> list[Path]:
    """Draw the sheet of a dataset; return the paths."""
    labels, predicted, near = ([scenes.class_text(label) for label in each]
                               for each in (shown.labels, shown.predicted, shown.nearest_labels))
    rows = {"input": (shown.inputs, labels)}
    if shown.outputs is not None:
        rows |= {TARGETS[trained.config.training.impossible]: (shown.targets, []),
                 "recon-\nstruction": (shown.outputs, [])}
    rows["nearest\ntraining\nimage"] = (shown.nearest, near)
    title = (f"{scenes.title}, {scenes.split}: {trained.run.experiment}, seed {trained.config.training.seed}, "
             f"{checkpoint} weights (epoch {'unknown' if epoch is None else epoch}); class above, prediction of kNN "
             f"(k = {trained.config.model.knn}) below it")
    path = trained.run.images / f"latent_{scenes.file_name}_{checkpoint}"
    return verdict_sheet(path, rows, predicted, shown.right.tolist(), title)


if __name__ == "__main__":
    run_script(main)
