"""What a network is fed: images as they come, or frozen features that were computed once and kept."""

from pathlib import Path

import torch
from torch import Tensor, nn

from dataset import Scenes
from frozen.cache import announce_features, open_features, rounded
from model import Autoencoder, FrozenExtractor
from readers.rows import Rows


class LiveInputs:
    """Images from the array, through the frozen part of the network (if it has one) at every call.

    `augment` changes brightness, contrast and noise of the images, drawn from torch's global generator.
    """

    def __init__(self, model: Autoencoder | None, scenes: Scenes, augment: bool = False):
        self.model, self.scenes, self.augment = model, scenes, augment

    def __call__(self, index: Tensor, flip: Tensor) -> Tensor:
        """Return network inputs for image index (n,) and flip (n,)."""
        images = self.scenes.gather(index, flip)
        if self.augment:
            images = photometric(images)
        return self.model.extract(images) if self.model else images


class CachedInputs:
    """Pooled frozen features of every image and its mirror image, 16 bit, on the device or read from the disk.

    rows: float16 (views, c, h, w), an image's mirror image after it; flips: views of an image, 1 or 2; scale: what the
    features were multiplied with, a power of two.
    """

    def __init__(self, rows: Rows, flips: int, scale: float):
        self.rows, self.flips, self.scale = rows, flips, scale

    def __call__(self, index: Tensor, flip: Tensor) -> Tensor:
        """Return features float32 (n, c, h, w) for image index (n,) and flip (n,)."""
        where = index * 2 + flip if self.flips == 2 else index
        return self.rows.take(where).float() / self.scale


def create_inputs(model: Autoencoder, scenes: Scenes, cache: str | Path, augment: bool = False, once: bool = False,
                  dry: bool = False):
    """Return what feeds a model: cached features where its frozen part sees only images and their mirror images.

    once: these features are not needed again, so they are not kept; dry: only a few of them are needed, and it is said
    what all of them would take.
    Raises UserError when the cache cannot be written or has too little room.
    """
    if not is_cached(model, augment, once):
        return LiveInputs(model, scenes, augment)
    if dry:
        announce_features(model, scenes, Path(cache), LiveInputs(model, scenes))
        return LiveInputs(model, scenes)
    features, scale = open_features(model, scenes, Path(cache), LiveInputs(model, scenes))
    return CachedInputs(Rows(features, scenes.device), scenes.flips, scale)


def is_cached(model: nn.Module, augment: bool = False, once: bool = False) -> bool:
    """Say whether a model is fed features from the cache; see `create_inputs`."""
    return isinstance(model, FrozenExtractor) and not (augment or once or model.frozen.drifts)


def features_of(model: Autoencoder, images: Tensor, once: bool = False) -> Tensor:
    """Return what a model encodes of images float32 (n, C, H, W) in [0, 1] that are in no dataset.

    Where `create_inputs` would read features from the cache, they are rounded as those are: so an image has the same
    latent, whether it is in a dataset or not.
    """
    features = model.extract(images)
    return rounded(features) if is_cached(model, once=once) else features


def uncached_because(model: Autoencoder, augment: bool = False) -> tuple[str, ...]:
    """Return the line to say when a run starts whose frozen features cannot be cached, or nothing."""
    if model.frozen is None:
        return ()
    if model.frozen.drifts:
        return ("model.batchnorm 'reference': the extractor's BatchNorm layers use the statistics of each batch, so "
                "its features cannot be cached; the run trains uncached",)
    if augment:
        return ("training.augment: the extractor sees changed images at every step, so its features cannot be cached; "
                "the run trains uncached",)
    return ()


def photometric(images: Tensor) -> Tensor:
    """Return images (n, C, H, W) in [0, 1] under random brightness and contrast (20 %) and noise (sigma up to 0.05)."""
    n = len(images)
    contrast, brightness, noise = (torch.rand(3, n, 1, 1, 1, device=images.device) * 2 - 1).unbind()
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    changed = (images - mean) * (1 + 0.2 * contrast) + mean + 0.2 * brightness
    return (changed + 0.05 * noise.abs() * torch.randn_like(images)).clamp(0, 1)
