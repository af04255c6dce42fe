"""A finished segmentation network applied to new images: label maps, overlays, shares of the classes."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from evaluation.embedding import in_chunks
from evaluation.predictor import Described, Predictor
from files import replacing
from pretrained_model import folded
from readers.images import open_colour
from readers.streets import Streets
from reporting.streets import label_sheet, overlay
from segmentation.deeplab import DeepLab
from segmentation.judge import PIXELS, recogniser

LABELS, OVERLAYS = "labels", "overlays"


class SegmentationPredictor(Predictor):
    """A segmentation network. classes: what the class numbers are called."""

    reader: Streets
    model: DeepLab
    pictures = (LABELS, OVERLAYS)
    shown = 6

    def build(self) -> DeepLab:
        class_map = self.reader.class_map
        self.classes, self.colours = class_map.classes, class_map.colours
        return recogniser(self.run, self.device).module

    @cached_property
    def _network(self) -> nn.Module:
        return folded(self.model)

    def segment(self, images: np.ndarray) -> np.ndarray:
        """Return the class numbers uint8 (n, height, width) of images, see `as_input`."""
        inputs = self.as_input(images).contiguous(memory_format=torch.channels_last)
        count = max(1, PIXELS // inputs[0, 0].numel())
        return in_chunks(lambda part: self._network(part).argmax(dim=1).byte(), inputs, count)

    def describe(self, images: np.ndarray) -> list[Described]:
        columns, described = [f"share/{name}" for name in self.classes], []
        for labels in self.segment(images):
            shares = np.bincount(labels.reshape(-1), minlength=len(columns)) / labels.size
            described.append(Described(dict(zip(columns, shares.tolist(), strict=True)), labels))
        return described

    def keep(self, described: Described, file: Path, folder: Path, name: str) -> None:
        """Write the label map, class numbers as grey values, and the image under its colours, as large as the file."""
        image = open_colour(file)
        labels = Image.fromarray(described.found).resize(image.size, Image.Resampling.NEAREST)
        over = overlay(np.asarray(image)[None] / 255, np.asarray(labels)[None], self.colours)[0]
        for place, picture in ((LABELS, labels), (OVERLAYS, Image.fromarray((255 * over).round().astype(np.uint8)))):
            with replacing(folder / place / f"{name}.png") as temporary:
                picture.save(temporary, format="PNG")

    def draw(self, path: Path, images: np.ndarray, title: str) -> None:
        """Draw images beside what is found in them."""
        label_sheet(path, images / 255, {"prediction": self.segment(images)}, self.classes, self.colours, title)
