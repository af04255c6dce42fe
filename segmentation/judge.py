"""How well a segmentation network finds the classes of whole images, and pictures of what it finds."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from errors import UserError
from evaluation.recogniser import Recogniser
from evaluation.segmentation_metrics import confusion, iou, mean_accuracy, miou, miou_published, overall_accuracy
from experiment.run import Run
from pretrained_model import folded
from reporting.streets import class_figure, label_sheet
from segmentation.data import Frames, trained_classes
from segmentation.deeplab import create_deeplab

# Pixels that go through the network at a time.
PIXELS = 1_000_000
SHOWN = 6


def recogniser(run: Run, device: torch.device) -> Recogniser:
    """Return a run's network, which waits for its weights; its classes are those of the config's set."""
    config, classes = run.config, trained_classes(run.config.dataset)
    model = create_deeplab(config.model.model_copy(update={"weights": "none"}), len(classes)).to(device)
    return Recogniser(model, lambda images: model.backbone(model.scale(images))[1], classes, per_pixel=True)


@torch.inference_mode()
def confusion_of(model: nn.Module, frames: Frames, most: int | None = None) -> Tensor:
    """Return how many pixels of each class are taken for which, int64 (classes, classes), rows being the truth.

    Of whole images, all of them or the first `most`; counted on the device, which nothing waits for in between.
    """
    count, model = len(frames.classes), folded(model)
    counts = torch.zeros(count, count, dtype=torch.int64, device=frames.device)
    chunk = max(1, PIXELS // math.prod(frames.rows.shape[-2:]))
    chunks = torch.arange(len(frames), device=frames.device)[:most].split(chunk)
    for index in tqdm(chunks, desc=f"segmenting {frames.title}", unit="batch", delay=3, leave=False, disable=None):
        images, labels = frames.take(index)
        counts += confusion(model(images).argmax(dim=1), labels, count)
    return counts


@dataclass(frozen=True)
class Segmented:
    """What a network makes of the images of a dataset: its confusion matrix, see `confusion_of`."""

    frames: Frames
    model: nn.Module
    counts: Tensor

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The metrics as parts of records, mIoU first; classes that are neither there nor found have no IoU."""
        values = {"miou": miou(self.counts), "miou_published": miou_published(self.counts),
                  "overall_accuracy": overall_accuracy(self.counts), "mean_accuracy": mean_accuracy(self.counts)}
        values |= {f"iou/{name}": value for name, value in zip(self.frames.classes, iou(self.counts), strict=True)}
        common = {**self.frames.identity, "classifier": "network", "n": len(self.frames)}
        return [{**common, "metric": name, "value": float(value)} for name, value in values.items()
                if np.isfinite(float(value))]

    def keep(self, run: Run, checkpoint: str) -> None:
        """Draw overlays, confusion matrix and IoU into the run's folder of images."""
        self.draw(run.images, checkpoint, f"{run.experiment}, seed {run.config.training.seed}, {checkpoint} weights")

    def draw(self, folder: Path, name: str, title: str) -> None:
        """Draw `segmentation_<dataset>_<name>.png` and `classes_<dataset>_<name>` (PDF and PNG)."""
        draw_segmented(self.model, self.frames, folder / f"segmentation_{self.frames.file_name}_{name}.png", title)
        class_figure(folder / f"classes_{self.frames.file_name}_{name}", self.counts.cpu().numpy(),
                     iou(self.counts).cpu().numpy(), self.frames.classes,
                     f"{title}: {self.frames.title}, {self.frames.split}, {len(self.frames)} images")


class SegmentationJudge:
    """Segments the images of the evaluation datasets."""

    def __init__(self, model: nn.Module, datasets: list[Frames]):
        self.model, self.datasets = model, datasets

    def rehearse(self) -> None:
        """Segment an image of each dataset, to find what cannot work before a run is made."""
        for frames in self.datasets:
            confusion_of(self.model, frames, most=1)
            if not frames.shares()[:-1].any():
                raise UserError(f"evaluation.datasets: {frames.title}, {frames.split}: label maps name no class that "
                                "counts, so there is nothing to be right about")

    def outcomes(self) -> list[Segmented]:
        """Return what the network makes of each dataset."""
        return [Segmented(frames, self.model, confusion_of(self.model, frames)) for frames in self.datasets]

    def rows(self) -> list[dict[str, Any]]:
        """Return the metrics of all datasets, the mIoU on the first one first."""
        return [row for found in self.outcomes() for row in found.rows]


def draw_frames(frames: Frames, folder: Path) -> Path:
    """Write `data_<dataset>.png`, images beside their label maps; return its path."""
    path = folder / f"data_{frames.file_name}.png"
    images, labels = (part.cpu().numpy() for part in frames.take(frames.spread(8)))
    label_sheet(path, images, {"label map": labels}, frames.classes, frames.colours,
                f"{frames.title}, {frames.split}: {len(frames)} images")
    return path


@torch.inference_mode()
def draw_segmented(model: nn.Module, frames: Frames, path: Path, title: str) -> None:
    """Draw images, truth and prediction."""
    images, labels = frames.take(frames.spread(SHOWN))
    predicted = model(images).argmax(dim=1)
    label_sheet(path, images.cpu().numpy(), {"truth": labels.cpu().numpy(), "prediction": predicted.cpu().numpy()},
                frames.classes, frames.colours, f"{title}: {frames.title}, {frames.split}")
