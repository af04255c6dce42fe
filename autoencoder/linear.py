"""Linear classifiers of latents as plain arrays, which can be kept in a file: they say what scikit-learn's say."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin

from autoencoder.latent_classifiers import Rescaled, Scale, fit
from autoencoder.saved_latents import SavedLatents
from evaluation.kept import kept


@dataclass(frozen=True)
class Linear(ABC):
    """Scores of latents (n, d) that are moved by `center` (d,) and divided by `deviation` (): coefficients (r, d),
    intercepts (r,). classes_: int64 (k,) label codes, ascending.
    """

    classes_: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    center: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, fitted: ClassifierMixin | Rescaled) -> "Linear":
        """Return the arrays of a classifier that `latent_classifiers.fit` has fitted."""
        inner, scale = fitted if isinstance(fitted, Rescaled) else (fitted, Scale(np.zeros(fitted.n_features_in_), 1.0))
        return cls(inner.classes_, inner.coef_, inner.intercept_, scale.center, np.float64(scale.deviation))

    @staticmethod
    @abstractmethod
    def rows(classes: int) -> int:
        """Return how many rows of coefficients there are for so many classes."""

    @abstractmethod
    def predict(self, latents: np.ndarray) -> np.ndarray:
        """Return the label codes (n,) of latents (n, d)."""

    def scores(self, latents: np.ndarray) -> np.ndarray:
        """Return the scores float64 (n, r) of latents (n, d)."""
        latents = Scale(self.center, float(self.deviation))(latents.astype(np.float64))
        return latents @ self.coefficients.T + self.intercepts


class Logistic(Linear):
    """A logistic regression: a row of coefficients per class, of two classes one, that of the second."""

    @staticmethod
    def rows(classes: int) -> int:
        return classes if classes > 2 else 1

    def predict_proba(self, latents: np.ndarray) -> np.ndarray:
        """Return the probability of each class, float64 (n, k), of latents (n, d)."""
        scores = self.scores(latents)
        if scores.shape[1] > 1:
            return softmax(scores, axis=1)
        second = expit(scores)
        return np.concatenate([1 - second, second], axis=1)

    def predict(self, latents: np.ndarray) -> np.ndarray:
        return self.classes_[self.predict_proba(latents).argmax(axis=1)]


class Svm(Linear):
    """A linear support vector machine: a row per pair of classes, which vote. It has no probabilities."""

    @staticmethod
    def rows(classes: int) -> int:
        return classes * (classes - 1) // 2

    def predict(self, latents: np.ndarray) -> np.ndarray:
        # scikit-learn turns the sign where there are two classes only.
        scores = self.scores(latents) * (-1 if len(self.classes_) == 2 else 1)
        pairs = np.array(list(combinations(range(len(self.classes_)), 2)))
        votes = np.zeros((len(latents), len(self.classes_)), dtype=np.int64)
        np.add.at(votes, (np.arange(len(latents))[:, None], np.where(scores > 0, pairs[:, 0], pairs[:, 1])), 1)
        # Of equal counts, argmax takes the first.
        return self.classes_[votes.argmax(axis=1)]


LINEAR: dict[str, type[Linear]] = {"logistic": Logistic, "svm": Svm}


def kept_linear(name: str, folder: Path, checkpoint: str, train: SavedLatents) -> Linear:
    """Return a linear classifier by name (LINEAR) that a run folder keeps, fitted where it keeps none of these latents.
    Raises UserError for a file that is damaged.
    """
    kind, dimension = LINEAR[name], train.latents.shape[1]

    def fits(found: dict[str, np.ndarray]) -> bool:
        codes, rows = np.unique(train.codes), kind.rows(len(np.unique(train.codes)))
        shapes = {"coefficients": (rows, dimension), "intercepts": (rows,), "center": (dimension,), "deviation": ()}
        return np.array_equal(found["classes_"], codes) and all(
            found[key].shape == shape and found[key].dtype.kind == "f" for key, shape in shapes.items())

    content = sha256(train.latents.tobytes() + train.codes.tobytes())
    arrays = kept(folder, f"{name}_{checkpoint}", [f"{train.about['weights']} {content.hexdigest()}"],
                  lambda: asdict(kind.of(fit(name, train.latents, train.codes, 1, train.about["seed"]))),
                  [field.name for field in fields(kind)], fits)
    return kind(**arrays)
