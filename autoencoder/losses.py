"""Losses with the scales of the published runs; pure functions of tensors."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from evaluation.ssim import ssim

TRIPLET_MARGIN = 0.2


def ssim_loss(images: Tensor, targets: Tensor) -> Tensor:
    """Return 1 - SSIM, averaged over the batch."""
    return 1 - ssim(images, targets).mean()


def bce_loss(images: Tensor, targets: Tensor) -> Tensor:
    """Return the binary cross-entropy summed over pixels and batch; not a number where a pixel is none."""
    # torch refuses such a pixel with a traceback, on a GPU by ending the process; other losses pass it on.
    return F.binary_cross_entropy(images.nan_to_num(nan=0.5), targets, reduction="sum") + 0 * images.detach().sum()


def mse_loss(images: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error summed over pixels, divided by the batch size."""
    return F.mse_loss(images, targets, reduction="sum") / len(images)


def l1_loss(images: Tensor, targets: Tensor) -> Tensor:
    """Return the absolute error summed over pixels, divided by the batch size."""
    return F.l1_loss(images, targets, reduction="sum") / len(images)


Loss = Callable[[Tensor, Tensor], Tensor]
RECONSTRUCTION_LOSSES: dict[str, Loss] = {"ssim": ssim_loss, "bce": bce_loss, "mse": mse_loss, "l1": l1_loss}


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the KL divergence of Gaussians from the standard normal, summed over dimensions, averaged over the batch.

    mean, log_variance: (n, d). BCE is summed over the batch, so beside it a KL weight of beta stands for beta / n in
    the evidence lower bound; beside MSE and L1, which are divided by the batch size, it stands for beta.
    """
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()


def permute_latents(latents: Tensor) -> Tensor:
    """Shuffle every dimension of latents (n, d) across the batch, independently, from torch's global generator.

    What comes out follows the product of the marginals (Kim and Mnih 2018, Algorithm 1).
    """
    order = torch.rand(latents.shape, device=latents.device).argsort(dim=0)
    return latents.gather(0, order)


def discriminator_loss(real: Tensor, permuted: Tensor) -> Tensor:
    """Return the mean cross-entropy of a discriminator's logits, each (n, 2): latents are class 0, permuted ones 1."""
    return 0.5 * (-F.log_softmax(real, dim=1)[:, 0].mean() - F.log_softmax(permuted, dim=1)[:, 1].mean())


def total_correlation(logits: Tensor) -> Tensor:
    """Estimate the total correlation of latents in nats from a discriminator's logits (n, 2) of them.

    The difference of the logits estimates the logarithm of the density ratio between the latents' joint distribution
    and the product of its marginals (Kim and Mnih 2018, Eq. 3).
    """
    return (logits[:, 0] - logits[:, 1]).mean()


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, valid: Tensor) -> Tensor:
    """Return the triplet margin loss of latents (n, d): margin 0.2, Euclidean, distance swap, mean.

    valid: bool (n,); samples without a positive or a negative take no part in the mean, which is 0 when none has both.
    """
    losses = F.triplet_margin_loss(anchor, positive, negative, margin=TRIPLET_MARGIN, p=2, swap=True, reduction="none")
    return torch.where(valid, losses, 0).sum() / valid.sum().clamp(min=1)
