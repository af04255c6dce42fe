"""What a model makes of single images: target, reconstruction, predicted class, nearest training image."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import cdist
from sklearn.base import ClassifierMixin
from torch import Tensor

from autoencoder.judge import Samples
from autoencoder.pairing import Impossible, Pairing
from evaluation.embedding import reconstruct
from model import Autoencoder, FrozenFeatures
from readers.labels import labels_of


@dataclass(frozen=True)
class Shown:
    """Some images of a dataset, in what a model makes of them; images are float32 (n, C, H, W) in [0, 1].

    inputs; targets: what training would have reconstructed; outputs: what is reconstructed (None without a decoder);
    nearest: the training image with the nearest latent; labels, predicted, nearest_labels: (n, seats); right: bool
    (n,).
    """

    inputs: np.ndarray
    targets: np.ndarray
    outputs: np.ndarray | None
    nearest: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    nearest_labels: np.ndarray
    right: np.ndarray


def show(model: Autoencoder | FrozenFeatures, samples: Samples, latents: np.ndarray, train: Samples,
         train_latents: np.ndarray, classifier: ClassifierMixin, sceneries: Tensor, impossible: Impossible,
         seed: int) -> Shown:
    """Return what becomes of sceneries (k,) of a dataset, unmirrored.

    latents, train_latents: of all samples, of all training samples; classifier: fitted on the latter; impossible: how
    the targets were drawn in training. The nearest training image is one of another scenery. The model must be in
    evaluation mode.
    """
    scenes, rows = samples.scenes, first_rows(samples, sceneries)
    index, flip = samples.index[rows], samples.flip[rows]
    own = samples.scenery[rows, None] == train.scenery if samples is train else None
    near = nearest(latents[rows], train_latents, own)
    codes = classifier.predict(latents[rows])
    return Shown(
        inputs=scenes.gather(index, flip).cpu().numpy(),
        targets=draw_targets(samples, rows, impossible, seed),
        outputs=None if isinstance(model, FrozenFeatures) else reconstruct(model, samples.inputs, index),
        nearest=train.scenes.gather(train.index[near], train.flip[near]).cpu().numpy(),
        labels=samples.labels[rows], predicted=labels_of(codes, scenes.labels.shape[1]),
        nearest_labels=train.labels[near], right=codes == samples.codes[rows],
    )


def first_rows(samples: Samples, sceneries: Tensor) -> np.ndarray:
    """Return the first row of each scenery (k,) among the samples, which is not mirrored."""
    present, rows = np.unique(samples.scenery, return_index=True)
    return rows[np.searchsorted(present, sceneries.cpu().numpy())]


def nearest(latents: np.ndarray, others: np.ndarray, forbidden: np.ndarray | None = None) -> np.ndarray:
    """Return the rows (n,) of the nearest `others` (m, d) to latents (n, d), less the pairs `forbidden` (n, m)."""
    distances = cdist(latents, others)
    if forbidden is not None:
        distances[forbidden] = np.inf
    return distances.argmin(axis=1)


def draw_targets(samples: Samples, rows: np.ndarray, impossible: Impossible, seed: int) -> np.ndarray:
    """Return target images (n, C, H, W) of unmirrored samples (n,), drawn as in training: the images themselves or,
    for I- and II-models, another variant or another scenery of the class.
    """
    scenes = samples.scenes
    pairing = Pairing(scenes.first, scenes.count, scenes.labels, scenes.mirrors, scenes.empty)
    scenery = torch.from_numpy(samples.scenery[rows]).to(scenes.device)
    generator = torch.Generator(scenes.device).manual_seed(seed)
    image, view = pairing.targets(torch.stack([samples.index[rows], scenery * pairing.flips]), impossible, generator)
    return scenes.gather(image, pairing.is_flipped(view)).cpu().numpy()
