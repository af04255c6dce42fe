"""The config of an autoencoder."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from experiment import config as shared
from experiment.config import Switch, lower, spelled

VARIATIONS = {"conv": ("ae", "tae", "vae", "factorvae"), "extractor": ("ae", "tae", "features")}
CLASSIFIERS = ("knn", "knn_cosine", "forest", "svm", "logistic")


class Model(shared.Model):
    """The network: `[model]`.

    type: `conv` (Table S1) or `extractor` (Tables S3, S4); variation: `ae`, `tae` (adds the triplet loss), with `conv`
    also `vae`, `factorvae`, with `extractor` also `features` (nothing trains, frozen features are the latents);
    features: which of the frozen features are the latents, `flat` (all), `mean` (over positions) or `pca` (the first
    `dimension` principal components of all); dimension: latent size; knn: neighbours of the k-nearest-neighbour
    evaluation; activation: name of an elementwise one of torch.nn, in any case, which building the model checks.
    """

    type: Annotated[Literal["conv", "extractor"], BeforeValidator(lower)]
    variation: Annotated[Literal["ae", "tae", "vae", "factorvae", "features"],
                         spelled({"factor-vae": "factorvae", "factor_vae": "factorvae"})]
    features: Annotated[Literal["flat", "mean", "pca"], BeforeValidator(lower)] = "flat"
    dimension: Annotated[int, Field(gt=0)] = 64
    knn: Annotated[int, Field(gt=0)] = 115
    activation: Annotated[str, spelled({"leakyrelu": "leaky_relu"}), Field(min_length=1)] = "relu"

    @model_validator(mode="after")
    def _variation_fits_type(self) -> "Model":
        allowed = VARIATIONS[self.type]
        if self.variation not in allowed:
            raise ValueError(f"variation '{self.variation}' does not go with type '{self.type}'; "
                             f"allowed: {', '.join(allowed)}")
        return self


class Training(shared.SceneryTraining):
    """How it is trained: `[training]`.

    epochs: 1 with `model.variation = "features"`, where nothing trains, whatever a file says;
    loss: reconstruction loss; make_scene_impossible: target under another variant (I-); make_instance_impossible:
    target is another scenery of the class, under another variant (II-, which wins where both are set);
    kl_weight, tc_weight: weights of the KL divergence (beta) and of the FactorVAE's total correlation (gamma), which
    other models do without.
    """

    loss: Annotated[Literal["ssim", "bce", "mse", "l1"], BeforeValidator(lower)] = "ssim"
    make_scene_impossible: Switch = False
    make_instance_impossible: Switch = False
    kl_weight: Annotated[float, Field(ge=0)] = 1.0
    tc_weight: Annotated[float, Field(ge=0)] = 0.0

    @property
    def impossible(self) -> Literal["none", "scene", "instance"]:
        """Which partially impossible target is asked for: none, I (`scene`) or II (`instance`)."""
        if self.make_instance_impossible:
            return "instance"
        return "scene" if self.make_scene_impossible else "none"


class Evaluation(shared.Evaluation):
    """`[evaluation]`: kNN's accuracy chooses the best checkpoint; classifiers: see `latent_classifiers.fit`."""

    classifiers: list[Annotated[Literal[CLASSIFIERS], BeforeValidator(lower)]] = Field(["knn", "forest", "svm"],
                                                                                       min_length=1)


class AutoencoderConfig(shared.Config):
    """A whole experiment with an autoencoder."""

    model: Model
    training: Training
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="before")
    @classmethod
    def _one_epoch(cls, raw: Any) -> Any:
        """Give frozen features one epoch, so that `--set model.variation=features` makes a baseline of any config."""
        model, training = raw.get("model"), raw.get("training")
        if isinstance(model, dict) and isinstance(training, dict) and lower(model.get("variation")) == "features":
            return raw | {"training": training | {"epochs": 1}}
        return raw
