"""Latents of a dataset."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from dataset import Inputs

CHUNK = 256


@torch.inference_mode()
def embed(encode: Callable[[Tensor], Tensor], inputs: Inputs, index: Tensor, flip: Tensor) -> np.ndarray:
    """Return the latents float32 (n, d) of images by index (n,) and flip (n,).

    `inputs` makes network inputs of index and flip, `encode` latents of those; the model must be in evaluation mode.
    """
    chunks = tqdm(list(zip(index.split(CHUNK), flip.split(CHUNK), strict=True)), desc="embedding", unit="chunk",
                  delay=3, leave=False, disable=None)
    return torch.cat([encode(inputs(*chunk)).float() for chunk in chunks]).cpu().numpy()


@torch.no_grad()
def reconstruct(model: nn.Module, inputs: Inputs, index: Tensor) -> np.ndarray:
    """Return reconstructions float32 (n, C, H, W) in (0, 1) of images by index (n,), not mirrored."""
    flip = torch.zeros_like(index, dtype=torch.bool)
    return model.decode(model.encode(inputs(index, flip))).float().cpu().numpy()


@torch.inference_mode()
def in_chunks(function: Callable[[Tensor], Tensor], inputs: Tensor, count: int = CHUNK) -> np.ndarray:
    """Return what a function, that keeps the first dimension, makes of inputs (n, ...), `count` of them at a time."""
    return torch.cat([function(chunk).cpu() for chunk in inputs.split(count)]).numpy()
