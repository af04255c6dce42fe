"""How similar two sets of images are, image by image: SSIM, L1, LPIPS."""

import pickle
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import lpips
import torch
from torch import Tensor
from torchvision.models import AlexNet_Weights

from errors import UserError, shortened
from evaluation.ssim import ssim

# Turns images and targets, each (n, C, H, W) in [0, 1], into one value per image (n,).
Metric = Callable[[Tensor, Tensor], Tensor]

METRICS = ("ssim", "l1", "lpips")
# AlexNet pools smaller images away.
LPIPS_LEAST_PIXELS = 32


def l1(images: Tensor, targets: Tensor) -> Tensor:
    """Return the mean absolute error over pixels and channels of each image (n,), in [0, 1]."""
    return (images - targets).abs().mean(dim=(1, 2, 3))


def create_lpips() -> Metric:
    """Return LPIPS with AlexNet (Zhang et al. 2018, version 0.1): the distance of deep features, lower is more similar.

    Raises UserError where the ImageNet weights are not there and cannot be downloaded.
    """
    try:
        with warnings.catch_warnings():
            # The package asks torchvision for weights in a way that torchvision has deprecated.
            warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
            network = lpips.LPIPS(net="alex", verbose=False)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        url = AlexNet_Weights.IMAGENET1K_V1.url
        place = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
        raise UserError(f"LPIPS: AlexNet's ImageNet weights cannot be downloaded ({shortened(str(error))}); fetch "
                        f"{url} elsewhere and put it at {place}") from None
    return lambda images, targets: network.to(images.device)(images, targets, normalize=True).flatten()


def create_metrics(names: Iterable[str]) -> dict[str, Metric]:
    """Return metrics by name: `ssim`, `l1`, `lpips`."""
    return {name: create_lpips() if name == "lpips" else {"ssim": ssim, "l1": l1}[name] for name in names}
