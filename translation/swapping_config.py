"""The config of a label-consistent swapping autoencoder."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from experiment.config import Section, Switch, lower
from translation.config import Evaluation, Training, TranslationConfig, Weight

# Layers of the patch discriminator's classifier, as published.
PATCH_WIDTHS = (2048, 2048, 1024)
Capacity = Annotated[float, Field(gt=0)]


class SwappingModel(Section):
    """The networks: `[model]`; defaults are those of the published code for images of 256 pixels.

    structure: channels of the structure; texture: length of the texture; downsamplings: how often the image is halved
    on the way to the structure; texture_downsamplings: on the way from there to the texture; encoder_capacity,
    generator_capacity, discriminator_capacity, patch_capacity: widths of the networks, as a part of the published;
    patch_size: pixels of a patch, once cut out; inner: whether the inner branch begins at the `layer` before the
    structure or at the structure itself, the `code`.
    """

    type: Annotated[Literal["swapping"], BeforeValidator(lower)]
    structure: Annotated[int, Field(gt=0)] = 8
    texture: Annotated[int, Field(gt=0)] = 2048
    downsamplings: Annotated[int, Field(ge=2, le=6)] = 4
    texture_downsamplings: Annotated[int, Field(ge=0, le=3)] = 2
    encoder_capacity: Capacity = 1.0
    generator_capacity: Capacity = 1.0
    discriminator_capacity: Capacity = 1.0
    patch_capacity: Capacity = 1.0
    patch_size: Literal[16, 32, 64, 128, 256] = 128
    inner: Annotated[Literal["layer", "code"], BeforeValidator(lower)] = "layer"

    def encoder_width(self, level: int) -> int:
        """Return the encoder's channels after so many halvings."""
        return max(1, min(self.texture, round(2 ** (5 + level) * self.encoder_capacity)))

    def generator_width(self, level: int) -> int:
        """Return the generator's channels after so many doublings."""
        return max(2, round(min(512, 128 * 2 ** (self.downsamplings - level)) * self.generator_capacity))

    def discriminator_width(self, side: int) -> int:
        """Return the image discriminator's channels where the image has so many pixels a side."""
        widest = 2**14 // side if side > 16 else 2**13 // side
        return max(1, min(512, round(2 * widest * self.discriminator_capacity)))

    def patch_width(self, side: int) -> int:
        """Return the patch discriminator's channels where the patch has so many pixels a side."""
        return max(1, round(min(384, 32 * 128 // side) * self.patch_capacity))


class SwappingTraining(Training):
    """How it is trained: `[training]`; defaults are those of the label-consistent swapping autoencoder.

    lambda_l1, lambda_gan, lambda_patch: weights of reconstruction, image discriminator (where the published code has
    0.5 for reconstructions) and patch discriminator; lambda_swap: part of `lambda_gan` for hybrids: 0.5 as printed, 1
    in the published code; lambda_r1, lambda_patch_r1: of R1, which counts every `r1_every` steps of the discriminators;
    patches: per image; real_domain: what the image discriminator takes for real, images of `both` domains (the source)
    or the `target` alone; lambda_in: weight of the inner semantic loss, of real images too, with `real_labels`;
    lambda_out: of the outer one, by `semantic`; ramp: part of the training over which lambda_out rises to that;
    average: memory of the moving averages of encoder and generator that images are translated with, 0 for none;
    compile: networks by torch.compile.
    """

    batch_size: Annotated[int, Field(gt=0, multiple_of=2)] = 8
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    lambda_l1: Weight = 1.0
    lambda_gan: Weight = 1.0
    lambda_swap: Weight = 0.5
    lambda_patch: Weight = 1.0
    lambda_r1: Weight = 10.0
    lambda_patch_r1: Weight = 1.0
    r1_every: Annotated[int, Field(gt=0)] = 16
    patches: Annotated[int, Field(gt=0)] = 8
    real_domain: Annotated[Literal["both", "target"], BeforeValidator(lower)] = "both"
    lambda_in: Weight = 0.0
    real_labels: Switch = True
    lambda_out: Weight = 0.0
    ramp: Annotated[float, Field(ge=0, le=1)] = 0.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    compile: Switch = False

    @model_validator(mode="after")
    def _sensible(self) -> "SwappingTraining":
        if self.lambda_out and not self.semantic:
            raise ValueError("lambda_out needs a run that finds labels: semantic = \"results/...\"")
        if self.batch_size % (2 * self.devices):
            raise ValueError(f"batch_size = {self.batch_size}; allowed: a multiple of {2 * self.devices}, as each of "
                             f"{self.devices} process(es) reconstructs half of its images")
        return self


class SwappingEvaluation(Evaluation):
    """What it is judged by: `[evaluation]`. textures: of how many real images each rendered one takes the texture."""

    textures: Annotated[int, Field(gt=0)] = 1


class SwappingConfig(TranslationConfig):
    """A whole experiment with a label-consistent swapping autoencoder."""

    model: SwappingModel
    training: SwappingTraining
    evaluation: SwappingEvaluation = SwappingEvaluation()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what it is trained on."""
        return self.training.crop or self.dataset.image_size

    @model_validator(mode="after")
    def _fits(self) -> "SwappingConfig":
        model, least = self.model, 2**self.model.downsamplings
        if any(side % least for side in self.size):
            raise ValueError(f"training.crop: found {self.size[0]}x{self.size[1]}; allowed with model.downsamplings "
                             f"{model.downsamplings}: multiples of {least}")
        side = min(self.size) // least
        for _ in range(model.texture_downsamplings):
            side = (side - 3) // 2 + 1
        if side < 1:
            raise ValueError(f"model.texture_downsamplings: found {model.texture_downsamplings}, which leave nothing "
                             f"of {self.size[0]}x{self.size[1]}; allowed: fewer, or a larger training.crop")
        return self
