"""Classifiers in the latent space, fitted on the training latents (Tables S6 and S7)."""

import warnings
from typing import Protocol

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from autoencoder.neighbours import NearestNeighbours
from errors import UserError

SVM_C = 0.025
TREES = 100
CPU = torch.device("cpu")


class Fitted(Protocol):
    """A fitted classifier: predict(latents float32 (n, d)) -> label codes (n,)."""

    def predict(self, latents: np.ndarray) -> np.ndarray: ...


def create_classifier(name: str, neighbours: int, seed: int) -> ClassifierMixin:
    """Return an unfitted classifier: `knn` (Euclidean), `forest` (100 trees) or `svm` (linear, C = 0.025)."""
    if name == "knn":
        return KNeighborsClassifier(n_neighbors=neighbours)
    if name == "forest":
        return RandomForestClassifier(n_estimators=TREES, random_state=seed, n_jobs=-1)
    return SVC(kernel="linear", C=SVM_C)


def check(name: str, codes: np.ndarray, neighbours: int) -> None:
    """Raise UserError when training samples with these label codes (n,) do not suffice for a classifier."""
    if name == "knn" and neighbours > len(codes):
        raise UserError(f"model.knn: found {neighbours}, but there are only {len(codes)} training latents "
                        f"(mirror images included); allowed: 1 to {len(codes)}")
    if name == "svm" and len(np.unique(codes)) < 2:
        raise UserError("evaluation.classifiers: 'svm' needs at least two classes in the training data; found 1")


def fit(name: str, latents: np.ndarray, codes: np.ndarray, neighbours: int, seed: int,
        device: torch.device = CPU) -> Fitted:
    """Fit a classifier on latents float32 (n, d) and label codes (n,); UserError when they do not suffice.

    On a GPU, neighbours are looked for there, with the same predictions but for ties in distance; everything else is
    scikit-learn's.
    """
    check(name, codes, neighbours)
    # On a CPU scikit-learn is the faster one.
    if name == "knn" and device.type != "cpu":
        return NearestNeighbours(latents, codes, neighbours, device)
    with warnings.catch_warnings():
        # Many classes with a few samples each: scikit-learn suspects a regression.
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        return create_classifier(name, neighbours, seed).fit(latents, codes)
