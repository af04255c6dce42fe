"""How similar reconstructions of real images are to the synthetic images with the same factors (Table S5)."""

import pickle
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import lpips
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import AlexNet_Weights
from tqdm import tqdm

from dataset import Inputs, Scenes
from errors import UserError
from model import Autoencoder
from pairing import label_codes
from training.ssim import ssim

# Turns images and targets, each (n, C, H, W) in [0, 1], into one value per image (n,).
Metric = Callable[[Tensor, Tensor], Tensor]

METRICS = ("ssim", "l1", "lpips")
CHUNK = 256
# AlexNet pools smaller images away.
LPIPS_LEAST_PIXELS = 32


def l1(images: Tensor, targets: Tensor) -> Tensor:
    """Return the mean absolute error over pixels and channels of each image (n,), in [0, 1]."""
    return (images - targets).abs().mean(dim=(1, 2, 3))


class Lpips:
    """LPIPS with AlexNet (Zhang et al. 2018, version 0.1): the distance of deep features, lower is more similar."""

    def __init__(self):
        """Load the network; UserError where its ImageNet weights are not there and cannot be downloaded."""
        try:
            with warnings.catch_warnings():
                # The package asks torchvision for weights in a way that torchvision has deprecated.
                warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
                self.network: nn.Module = lpips.LPIPS(net="alex", verbose=False)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            url = AlexNet_Weights.IMAGENET1K_V1.url
            place = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"LPIPS: AlexNet's ImageNet weights cannot be downloaded ({reason}); fetch {url} "
                            f"elsewhere and put it at {place}") from None

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        self.network.to(images.device)
        return self.network(images, targets, normalize=True).flatten()


def create_metrics(names: Iterable[str]) -> dict[str, Metric]:
    """Return metrics by name: `ssim`, `l1`, `lpips`."""
    return {name: Lpips() if name == "lpips" else {"ssim": ssim, "l1": l1}[name] for name in names}


def partners(real: Scenes, synthetic: Scenes) -> Tensor:
    """Return the index (n,) of the synthetic image with the same label for every scenery of `real`.

    Raises UserError where there is none.
    """
    wanted, codes = label_codes(real.labels), label_codes(synthetic.labels)
    order = np.argsort(codes)
    place = np.searchsorted(codes, wanted, sorter=order)
    found = order[place.clip(max=len(codes) - 1)]
    missing = np.flatnonzero(codes[found] != wanted)
    if len(missing):
        raise UserError(f"{real.title}: {len(missing)} of {len(real)} images have no partner in {synthetic.title}, "
                        f"the first with factors {real.label_text(missing[0])}")
    return synthetic.first[torch.from_numpy(found).to(synthetic.device)]


@torch.no_grad()
def similarity(model: Autoencoder, inputs: Inputs, real: Scenes, synthetic: Scenes, partner: Tensor,
               metrics: dict[str, Metric], batch_size: int = CHUNK) -> dict[str, float]:
    """Return the mean of each metric over `real`: `<metric>/synthetic` and `<metric>/real`, in batches.

    The reconstruction of a real image is compared with its synthetic partner, and with the real image itself.
    inputs: of `real`; partner: see `partners`. The model must be in evaluation mode.
    """
    keys = [f"{name}/{against}" for against in ("synthetic", "real") for name in metrics]
    sums: dict[str, Tensor | float] = dict.fromkeys(keys, 0.0)
    with tqdm(total=len(real), desc=f"reconstructing {real.title}", unit="image", disable=None, leave=False) as bar:
        for index, other in zip(real.first.split(batch_size), partner.split(batch_size), strict=True):
            flip = torch.zeros_like(index, dtype=torch.bool)
            outputs = model.decode(model.encode(inputs(index, flip))).float()
            targets = {"synthetic": synthetic.gather(other, flip), "real": real.gather(index, flip)}
            for key in keys:
                name, _, against = key.partition("/")
                sums[key] = sums[key] + metrics[name](outputs, targets[against]).double().sum()
            bar.update(len(index))
    return {key: float(total) / len(real) for key, total in sums.items()}
