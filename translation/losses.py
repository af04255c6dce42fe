"""Losses that have a translated image keep what its source shows: outlines, features, labels.

Images are float32 (n, channels, h, w) in [-1, 1]; each loss is a mean over images.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from errors import UserError
from evaluation.recogniser import Recogniser, open_recogniser
from pretrained_model import build_network, load_weights, scale_to_network, stages, statistics
from readers.class_maps import IGNORE

# Where the soft mask is a half, and how fast it rises: in the units of images in [-1, 1] above black.
THRESHOLD, SOFTNESS = 8 / 255, 4 / 255


def printed_mask(images: Tensor) -> Tensor:
    """Return 1 where any channel is above black, else 0: (n, 1, h, w). It has no gradient.

    Source: Alpha of annotation-invariant style transfer, as its text prints it.
    """
    return (images > -1).any(dim=1, keepdim=True).to(images.dtype)


def soft_mask(images: Tensor) -> Tensor:
    """Return a smooth form of the same: the brightest channel above a threshold, through a sigmoid."""
    return torch.sigmoid((images.amax(dim=1, keepdim=True) + 1 - THRESHOLD) / SOFTNESS)


def alpha_loss(found: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute difference of masks (n, 1, h, w) in [0, 1], squared for each image.

    Source: E[|Alpha(x) - Alpha(G(x))|_1 ^ 2]; a sum over pixels, squared, would drown all else.
    """
    return (found - mask).abs().mean(dim=(1, 2, 3)).square().mean()


def feature_loss(features: Callable[[Tensor], Tensor], images: Tensor, translated: Tensor) -> Tensor:
    """Return the mean absolute difference of features before and after, squared for each image.

    Source: ResDist of annotation-invariant style transfer, E[|Phi(x) - Phi(G(x))|_1 ^ 2], with a mean as the norm.
    """
    with torch.no_grad():
        before = features(images)
    return (features(translated) - before).abs().mean(dim=(1, 2, 3)).square().mean()


def semantic_loss(recogniser: Recogniser, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean negative log-likelihood that a frozen network finds labels (n,) or (n, h, w) in images; 255: any.

    Source: the outer semantic loss of the label-consistent swapping autoencoder.
    """
    logits = recogniser.module((images + 1) / 2).float()
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    # There may be nothing but what is ignored.
    return total / (labels != IGNORE).sum().clamp(min=1)


class FeatureNetwork(nn.Module):
    """A frozen network up to a layer: images in [-1, 1] -> features (n, c, h, w), normalised as its weights expect.

    name: of a torchvision network or `efficientnet_lite0`; weights: `imagenet` or a file; layer: the cut, as
    `children()[0:layer]`. Raises UserError where these do not fit.
    """

    def __init__(self, name: str, weights: str, layer: int):
        super().__init__()
        network = build_network(name, num_classes=1000)
        parts = stages(network)
        if not len(parts) + layer > 0:
            raise UserError(f"training.feature_layer: {name} has {len(parts)} layers; allowed: {1 - len(parts)} to -1")
        self.layers, self.colours = nn.Sequential(*parts[:layer]), statistics(name)
        load_weights(network, self.layers, name, weights)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(scale_to_network((images + 1) / 2, None, True, self.colours))


def open_features(section, device: torch.device) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Return the network of `training.features`, and what it makes of images in [-1, 1]."""
    if "/" in section.features:
        found = open_recogniser(section.features, "training.features", device)
        return found.module, lambda images: found.features((images + 1) / 2)
    network = FeatureNetwork(section.features, section.feature_weights, section.feature_layer).to(device)
    return network, network
