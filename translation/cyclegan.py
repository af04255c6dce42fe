"""The networks of a CycleGAN (Zhu et al. 2017), with the layers and names of the published implementation.

Images are float32 (n, channels, height, width) in [-1, 1]. State dicts of the published code load: its files
`latest_net_G_A.pth` are those of `G_A` here, which makes real-looking images of rendered ones.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from translation.config import CycleGanModel

# Standard deviation of new weights.
SPREAD = 0.02
# The first of 255 grey values above black, in the units of images.
LEAST = 2 / 255


class InstanceNorm(nn.Module):
    """As `nn.InstanceNorm2d` without weights and statistics, which is slower; features (n, c, h, w)."""

    def forward(self, features: Tensor) -> Tensor:
        return F.group_norm(features, features.shape[1])


class Unbiased:
    """A convolution before an instance norm, which takes any bias out again: it has one for its name's sake alone."""

    def __init__(self, *arguments: int):
        super().__init__(*arguments)
        self.bias.requires_grad_(False)


class Conv(Unbiased, nn.Conv2d):
    """Such a convolution."""

    def forward(self, features: Tensor) -> Tensor:
        return F.conv2d(features, self.weight, None, self.stride, self.padding)


class TransposedConv(Unbiased, nn.ConvTranspose2d):
    """Such a transposed convolution."""

    def forward(self, features: Tensor) -> Tensor:
        return F.conv_transpose2d(features, self.weight, None, self.stride, self.padding, self.output_padding)


class LastConv(nn.Conv2d):
    """A convolution without padding to so few channels that torch's own is slow on a CPU, in two steps.

    First along columns, with an output for each column of the kernel; then these are moved against each other and
    added. Of the same kernel, each step has fewer, wider loops.
    """

    def forward(self, features: Tensor) -> Tensor:
        outputs, inputs, height, width = self.weight.shape
        columns = self.weight.permute(0, 3, 1, 2).reshape(outputs * width, inputs, height, 1)
        return _Slanted.apply(F.conv2d(features, columns), width) + self.bias[:, None, None]


class _Slanted(torch.autograd.Function):
    """Sum over k of features (n, c k, h, w + k - 1), each moved by one more column to the left: (n, c, h, w)."""

    @staticmethod
    def forward(context, features: Tensor, count: int) -> Tensor:
        context.count = count
        return _Slanted.view(features.contiguous(), count).sum(dim=2)

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        n, channels, height, width = gradient.shape
        features = gradient.new_zeros(n, channels * context.count, height, width + context.count - 1)
        _Slanted.view(features, context.count).copy_(gradient[:, :, None])
        return features, None

    @staticmethod
    def view(features: Tensor, count: int) -> Tensor:
        """Return (n, c, k, h, w), whose part k begins at column k."""
        n, many, height, width = features.shape
        plane = height * width
        return features.as_strided((n, many // count, count, height, width - count + 1),
                                   (many * plane, count * plane, plane + 1, width, 1))


def activation(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)


class Residual(nn.Module):
    """x + two convolutions of it; features (n, width, h, w)."""

    def __init__(self, width: int, slope: float):
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), Conv(width, width, 3), InstanceNorm(), activation(slope),
            nn.ReflectionPad2d(1), Conv(width, width, 3), InstanceNorm())

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv_block(features)


class Generator(nn.Module):
    """Images to images of the same size, a multiple of four: two halvings, residual blocks, two doublings."""

    def __init__(self, channels: int, width: int, blocks: int, slope: float):
        super().__init__()
        middle = 4 * width
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3), Conv(channels, width, 7), InstanceNorm(), activation(slope),
            Conv(width, 2 * width, 3, 2, 1), InstanceNorm(), activation(slope),
            Conv(2 * width, middle, 3, 2, 1), InstanceNorm(), activation(slope),
            *(Residual(middle, slope) for _ in range(blocks)),
            TransposedConv(middle, 2 * width, 3, 2, 1, 1), InstanceNorm(), activation(slope),
            TransposedConv(2 * width, width, 3, 2, 1, 1), InstanceNorm(), activation(slope),
            nn.ReflectionPad2d(3), LastConv(width, channels, 7), nn.Tanh())

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)


class Discriminator(nn.Module):
    """PatchGAN: images to a map (n, 1, h, w) of how real each patch looks, 1 being real; no sigmoid.

    layers: convolutions between the first and the last; with 3 of them a patch has 70 pixels, 2: 34, 1: 16, 0: 10.
    """

    def __init__(self, channels: int, width: int, layers: int):
        super().__init__()
        widths = [width * min(2 ** layer, 8) for layer in range(layers + 1)]
        parts: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for layer in range(1, layers + 1):
            stride = 1 if layer == layers else 2
            parts += [Conv(widths[layer - 1], widths[layer], 4, stride, 1), InstanceNorm(),
                      nn.LeakyReLU(0.2, inplace=True)]
        self.model = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)


class CycleGan(nn.Module):
    """Both generators and both discriminators: G_A makes b of a, G_B makes a of b; D_A judges b, D_B judges a.

    composite: whether what a generator makes is laid into the mask of what it was made of, on black.
    """

    def __init__(self, channels: int, section: CycleGanModel):
        super().__init__()
        self.composite = section.alpha == "composite"
        for name in ("G_A", "G_B"):
            setattr(self, name, Generator(channels, section.width, section.blocks, section.slope))
        for name in ("D_A", "D_B"):
            setattr(self, name, Discriminator(channels, section.width, section.layers))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=SPREAD)
                nn.init.zeros_(module.bias)

    @property
    def generators(self) -> list[nn.Module]:
        return [self.G_A, self.G_B]

    @property
    def discriminators(self) -> list[nn.Module]:
        return [self.D_A, self.D_B]

    def into(self, mask: Tensor | None, images: Tensor) -> Tensor:
        """Return images laid into masks float32 (n, 1, H, W) of 0 and 1, on black, where outlines are kept so.

        Within a mask nothing is black, as in cut-outs, so that the outline can be read from the colours alone.
        """
        return mask * (images + 1).clamp(min=LEAST) - 1 if self.composite else images

    def translate(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return rendered images in the look of real ones."""
        return self.into(mask, self.G_A(images))

    def translate_back(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return real images in the look of rendered ones."""
        return self.into(mask, self.G_B(images))
