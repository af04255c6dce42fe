"""Accuracy of a classification network itself, on the target datasets; a run's classifier for others to use."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from classifier.config import ClassifierConfig
from dataset import Scenes
from errors import UserError
from evaluation.command import Outcome
from evaluation.embedding import embed
from evaluation.recogniser import Recogniser
from experiment.run import Run
from frozen.inputs import LiveInputs
from pretrained_model import Classifier, build_classifier, stages
from readers.labels import label_codes


def rebuild_classifier(config: ClassifierConfig, classes: int, device: torch.device) -> Classifier:
    """Return the classifier of a run with so many classes, still without the run's weights."""
    return build_classifier(config.model.model_copy(update={"weights": "none"}), classes).to(device)


def recogniser(run: Run, device: torch.device) -> Recogniser:
    """Return a run's classifier, which waits for its weights; its classes are those of its training data."""
    train = Scenes(run.config.dataset, run.config.dataset.image_size, run.config.dataset.cache, device)
    labels = train.class_labels
    model = rebuild_classifier(run.config, len(labels), device)

    def features(images: Tensor) -> Tensor:
        seen = model.scale(images)
        for stage in stages(model.pre_trained_model):
            found = stage(seen)
            # The last map, before positions are pooled.
            if found.ndim != 4 or found.shape[-1] == 1:
                break
            seen = found
        return seen

    return Recogniser(model, features, tuple(train.class_text(label) for label in labels), per_pixel=False)


class NetworkEvaluation:
    """Scores a classifier's own predictions on every image of the test sets; `classes` (k, seats) names its outputs."""

    def __init__(self, model: Classifier, classes: np.ndarray, tests: list[Scenes]):
        self.model, self.codes, self.tests = model, label_codes(classes), tests

    def predict(self, scenes: Scenes, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return predicted and true label codes (n,) of all images of a dataset, or of the first `most`."""
        index, flip, codes = scenes.views(mirrored=scenes.mirrors_in_test, every_variant=True)
        logits = embed(self.model, LiveInputs(None, scenes), index[:most], flip[:most])
        if not np.isfinite(logits).all():
            raise UserError(f"{scenes.title}: outputs are not finite; the weights have diverged")
        return self.codes[logits.argmax(axis=1)], codes[:most]

    def rehearse(self) -> None:
        """Predict one image of each target, to find what cannot work before a run is made."""
        for scenes in self.tests:
            self.predict(scenes, most=1)

    def outcomes(self) -> list[Outcome]:
        """Return what the network predicts on each target."""
        return [Outcome(scenes, "network", *self.predict(scenes)) for scenes in self.tests]

    def rows(self) -> list[dict[str, Any]]:
        """Return the accuracies on all test sets."""
        return [row for found in self.outcomes() for row in found.rows]
