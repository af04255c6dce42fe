"""What an evaluation finds on one dataset: the predicted and the true classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dataset import Scenes
from experiment import predictions
from experiment.predictions import Predictions
from experiment.run import Run
from readers.labels import labels_of


@dataclass(frozen=True)
class Outcome:
    """Predicted and true label codes (n,) of a dataset's test samples; classifier: as in records."""

    scenes: Scenes
    classifier: str
    predicted: np.ndarray
    true: np.ndarray

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The accuracy as part of a record: dataset, factor, split, classifier, metric, value, n."""
        return [{**self.scenes.identity, "classifier": self.classifier, "metric": "accuracy",
                 "value": float(np.mean(self.predicted == self.true)), "n": len(self.true)}]

    def keep(self, run: Run, checkpoint: str) -> None:
        """Keep the predictions of a run's checkpoint in its folder."""
        seats, names = self.scenes.labels.shape[1], np.array(self.scenes.classes, dtype=np.str_)
        predicted, true = (labels_of(codes, seats) for codes in (self.predicted, self.true))
        predictions.save(run.folder, Predictions(
            run.experiment, run.config.training.seed, *self.scenes.identity.values(), self.classifier, checkpoint,
            predicted, true, names))
