"""A finished classifier applied to new images."""

from pathlib import Path

import numpy as np
from scipy.special import softmax

from classifier.judge import rebuild_classifier
from dataset import Scenes
from errors import UserError
from evaluation.embedding import in_chunks
from evaluation.kept import kept
from evaluation.predictor import Described, Predictor, class_values, percent
from evaluation.trained import restore
from pretrained_model import Classifier
from readers.labels import label_text
from reporting.pictures import sample_sheet


class ClassifierPredictor(Predictor):
    """A classifier. labels: uint8 (k, seats), what its outputs stand for, from the training data, and kept in the run
    folder; classes: what their numbers are called.
    """

    model: Classifier
    shown = 20

    def build(self) -> Classifier:
        found = kept(self.run.folder, f"classes_{self.checkpoint}", self.made_of, self._find_classes,
                     ("labels", "classes"), _are_classes)
        self.labels, self.classes = found["labels"], found["classes"].tolist()
        return rebuild_classifier(self.run.config, len(self.labels), self.device)

    def _find_classes(self) -> dict[str, np.ndarray]:
        section = self.run.config.dataset
        train = Scenes(section, self.size, section.cache, self.device)
        # Classes of data that the weights are not of are not kept.
        restore(rebuild_classifier(self.run.config, len(train.class_labels), self.device), self.run, self.checkpoint)
        return {"labels": train.class_labels, "classes": np.array(train.classes, dtype=np.str_)}

    def classify(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return of images, see `as_input`, labels uint8 (n, seats), a class number each, and their probabilities (n,).
        """
        logits = in_chunks(self.model, self.as_input(images)).astype(np.float64)
        if not np.isfinite(logits).all():
            raise UserError(f"{self.run.folder}: outputs are not finite; the weights have diverged")
        return self.labels[logits.argmax(axis=1)], softmax(logits, axis=1).max(axis=1)

    def texts(self, labels: np.ndarray) -> list[str]:
        """Return labels (n, seats) for people: the class, or the numbers of the seats' classes as in `3_0_2`."""
        return [label_text(label, self.classes) for label in labels]

    def describe(self, images: np.ndarray) -> list[Described]:
        return [Described(class_values(label, self.classes) | {"confidence": float(share)})
                for label, share in zip(*self.classify(images), strict=True)]

    def draw(self, path: Path, images: np.ndarray, title: str) -> None:
        """Draw images with their classes and how probable these are."""
        labels, sure = self.classify(images)
        texts = [f"{name}, {percent(share)}" for name, share in zip(self.texts(labels), sure, strict=True)]
        sample_sheet(path, images, texts, f"{title}; above each: predicted class, its probability")


def _are_classes(found: dict[str, np.ndarray]) -> bool:
    labels, classes = found["labels"], found["classes"]
    return (labels.dtype.kind in "iu" and labels.ndim == 2 and labels.size > 0 and classes.ndim == 1
            and classes.dtype.kind == "U" and labels.min() >= 0 and labels.max() < len(classes))
