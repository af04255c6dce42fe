"""Autoencoders: convolutional and variational (Tables S1 and S2), with a frozen extractor (Tables S3 and S4).

And the baseline that trains nothing: the extractor's features themselves.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoder.layers import Upsample
from errors import UserError, choice_error
from memory import check_memory
from pretrained_model import Frozen, OnBackbone, build_extractor

HIDDEN, DISCRIMINATOR_WIDTH = 256, 1000


# The elementwise ones of torch.nn without parameters, by their names in lower case, and the config's spelling of one.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {kind.__name__.lower(): kind for kind in (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LogSigmoid, nn.Mish,
    nn.ReLU6, nn.RReLU, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink)}
ACTIVATIONS |= {"relu": partial(nn.ReLU, inplace=True), "leaky_relu": nn.LeakyReLU}


def find_activation(name: str) -> Callable[[], nn.Module]:
    """Return what makes an activation; UserError for a name that is none of torch.nn's elementwise ones."""
    if name not in ACTIVATIONS:
        raise choice_error("model.activation (elementwise, without parameters)", name, sorted(ACTIVATIONS))
    return ACTIVATIONS[name]


class Autoencoder(nn.Module):
    """What all autoencoders share: the decoder, and the three steps that training and evaluation call.

    extract: images (n, C, H, W) in [0, 1] -> what is encoded (frozen features, or the images themselves);
    encode: that -> latents (n, d); decode: latents -> images (n, C, H, W) in (0, 1).
    frozen: the layers that do not train, or None.
    """

    frozen: Frozen | None = None

    def __init__(self, image_size: int, channels: int, dimension: int, activation: str):
        super().__init__()
        if image_size % 16:
            raise UserError(f"dataset.image_size: found {image_size}; allowed: multiples of 16")
        self.grid = image_size // 16
        act = find_activation(activation)
        self.decoder_fc = nn.Sequential(nn.Linear(dimension, HIDDEN), act(),
                                        nn.Linear(HIDDEN, 64 * self.grid**2), act())
        self.decoder_conv = nn.Sequential(Upsample(64, 64), act(), Upsample(64, 32), act(), Upsample(32, 32), act(),
                                          Upsample(32, channels), nn.Sigmoid())

    def extract(self, images: Tensor) -> Tensor:
        return images

    def encode(self, features: Tensor) -> Tensor:
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder_conv(self.decoder_fc(latents).view(-1, 64, self.grid, self.grid))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return reconstructions (n, C, H, W) and latents (n, d) of images (n, C, H, W) in [0, 1]."""
        latents = self.encode(self.extract(images))
        return self.decode(latents), latents


class ConvAE(Autoencoder):
    """The convolutional autoencoder of Table S1."""

    def __init__(self, image_size: int, channels: int, dimension: int, activation: str):
        super().__init__(image_size, channels, dimension, activation)
        trunk = convolutional_trunk(channels, self.grid, find_activation(activation))
        self.encoder = nn.Sequential(*trunk, nn.Linear(HIDDEN, dimension))

    def encode(self, features: Tensor) -> Tensor:
        return self.encoder(features)


def convolutional_trunk(channels: int, grid: int, act: type[nn.Module]) -> list[nn.Module]:
    """Return the layers of Table S1's encoder up to the 256 units before the latents."""
    return [
        nn.Conv2d(channels, 32, 4, stride=2, padding=1), act(),
        nn.Conv2d(32, 32, 4, stride=2, padding=1), act(),
        nn.Conv2d(32, 64, 4, stride=2, padding=1), act(),
        nn.Conv2d(64, 64, 4, stride=2, padding=1), act(),
        nn.Flatten(), nn.Linear(64 * grid**2, HIDDEN), act(),
    ]  # fmt: skip


class VAE(Autoencoder):
    """The variational autoencoder of Table S1: a diagonal Gaussian in the latent space per image.

    Latents are drawn from it while training only; `encode`, and so evaluation and reconstruction, takes its mean.
    """

    def __init__(self, image_size: int, channels: int, dimension: int, activation: str):
        super().__init__(image_size, channels, dimension, activation)
        self.encoder = nn.Sequential(*convolutional_trunk(channels, self.grid, find_activation(activation)))
        # The published names of the mean's and the log-variance's head.
        self.encoder_fc21 = nn.Linear(HIDDEN, dimension)
        self.encoder_fc22 = nn.Linear(HIDDEN, dimension)

    def encode(self, features: Tensor) -> Tensor:
        return self.encoder_fc21(self.encoder(features))

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, each float32 (n, d), of the latents of images (n, C, H, W)."""
        hidden = self.encoder(features)
        # In 32 bit whatever the precision, as the log-variance goes through an exponential.
        return self.encoder_fc21(hidden).float(), self.encoder_fc22(hidden).float()

    def sample(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Draw latents (n, d) by reparameterisation, from torch's global generator; in evaluation mode, the mean."""
        if not self.training:
            return mean
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)


class FactorVAE(VAE):
    """The FactorVAE of Table S2: a VAE and a discriminator that tells its latents from permuted ones.

    discriminator: latents (n, d) -> logits (n, 2), of coming from the encoder and of having been permuted.
    """

    def __init__(self, image_size: int, channels: int, dimension: int, activation: str):
        super().__init__(image_size, channels, dimension, activation)
        widths = [dimension, *[DISCRIMINATOR_WIDTH] * 5]
        hidden = [layer for inputs, outputs in pairwise(widths) for layer in (nn.Linear(inputs, outputs),
                                                                             nn.LeakyReLU(0.2))]
        self.discriminator = nn.Sequential(*hidden, nn.Linear(DISCRIMINATOR_WIDTH, 2))


class FrozenExtractor(OnBackbone):
    """The part of a model that sees images through a frozen backbone: no gradients, evaluation mode, but for BatchNorm.

    frozen_part: what it is, for people.
    """

    def build(self, image_size: int, extractor: str, layer: int, weights: str, batchnorm: str,
              normalize: bool) -> tuple[int, int]:
        """Add the backbone; return channels c and side h = w of what `extract` returns."""
        backbone = build_extractor(extractor, layer, weights, image_size)
        self.look_through(extractor, normalize)
        self.extractor = backbone.layers
        self.frozen = Frozen(self.extractor, batchnorm)
        self.frozen_part = f"{extractor} cut at {layer}, weights {weights}, batchnorm {batchnorm}"
        return backbone.channels, backbone.size // 2

    @torch.no_grad()
    def extract(self, images: Tensor) -> Tensor:
        """Return the pooled frozen features (n, c, h, w) of images (n, C, H, W) in [0, 1]."""
        return F.avg_pool2d(self.extractor(self.scale(images)), 2)


class ExtractorAE(FrozenExtractor, Autoencoder):
    """The extractor autoencoder of Tables S3 and S4: frozen backbone, summariser, encoder, decoder."""

    def __init__(self, image_size: int, channels: int, dimension: int, activation: str, extractor: str, layer: int,
                 weights: str, batchnorm: str = "frozen", normalize: bool = False):
        super().__init__(image_size, channels, dimension, activation)
        act = find_activation(activation)
        channels, side = self.build(image_size, extractor, layer, weights, batchnorm, normalize)
        # The pooling is part of `extract`; it is here for the published numbering of the layers.
        self.conv = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, HIDDEN, 4))
        self.encoder = nn.Sequential(act(), nn.Flatten(), nn.Linear(HIDDEN * (side - 3) ** 2, HIDDEN), act(),
                                     nn.Linear(HIDDEN, dimension))

    def encode(self, features: Tensor) -> Tensor:
        return self.encoder(self.conv[1](features))


def check_fits(section, image_size: int) -> None:
    """Raise UserError where the weights of the autoencoder that `[model]` describes are more than there is memory."""
    try:
        with torch.device("meta"):
            model = create_autoencoder(section.model_copy(update={"weights": "none"}), image_size, channels=1)
        needed = sum(parameter.nbytes for parameter in model.parameters())
    except NotImplementedError:
        # torchvision's RegNets compute with tensors while they are built, which then have no numbers.
        return
    except (RuntimeError, TypeError, OverflowError):
        # Sizes beyond what torch can count.
        needed = 2**63
    check_memory(needed, f"model.dimension = {section.dimension} at dataset.image_size = {image_size}: the weights")


class FrozenFeatures(FrozenExtractor):
    """The baseline of an ExtractorAE: what its trained head is given, taken as latents. No decoder, no training.

    That is the backbone's output at the cut, averaged over two by two positions: (c, h, w). kind: `flat`, all of it, so
    that d = chw; `mean`, each channel's mean over positions, d = c; `pca`, its projection on the first `dimension`
    principal components of training features, which `fit` finds.
    """

    def __init__(self, image_size: int, dimension: int, kind: str, extractor: str, layer: int, weights: str,
                 batchnorm: str = "frozen", normalize: bool = False):
        super().__init__()
        # With no step there are no batch statistics, and no stored ones that move.
        policy = "frozen" if batchnorm == "reference" else batchnorm
        channels, side = self.build(image_size, extractor, layer, weights, policy, normalize)
        self.kind, flat = kind, channels * side**2
        self.dimension = {"flat": flat, "mean": channels, "pca": dimension}[kind]
        if kind == "pca":
            self.register_buffer("center", torch.zeros(flat))
            self.register_buffer("components", torch.zeros(dimension, flat))

    def check(self, samples: int) -> None:
        """Raise UserError where so many training features do not have as many principal components as are wanted."""
        most = min(samples, len(self.center)) if self.kind == "pca" else self.dimension
        if self.dimension > most:
            raise UserError(f"model.dimension: found {self.dimension}, but {samples} training features (mirror images "
                            f"included) have no more than {most} principal components; allowed: 1 to {most}")

    def fit(self, features: np.ndarray) -> None:
        """Find the principal components of training features float32 (n, chw), which are overwritten."""
        from sklearn.decomposition import PCA

        found = PCA(self.dimension, random_state=0, copy=False).fit(features)
        self.center.copy_(torch.from_numpy(found.mean_))
        self.components.copy_(torch.from_numpy(found.components_))

    def encode(self, features: Tensor) -> Tensor:
        if self.kind == "mean":
            return features.mean(dim=(2, 3))
        latents = features.flatten(1)
        return latents if self.kind == "flat" else (latents - self.center) @ self.components.T


CONVOLUTIONAL: dict[str, type[Autoencoder]] = {"ae": ConvAE, "tae": ConvAE, "vae": VAE, "factorvae": FactorVAE}


def create_autoencoder(section, image_size: int, channels: int) -> Autoencoder | FrozenFeatures:
    """Return what `[model]`, of type `conv` or `extractor`, describes; UserError where its parts do not fit."""
    shared = (image_size, channels, section.dimension, section.activation)
    backbone = (section.extractor, section.layer, section.weights, section.batchnorm, section.normalize)
    if section.type == "conv":
        model = CONVOLUTIONAL[section.variation](*shared)
    elif section.variation == "features":
        model = FrozenFeatures(image_size, section.dimension, section.features, *backbone)
    else:
        model = ExtractorAE(*shared, *backbone)
    # Channels-last convolutions are the faster ones at 128 pixels, where most of the time goes.
    return model.to(memory_format=torch.channels_last)
