"""Accuracy on the target datasets of classifiers that were fitted on the training latents."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dataset import Inputs, Scenes
from latent.classify import check, fit
from latent.extract import embed
from latent.outcome import Outcome
from model import Autoencoder


@dataclass
class _Views:
    """What an evaluation embeds of a dataset; see `Scenes.views`."""

    scenes: Scenes
    inputs: Inputs
    index: Tensor
    flip: Tensor
    codes: np.ndarray

    def embed(self, model: Autoencoder, most: int | None = None) -> np.ndarray:
        return embed(model.encode, self.inputs, self.index[:most], self.flip[:most])


class LatentEvaluation:
    """Fits classifiers on the latents of the training sceneries and their mirror images, scores them on the targets.

    One variant per training scenery, drawn from the seed; every image of the targets, mirror images only where the
    dataset counts them as test samples.
    """

    def __init__(self, train: tuple[Scenes, Inputs], targets: list[tuple[Scenes, Inputs]], neighbours: int, seed: int):
        self.train = _Views(*train, *train[0].views(mirrored=True, seed=seed))
        self.targets = [_Views(scenes, inputs, *scenes.views(mirrored=scenes.mirrors_in_test, every_variant=True))
                        for scenes, inputs in targets]
        self.neighbours, self.seed = neighbours, seed

    def rehearse(self, model: Autoencoder, classifiers: list[str]) -> None:
        """Embed one image of each dataset and check the sizes, to find what cannot work before a run is made."""
        for name in classifiers if self.targets else ():
            check(name, self.train.codes, self.neighbours)
        for views in (self.train, *self.targets):
            views.embed(model, most=1)

    def outcomes(self, model: Autoencoder, classifiers: list[str]) -> list[Outcome]:
        """Return what each classifier predicts on each target.

        The model must be in evaluation mode.
        """
        if not self.targets:
            return []
        latents = self.train.embed(model)
        fitted = {name: fit(name, latents, self.train.codes, self.neighbours, self.seed, self.train.scenes.device)
                  for name in classifiers}
        found = []
        for views in self.targets:
            latents = views.embed(model)
            for name, classifier in fitted.items():
                found.append(Outcome(views.scenes, name, classifier.predict(latents), views.codes))
        return found
