"""Building blocks of StyleGAN2 as the swapping autoencoder has them, in plain PyTorch with its published names.

No layer is compiled from other sources, and all of them can be differentiated twice. What follows a convolution
(gain, bias, the mean of two branches) is folded into its weights, and blurring is a depthwise convolution, so that
little is read and written beside the convolutions themselves.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE, GAIN, EPSILON = 0.2, math.sqrt(2), 1e-8
BLUR = (1, 3, 3, 1)


def unit(values: Tensor) -> Tensor:
    """Return values (n, c, ...) of length 1 along c, in 32 bits."""
    values = values.float()
    return values * torch.rsqrt(values.square().sum(dim=1, keepdim=True) + EPSILON)


def kernel_of(taps: tuple[int, ...], gain: float = 1.0) -> Tensor:
    """Return the outer product of a kernel with itself (k, k), whose sum is `gain`."""
    line = torch.tensor(taps, dtype=torch.float32)
    return gain * torch.outer(line, line) / line.sum().square()


def filtered(images: Tensor, kernel: Tensor, stride: int = 1, padding: tuple[int, int] = (0, 0), reflect: bool = False,
             bias: Tensor | None = None) -> Tensor:
    """Convolve each channel of images (n, c, h, w) with a symmetric kernel (k, k), which is no weight.

    padding: before and behind, alike for rows and columns; with zeros, or the image reflected; bias: (c,), to add.
    """
    before, behind = padding
    if before != behind or reflect:
        images, before = F.pad(images, 2 * padding, mode="reflect" if reflect else "constant"), 0
    return _Filter.apply(images, kernel, bias, stride, before)


def _depthwise(kernel: Tensor, like: Tensor) -> Tensor:
    return kernel.to(like.dtype).repeat(like.shape[1], 1, 1, 1)


class _Filter(torch.autograd.Function):
    """A depthwise convolution. Derived twice by torch, one goes through all channels for a gradient of its weights."""

    @staticmethod
    def forward(ctx, images: Tensor, kernel: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.biased, ctx.options = bias is not None, (stride, padding, images.shape[2:])
        return F.conv2d(images, _depthwise(kernel, images), bias, stride, padding, groups=images.shape[1])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        [kernel] = ctx.saved_tensors
        of_bias = gradient.sum(dim=(0, 2, 3)) if ctx.biased else None
        return _Transposed.apply(gradient, kernel, *ctx.options), None, of_bias, None, None


class _Transposed(torch.autograd.Function):
    """What the gradient goes through on its way back, which is linear, too."""

    @staticmethod
    def forward(ctx, gradient: Tensor, kernel: Tensor, stride: int, padding: int, size: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.options = stride, padding
        # What a stride leaves over at the end.
        rest = [length - ((small - 1) * stride - 2 * padding + len(kernel))
                for length, small in zip(size, gradient.shape[2:], strict=True)]
        return F.conv_transpose2d(gradient, _depthwise(kernel, gradient), None, stride, padding, rest,
                                  groups=gradient.shape[1])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        [kernel] = ctx.saved_tensors
        return _Filter.apply(gradient, kernel, None, *ctx.options), None, None, None, None


class EqualConv(nn.Module):
    """The weights of a convolution with equalised learning rate: stored N(0, 1), used times 1 / sqrt(fan-in)."""

    def __init__(self, inputs: int, outputs: int, size: int, bias: bool):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1 / math.sqrt(inputs * size**2)


class EqualLinear(nn.Module):
    """A linear layer with equalised learning rate, and maybe a leaky ReLU: (..., inputs) -> (..., outputs)."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, activate: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.scale, self.activate = 1 / math.sqrt(inputs), activate

    def forward(self, values: Tensor) -> Tensor:
        if self.activate:
            return F.leaky_relu(F.linear(GAIN * self.scale * values, self.weight, GAIN * self.bias), SLOPE)
        return F.linear(self.scale * values, self.weight, self.bias)


class Blur(nn.Module):
    """Holds the kernel of a blur; see `filtered`."""

    def __init__(self, taps: tuple[int, ...], gain: float = 1.0):
        super().__init__()
        self.register_buffer("kernel", kernel_of(taps, gain))


class Activation(nn.Module):
    """Holds the bias of a fused leaky ReLU: sqrt(2) leaky_relu(x + bias)."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))


class ConvLayer(nn.Module):
    """Blur (where the layer halves the size), convolution, activation: (n, inputs, h, w) -> (n, outputs, ...).

    taps: of the blur; padding: in all, where it is not what keeps or halves the size; reflect: rather than zeros.
    """

    def __init__(self, inputs: int, outputs: int, size: int, down: bool = False, taps: tuple[int, ...] = BLUR,
                 bias: bool = True, activate: bool = True, reflect: bool = False, padding: int | None = None):
        super().__init__()
        self.down, self.reflect = down, reflect
        if down:
            self.Blur = Blur(taps)
            padding = len(taps) - 2 + size - 1 if padding is None else padding
            self.padding = (-(-padding // 2), padding // 2)
        else:
            self.padding = (size // 2 if padding is None else padding,) * 2
        self.Conv = EqualConv(inputs, outputs, size, bias and not activate)
        self.Act = Activation(outputs) if activate else None

    def forward(self, images: Tensor, gain: float = 1.0) -> Tensor:
        """Return the layer's output times a gain above 0."""
        gain = GAIN * gain if self.Act else gain
        bias = self.Act.bias if self.Act else self.Conv.bias
        weight, bias = gain * self.Conv.scale * self.Conv.weight, None if bias is None else gain * bias
        size, stride, padding = weight.shape[-1], 1, 0
        if self.down and len(self.Blur.kernel) > 1:
            # What a 1x1 convolution of stride 2 leaves out need not be blurred.
            stride = 2 if size > 1 else 1
            images = filtered(images, self.Blur.kernel, 2 // stride, self.padding, self.reflect)
        elif self.down:
            stride, padding = 2, self.padding[0]
        elif self.reflect and self.padding[0]:
            images = F.pad(images, 2 * self.padding, mode="reflect")
        else:
            padding = self.padding[0]
        images = F.conv2d(images, weight, bias, stride, padding)
        return F.leaky_relu(images, SLOPE, inplace=True) if self.Act else images


class UpConv(nn.Module):
    """A transposed 3x3 convolution that doubles the size, a blur, and a fused leaky ReLU."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.Conv, self.Blur, self.Act = EqualConv(inputs, outputs, 3, False), Blur(BLUR, gain=4), Activation(outputs)

    def forward(self, features: Tensor) -> Tensor:
        weight = GAIN * self.Conv.scale * self.Conv.weight.transpose(0, 1)
        features = F.conv_transpose2d(features, weight, stride=2)
        return F.leaky_relu(filtered(features, self.Blur.kernel, padding=(1, 1), bias=GAIN * self.Act.bias), SLOPE)


class ResBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 one, their mean in energy: (n, inputs, h, w) -> (n, outputs, h / 2, w / 2).

    down: whether it halves the size; reflect: how the two pad (the third always pads with zeros).
    """

    def __init__(self, inputs: int, outputs: int, down: bool = True, taps: tuple[int, ...] = BLUR,
                 reflect: bool = False):
        super().__init__()
        self.conv1 = ConvLayer(inputs, inputs, 3, reflect=reflect)
        self.conv2 = ConvLayer(inputs, outputs, 3, down, taps, reflect=reflect)
        self.skip = ConvLayer(inputs, outputs, 1, down, taps, bias=False, activate=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv2(self.conv1(images), 1 / GAIN) + self.skip(images, 1 / GAIN)


class ModulatedConv(nn.Module):
    """A convolution whose inputs a style scales, channel by channel: (n, inputs, h, w) -> (n, outputs, ...).

    With demodulation scales have a root mean square of 1 for each sample, and each filter a length of 1. Neither
    depends on the other, so all samples share the weights, and one convolution serves the batch.
    up: doubles the size, by a transposed convolution and a blur.
    """

    def __init__(self, inputs: int, outputs: int, size: int, style: int, up: bool = False, demodulate: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, size, size))
        self.modulation = EqualLinear(style, inputs, bias=1.0)
        self.blur = Blur(BLUR, gain=4) if up else None
        self.scale, self.demodulate = 1 / math.sqrt(inputs * size**2), demodulate

    def forward(self, features: Tensor, style: Tensor, bias: Tensor | None = None, gain: float = 1.0) -> Tensor:
        """Return the convolution of features by a style (n, style), times a gain, plus a bias (outputs,)."""
        scales, weight = self.modulation(style).float(), self.scale * self.weight[0]
        if self.demodulate:
            scales = scales * torch.rsqrt(scales.square().mean(dim=1, keepdim=True) + EPSILON)
            weight = weight * torch.rsqrt(weight.square().sum(dim=(1, 2, 3), keepdim=True) + EPSILON)
        features, weight = features * scales.to(features.dtype)[:, :, None, None], gain * weight
        if self.blur is None:
            return F.conv2d(features, weight, bias, padding=weight.shape[-1] // 2)
        features = F.conv_transpose2d(features, weight.transpose(0, 1), stride=2)
        return filtered(features, self.blur.kernel, padding=(1, 1), bias=bias)


class Noise(nn.Module):
    """Holds how strong noise is."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class StyledConv(nn.Module):
    """A modulated 3x3 convolution, noise, and a fused leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, style: int, up: bool = False):
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style, up)
        self.noise = Noise()
        self.activate = Activation(outputs)

    def forward(self, features: Tensor, style: Tensor, noise: Tensor | None, gain: float = 1.0) -> Tensor:
        """Return the layer's output times a gain; noise: (n or 1, 1, h, w) of the output's size, or None."""
        gain = GAIN * gain
        features = self.conv(features, style, gain * self.activate.bias, gain)
        if noise is not None:
            features += (gain * self.noise.weight * noise).to(features.dtype)
        return F.leaky_relu(features, SLOPE, inplace=True)
