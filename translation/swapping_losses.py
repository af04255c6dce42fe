"""Losses of the swapping autoencoder (Park et al. 2020): adversarial terms, R1, and the crops that patches are.

Logits are greater for what is taken for real. Each term is a mean over the patches of an image, then over images.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

# Least and most of an image's width or height that a patch spans.
PATCH = (1 / 8, 1 / 4)
# What `random_patches` draws for each.
DRAWS = 5


def real_loss(logits: Tensor) -> Tensor:
    """Return the mean of -log sigmoid(logits): of taking for real."""
    return F.softplus(-logits.float()).mean()


def fake_loss(logits: Tensor) -> Tensor:
    """Return the mean of -log(1 - sigmoid(logits)): of taking for generated."""
    return F.softplus(logits.float()).mean()


def gradient_penalty(logits: Tensor, *inputs: Tensor) -> Tensor:
    """Return the squared length of the gradient of logits in inputs (n, ...), a mean over the n images.

    It can be differentiated once more. Half of it, times a weight, is R1 (Mescheder et al. 2018).
    """
    gradients = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return sum(gradient.square().sum() for gradient in gradients) / len(inputs[0])


def random_patches(images: Tensor, draws: Tensor, size: int) -> Tensor:
    """Cut patches out of images (n, 3, H, W), scaled to (n, crops, 3, size, size), all of them at once.

    draws: (n, crops, 5) in [0, 1): whether a patch is mirrored, its width and height, each 1/8 to 1/4 of the image's,
    and where its centre is, so that it lies within. Sampled bilinearly, from edge to edge.
    """
    least, most = PATCH
    mirror, *extents, x, y = draws.unbind(dim=-1)
    # An image spans -1 to 1, so what a patch spans of it is half of its extent there.
    width, height = (least + (most - least) * extent for extent in extents)
    line = torch.linspace(-1, 1, size, device=images.device)
    across = (1 - width) * (2 * x - 1), torch.where(mirror < 0.5, -width, width)
    down = (1 - height) * (2 * y - 1), height
    columns, rows = (centre[..., None] + extent[..., None] * line for centre, extent in (across, down))
    # One image of patches below each other.
    grid = torch.stack([columns[:, :, None].expand(-1, -1, size, -1), rows[..., None].expand(-1, -1, -1, size)], dim=-1)
    patches = F.grid_sample(images, grid.flatten(1, 2), mode="bilinear", padding_mode="zeros", align_corners=False)
    return patches.unflatten(2, (-1, size)).transpose(1, 2)
