"""A finished autoencoder applied to new images: latents, classes, nearest training images, reconstructions."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

from autoencoder.judge import LatentEvaluation, describe, has_own_statistics, rebuild_autoencoder
from autoencoder.latent_classifiers import fit
from autoencoder.linear import LINEAR, kept_linear
from autoencoder.saved_latents import LARGEST, SavedLatents, load, path_of, save
from dataset import Scenes
from errors import UserError
from evaluation.embedding import in_chunks
from evaluation.kept import warn_of_others
from evaluation.predictor import Described, Predictor, class_values, percent, reader_of
from experiment.run import Run
from files import dataset_file_name
from frozen.inputs import create_inputs, features_of
from model import Autoencoder, FrozenFeatures, check_fits
from readers.labels import label_text, labels_of
from readers.opened import joined_title
from reporting.pictures import pair_sheet

# Those that plain arrays can hold.
CLASSIFIERS = ("knn", "knn_cosine", *LINEAR)


class AutoencoderPredictor(Predictor):
    """An autoencoder, or frozen features, with a classifier of its latents.

    Training latents and what a linear classifier has learned of them are kept in the run folder; they are computed of
    the training data where they are not there, when they are first needed.
    """

    model: Autoencoder | FrozenFeatures
    options = ("classifier",)

    def __init__(self, run: Run, checkpoint: str, device: torch.device, prepare_as: str | None = None,
                 classifier: str = "knn"):
        """classifier: one of CLASSIFIERS; how many neighbours kNN looks at, the config says."""
        if classifier not in CLASSIFIERS:
            raise UserError(f"--classifier: found '{classifier}'; allowed, as plain arrays can hold them: "
                            f"{', '.join(CLASSIFIERS)}")
        self.name = classifier
        super().__init__(run, checkpoint, device, prepare_as)
        self.once = has_own_statistics(self.run, self.model)

    def build(self) -> Autoencoder | FrozenFeatures:
        config = self.run.config
        check_fits(config.model, self.size)
        return rebuild_autoencoder(config, self.channels, self.device)

    @cached_property
    def train(self) -> SavedLatents:
        """The training latents as evaluation has them, from `latents/` of the run folder, which they are written to.

        Raises UserError for a file that is damaged, and where they are not there and neither is the training data.
        """
        section = self.run.config.dataset
        readers = [reader_of(section.model_copy(update={"root": root})) for root in section.roots]
        name = dataset_file_name(joined_title(readers), ", ".join(section.factor), readers[0].split)
        path = path_of(self.run.folder, name, self.checkpoint)
        if path.exists():
            saved = load(path)
            if (saved.about["weights"], saved.about["role"]) == (self.weights, "training"):
                return saved
            warn_of_others(path)
        saved = self._embed_training()
        save(path, saved)
        return saved

    def _embed_training(self) -> SavedLatents:
        config = self.run.config
        scenes = Scenes(config.dataset, self.size, config.dataset.cache, self.device)
        inputs = create_inputs(self.model, scenes, config.dataset.cache, once=self.once)
        samples = LatentEvaluation((scenes, inputs), [], config.model.knn, config.training.seed).train
        about = describe(self.run, self.checkpoint, self.epoch, self.device) | {"role": "training"}
        return samples.pack(samples.embed(self.model), about)

    @cached_property
    def classifier(self) -> Any:
        """The classifier of latents; see `latent_classifiers.fit`."""
        if self.name in LINEAR:
            return kept_linear(self.name, self.run.folder, self.checkpoint, self.train)
        config = self.run.config
        return fit(self.name, self.train.latents, self.train.codes, config.model.knn, config.training.seed, self.device)

    @cached_property
    def _neighbours(self) -> NearestNeighbors:
        return NearestNeighbors(n_neighbors=1).fit(self.train.latents)

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Return the latents float32 (n, d) of images, see `as_input`. UserError where they are not finite."""
        latents = in_chunks(lambda part: self.model.encode(features_of(self.model, part, self.once)).float(),
                            self.as_input(images))
        if not (np.abs(latents) < LARGEST).all():
            raise UserError(f"images: their latents are not finite, or beyond {LARGEST:g}; the weights have diverged")
        return latents

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return images float32 (n, channels, height, width) in (0, 1) of latents (n, d). UserError without a decoder.
        """
        if isinstance(self.model, FrozenFeatures):
            raise UserError(f"{self.run.folder}: frozen features have no decoder; allowed: runs of an autoencoder")
        return in_chunks(self.model.decode, torch.from_numpy(np.asarray(latents, dtype=np.float32)).to(self.device))

    def classify(self, latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return of latents (n, d) the labels uint8 (n, seats), a class number each, and how sure that is (n,).

        In [0, 1]: of kNN the share of the neighbours that have this label, of logistic regression its probability; NaN
        of an SVM, which has none.
        """
        if self.name == "svm":
            codes, sure = self.classifier.predict(latents), np.full(len(latents), np.nan)
        else:
            shares = self.classifier.predict_proba(latents)
            codes, sure = self.classifier.classes_[shares.argmax(axis=1)], shares.max(axis=1)
        return labels_of(codes, self.train.labels.shape[1]), sure

    def texts(self, labels: np.ndarray) -> list[str]:
        """Return labels (n, seats) for people: the class, or the numbers of the seats' classes as in `3_0_2`."""
        return [label_text(label, self.train.classes) for label in labels]

    def nearest(self, latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return of latents (n, d) the row (n,) of the nearest training latent in `train`, and how far it is (n,)."""
        rows = self._neighbours.kneighbors(latents, return_distance=False)[:, 0]
        return rows, np.linalg.norm(latents - self.train.latents[rows], axis=1)

    def describe(self, images: np.ndarray) -> list[Described]:
        train, latents = self.train, self.embed(images)
        (labels, sure), (rows, distances) = self.classify(latents), self.nearest(latents)
        near = self.texts(train.labels[rows])
        return [Described(class_values(labels[i], train.classes) | {
            "confidence": float(sure[i]), "distance": float(distances[i]), "nearest": str(train.sources[row]),
            "nearest_class": near[i], "nearest_mirrored": "yes" if train.flip[row] else "no"})
            for i, row in enumerate(rows)]

    def draw(self, path: Path, images: np.ndarray, title: str) -> None:
        """Draw images with their classes, reconstructions, and the nearest training images, where these are there."""
        latents = self.embed(images)
        (labels, sure), (near, _) = self.classify(latents), self.nearest(latents)
        texts = [f"{name}\n{percent(share)}".strip() for name, share in zip(self.texts(labels), sure, strict=True)]
        rows = {"input": (images, texts)}
        if not isinstance(self.model, FrozenFeatures):
            rows["recon-\nstruction"] = (self.decode(latents), [])
        training = self._training_images(near)
        if training is not None:
            rows["nearest\ntraining\nimage"] = (training, self.texts(self.train.labels[near]))
        pair_sheet(path, rows, f"{title}; above each: its class ({self.name}), and confidence")

    def _training_images(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the training images of rows (n,) of `train`, uint8; None where they cannot be had (any more)."""
        reader = reader_of(self.run.config.dataset)
        # One large file would be read from its beginning for each of them.
        if reader.stream([], self.size) is not None:
            return None
        try:
            images = [reader.prepare(source, self.size) for source in self.train.sources[rows].tolist()]
        except (UserError, OSError):
            return None
        return np.stack([image[:, :, ::-1] if flip else image
                         for image, flip in zip(images, self.train.flip[rows], strict=True)])
