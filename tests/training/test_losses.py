"""Losses against libraries, closed forms and naive loops."""

import math

import pytest
import pytorch_msssim
import torch

from errors import UserError
from training.losses import RECONSTRUCTION_LOSSES, bce_loss, l1_loss, mse_loss, ssim, ssim_loss, triplet_loss


@pytest.fixture
def pair(generator):
    images = torch.rand(3, 2, 40, 24, generator=generator)
    return images, (images + 0.3 * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def test_ssim_and_its_gradient_equal_the_library(pair):
    ours, theirs = pair[0].clone().requires_grad_(), pair[0].clone().requires_grad_()
    value = ssim(ours, pair[1])
    expected = pytorch_msssim.ssim(theirs, pair[1], data_range=1, size_average=False)
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
    value.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_ssim_equals_a_loop_over_windows(pair):
    x, y = (image[:1, :1].double() for image in pair)
    taps = [math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)]
    window = torch.tensor([[a * b for b in taps] for a in taps], dtype=torch.float64)
    window /= window.sum()
    values = []
    for top in range(40 - 10):
        for left in range(24 - 10):
            a, b = (image[0, 0, top : top + 11, left : left + 11] for image in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            cov = (window * (a - mean_a) * (b - mean_b)).sum()
            values.append((2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4)
                          / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)))
    assert float(ssim(x, y)) == pytest.approx(float(sum(values) / len(values)), abs=1e-9)


def test_ssim_of_constant_images_is_the_closed_form():
    dark, bright = (torch.full((1, 1, 16, 16), value, dtype=torch.float64) for value in (0.2, 0.8))
    assert float(ssim(dark, bright)) == pytest.approx((2 * 0.16 + 1e-4) / (0.04 + 0.64 + 1e-4), abs=1e-9)


def test_ssim_loss_of_an_image_with_itself_is_zero(pair):
    assert float(ssim_loss(pair[0], pair[0])) == pytest.approx(0, abs=1e-6)


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(UserError, match="at least 11 pixels"):
        ssim(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8))


def test_pixel_losses_have_the_published_scales(pair):
    x, y = pair
    squares = absolutes = crosses = 0.0
    for a, b in zip(x.double().flatten().tolist(), y.double().flatten().tolist(), strict=True):
        squares += (a - b) ** 2
        absolutes += abs(a - b)
        # torch clamps logarithms at -100
        crosses -= b * max(math.log(a), -100) + (1 - b) * max(math.log1p(-a), -100)
    batch = len(x)
    assert float(mse_loss(x, y)) == pytest.approx(squares / batch, rel=1e-5)
    assert float(l1_loss(x, y)) == pytest.approx(absolutes / batch, rel=1e-5)
    assert float(bce_loss(x, y)) == pytest.approx(crosses, rel=1e-5)


@pytest.mark.parametrize("name", RECONSTRUCTION_LOSSES)
def test_a_better_reconstruction_has_a_lower_loss(name, generator):
    target = torch.rand(2, 1, 24, 24, generator=generator)
    noise = torch.randn(target.shape, generator=generator)
    losses = [float(RECONSTRUCTION_LOSSES[name]((target + s * noise).clamp(0, 1), target)) for s in (0.01, 0.1, 0.5)]
    assert losses == sorted(losses)


def naive_triplet(anchor, positive, negative, valid):
    values = []
    for a, p, n, ok in zip(anchor, positive, negative, valid, strict=True):
        if ok:
            near = math.dist(a, p)
            far = min(math.dist(a, n), math.dist(p, n))
            values.append(max(near - far + 0.2, 0))
    return sum(values) / len(values) if values else 0


def test_triplet_loss_equals_a_loop_with_swap_and_margin(generator):
    parts = torch.randn(3, 20, 4, generator=generator) * 0.2
    valid = torch.rand(20, generator=generator) < 0.7
    expected = naive_triplet(*parts.tolist(), valid.tolist())
    assert float(triplet_loss(*parts, valid)) == pytest.approx(expected, abs=1e-5)


def test_triplet_loss_without_a_valid_triplet_is_zero_with_zero_gradient(generator):
    parts = [part.requires_grad_() for part in torch.randn(3, 5, 4, generator=generator).unbind()]
    loss = triplet_loss(*parts, torch.zeros(5, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(float(part.grad.abs().sum()) == 0 for part in parts)
