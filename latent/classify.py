"""Classifiers in the latent space, fitted on the training latents (Tables S6 and S7)."""

import warnings

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from errors import UserError

SVM_C = 0.025
TREES = 100


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


def fit(name: str, latents: np.ndarray, codes: np.ndarray, neighbours: int, seed: int) -> ClassifierMixin:
    """Fit a classifier on latents (n, d) and label codes (n,); UserError when they do not suffice."""
    check(name, codes, neighbours)
    with warnings.catch_warnings():
        # Many classes with a few samples each: scikit-learn suspects a regression.
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        return create_classifier(name, neighbours, seed).fit(latents, codes)


def accuracy(classifier: ClassifierMixin, latents: np.ndarray, codes: np.ndarray) -> float:
    """Return the share of latents (n, d) whose predicted label code is right, in [0, 1]."""
    return float(np.mean(classifier.predict(latents) == codes))
