"""How far apart two sets of images are: Fréchet and kernel distance between a network's features of them.

With the Inception network of 2015 these are FID (Heusel et al. 2017) and KID (Bińkowski et al. 2018); with any other
they are named by it. A Fréchet distance grows as sets shrink, so it compares only at like numbers of images.
"""

import io
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from errors import UserError
from experiment.checkpoint import load_state_dict
from files import fingerprint_file
from pretrained_model import EFFICIENTNET, build_network, folded, load_weights, scale_to_network, statistics


def frechet(first: Tensor, second: Tensor) -> float:
    """Return the squared Fréchet distance of Gaussians fitted to features (n, d) and (m, d), n and m at least 2.

    |mean - mean'|² + tr(C + C' - 2 (C C')^½) with covariances over n - 1 and m - 1. With C = R'R, which needs no more
    rows than features or samples, the last trace is the sum of the singular values of R R'ᵀ: all real, no roots of
    matrices, and exact for fewer samples than features.
    """
    offset = first.double().mean(0) - second.double().mean(0)
    factors = []
    for features in (first.double(), second.double()):
        factor = (features - features.mean(0)) / math.sqrt(len(features) - 1)
        factors.append(torch.linalg.qr(factor, mode="r").R if factor.shape[0] > factor.shape[1] else factor)
    common = torch.linalg.svdvals(factors[0] @ factors[1].T).sum()
    value = offset.square().sum() + sum(factor.square().sum() for factor in factors) - 2 * common
    # Equal sets differ by rounding.
    return max(value.item(), 0.0)


def kernel(first: Tensor, second: Tensor, subsets: int, size: int, seed: int) -> Tensor:
    """Return the squared maximum mean discrepancies of pairs of random subsets of features (n, d) and (m, d).

    float64 (subsets,); unbiased, so that equal distributions may give a negative one. The kernel is (x·y / d + 1)³;
    each subset has `size` samples, at least 2, without repetition.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(features: Tensor) -> Tensor:
        return features[torch.randperm(len(features), generator=generator)[:size].to(features.device)]

    return torch.stack([discrepancy(draw(first).double(), draw(second).double()) for _ in range(subsets)]).cpu()


def discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Return the unbiased squared maximum mean discrepancy of features (n, d) and (m, d) under (x·y / d + 1)³."""
    def similarity(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    within = [(each.sum() - each.trace()) / (len(each) * (len(each) - 1))
              for each in (similarity(first, first), similarity(second, second))]
    return within[0] + within[1] - 2 * similarity(first, second).mean()


URL_INCEPTION_V3 = ("https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
                    "weights-inception-2015-12-05-6726825d.pth")


class EfficientNetFeatures:
    """What EfficientNet-Lite0's classifier sees: its last activations, averaged over positions.

    Called with images uint8 (n, 3, side, side), returns float32 (n, 1280), not negative.
    """

    side = 224
    names = (f"frechet/{EFFICIENTNET}", f"kernel/{EFFICIENTNET}")
    about = "EfficientNet-Lite0 (ImageNet), 1280 features"

    def __init__(self):
        network = build_network(EFFICIENTNET, 1000)
        load_weights(network, network, EFFICIENTNET, "imagenet")
        self.module: nn.Module = folded(network.features).to(memory_format=torch.channels_last)

    def __call__(self, images: Tensor) -> Tensor:
        return self.module(scale_to_network(images / 255, None, True, statistics(EFFICIENTNET))).flatten(1)


class InceptionFeatures:
    """The Inception network that FID and KID are defined by, 2048 features, its weights from a file.

    Called with images uint8 (n, 3, side, side), returns float32 (n, 2048).
    """

    side = 299
    names = ("fid", "kid")
    missing = (f"no FID and KID: the weights of their Inception network come from a file, --inception FILE; "
               f"torch-fidelity's are at {URL_INCEPTION_V3}")

    def __init__(self, file: Path):
        """Load the weights; UserError where the file cannot be read or holds others."""
        # Here, as it takes a second that EfficientNet's need not wait.
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        # The package would unpickle the file; so it is given what was read of it.
        state = io.BytesIO()
        torch.save(load_state_dict(file), state)
        state.seek(0)
        try:
            self.module: nn.Module = FeatureExtractorInceptionV3("inception", ["2048"], state)
        except RuntimeError as error:
            detail = str(error).splitlines()[-1].strip()
            raise UserError(f"--inception {file}: weights of another network ({detail}); "
                            f"expected {URL_INCEPTION_V3}") from None
        self.about = f"Inception of {file.name} (sha256 {fingerprint_file(file)[:8]}...), 2048 features"

    def __call__(self, images: Tensor) -> Tensor:
        return self.module(images)[0]
