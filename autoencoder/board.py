"""What TensorBoard shows of an autoencoder: reconstructions now and then, the latent space at the end."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from autoencoder.judge import Samples
from evaluation.embedding import reconstruct
from evaluation.sheets import pick
from model import Autoencoder

# Some hundred kilobytes per sheet and a few megabytes per projector, whatever the run's length and the dataset's size.
SHEETS, SHOWN, PROJECTED, THUMBNAIL = 5, 10, 1000, 32


def sheet_epochs(epochs: int) -> set[int]:
    """Return the epochs after which reconstructions are written: up to five, evenly spaced from first to last."""
    return {round(epoch) for epoch in np.linspace(1, epochs, SHEETS)}


def write_reconstructions(board: SummaryWriter, model: Autoencoder, datasets: Sequence[Samples], epoch: int) -> None:
    """Write an image per dataset: ten inputs above their reconstructions. The model must be in evaluation mode."""
    for samples in datasets:
        index = samples.scenes.first[pick(samples.scenes, SHOWN)]
        inputs = samples.scenes.gather(index, torch.zeros_like(index, dtype=torch.bool)).cpu()
        rows = [inputs, torch.from_numpy(reconstruct(model, samples.inputs, index))]
        board.add_image(f"reconstruction/{samples.scenes.title}, {samples.scenes.split}",
                        torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1), epoch)


def write_projector(board: SummaryWriter, model: Autoencoder, datasets: Sequence[Samples], epoch: int) -> None:
    """Write latents, classes and thumbnails of at most 1000 samples per dataset, always the same, for the projector."""
    latents, names, thumbnails = [], [], []
    for samples in datasets:
        chosen = np.sort(np.random.default_rng(0).permutation(len(samples.codes))[:PROJECTED])
        part = replace(samples, **{name: getattr(samples, name)[chosen] for name in ("index", "flip", "codes")})
        latents.append(part.embed(model))
        names += [(part.scenes.class_text(label), f"{part.scenes.title}, {part.scenes.split}") for label in part.labels]
        small = F.interpolate(part.scenes.gather(part.index, part.flip), size=(THUMBNAIL, THUMBNAIL), mode="area")
        thumbnails.append(small.cpu().expand(-1, 3, -1, -1))
    board.add_embedding(np.concatenate(latents), names, torch.cat(thumbnails), epoch, "latents", ["class", "dataset"])
