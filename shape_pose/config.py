"""The config of a network for shape and pose."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from experiment import config as shared
from experiment.config import Places, Section, SplitWithVal, lower
from readers.cameras import DISTANCE, FOCAL


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError(f"allowed: powers of 2 (found {value})")
    return value


Positive = Annotated[float, Field(gt=0)]
Kept = Annotated[float, Field(gt=0, le=1)]
FromTo = Annotated[tuple[Positive, Positive], BeforeValidator(_tuple)]
KeptFromTo = Annotated[tuple[Kept, Kept], BeforeValidator(_tuple)]


class EvaluationDataset(shared.EvaluationDataset):
    """Images with alpha to evaluate on: `[[evaluation.datasets]]`.

    `views` and the like for shapes, poses and masks, `cut_outs` for masks alone.
    """

    split: SplitWithVal | None = None


class Dataset(Places, EvaluationDataset):
    """The views to train on: `[dataset]`. image_size: a power of 2."""

    image_size: Annotated[int, Field(ge=16), AfterValidator(_power_of_two)] = 128


class Model(Section):
    """The network and the camera it is rendered with: `[model]`.

    points: of a cloud; candidates: pose heads, of which the best trains; width: of the dense layers; grid: voxels along
    a side, and pixels of the silhouettes; focal_length: by the width of the image, and camera_distance: those of the
    training views.
    """

    type: Annotated[Literal["point_cloud"], BeforeValidator(lower)]
    points: Annotated[int, Field(ge=8)] = 8000
    candidates: Annotated[int, Field(ge=1)] = 4
    width: Annotated[int, Field(ge=8)] = 1024
    grid: Annotated[int, Field(ge=8)] = 64
    focal_length: Positive = FOCAL
    camera_distance: Annotated[float, Field(gt=0.5)] = DISTANCE


class Training(shared.IterationTraining):
    """How it is trained: `[training]`; defaults are those of the published code.

    batch_size: models; views_per_model: views of each, drawn anew, whose poses are predicted, and from the first of
    which its shape is; sigma, taps: the blur of silhouettes in voxels, at the first and at the last iteration, and over
    how many; keep: the part of the points that is rendered, at the first and at the last iteration; student_weight: of
    the loss that has one head follow the best of the candidates; masks: of another size than the grid, `published`
    takes every n-th pixel, `area` averages.
    """

    batch_size: Annotated[int, Field(gt=0)] = 4
    optimizer: Annotated[Literal["adam"], BeforeValidator(lower)] = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    views_per_model: Annotated[int, Field(gt=0)] = 4
    sigma: FromTo = (3.0, 0.2)
    taps: Annotated[int, Field(ge=1)] = 21
    keep: KeptFromTo = (0.07, 1.0)
    student_weight: Annotated[float, Field(ge=0)] = 20.0
    masks: Annotated[Literal["published", "area"], BeforeValidator(lower)] = "published"
    devices: Literal[1] = 1
    precision: Literal["32"] = "32"

    @model_validator(mode="after")
    def _odd(self) -> "Training":
        if self.taps % 2 == 0:
            raise ValueError(f"taps: allowed: odd numbers (found {self.taps})")
        return self


class Evaluation(shared.Evaluation):
    """What it is judged by: `[evaluation]`. The first metric on its first dataset chooses the best checkpoint.

    alignment_models: the first models of the training data's split `val`, by which the axes of the clouds, which are
    the network's own, are turned into those of the data.
    """

    datasets: list[EvaluationDataset] = Field([])
    alignment_models: Annotated[int, Field(gt=0)] = 50


class ShapePoseConfig(shared.Config):
    """A whole experiment with a network for shape and pose."""

    dataset: Dataset
    model: Model
    training: Training
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _sides(self) -> "ShapePoseConfig":
        if self.dataset.image_size % self.model.grid:
            raise ValueError(f"dataset.image_size = {self.dataset.image_size} is no multiple of model.grid = "
                             f"{self.model.grid}")
        return self
