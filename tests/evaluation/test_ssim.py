"""SSIM against pytorch-msssim, a loop over windows, a closed form and numerical gradients."""

import math

import pytest
import pytorch_msssim
import torch

from errors import UserError
from evaluation import ssim as module
from evaluation.ssim import ssim


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
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-5)


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


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(UserError, match="at least 11 pixels"):
        ssim(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8))


def test_the_gradient_is_that_of_finite_differences(generator):
    x, y = torch.rand(2, 2, 1, 13, 12, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda images: ssim(images, y), x.requires_grad_())


@pytest.mark.parametrize("size", [(11, 11), (34, 35), (128, 57)])
def test_blocks_of_every_size_filter_like_the_whole_matrix(size, generator):
    maps = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64)
    in_blocks, back = module._filter(maps), module._filter(module._filter(maps), transposed=True)
    rows, columns = (module._band(side) for side in size)
    torch.testing.assert_close(in_blocks, rows @ maps @ columns.T)
    torch.testing.assert_close(back, rows.T @ in_blocks @ columns)


def test_images_in_another_layout_have_the_same_ssim(pair):
    x, y = (image.to(memory_format=torch.channels_last) for image in pair)
    torch.testing.assert_close(ssim(x, y), ssim(*pair))


def test_targets_with_a_gradient_are_refused(pair):
    with pytest.raises(ValueError, match="targets get no gradient"):
        ssim(pair[0], pair[1].requires_grad_())
