"""Building blocks of StyleGAN2 against naive loops, the form with weights per sample, and formulas written out."""

import math

import pytest
import torch
from torch.nn import functional as F

from benchmarks.plain_swapping import PlainConvLayer, PlainModulatedConv, PlainStyledConv
from translation.stylegan import (
    ConvLayer,
    EqualLinear,
    ModulatedConv,
    ResBlock,
    StyledConv,
    UpConv,
    filtered,
    kernel_of,
)


def randomised(layer, generator):
    """Give all weights of a layer values that tell them apart."""
    for weight in layer.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    return layer


def naive_filter(images, kernel, stride, before, behind, reflect):
    """Filter pixel by pixel, the kernel turned round as a convolution has it."""
    n, channels, height, width = images.shape
    size = len(kernel)

    def pixel(i, c, y, x):
        if reflect:
            y, x = (-at if at < 0 else 2 * (length - 1) - at if at >= length else at
                    for at, length in ((y, height), (x, width)))
        return images[i, c, y, x].item() if 0 <= y < height and 0 <= x < width else 0.0

    sizes = [(length + before + behind - size) // stride + 1 for length in (height, width)]
    found = torch.zeros(n, channels, *sizes, dtype=images.dtype)
    for i, c, y, x in torch.cartesian_prod(*(torch.arange(length) for length in found.shape)).tolist():
        found[i, c, y, x] = sum(
            kernel[size - 1 - a, size - 1 - b].item() * pixel(i, c, stride * y + a - before, stride * x + b - before)
            for a in range(size) for b in range(size))
    return found


@pytest.mark.parametrize(("taps", "stride", "padding", "reflect"), [
    ((1, 3, 3, 1), 1, (2, 2), False), ((1, 3, 3, 1), 2, (1, 1), False), ((1, 2, 1), 1, (2, 1), True),
    ((1, 2, 1), 2, (1, 0), False), ((1, 3, 3, 1), 1, (1, 1), False)])
def test_filtering_is_that_of_a_loop_and_so_are_its_derivatives(taps, stride, padding, reflect, generator):
    images = torch.randn(2, 2, 5, 6, dtype=torch.float64, generator=generator).requires_grad_()
    kernel = kernel_of(taps).double()
    assert kernel.sum().item() == pytest.approx(1)
    wanted = naive_filter(images, kernel, stride, *padding, reflect)
    assert torch.allclose(filtered(images, kernel, stride, padding, reflect), wanted, atol=1e-12)
    bias = torch.randn(2, dtype=torch.float64, generator=generator).requires_grad_()

    def function(images, bias):
        return filtered(images, kernel, stride, padding, reflect, bias).square()

    assert torch.autograd.gradcheck(function, (images, bias))
    assert torch.autograd.gradgradcheck(function, (images, bias))


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_a_modulated_convolution_is_that_with_weights_per_sample(up, demodulate, generator):
    layer = randomised(ModulatedConv(5, 4, 3, 7, up, demodulate), generator)
    features, style = torch.randn(3, 5, 6, 4, generator=generator), torch.randn(3, 7, generator=generator)
    found = layer(features, style)
    layer.__class__ = PlainModulatedConv
    wanted = layer(features, style)
    assert found.shape == (3, 4, 12, 8) if up else (3, 4, 6, 4)
    assert (found - wanted).abs().max() <= 1e-6 * wanted.abs().max()


def test_the_scales_of_a_modulated_convolution_are_those_of_its_formula(generator):
    layer = randomised(ModulatedConv(5, 4, 1, 7), generator)
    features, style = torch.randn(2, 5, 1, 1, generator=generator), torch.randn(2, 7, generator=generator)
    found = layer(features, style)
    for i in range(2):
        scales = [sum(style[i, k] * layer.modulation.weight[c, k] for k in range(7)) / math.sqrt(7)
                  + layer.modulation.bias[c] for c in range(5)]
        mean = math.sqrt(sum(scale.item() ** 2 for scale in scales) / 5)
        for o in range(4):
            weights = layer.weight[0, o, :, 0, 0] / math.sqrt(5)
            length = math.sqrt(weights.square().sum().item())
            value = sum(features[i, c, 0, 0] * scales[c] / mean * weights[c] / length for c in range(5))
            assert found[i, o, 0, 0].item() == pytest.approx(value.item(), abs=1e-5)
    assert torch.equal(ModulatedConv(5, 4, 1, 7).modulation.bias, torch.ones(5))


@pytest.mark.parametrize(("size", "down", "taps", "reflect", "padding", "activate"), [
    (3, True, (1, 3, 3, 1), False, None, True), (1, True, (1, 3, 3, 1), False, None, False),
    (3, True, (1, 2, 1), True, None, True), (1, True, (1, 2, 1), False, None, False),
    (3, True, (1,), False, 0, True), (3, False, (1, 2, 1), True, None, True), (1, False, (1,), False, None, False),
    (3, False, (1,), False, 0, True)])
def test_a_layer_is_blur_convolution_and_activation_one_after_the_other(size, down, taps, reflect, padding, activate,
                                                                       generator):
    layer = ConvLayer(3, 4, size, down, taps, activate=activate, reflect=reflect, padding=padding)
    randomised(layer, generator)
    images = torch.randn(2, 3, 8, 10, generator=generator)
    found = layer(images, 0.7)
    layer.__class__ = PlainConvLayer
    wanted = layer(images, 0.7)
    assert torch.allclose(found, wanted, atol=1e-5)
    pads = {(3, True, 4): (2, 2), (1, True, 4): (1, 1), (3, True, 3): (2, 1), (1, True, 3): (1, 0)}
    assert layer.padding == pads.get((size, down, len(taps)), (0 if padding == 0 else size // 2,) * 2)
    assert wanted.shape[2:] == {(True, None): (4, 5), (True, 0): (3, 4), (False, None): (8, 10), (False, 0): (6, 8)}[
        down, padding]


@pytest.mark.parametrize("up", [False, True])
def test_a_styled_convolution_is_convolution_noise_and_activation(up, generator):
    layer = randomised(StyledConv(3, 4, 5, up), generator)
    features, style = torch.randn(2, 3, 4, 4, generator=generator), torch.randn(2, 5, generator=generator)
    noise = torch.randn(2, 1, *(2 * [8 if up else 4]), generator=generator)
    found = layer(features, style, noise, 0.7)
    layer.__class__, layer.conv.__class__ = PlainStyledConv, PlainModulatedConv
    assert torch.allclose(found, layer(features, style, noise, 0.7), atol=1e-5)


def test_a_residual_block_is_the_scaled_sum_of_both_ways(generator):
    block = randomised(ResBlock(3, 4, taps=(1, 2, 1), reflect=True), generator)
    images = torch.randn(2, 3, 8, 8, generator=generator)
    found = block(images)
    for layer in (block.conv1, block.conv2, block.skip):
        layer.__class__ = PlainConvLayer
    assert torch.allclose(found, (block.conv2(block.conv1(images)) + block.skip(images)) / math.sqrt(2), atol=1e-5)
    assert (block.skip.Act, block.skip.Conv.bias, block.skip.reflect) == (None, None, False)


def test_linear_layers_and_doubling_convolutions_written_out(generator):
    values = torch.randn(3, 6, generator=generator)
    layer = randomised(EqualLinear(6, 2, activate=True), generator)
    wanted = values @ layer.weight.T / math.sqrt(6) + layer.bias
    assert torch.allclose(layer(values), math.sqrt(2) * torch.where(wanted > 0, wanted, 0.2 * wanted), atol=1e-6)
    up = randomised(UpConv(3, 4), generator)
    features = torch.randn(2, 3, 4, 5, generator=generator)
    wide = F.conv_transpose2d(features, up.Conv.weight.transpose(0, 1) / math.sqrt(27), stride=2)
    wanted = naive_filter(wide.detach(), kernel_of((1, 3, 3, 1), 4), 1, 1, 1, False) + up.Act.bias[:, None, None]
    assert torch.allclose(up(features), math.sqrt(2) * torch.where(wanted > 0, wanted, 0.2 * wanted), atol=1e-5)
