"""The networks of the swapping autoencoder (Park et al. 2020), with the layers and names of its published code.

Images are float32 (n, 3, height, width), real ones in [-1, 1]. State dicts of the published code load; their prefixes
are `E`, `G`, `D` and `Dpatch`. `I` is the inner semantic branch of the label-consistent swapping autoencoder.
"""

import copy
import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from translation.stylegan import (
    BLUR,
    GAIN,
    Blur,
    ConvLayer,
    EqualLinear,
    ModulatedConv,
    ResBlock,
    StyledConv,
    UpConv,
    unit,
)
from translation.swapping_config import PATCH_WIDTHS, SwappingModel

ENCODER_BLUR = (1, 2, 1)
# Seed of the noise that is the same for all images in evaluation.
FIXED = 0


class Encoder(nn.Module):
    """Images to a structure (n, structure, h / 2^k, w / 2^k) and a texture (n, texture), each of length 1 per position.

    The third of what it returns is what the structure is made of, the inner branch's input. The texture's convolutions
    do not pad, which leaves no trace of where something is.
    """

    def __init__(self, section: SwappingModel):
        super().__init__()
        down, deeper = section.downsamplings, section.texture_downsamplings
        widths = [section.encoder_width(i) for i in range(down + deeper + 1)]
        self.FromRGB = ConvLayer(3, widths[0], 1)
        self.DownToSpatialCode = nn.Sequential()
        for i in range(down):
            self.DownToSpatialCode.add_module(f"ResBlockDownBy{2**i}", ResBlock(
                widths[i], widths[i + 1], taps=ENCODER_BLUR, reflect=True))
        middle = widths[down]
        self.ToSpatialCode = nn.Sequential(ConvLayer(middle, middle, 1),
                                           ConvLayer(middle, section.structure, 1, activate=False))
        self.DownToGlobalCode = nn.Sequential()
        for i in range(down, down + deeper):
            self.DownToGlobalCode.add_module(f"ConvLayerDownBy{2**i}", ConvLayer(
                widths[i], widths[i + 1], 3, down=True, taps=(1,), padding=0))
        self.ToGlobalCode = nn.Sequential(EqualLinear(widths[-1], section.texture))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        middle = self.DownToSpatialCode(self.FromRGB(images))
        hidden = self.ToSpatialCode[0](middle)
        texture = self.ToGlobalCode(self.DownToGlobalCode(middle).mean(dim=(2, 3)))
        return unit(self.ToSpatialCode[1](hidden)), unit(texture), hidden


class StructureModulation(nn.Module):
    """Scales and shifts the channels of a structure by what a texture says."""

    def __init__(self, section: SwappingModel):
        super().__init__()
        self.scale = EqualLinear(section.texture, section.structure)
        self.bias = EqualLinear(section.texture, section.structure)

    def forward(self, structure: Tensor, texture: Tensor) -> Tensor:
        scale, bias = (part(texture)[:, :, None, None] for part in (self.scale, self.bias))
        return torch.addcmul(bias, structure.to(bias.dtype), scale)


class HeadBlock(nn.Module):
    """Two styled convolutions beside a 1x1 convolution, at the structure's size."""

    def __init__(self, inputs: int, outputs: int, style: int):
        super().__init__()
        self.conv1 = StyledConv(inputs, outputs, style)
        self.conv2 = StyledConv(outputs, outputs, style)
        self.skip = ConvLayer(inputs, outputs, 1, bias=False, activate=False)

    def forward(self, features: Tensor, style: Tensor, noise: list[Tensor | None]) -> Tensor:
        skip = self.skip(features, 1 / GAIN)
        return self.conv2(self.conv1(features, style, noise[0]), style, noise[1], 1 / GAIN) + skip


class UpBlock(nn.Module):
    """Two styled convolutions, of which the first doubles the size, beside features that are scaled up."""

    def __init__(self, inputs: int, outputs: int, style: int):
        super().__init__()
        self.conv1 = StyledConv(inputs, outputs, style, up=True)
        self.conv2 = StyledConv(outputs, outputs, style)
        self.skip = None if inputs == outputs else ConvLayer(inputs, outputs, 1)

    def forward(self, features: Tensor, style: Tensor, noise: list[Tensor | None]) -> Tensor:
        skip = self.skip(features, 1 / GAIN) if self.skip else features / GAIN
        skip = F.interpolate(skip, scale_factor=2, mode="bilinear", align_corners=False)
        return self.conv2(self.conv1(features, style, noise[0]), style, noise[1], 1 / GAIN) + skip


class ToRgb(nn.Module):
    """A modulated 1x1 convolution to three channels, not clamped; its kernel is published and used by nothing."""

    def __init__(self, inputs: int, style: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.conv = ModulatedConv(inputs, 3, 1, style, demodulate=False)
        self.upsample = Blur(BLUR, gain=4)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        return self.conv(features, style, self.bias.flatten())


class Generator(nn.Module):
    """A structure (n, structure, h, w) and a texture (n, texture) to images (n, 3, 2^k h, 2^k w), linear."""

    def __init__(self, section: SwappingModel):
        super().__init__()
        widths, style = [section.generator_width(i) for i in range(section.downsamplings + 1)], section.texture
        self.SpatialCodeModulation = StructureModulation(section)
        inputs, self.blocks = section.structure, []
        heads = [(f"HeadResnetBlock{i}", HeadBlock, round((i + 1) / 2 * widths[0])) for i in range(2)]
        ups = [(f"UpsamplingResBlock{2 ** (4 + i)}", UpBlock, width) for i, width in enumerate(widths[1:])]
        for name, kind, outputs in heads + ups:
            self.add_module(name, kind(inputs, outputs, style))
            self.blocks.append(name)
            inputs = outputs
        self.ToRGB = ToRgb(inputs, style)

    def forward(self, structure: Tensor, texture: Tensor, noise: Tensor | None = None) -> Tensor:
        """noise: N(0, 1) (n, `noise_size`), or None for one that never changes, the same for all images."""
        height, width = structure.shape[2:]
        if noise is None:
            fixed = torch.Generator().manual_seed(FIXED)
            noise = torch.randn(1, self.noise_size(height, width), generator=fixed).to(structure.device)
        sizes = self._sizes(height, width)
        layers = [part.view(len(part), 1, *size) for part, size in
                  zip(noise.split([h * w for h, w in sizes], dim=1), sizes, strict=True)]
        structure, texture = unit(structure), unit(texture)
        features = self.SpatialCodeModulation(structure, texture)
        for i, name in enumerate(self.blocks):
            features = getattr(self, name)(features, texture, layers[2 * i : 2 * i + 2])
        return self.ToRGB(features, texture)

    def noise_size(self, height: int, width: int) -> int:
        """Return how many numbers of noise an image takes whose structure has a height and a width."""
        return sum(h * w for h, w in self._sizes(height, width))

    def _sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return heights and widths of the noise of all styled convolutions, in order."""
        scales = [1, 1, *(2 ** (i + 1) for i in range(len(self.blocks) - 2))]
        return [(scale * height, scale * width) for scale in scales for _ in range(2)]


class Residual(nn.Module):
    """The residual discriminator of StyleGAN2 without the deviation of the batch: images (n, 3, H, W) to logits (n, 1).

    size: width and height of the images.
    """

    def __init__(self, section: SwappingModel, size: tuple[int, int]):
        super().__init__()
        largest = 2 ** round(math.log2(min(size)))
        width = section.discriminator_width(largest)
        self.convs, side = nn.Sequential(ConvLayer(3, width, 1)), largest
        while side > 4:
            inputs, side = width, side // 2
            width = section.discriminator_width(side)
            name = f"{2 * side}x{2 * side}" if side > 128 else str(sum(each.isdigit() for each, _ in
                                                                       self.convs.named_children()))
            self.convs.add_module(name, ResBlock(inputs, width))
        self.final_conv = ConvLayer(width, width, 3)
        scale = largest // 4
        self.final_linear = nn.Sequential(
            EqualLinear(width * (size[0] // scale) * (size[1] // scale), width, activate=True), EqualLinear(width, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.final_linear(self.final_conv(self.convs(images)).flatten(1))


class Discriminator(nn.Module):
    """Images to a logit of being real, (n,)."""

    def __init__(self, section: SwappingModel, size: tuple[int, int]):
        super().__init__()
        self.stylegan2_D = Residual(section, size)

    def forward(self, images: Tensor) -> Tensor:
        return self.stylegan2_D(images).flatten()


class PatchDiscriminator(nn.Module):
    """Says whether patches come from an image with the texture of others: `features`, then `compare`."""

    def __init__(self, section: SwappingModel):
        super().__init__()
        side, width = section.patch_size, section.patch_width(section.patch_size)
        layers = [("0", ConvLayer(3, width, 3))]
        while side > 4:
            side, inputs = side // 2, width
            width = section.patch_width(side)
            number = str(sum(name.isdigit() for name, _ in layers))
            layers.append((f"{2 * side}x{2 * side}" if side > 32 else number, ResBlock(inputs, width)))
        last = sum(name.isdigit() for name, _ in layers)
        layers += [(str(last), ResBlock(width, 2 * width, down=False)),
                   (str(last + 1), ConvLayer(2 * width, width, 3, padding=0))]
        self.convs = nn.Sequential()
        for name, layer in layers:
            self.convs.add_module(name, layer)
        widths = [2 * 4 * width, *(round(each * section.patch_capacity) for each in PATCH_WIDTHS)]
        self.pairlinear = nn.Sequential(
            *(EqualLinear(a, b, activate=True) for a, b in pairwise(widths)),
            EqualLinear(widths[-1], 1))

    def features(self, patches: Tensor) -> Tensor:
        """Return features (n, crops, d) of patches (n, crops, 3, h, w)."""
        return self.convs(patches.flatten(0, 1)).flatten(1).unflatten(0, patches.shape[:2])

    def compare(self, reference: Tensor, features: Tensor) -> Tensor:
        """Return logits (n, crops) of features beside the mean of reference features, both (n, crops, d)."""
        reference = reference.mean(dim=1, keepdim=True).expand_as(features)
        return self.pairlinear(torch.cat([reference, features], dim=-1)).squeeze(-1)


class InnerBranch(nn.Module):
    """Logits (n, classes, H / 4, W / 4) of what is in an image, from what its structure is made of; see `Encoder`.

    Source: the inner semantic loss of the label-consistent swapping autoencoder: transposed convolutions, each with an
    ordinary one after it, that halve the channels at each doubling of the size.
    """

    def __init__(self, section: SwappingModel, classes: int):
        super().__init__()
        width = section.encoder_width(section.downsamplings)
        inputs = section.structure if section.inner == "code" else width
        self.convs = nn.Sequential()
        for _ in range(section.downsamplings - 2):
            width //= 2
            self.convs.extend([UpConv(inputs, width), ConvLayer(width, width, 3)])
            inputs = width
        self.convs.append(ConvLayer(inputs, classes, 1, activate=False))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.convs(hidden)


class SwappingAutoencoder(nn.Module):
    """All networks. classes: of the inner branch, 0 for none; size: width and height of the crops in training.

    num_discriminator_iters: steps of the discriminators so far; averaged: a moving average of E and G, or None.
    """

    def __init__(self, section: SwappingModel, size: tuple[int, int], classes: int = 0, average: bool = False):
        super().__init__()
        self.E, self.G = Encoder(section), Generator(section)
        self.D, self.Dpatch = Discriminator(section, size), PatchDiscriminator(section)
        self.I = InnerBranch(section, classes) if classes else None
        for weight in self.parameters():
            # The layout in which convolutions are the faster ones; `to` would refuse modulated ones, of 5 dimensions.
            if weight.dim() == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        self.register_buffer("num_discriminator_iters", torch.zeros(1, dtype=torch.int64))
        self.averaged = nn.ModuleDict({"E": as_buffers(self.E), "G": as_buffers(self.G)}) if average else None
        self.multiple, self.inner = 2**section.downsamplings, section.inner

    @property
    def trained(self) -> list[nn.Module]:
        """The networks that make images, and what trains with them."""
        return [part for part in (self.E, self.G, self.I) if part is not None]

    @property
    def judges(self) -> list[nn.Module]:
        """The discriminators."""
        return [self.D, self.Dpatch]

    def codes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return structure and texture of images of any size, those of the averaged encoder where there is one.

        At the right and the bottom, images are extended to a multiple of the structure's pixels.
        """
        height, width = (-size % self.multiple for size in images.shape[2:])
        images = F.pad(images, (0, width, 0, height), mode="replicate") if height or width else images
        encoder = self.averaged["E"] if self.averaged else self.E
        return encoder(images)[:2]

    def decode(self, structure: Tensor, texture: Tensor, size: tuple[int, int]) -> Tensor:
        """Return images of a height and a width, in [-1, 1], with a structure and a texture (1 or n of them)."""
        generator = self.averaged["G"] if self.averaged else self.G
        images = generator(structure, texture.expand(len(structure), -1))
        return images[:, :, : size[0], : size[1]].clamp(-1, 1)


def as_buffers(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose weights are buffers of the same names: they are saved, and never train."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        for name, weight in list(module._parameters.items()):
            if weight is not None:
                del module._parameters[name]
                module.register_buffer(name, weight.data)
    return twin
