"""The config of a classifier."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, model_validator

from experiment import config as shared
from experiment.config import lower


class Model(shared.Model):
    """The network: `[model]`. variation: `scratch`, or `pretrained`, in which the part below the cut is frozen."""

    type: Annotated[Literal["classifier"], BeforeValidator(lower)]
    variation: Annotated[Literal["scratch", "pretrained"], BeforeValidator(lower)]

    @model_validator(mode="after")
    def _freezes_what_is_trained(self) -> "Model":
        if self.variation == "pretrained" and self.weights == "none":
            raise ValueError("variation 'pretrained' would freeze random weights; allowed with it: weights that are "
                             "imagenet, a file or a run folder")
        return self


class ClassifierConfig(shared.Config):
    """A whole experiment with a classifier; the network's accuracy chooses the best checkpoint."""

    # Keys of autoencoders, when all systems shared one config.
    retired: ClassVar[tuple[str, ...]] = (
        "model.features", "model.dimension", "model.knn", "model.activation", "training.loss", "training.kl_weight",
        "training.tc_weight", "training.make_scene_impossible", "training.make_instance_impossible",
        "evaluation.classifiers",
    )  # fmt: skip

    model: Model
    training: shared.SceneryTraining
