"""The config of a segmentation network."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from experiment import config as shared
from experiment.config import MappedDataset, Places, Section, Switch, lower, pair

BACKBONES = ("mobilenet_v2", "resnet50", "efficientnet_lite0")
LEAST = 32


Pixels = Annotated[int, Field(ge=LEAST)]
WidthHeight = Annotated[tuple[Pixels, Pixels], BeforeValidator(pair)]
Factors = Annotated[tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], BeforeValidator(pair)]


class EvaluationDataset(MappedDataset):
    """A dataset with label maps to evaluate on: `[[evaluation.datasets]]`."""

    image_size: WidthHeight | None = None


class Dataset(Places, EvaluationDataset):
    """The dataset to train on: `[dataset]`. classes: the set of classes, see `readers.class_maps`."""

    image_size: WidthHeight = (512, 256)
    classes: str = "street16"


class Model(Section):
    """The network: `[model]`.

    weights: of the backbone: `imagenet`, `none`, or a file; output_stride: pixels of the image per pixel of the deepest
    features; layout: `torchvision` for networks of its kind, `published` for the layers and names of the MobileNet
    checkpoints that are around.
    """

    type: Annotated[Literal["deeplab"], BeforeValidator(lower)]
    backbone: Annotated[Literal[BACKBONES], BeforeValidator(lower)] = "mobilenet_v2"
    weights: str = "imagenet"
    output_stride: Literal[8, 16] = 16
    layout: Annotated[Literal["torchvision", "published"], BeforeValidator(lower)] = "torchvision"


class Training(shared.IterationTraining):
    """How it is trained: `[training]`; defaults are those of the published code for Cityscapes, but for the rate.

    backbone_rate: learning rate of the backbone, as a part of the head's; crop: width and height of the crops; scale:
    smallest and largest factor by which images are scaled before; mirror: whether half of the crops are mirrored;
    jitter: most that brightness, contrast and saturation change, as a part.
    """

    batch_size: Annotated[int, Field(gt=1)] = 16
    optimizer: Annotated[Literal["adamw", "adam", "sgd"], BeforeValidator(lower)] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 0.01
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    backbone_rate: Annotated[float, Field(gt=0)] = 0.1
    crop: WidthHeight | None = None
    scale: Factors = (1.0, 1.0)
    mirror: Switch = True
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _sensible(self) -> "Training":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale: smallest {self.scale[0]} is above largest {self.scale[1]}")
        return self


class Evaluation(shared.Evaluation):
    """What it is judged by: `[evaluation]`. The mIoU on its first dataset chooses the best checkpoint."""

    datasets: list[EvaluationDataset] = Field([])


class SegmentationConfig(shared.Config):
    """A whole experiment with a segmentation network."""

    dataset: Dataset
    model: Model
    training: Training
    evaluation: Evaluation = Evaluation()
