"""Classifiers in the latent space, fitted on the training latents (Tables S6 and S7)."""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize
from sklearn.svm import SVC

from autoencoder.neighbours import NearestNeighbours
from errors import UserError

SVM_C = 0.025
TREES = 100
CPU = torch.device("cpu")


class Rescaled:
    """A classifier that was fitted on latents as `rescale` returns them, and predicts of such."""

    def __init__(self, classifier: ClassifierMixin, rescale: Callable[[np.ndarray], np.ndarray]):
        self.classifier, self.rescale = classifier, rescale

    def predict(self, latents: np.ndarray) -> np.ndarray:
        return self.classifier.predict(self.rescale(latents))


def common_scale(latents: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what moves latents (n, d) to mean 0 and divides all dimensions by one number, to a mean variance of 1.

    So the latents' scale does not matter. One scale per dimension would: dimensions in which training latents hardly
    differ, and others do, would outweigh all others.
    """
    center, deviation = latents.mean(axis=0), float(np.sqrt(latents.var(axis=0).mean())) or 1.0
    return lambda others: (others - center) / deviation


def check(name: str, codes: np.ndarray, neighbours: int) -> None:
    """Raise UserError when training samples with these label codes (n,) do not suffice for a classifier."""
    if name in ("knn", "knn_cosine") and neighbours > len(codes):
        raise UserError(f"model.knn: found {neighbours}, but there are only {len(codes)} training latents "
                        f"(mirror images included); allowed: 1 to {len(codes)}")
    if name in ("svm", "logistic") and len(np.unique(codes)) < 2:
        raise UserError(f"evaluation.classifiers: '{name}' needs at least two classes in the training data; found 1")


def fit(name: str, latents: np.ndarray, codes: np.ndarray, neighbours: int, seed: int,
        device: torch.device = CPU) -> ClassifierMixin | Rescaled | NearestNeighbours:
    """Fit a classifier on latents float32 (n, d) and label codes (n,); UserError when they do not suffice.

    `knn`: Euclidean distance; `knn_cosine`, k nearest neighbours by cosine distance, is `knn` on latents of unit
    length, of which both distances have the same order (less latents of zeros, whose cosine distance is not defined);
    `forest`: 100 trees; `svm`: linear, C = 0.025; `logistic`: logistic regression with L2 penalty, C = 1, on latents at
    a common scale. On a GPU, neighbours are looked for there, with the same predictions but for ties in distance;
    everything else is scikit-learn's. What is returned has predict(latents float32 (m, d)) -> label codes (m,).
    """
    check(name, codes, neighbours)
    if name == "knn_cosine":
        return Rescaled(fit("knn", normalize(latents), codes, neighbours, seed, device), normalize)
    if name == "logistic":
        rescale = common_scale(latents)
        return Rescaled(LogisticRegression(max_iter=1000).fit(rescale(latents), codes), rescale)
    # On a CPU scikit-learn is the faster one.
    if name == "knn" and device.type != "cpu":
        return NearestNeighbours(latents, codes, neighbours, device)
    classifier = {"knn": KNeighborsClassifier(n_neighbors=neighbours), "svm": SVC(kernel="linear", C=SVM_C),
                  "forest": RandomForestClassifier(n_estimators=TREES, random_state=seed, n_jobs=-1)}[name]
    with warnings.catch_warnings():
        # Many classes with a few samples each: scikit-learn suspects a regression.
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        return classifier.fit(latents, codes)
