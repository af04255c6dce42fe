"""Classifiers in the latent space, fitted on the training latents (Tables S6 and S7)."""

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from errors import UserError

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

SVM_C = 0.025
TREES = 100
CPU = torch.device("cpu")
# Of the distances that are held at a time on a GPU.
CHUNK_BYTES = 2**27


class Rescaled(NamedTuple):
    """A classifier that was fitted on latents as `rescale` returns them, and predicts of such."""

    classifier: "ClassifierMixin"
    rescale: Callable[[np.ndarray], np.ndarray]

    def predict(self, latents: np.ndarray) -> np.ndarray:
        return self.classifier.predict(self.rescale(latents))

    def predict_proba(self, latents: np.ndarray) -> np.ndarray:
        return self.classifier.predict_proba(self.rescale(latents))

    @property
    def classes_(self) -> np.ndarray:
        return self.classifier.classes_


class NearestNeighbours:
    """Majority among the k nearest training latents (Euclidean), on a GPU, in double precision.

    A tied vote goes to the smallest code, as in scikit-learn. Which of several training latents at the same distance
    as the k-th count is open here as there, so predictions may differ where that changes the majority.
    """

    def __init__(self, latents: np.ndarray, codes: np.ndarray, k: int, device: torch.device):
        """Keep training latents float32 (n, d) with their label codes (n,), n >= k."""
        self.classes_, numbers = np.unique(codes, return_inverse=True)
        self.numbers = torch.from_numpy(numbers).to(device)
        self.latents = torch.from_numpy(latents).to(device).double()
        self.square_norms = self.latents.square().sum(dim=1)
        self.k = k

    @torch.inference_mode()
    def predict(self, latents: np.ndarray) -> np.ndarray:
        """Return the label codes (m,) of latents float32 (m, d)."""
        # Of equal counts, argmax takes the first.
        return self.classes_[torch.cat([votes.argmax(dim=1) for votes in self._votes_of(latents)]).cpu().numpy()]

    @torch.inference_mode()
    def predict_proba(self, latents: np.ndarray) -> np.ndarray:
        """Return the share of the neighbours that each class has, float64 (m, classes), of latents float32 (m, d)."""
        return torch.cat(list(self._votes_of(latents))).cpu().numpy() / self.k

    def _votes_of(self, latents: np.ndarray) -> Iterator[Tensor]:
        """Yield `_votes` of as many latents at a time as there is room for distances of."""
        rows = max(1, CHUNK_BYTES // self.square_norms.nbytes)
        for chunk in torch.from_numpy(latents).to(self.latents.device).split(rows):
            yield self._votes(chunk.double())

    def _votes(self, latents: Tensor) -> Tensor:
        """Return how many neighbours each class has, (m, classes); classes are in the order of their codes."""
        # Less the square norm of the latent itself, which changes no order.
        distances = torch.addmm(self.square_norms, latents, self.latents.T, alpha=-2)
        numbers = self.numbers[distances.topk(self.k, largest=False).indices]
        counts = numbers.new_zeros(len(numbers), len(self.classes_))
        return counts.scatter_add_(1, numbers, torch.ones_like(numbers))


class Scale(NamedTuple):
    """Moves latents (n, d) by a center (d,) and divides them by a number."""

    center: np.ndarray
    deviation: float

    def __call__(self, latents: np.ndarray) -> np.ndarray:
        return (latents - self.center) / self.deviation


def common_scale(latents: np.ndarray) -> Scale:
    """Return what moves latents (n, d) to mean 0 and divides all dimensions by one number, to a mean variance of 1.

    So the latents' scale does not matter. One scale per dimension would: dimensions in which training latents hardly
    differ, and others do, would outweigh all others.
    """
    return Scale(latents.mean(axis=0), float(np.sqrt(latents.var(axis=0).mean())) or 1.0)


def check(name: str, codes: np.ndarray, neighbours: int) -> None:
    """Raise UserError when training samples with these label codes (n,) do not suffice for a classifier."""
    if name in ("knn", "knn_cosine") and neighbours > len(codes):
        raise UserError(f"model.knn: found {neighbours}, but there are only {len(codes)} training latents "
                        f"(mirror images included); allowed: 1 to {len(codes)}")
    if name in ("svm", "logistic") and len(np.unique(codes)) < 2:
        raise UserError(f"evaluation.classifiers: '{name}' needs at least two classes in the training data; found 1")


def fit(name: str, latents: np.ndarray, codes: np.ndarray, neighbours: int, seed: int,
        device: torch.device = CPU) -> "ClassifierMixin | Rescaled | NearestNeighbours":
    """Fit a classifier on latents float32 (n, d) and label codes (n,); UserError when they do not suffice.

    `knn`: Euclidean distance; `knn_cosine`, k nearest neighbours by cosine distance, is `knn` on latents of unit
    length, of which both distances have the same order (less latents of zeros, whose cosine distance is not defined);
    `forest`: 100 trees; `svm`: linear, C = 0.025; `logistic`: logistic regression with L2 penalty, C = 1, on latents at
    a common scale. On a GPU, neighbours are looked for there, with the same predictions but for ties in distance;
    everything else is scikit-learn's. What is returned has predict(latents float32 (m, d)) -> label codes (m,).
    """
    # Here, as scikit-learn takes a second, which runs without evaluation and all processes but the first need not wait.
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import normalize
    from sklearn.svm import SVC

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
