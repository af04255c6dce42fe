"""BatchNorm statistics of frozen layers, estimated on the training images (`model.batchnorm = "recalibrated"`)."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dataset import Scenes
from errors import UserError
from experiment.checkpoint import load, save
from model import Autoencoder
from pretrained_model import Classifier, fingerprint
from readers.prepare import build_once

MOST_IMAGES, BATCH = 2048, 64


def recalibrate(model: Autoencoder | Classifier, scenes: Scenes, cache: str | Path, dry: bool = False) -> None:
    """Give the frozen layers of a model the statistics of the training images, where its config asks for that.

    They are estimated once and kept in the cache, named after weights, image scaling and data, so that all seeds and a
    resumed run have the same ones. dry: from a single batch, and not kept.
    Raises UserError when the cache cannot be written.
    """
    frozen = model.frozen
    if frozen is None or frozen.policy != "recalibrated" or not frozen.norms:
        return
    if dry:
        _estimate(model, scenes, BATCH)
        return
    identity = f"{fingerprint(frozen.layers)} {frozen.layers} {model.input_size} {model.normalize} {scenes.key}"
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = Path(cache) / "statistics" / f"{scenes.name}-{key}"
    build_once(folder, lambda temporary: save(_estimate(model, scenes), temporary / "statistics.pth"))
    statistics = load(folder / "statistics.pth")
    if set(statistics) != {name for name, _ in frozen.layers.named_buffers()}:
        raise UserError(f"{folder}: these statistics are not those of the network's layers; delete the folder")
    frozen.layers.load_state_dict(statistics, strict=False)


def chosen_images(count: int) -> Tensor:
    """Return which of `count` images the statistics come from: up to 2048 at random, the same for all seeds.

    Whole batches of 64 only (or one batch of all), so that all images count alike.
    """
    order = np.random.default_rng(0).permutation(count)[:MOST_IMAGES]
    return torch.from_numpy(order[: len(order) // BATCH * BATCH or len(order)])


@torch.no_grad()
def _estimate(model: Autoencoder | Classifier, scenes: Scenes, most: int = MOST_IMAGES) -> dict[str, Tensor]:
    """Return the buffers of the frozen layers after one pass over `most` images that are normalised batch by batch.

    A layer's mean is that over all positions of all images, its variance the mean of the batches' variances.
    """
    frozen = model.frozen
    momenta = [norm.momentum for norm in frozen.norms]
    frozen.layers.eval()
    for norm in frozen.norms:
        norm.reset_running_stats()
        # None: the cumulative average over all batches.
        norm.momentum = None
        norm.train()
    index = chosen_images(len(scenes.images))[:most].to(scenes.device)
    for chunk in tqdm(index.split(BATCH), desc=f"statistics of {scenes.title}", unit="batch", disable=None):
        frozen.layers(model.scale(scenes.gather(chunk, torch.zeros_like(chunk, dtype=torch.bool))))
    for norm, momentum in zip(frozen.norms, momenta, strict=True):
        norm.momentum = momentum
    frozen.layers.eval()
    return {name: buffer.cpu() for name, buffer in frozen.layers.named_buffers()}
