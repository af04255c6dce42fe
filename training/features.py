"""What a network is fed: images as they come, or frozen features that were computed once and kept."""

import hashlib
import math
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dataset import Scenes, to_device_if_it_fits
from errors import UserError
from model import Autoencoder, ExtractorAE
from pretrained_model import fingerprint
from readers.prepare import build_once, new_array

CHUNK = 64


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
    """Pooled frozen features of every image and its mirror image, float16, memory-mapped or on the device.

    They are stored times `scale`, a power of two that keeps them within the range of 16 bit.
    """

    def __init__(self, features: np.ndarray, scale: float, scenes: Scenes):
        self.features, self.device = to_device_if_it_fits(features, scenes.device), scenes.device
        self.scale = scale

    def __call__(self, index: Tensor, flip: Tensor) -> Tensor:
        """Return features float32 (n, c, h, w) for image index (n,) and flip (n,)."""
        where = index * self.features.shape[1] + flip if self.features.shape[1] == 2 else index
        picked = self.features.flatten(0, 1)[where.to(self.features.device)]
        return picked.to(self.device).float() / self.scale


def create_inputs(model: Autoencoder, scenes: Scenes, cache: str | Path, augment: bool = False, once: bool = False):
    """Return what feeds a model: cached features where its frozen part sees only images and their mirror images.

    once: these features are not needed again, so they are not kept.
    Raises UserError when the cache cannot be written or has too little room.
    """
    if not isinstance(model, ExtractorAE) or augment or once or model.frozen.drifts:
        return LiveInputs(model, scenes, augment)
    return CachedInputs(*_features(model, scenes, Path(cache)), scenes)


def uncached_because(model: Autoencoder) -> tuple[str, ...]:
    """Return the line to say when a run starts whose frozen features cannot be cached, or nothing."""
    if not (model.frozen and model.frozen.drifts):
        return ()
    return ("model.batchnorm 'reference': the extractor's BatchNorm layers use the statistics of each batch, so its "
            "features cannot be cached; the run trains uncached",)


def photometric(images: Tensor) -> Tensor:
    """Return images (n, C, H, W) in [0, 1] under random brightness and contrast (20 %) and noise (sigma up to 0.05)."""
    n = len(images)
    contrast, brightness, noise = (torch.rand(3, n, 1, 1, 1, device=images.device) * 2 - 1).unbind()
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    changed = (images - mean) * (1 + 0.2 * contrast) + mean + 0.2 * brightness
    return (changed + 0.05 * noise.abs() * torch.randn_like(images)).clamp(0, 1)


def _features(model: ExtractorAE, scenes: Scenes, cache: Path) -> tuple[np.ndarray, float]:
    """Open the features of a dataset and their scale, computing them first where the cache does not hold them.

    They are named after all that determines them: the frozen weights and statistics, the image scaling, the data.
    """
    identity = (f"scaled {fingerprint(model.extractor)} {model.extractor} {model.input_size} {model.normalize} "
                f"{scenes.key} {scenes.flips}")
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = cache / "features" / f"{scenes.name}-{key}"
    build_once(folder, lambda temporary: _compute(model, scenes, temporary))
    try:
        features = np.load(folder / "features.npy", mmap_mode="c", allow_pickle=False)
        if features.shape[:2] != (len(scenes.images), scenes.flips):
            raise ValueError(f"{features.shape[0]} images where {len(scenes.images)} belong")
        return features, float(np.load(folder / "scale.npy", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: cached features are damaged ({error}); delete the folder") from None


@torch.no_grad()
def _compute(model: ExtractorAE, scenes: Scenes, folder: Path) -> None:
    views = torch.arange(len(scenes.images) * scenes.flips, device=scenes.device)
    live = LiveInputs(model, scenes)
    first = live(views[:CHUNK] // scenes.flips, views[:CHUNK] < 0)
    shape, scale = first.shape[1:], _scale(float(first.abs().max()))
    needed, free = 2 * len(views) * shape.numel(), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"dataset.cache: features of {scenes.title} need {needed / 2**30:.1f} GiB in {folder.parent}, "
                        f"{free / 2**30:.1f} GiB are free")
    features = new_array(folder / "features.npy", np.float16, (len(scenes.images), scenes.flips, *shape))
    flat = features.reshape(len(views), *shape)
    with tqdm(total=len(views), desc=f"features of {scenes.title}", unit="image", disable=None) as bar:
        for chunk in views.split(CHUNK):
            index, flip = chunk // scenes.flips, chunk % scenes.flips == 1
            scaled = (live(index, flip) * scale).half()
            if not scaled.isfinite().all():
                raise UserError(f"model.extractor: features of {scenes.title} are not finite, or go beyond 16 bit; "
                                "check model.weights")
            flat[chunk[0] : chunk[-1] + 1] = scaled.cpu().numpy()
            bar.update(len(chunk))
    features.flush()
    np.save(folder / "scale.npy", np.float64(scale))


def _scale(largest: float) -> float:
    """Return the power of two that brings the largest feature of a first chunk to about 256.

    That leaves a factor of 256 above it to the largest number of 16 bit, and 32 binary orders below it to the smallest.
    """
    return 2.0 ** (8 - math.frexp(largest)[1]) if 0 < largest < math.inf else 1.0
