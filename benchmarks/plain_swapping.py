"""The plain form of the swapping autoencoder: layers as they are described, one after the other.

Weights of modulated convolutions are repeated for every sample, and go through a grouped convolution; blurring makes
each channel an image of its own; discriminators are called for each kind of image; tensors have torch's default layout.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from translation.data import Batch
from translation.stylegan import EPSILON, GAIN, SLOPE, ConvLayer, EqualLinear, ModulatedConv, StyledConv
from translation.swapping_losses import fake_loss, real_loss
from translation.swapping_step import SwappingStep, Terms


def plain_filter(images: Tensor, kernel: Tensor, padding: tuple[int, int], reflect: bool = False) -> Tensor:
    """Convolve each channel of images (n, c, h, w) with a kernel (k, k), as if each were an image."""
    images = F.pad(images, 2 * padding, mode="reflect" if reflect else "constant")
    n, channels, height, width = images.shape
    found = F.conv2d(images.reshape(n * channels, 1, height, width), kernel.flip(0, 1)[None, None])
    return found.view(n, channels, *found.shape[2:])


def plain_activation(features: Tensor, bias: Tensor) -> Tensor:
    return GAIN * F.leaky_relu(features + bias[:, None, None], SLOPE)


class PlainConvLayer(ConvLayer):
    def forward(self, images: Tensor, gain: float = 1.0) -> Tensor:
        padding = self.padding[0]
        if self.down:
            images, padding = plain_filter(images, self.Blur.kernel, self.padding, self.reflect), 0
        elif self.reflect:
            images, padding = F.pad(images, 2 * self.padding, mode="reflect"), 0
        conv = self.Conv
        images = F.conv2d(images, conv.scale * conv.weight, conv.bias, 2 if self.down else 1, padding)
        return gain * (plain_activation(images, self.Act.bias) if self.Act else images)


class PlainLinear(EqualLinear):
    def forward(self, values: Tensor) -> Tensor:
        found = F.linear(values, self.scale * self.weight, self.bias)
        return GAIN * F.leaky_relu(found, SLOPE) if self.activate else found


class PlainModulatedConv(ModulatedConv):
    def forward(self, features: Tensor, style: Tensor, bias: Tensor | None = None, gain: float = 1.0) -> Tensor:
        n, inputs, height, width = features.shape
        scales = self.modulation(style)
        weight = (self.scale * self.weight).repeat(n, 1, 1, 1, 1)
        if self.demodulate:
            scales = scales / torch.sqrt(scales.square().mean(dim=1, keepdim=True) + EPSILON)
            weight = weight / torch.sqrt(weight.square().sum(dim=(2, 3, 4), keepdim=True) + EPSILON)
        features = (features * scales[:, :, None, None]).reshape(1, n * inputs, height, width)
        if self.blur is None:
            found = F.conv2d(features, weight.flatten(0, 1), padding=weight.shape[-1] // 2, groups=n)
        else:
            found = F.conv_transpose2d(features, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=n)
        found = found.view(n, -1, *found.shape[2:])
        found = found if self.blur is None else plain_filter(found, self.blur.kernel, (1, 1))
        return gain * found + (0 if bias is None else bias[:, None, None])


class PlainStyledConv(StyledConv):
    def forward(self, features: Tensor, style: Tensor, noise: Tensor, gain: float = 1.0) -> Tensor:
        features = self.conv(features, style) + self.noise.weight * noise
        return gain * plain_activation(features, self.activate.bias)


PLAIN = {ConvLayer: PlainConvLayer, EqualLinear: PlainLinear, ModulatedConv: PlainModulatedConv,
         StyledConv: PlainStyledConv}


class PlainStep(SwappingStep):
    """The same losses, each of its own forward pass."""

    def discriminator_terms(self, batch: Batch) -> Terms:
        with torch.no_grad():
            made = self.made(batch)
        model, images = self.model, made["images"] if self.section.real_domain == "both" else batch.target
        terms = {"d_real": (1.0, real_loss(model.D(images))), "d_rec": (0.5, fake_loss(model.D(made["rec"]))),
                 "d_mix": (0.5, fake_loss(model.D(made["mix"])))}
        patches = [self.patches(each) for each in (batch.target, batch.target, made["mix"])]
        reference, real, mix = (model.Dpatch.features(each) for each in patches)
        return terms | {"patch_real": (1.0, real_loss(model.Dpatch.compare(reference, real))),
                        "patch_mix": (1.0, fake_loss(model.Dpatch.compare(reference, mix)))}


def make_plain(step: SwappingStep) -> None:
    """Take from a step what makes it fast: layers, layout, joint calls, fused optimisers."""
    for module in step.model.modules():
        module.__class__ = PLAIN.get(module.__class__, module.__class__)
    for weight in step.model.parameters():
        weight.data = weight.data.contiguous()
    step.__class__ = PlainStep
    for name, weights in (("optimizer", step.parameters()), ("discriminator_optimizer", step.judges)):
        [group] = getattr(step, name).param_groups
        setattr(step, name, step.fabric.setup_optimizers(torch.optim.Adam(weights, group["lr"], group["betas"])))
