"""Structural similarity (SSIM) and its gradient, as products with the blocks of a banded matrix."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from errors import UserError

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
# Rows of a block. A band is mostly zeros: small blocks skip them, which pays on a CPU; a GPU takes the whole matrix.
BLOCK = 24


def ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Return the structural similarity of each image (n,), averaged over channels and positions.

    images, targets: (n, C, H, W) in [0, 1], at least 11x11. Gaussian window of 11 taps, sigma 1.5, data range 1, no
    padding, as in pytorch-msssim (Wang et al. 2004, Eq. 13). Only `images` get a gradient. UserError for images that
    are too small.
    """
    if min(images.shape[-2:]) < WINDOW:
        raise UserError(f"training.loss 'ssim' needs images of at least {WINDOW} pixels; found "
                        f"{images.shape[-2]}x{images.shape[-1]}")
    if targets.requires_grad:
        raise ValueError("ssim: targets get no gradient; detach them")
    return _Ssim.apply(images, targets)


class _Ssim(torch.autograd.Function):
    """SSIM with its gradient in closed form: far fewer passes over the images than torch's own would take.

    With the Gaussian window's averages m, n of images x and targets y, q of x^2 + y^2 and p of xy, SSIM is
    (2mn + C1) / (m^2 + n^2 + C1) * (2(p - mn) + C2) / (q - m^2 - n^2 + C2).
    """

    @staticmethod
    def forward(ctx, images: Tensor, targets: Tensor) -> Tensor:
        x, y = images.contiguous(), targets.contiguous()
        m, q, p = _filter(torch.stack([x, (x * x).addcmul_(y, y), x * y]))
        n = _filter(y)
        mn, means = m * n, (m * m).addcmul_(n, n)
        below_luminance, below_contrast = means + C1, q - means + C2
        luminance = (2 * mn + C1) / below_luminance
        contrast = (2 * (p - mn) + C2) / below_contrast
        similarity = luminance * contrast
        if ctx.needs_input_grad[0]:
            of_m = (contrast * (n - m * luminance) / below_luminance + luminance * (m * contrast - n) / below_contrast)
            gradients = torch.stack([2 * of_m, -similarity / below_contrast, 2 * luminance / below_contrast])
            ctx.save_for_backward(x, y, gradients)
        return similarity.mean(dim=(1, 2, 3))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        x, y, gradients = ctx.saved_tensors
        of_m, of_q, of_p = _filter(gradients, transposed=True)
        of_x = of_m.addcmul_(x, of_q, value=2).addcmul_(y, of_p)
        return of_x * (gradient / gradients[0, 0].numel())[:, None, None, None], None


def _filter(maps: Tensor, transposed: bool = False) -> Tensor:
    """Filter maps (..., H, W) with the Gaussian window, (..., H - 10, W - 10); `transposed` goes the way back."""
    *leading, height, width = maps.shape
    columns = _blocks(width, transposed, maps.device, maps.dtype)
    rows = _blocks(height, transposed, maps.device, maps.dtype)
    across = maps.new_empty(maps[..., 0].numel(), columns[-1][0].stop)
    for made, used, matrix in columns:
        torch.mm(maps.view(-1, width)[:, used], matrix.T, out=across[:, made])
    across = across.view(-1, height, across.shape[-1])
    down = maps.new_empty(len(across), rows[-1][0].stop, across.shape[-1])
    for made, used, matrix in rows:
        torch.bmm(matrix.expand(len(across), -1, -1), across[:, used], out=down[:, made])
    return down.view(*leading, *down.shape[1:])


@lru_cache(maxsize=16)
def _blocks(size: int, transposed: bool, device: torch.device, dtype: torch.dtype) -> list[tuple[slice, slice, Tensor]]:
    """Return the blocks of the filter's matrix for maps whose sides are `size`, or of that matrix transposed.

    Those that are not zero: outputs that a block makes, inputs that it makes them of, and its part of the matrix.
    """
    inside = size + WINDOW - 1 if transposed else size
    band = _band(inside).to(device, dtype)
    if transposed:
        band = band.T
    step = BLOCK if device.type == "cpu" else len(band)
    blocks = []
    for start in range(0, len(band), step):
        stop = min(start + step, len(band))
        used = slice(max(0, start - WINDOW + 1), min(size, stop)) if transposed else slice(start, stop + WINDOW - 1)
        blocks.append((slice(start, stop), used, band[start:stop, used].contiguous()))
    return blocks


def _band(size: int) -> Tensor:
    """Return the matrix float64 (size - 10, size) whose product with a column filters it with the Gaussian window."""
    taps = [math.exp(-((i - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for i in range(WINDOW)]
    band = torch.zeros(size - WINDOW + 1, size, dtype=torch.float64)
    for i, tap in enumerate(taps):
        band.diagonal(i)[:] = tap / sum(taps)
    return band
