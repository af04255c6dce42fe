"""Accuracy on the evaluation datasets of classifiers that were fitted on the training latents."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoencoder.config import AutoencoderConfig
from autoencoder.latent_classifiers import check, fit
from autoencoder.saved_latents import LARGEST, VERSION, SavedLatents
from dataset import Inputs, Scenes, open_evaluation_datasets
from errors import UserError
from evaluation.command import Outcome
from evaluation.embedding import embed
from experiment.run import Run, describe_environment
from files import fingerprint_file
from frozen.inputs import create_inputs
from model import Autoencoder, check_fits, create_autoencoder
from training.journal import selection


@dataclass
class Samples:
    """What an evaluation embeds of a dataset; see `Scenes.views`."""

    scenes: Scenes
    inputs: Inputs
    index: Tensor
    flip: Tensor
    codes: np.ndarray

    @property
    def scenery(self) -> np.ndarray:
        """Return the number of each view's scenery, int64 (n,)."""
        return (torch.searchsorted(self.scenes.first, self.index, right=True) - 1).cpu().numpy()

    @property
    def labels(self) -> np.ndarray:
        """Return the label of each view, (n, seats), reversed for mirror images."""
        labels = self.scenes.labels[self.scenery]
        return np.where(self.flip.cpu().numpy()[:, None], labels[:, ::-1], labels)

    def pack(self, latents: np.ndarray, about: dict[str, Any]) -> SavedLatents:
        """Return latents (n, d) of these samples with all that is saved beside them; `about`: see SavedLatents."""
        sources = np.array(self.scenes.sources)[self.index.cpu().numpy()]
        return SavedLatents(latents, self.codes, self.labels, self.scenery, self.flip.cpu().numpy(), sources,
                            np.array(self.scenes.classes), about | self.scenes.identity)

    def embed(self, model: Autoencoder, most: int | None = None) -> np.ndarray:
        """Return the latents (n, d) of all samples, or of the first `most`; UserError where they have no distances."""
        latents = embed(model.encode, self.inputs, self.index[:most], self.flip[:most])
        if not (np.abs(latents) < LARGEST).all():
            raise UserError(f"{self.scenes.title}: latents are not finite, or beyond {LARGEST:g}; the weights have "
                            "diverged")
        return latents


class LatentEvaluation:
    """Fits classifiers on the latents of the training sceneries and their mirror images, scores them on the test sets.

    One variant per training scenery, drawn from the seed; every image of the test sets, mirror images only where the
    dataset counts them as test samples.
    """

    def __init__(self, train: tuple[Scenes, Inputs], tests: list[tuple[Scenes, Inputs]], neighbours: int, seed: int):
        self.train = Samples(*train, *train[0].views(mirrored=True, seed=seed))
        self.tests = [Samples(scenes, inputs, *scenes.views(mirrored=scenes.mirrors_in_test, every_variant=True))
                      for scenes, inputs in tests]
        self.neighbours, self.seed = neighbours, seed

    def rehearse(self, model: Autoencoder, classifiers: list[str]) -> None:
        """Embed one image of each dataset and check the sizes, to find what cannot work before a run is made."""
        for name in classifiers if self.tests else ():
            check(name, self.train.codes, self.neighbours)
        for samples in (self.train, *self.tests):
            samples.embed(model, most=1)

    def outcomes(self, model: Autoencoder, classifiers: list[str]) -> list[Outcome]:
        """Return what each classifier predicts on each target; the model must be in evaluation mode."""
        if not self.tests:
            return []
        latents = self.train.embed(model)
        fitted = {name: fit(name, latents, self.train.codes, self.neighbours, self.seed, self.train.scenes.device)
                  for name in classifiers}
        found = []
        for samples in self.tests:
            latents = samples.embed(model)
            for name, classifier in fitted.items():
                found.append(Outcome(samples.scenes, name, classifier.predict(latents), samples.codes))
        return found


class TrainedAutoencoder:
    """A run's autoencoder with the datasets of its config; `evaluation.trained.restore` gives the model its weights."""

    def __init__(self, run: Run, device: torch.device):
        config: AutoencoderConfig = run.config
        self.run, self.config = run, config
        check_fits(config.model, config.dataset.image_size)
        self.train = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, device)
        self.tests = open_evaluation_datasets(config, self.train)
        self.model = rebuild_autoencoder(config, self.train.channels, device)

    def evaluation(self) -> LatentEvaluation:
        """Return the evaluation of the model with the weights that it now has."""
        once = has_own_statistics(self.run, self.model)
        train, *tests = [(each, create_inputs(self.model, each, self.config.dataset.cache, once=once))
                         for each in (self.train, *self.tests)]
        return LatentEvaluation(train, tests, self.config.model.knn, self.config.training.seed)


def rebuild_autoencoder(config: AutoencoderConfig, channels: int, device: torch.device) -> Autoencoder:
    """Return the autoencoder of a run that was trained on images of so many channels, still without its weights."""
    section = config.model.model_copy(update={"weights": "none"})
    return create_autoencoder(section, config.dataset.image_size, channels).to(device)


def has_own_statistics(run: Run, model: Autoencoder) -> bool:
    """Say whether a run's extractor has BatchNorm statistics that no other run has, as published ones do."""
    return run.published and model.frozen is not None and bool(model.frozen.norms)


def describe(run: Run, checkpoint: str, epoch: int | None, device: torch.device) -> dict[str, Any]:
    """Return what saved latents of any dataset say of their making, see `SavedLatents.about`."""
    return {"version": VERSION, "experiment": run.experiment, "seed": run.config.training.seed,
            "checkpoint": checkpoint, "epoch": epoch, "selection": selection(run, checkpoint),
            "weights": fingerprint_file(run.weights(checkpoint)),
            "environment": describe_environment(run.experiment, str(device))}
