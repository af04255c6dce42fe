"""Losses and patches of the swapping autoencoder against closed forms, finite differences and loops."""

import math

import pytest
import torch

from translation.swapping import Discriminator, PatchDiscriminator
from translation.swapping_config import SwappingModel
from translation.swapping_losses import fake_loss, gradient_penalty, random_patches, real_loss

SMALL = SwappingModel(type="swapping", discriminator_capacity=1 / 128, patch_capacity=1 / 64, patch_size=16)


def test_adversarial_losses_in_numbers():
    logits = torch.tensor([0.0, 2.0, -3.0])
    wanted = [math.log1p(math.exp(-value)) for value in logits.tolist()]
    assert real_loss(logits).item() == pytest.approx(sum(wanted) / 3)
    wanted = [math.log1p(math.exp(value)) for value in logits.tolist()]
    assert fake_loss(logits).item() == pytest.approx(sum(wanted) / 3)
    right, half, wrong = (real_loss(torch.tensor(each)) for each in ([9.0, 9.0], [9.0, -9.0], [-9.0, -9.0]))
    assert right < half < wrong


def squared_gradient(function, values, step=1e-4):
    """Return the squared length of a gradient by finite differences; function: takes many values (m, *) at once."""
    shifts = step * torch.eye(values.numel(), dtype=values.dtype).view(-1, *values.shape)
    return ((function(values + shifts) - function(values - shifts)) / (2 * step)).square().sum().item()


def test_the_penalty_of_images_is_that_of_finite_differences():
    torch.manual_seed(0)
    judge, images = Discriminator(SMALL, (16, 16)).double(), torch.randn(2, 3, 16, 16).double()
    with torch.no_grad():
        wanted = sum(squared_gradient(judge, image) for image in images) / 2
    assert gradient_penalty(judge(images.requires_grad_()), images).item() == pytest.approx(wanted, rel=1e-5)


def test_the_penalty_of_patches_counts_reference_and_others():
    torch.manual_seed(0)
    judge = PatchDiscriminator(SMALL).double()
    reference, others = torch.randn(2, 1, 3, 16, 16).double().unbind()

    def says(reference, others):
        """Return what is said of patches (m, 1, 3, h, w) beside one each."""
        return judge.compare(judge.features(reference), judge.features(others))

    with torch.no_grad():
        wanted = squared_gradient(lambda each: says(each, others.expand_as(each)), reference)
        wanted += squared_gradient(lambda each: says(reference.expand_as(each), each), others)
    inputs = reference[None].requires_grad_(), others[None].requires_grad_()
    assert gradient_penalty(says(*inputs), *inputs).item() == pytest.approx(wanted, rel=1e-4)


def test_the_gradient_of_the_penalty_is_that_of_finite_differences():
    torch.manual_seed(0)
    judge, images = Discriminator(SMALL, (16, 16)).double(), torch.randn(2, 3, 16, 16).double().requires_grad_()
    gradient_penalty(judge(images), images).backward()
    weights, step = judge.stylegan2_D.convs[1].conv2.Conv.weight, 1e-5
    for place in [(0, 0, 0, 0), (5, 3, 1, 2), (7, 1, 2, 2)]:
        found = []
        for sign in (1, -1):
            with torch.no_grad():
                weights[place] += sign * step
            found.append(gradient_penalty(judge(images), images).item())
            with torch.no_grad():
                weights[place] -= sign * step
        assert weights.grad[place].item() == pytest.approx((found[0] - found[1]) / (2 * step), rel=1e-3, abs=1e-9)


def naive_patch(image, draws, size):
    """Sample a patch of an image (3, H, W) pixel by pixel; what lies beyond the image is 0."""
    mirror, wide, tall, x, y = draws
    height, width = image.shape[1:]
    span = (width * (1 / 8 + wide / 8), height * (1 / 8 + tall / 8))
    left, top = x * (width - span[0]), y * (height - span[1])
    found = torch.zeros(3, size, size)
    for row in range(size):
        for column in range(size):
            across = size - 1 - column if mirror < 0.5 else column
            # Pixels have their values in their middles.
            at = left + span[0] * across / (size - 1) - 0.5, top + span[1] * row / (size - 1) - 0.5
            for a in (math.floor(at[0]), math.floor(at[0]) + 1):
                for b in (math.floor(at[1]), math.floor(at[1]) + 1):
                    if 0 <= a < width and 0 <= b < height:
                        found[:, row, column] += image[:, b, a] * (1 - abs(at[0] - a)) * (1 - abs(at[1] - b))
    return found


def test_patches_are_those_of_a_loop(generator):
    images, draws = torch.rand(2, 3, 24, 40, generator=generator), torch.rand(2, 3, 5, generator=generator)
    draws[0, 0], draws[0, 1] = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0])
    found = random_patches(images, draws, 8)
    assert found.shape == (2, 3, 3, 8, 8)
    for i in range(2):
        for j in range(3):
            assert torch.allclose(found[i, j], naive_patch(images[i], draws[i, j].tolist(), 8), atol=1e-5)
