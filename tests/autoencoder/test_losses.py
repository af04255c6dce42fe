"""Losses against libraries, closed forms and naive loops."""

import math

import pytest
import torch

from autoencoder.losses import (
    RECONSTRUCTION_LOSSES,
    bce_loss,
    discriminator_loss,
    kl_divergence,
    l1_loss,
    mse_loss,
    permute_latents,
    ssim_loss,
    total_correlation,
    triplet_loss,
)


@pytest.fixture
def pair(generator):
    images = torch.rand(3, 2, 40, 24, generator=generator)
    return images, (images + 0.3 * torch.randn(images.shape, generator=generator)).clamp(0, 1)


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


def test_bce_and_its_gradient_equal_the_library(pair):
    ours, theirs = pair[0].clone().requires_grad_(), pair[0].clone().requires_grad_()
    value, expected = bce_loss(ours, pair[1]), torch.nn.BCELoss(reduction="sum")(theirs, pair[1])
    torch.testing.assert_close(value, expected)
    value.backward()
    expected.backward()
    assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("name", RECONSTRUCTION_LOSSES)
def test_a_better_reconstruction_has_a_lower_loss_and_one_that_is_no_number_none(name, generator, pair):
    target = torch.rand(2, 1, 24, 24, generator=generator)
    noise = torch.randn(target.shape, generator=generator)
    losses = [float(RECONSTRUCTION_LOSSES[name]((target + s * noise).clamp(0, 1), target)) for s in (0.01, 0.1, 0.5)]
    assert losses == sorted(losses)
    images, targets = pair
    assert name != "ssim" or float(ssim_loss(images, images)) == pytest.approx(0, abs=1e-6)
    images[1, 0, 3, 3] = float("nan")
    assert math.isnan(RECONSTRUCTION_LOSSES[name](images, targets))


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
    parts.requires_grad_()
    loss = triplet_loss(*parts, torch.zeros(20, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == float(parts.grad.abs().sum()) == 0


def test_kl_divergence_equals_torchs_and_a_loop_and_is_averaged_over_the_batch(generator):
    mean, log_variance = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    library = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    loop = sum((m * m + math.exp(v) - 1 - v) / 2
               for m, v in zip(mean.flatten().tolist(), log_variance.flatten().tolist(), strict=True)) / 7
    value = kl_divergence(mean, log_variance)
    torch.testing.assert_close(value, library.sum() / 7)
    assert float(value) == pytest.approx(loop, rel=1e-12)
    torch.testing.assert_close(kl_divergence(mean.repeat(3, 1), log_variance.repeat(3, 1)), value)
    assert float(kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3))) == 0


def test_permuting_shuffles_every_dimension_across_the_batch_on_its_own():
    torch.manual_seed(0)
    latents = torch.arange(40 * 6).reshape(40, 6)
    permuted = permute_latents(latents)
    assert torch.equal(permuted.sort(dim=0).values, latents)
    source = permuted // 6
    assert torch.equal(permuted % 6, torch.arange(6).expand(40, 6)), "a value left its dimension"
    assert len({tuple(column) for column in source.T.tolist()}) == 6, "two dimensions were permuted alike"
    assert max(len(set(sample)) for sample in source.tolist()) == 6
    assert (source != torch.arange(40)[:, None]).float().mean() > 0.9
    assert not torch.equal(permute_latents(latents), permuted)


def test_permuting_gives_every_sample_every_place_equally_often():
    torch.manual_seed(0)
    draws = permute_latents(torch.arange(4)[:, None].expand(4, 20_000))
    for sample in range(4):
        torch.testing.assert_close((draws == sample).double().mean(dim=1), torch.full((4,), 0.25).double(),
                                   rtol=0, atol=0.015)


def test_discriminator_loss_and_total_correlation_equal_loops(generator):
    real, permuted = torch.randn(2, 9, 2, generator=generator, dtype=torch.float64).tolist()
    chances = [[math.exp(one) / (math.exp(one) + math.exp(other)) for one, other in logits]
               for logits in (real, permuted)]
    expected = -sum(math.log(p) for p in chances[0]) / 18 - sum(math.log(1 - p) for p in chances[1]) / 18
    assert float(discriminator_loss(torch.tensor(real), torch.tensor(permuted))) == pytest.approx(expected, abs=1e-6)
    expected = sum(math.log(p / (1 - p)) for p in chances[0]) / 9
    assert float(total_correlation(torch.tensor(real))) == pytest.approx(expected, abs=1e-6)


def correlated(correlation, count, generator):
    """Draw from two standard normals with a correlation; their total correlation is -log(1 - correlation^2) / 2."""
    first, noise = torch.randn(2, count, generator=generator)
    return torch.stack([first, correlation * first + math.sqrt(1 - correlation**2) * noise], dim=1)


def test_a_discriminator_trained_with_the_loss_estimates_the_total_correlation_of_a_gaussian(generator):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(2, 64), torch.nn.LeakyReLU(0.2), torch.nn.Linear(64, 64), torch.nn.LeakyReLU(0.2)]
    discriminator = torch.nn.Sequential(*layers, torch.nn.Linear(64, 2))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    for _ in range(500):
        first, second = correlated(0.8, 1024, generator).chunk(2)
        loss = discriminator_loss(discriminator(first), discriminator(permute_latents(second)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        estimate = float(total_correlation(discriminator(correlated(0.8, 50_000, generator))))
    assert estimate == pytest.approx(-0.5 * math.log(1 - 0.8**2), abs=0.05)
