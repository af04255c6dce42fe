"""The configs of translations: `[dataset]` is rendered, `[target]` real; images of one get the look of the other."""

import os
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from experiment import config as shared
from experiment.config import MappedDataset, Places, Section, Switch, lower, pair

# Both halvings of the generators come out even.
Pixels = Annotated[int, Field(ge=8, multiple_of=4)]
WidthHeight = Annotated[tuple[Pixels, Pixels], BeforeValidator(pair)]
Weight = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]


class EvaluationDataset(MappedDataset):
    """A rendered dataset whose translation is judged: `[[evaluation.datasets]]`."""

    image_size: WidthHeight | None = None


class Dataset(Places, EvaluationDataset):
    """The rendered dataset, whose annotations its translation keeps: `[dataset]`. classes: of label maps."""

    image_size: WidthHeight
    classes: str = "street11"


class Target(EvaluationDataset):
    """The real images: `[target]`, or `[evaluation.target]`; their labels are not used, but to judge by."""


class Training(shared.IterationTraining):
    """How a translation is trained: `[training]`.

    crop: width and height of the windows that are cut out, none for whole images; mirror: whether half of them are
    mirrored; semantic: run folder of a classifier or segmentation network that has to find the source's labels in
    translated images.
    """

    optimizer: Annotated[Literal["adam"], BeforeValidator(lower)] = "adam"
    weight_decay: Literal[0.0] = 0.0
    crop: WidthHeight | None = None
    mirror: Switch = True
    semantic: Text | None = None


class CycleGanModel(Section):
    """The networks: `[model]`; defaults are those of the published code for images of 256 pixels.

    width: channels of the first layer of generators and discriminators; blocks: residual blocks of a generator;
    layers: convolutions of a discriminator between its first and its last; 3 see patches of 70 pixels, 2 of 34, 1 of
    16, 0 of 10;
    slope: of the generators' activations below zero;
    alpha: how outlines are kept: `none`, `printed` (the source's hard mask, which has no gradient), `soft` (a smooth
    mask), `composite` (translated images are laid into the source's mask, so that outlines are exact).
    """

    type: Annotated[Literal["cyclegan"], BeforeValidator(lower)]
    width: Annotated[int, Field(gt=0)] = 64
    blocks: Annotated[int, Field(ge=0)] = 9
    layers: Annotated[int, Field(ge=0, le=5)] = 3
    slope: Annotated[float, Field(ge=0, lt=1)] = 0.0
    alpha: Annotated[Literal["none", "printed", "soft", "composite"], BeforeValidator(lower)] = "none"


class CycleGanTraining(Training):
    """How a CycleGAN is trained: `[training]`. a is rendered, b real; G makes b of a, F makes a of b.

    decay: epochs at the end, over which the learning rate falls to zero; pool: translated images of earlier steps that
    discriminators are shown; lambda_a, lambda_b: weights of the cycles that begin at a and at b; lambda_identity: of
    the identity losses, as a part of these; lambda_alpha_g, lambda_alpha_f: of the distance between masks before and
    after G and F; lambda_feature_g, lambda_feature_f: of the distance between features before and after; features:
    what these are of: `resnet18`, `efficientnet_lite0`, or a run folder of a classifier or segmentation network;
    feature_weights: of a network by name: `imagenet` or a file; feature_layer: where it is cut, as
    `children()[0:layer]`; lambda_semantic: weight of not finding the source's labels.
    """

    batch_size: Annotated[int, Field(gt=0)] = 1
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    decay: Annotated[int, Field(ge=0)] = 0
    pool: Annotated[int, Field(ge=0)] = 50
    lambda_a: Weight = 10.0
    lambda_b: Weight = 10.0
    lambda_identity: Weight = 0.5
    lambda_alpha_g: Weight = 0.0
    lambda_alpha_f: Weight = 0.0
    lambda_feature_g: Weight = 0.0
    lambda_feature_f: Weight = 0.0
    features: Text = "resnet18"
    feature_weights: Text = "imagenet"
    feature_layer: Annotated[int, Field(lt=0)] = -2
    lambda_semantic: Weight = 0.0

    @model_validator(mode="after")
    def _sensible(self) -> "CycleGanTraining":
        if self.decay > self.epochs:
            raise ValueError(f"decay = {self.decay}; allowed: up to epochs = {self.epochs}")
        if self.lambda_semantic and not self.semantic:
            raise ValueError("lambda_semantic needs a run that finds labels: semantic = \"results/...\"")
        return self


class Evaluation(shared.Evaluation):
    """What a translation is judged by: `[evaluation]`.

    judge: run folder of a classifier or segmentation network, best trained on real images, that had no part in the
    training; it says whether translated images still show what their labels say. Where there is one, that chooses the
    best weights, else the kernel distance to the real images. second_judge: another, whose metrics are named so, best
    one with another backbone, too; target: real images to compare with, by default those of `[target]`; samples: most
    images of each dataset that are looked at, spread over it.
    """

    datasets: list[EvaluationDataset] = Field([])
    judge: Text | None = None
    second_judge: Text | None = None
    target: Target | None = None
    samples: Annotated[int, Field(ge=4)] = 500


class TranslationConfig(shared.Config):
    """A whole experiment with a translation."""

    dataset: Dataset
    target: Target
    training: Training
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _judges_apart(self) -> "TranslationConfig":
        for key in ("judge", "second_judge"):
            folder = getattr(self.evaluation, key)
            semantic = self.training.semantic
            if folder and semantic and os.path.realpath(folder) == os.path.realpath(semantic):
                raise ValueError(f"evaluation.{key}: {folder} is training.semantic, too, and so no judge of what came "
                                 "of it; allowed: another run")
        if self.evaluation.second_judge and not self.evaluation.judge:
            raise ValueError("evaluation.second_judge: there is no first; allowed: with evaluation.judge")
        return self

    @property
    def chosen_on_source(self) -> bool:
        """Never: real images, or what was trained on them, have a part in every metric of a translation."""
        return False

    def targets(self) -> tuple[Target, Target]:
        """Return the real images of training and of evaluation, with root and image_size filled in."""
        size = {"image_size": self.dataset.image_size}
        train = self.target.model_copy(update=size | {"root": self.target.root or self.dataset.roots[0]})
        other = self.evaluation.target or train
        return train, other.model_copy(update=size | {"root": other.root or train.root})


class CycleGanConfig(TranslationConfig):
    """A whole experiment with a CycleGAN."""

    model: CycleGanModel
    training: CycleGanTraining
