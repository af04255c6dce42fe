"""Random windows of prepared images, cut for a whole batch at once, on the device."""

import torch
from torch import Tensor


def crop(layers: Tensor, size: tuple[int, int], left: Tensor, top: Tensor, mirrored: Tensor) -> Tensor:
    """Cut a window of a size (width, height) out of each of layers uint8 (n, c, H, W), with one read per pixel.

    left, top: (n,) in [0, 1), where it is, between the edges; mirrored: bool (n,). Returns (n, c, height, width),
    channels last.
    """
    n, _, full_height, full_width = layers.shape
    width, height = size
    columns = torch.arange(width, device=layers.device)
    columns = torch.where(mirrored[:, None], columns.flip(0), columns) + _start(left, full_width - width)
    rows = torch.arange(height, device=layers.device) + _start(top, full_height - height)
    each = torch.arange(n, device=layers.device)[:, None, None]
    return layers.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _start(draw: Tensor, room: int) -> Tensor:
    """Return whole numbers (n, 1) from 0 to `room`, equally likely, of draws (n,) in [0, 1)."""
    return (draw * (room + 1)).long().clamp(max=room)[:, None]
