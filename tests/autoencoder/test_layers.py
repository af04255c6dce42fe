"""The faster layer against the library's."""

import pytest
import torch
from torch.nn import functional as F

from autoencoder.layers import Upsample


@pytest.fixture(params=[1, 2, 3, 5])
def layer(request):
    torch.manual_seed(0)
    return Upsample(4, request.param)


def library(layer, features):
    return F.conv_transpose2d(features, layer.weight, layer.bias, stride=2, padding=1)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_the_librarys(layer, layout):
    features = torch.rand(3, 4, 6, 8).to(memory_format=layout).requires_grad_()
    ours, theirs = layer(features), library(layer, features)
    assert ours.shape == (3, layer.out_channels, 12, 16)
    torch.testing.assert_close(ours, theirs)
    inputs = (features, layer.weight, layer.bias)
    weights = torch.rand(ours.shape)
    for mine, other in zip(torch.autograd.grad((ours * weights).sum(), inputs),
                           torch.autograd.grad((theirs * weights).sum(), inputs), strict=True):
        torch.testing.assert_close(mine, other)


def test_the_gradient_is_that_of_finite_differences(layer):
    layer.double()
    assert torch.autograd.gradcheck(layer, torch.rand(1, 4, 3, 2, dtype=torch.float64).requires_grad_())


def test_frozen_weights_get_no_gradient(layer):
    layer.requires_grad_(False)
    features = torch.rand(1, 4, 3, 3).requires_grad_()
    layer(features).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is None
    assert features.grad is not None
    # Mixed precision takes the library's way.
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(features).dtype == torch.bfloat16
