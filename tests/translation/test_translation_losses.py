"""The losses that keep annotations: closed forms, gradients where there have to be some, frozen networks."""

import math

import pytest
import torch
from torch import nn

from errors import UserError
from evaluation.recogniser import Recogniser
from translation.losses import (
    FeatureNetwork,
    alpha_loss,
    feature_loss,
    printed_mask,
    semantic_loss,
    soft_mask,
)


def images_of(*values: float) -> torch.Tensor:
    """Return an image of one channel and one row with such values."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1)


def test_the_printed_mask_is_any_channel_above_black_and_has_no_gradient():
    images = torch.full((1, 3, 1, 3), -1.0, requires_grad=True)
    changed = images + torch.tensor([0, 1 / 255, 1]).reshape(1, 1, 1, 3) * torch.tensor([0, 1.0, 0]).reshape(1, 3, 1, 1)
    found = printed_mask(changed)
    assert found.tolist() == [[[[0.0, 1.0, 1.0]]]]
    assert not found.requires_grad


def test_the_soft_mask_is_a_half_at_eight_grey_values_and_nearly_the_mask_beyond():
    grey = [0, 4, 8, 12, 20, 255]
    found = soft_mask(images_of(*(value * 2 / 255 - 1 for value in grey))).flatten().tolist()
    # In units of images a grey value is 2/255; the threshold is 8/255 and the softness 4/255.
    assert found == pytest.approx([1 / (1 + math.exp(-(2 * value - 8) / 4)) for value in grey])
    assert found[0] < 0.12
    assert found[-1] > 0.999


def test_alpha_loss_is_the_square_of_each_images_mean_difference():
    found, mask = torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    found[0, 0, 0, 0], mask[1] = 1, 1
    assert float(alpha_loss(found, mask)) == pytest.approx((0.25**2 + 1) / 2)


def test_feature_loss_is_the_square_of_each_images_mean_difference_and_moves_translated_images_alone():
    before, after = (torch.tensor(values, requires_grad=True).reshape(2, 1, 1, 2) for values in
                     ([[0.0, 0], [0, 0]], [[1.0, 0], [2, 2]]))
    loss = feature_loss(lambda images: 3 * images, before, after)
    assert loss.item() == pytest.approx((1.5**2 + 6**2) / 2)
    gradients = torch.autograd.grad(loss, [before, after], allow_unused=True)
    assert gradients[0] is None
    assert gradients[1].abs().sum() > 0


def test_semantic_loss_is_the_mean_over_what_is_not_ignored():
    network = nn.Conv2d(1, 3, 1).double()
    images, labels = torch.rand(2, 1, 2, 2).double() * 2 - 1, torch.tensor([[[0, 1], [2, 255]], [[255, 255], [1, 0]]])
    logits = network((images + 1) / 2).log_softmax(dim=1)
    expected = [-logits[n, labels[n, i, j], i, j] for n in range(2) for i in range(2) for j in range(2)
                if labels[n, i, j] != 255]
    found = semantic_loss(Recogniser(network, network, ("a", "b", "c"), True), images, labels)
    assert found.item() == pytest.approx(sum(expected).item() / 5, rel=1e-6)
    ignored = semantic_loss(Recogniser(network, network, ("a",), True), images, torch.full_like(labels, 255))
    assert ignored.item() == 0


def test_a_feature_network_stays_as_it_is_and_passes_gradients_on():
    network = FeatureNetwork("efficientnet_lite0", "imagenet", -2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = (torch.rand(2, 1, 32, 32) * 2 - 1).requires_grad_()
    feature_loss(network, images.detach(), images * 0.5).backward()
    assert network(images).shape == (2, 320, 1, 1)
    assert images.grad.abs().sum() > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_cut_that_is_none_is_refused():
    with pytest.raises(UserError, match=r"training.feature_layer: resnet18 has 10 layers; allowed: -9 to -1"):
        FeatureNetwork("resnet18", "none", -10)
