"""The config of a label-consistent swapping autoencoder."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from experiment.config import Section, Switch, lower

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
