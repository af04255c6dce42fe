"""Images with the structure of rendered ones and the texture of real ones."""

import torch
from torch import Tensor

from translation.data import Domain
from translation.swapping import SwappingAutoencoder

# A step through the real images that meets all of them before it comes back to one: a large prime.
STRIDE = 104_729


class Hybrids:
    """Gives rendered images the texture of whole real ones: each of its own, or all the same one.

    fixed: place of the real image that all take theirs from; turn: which of the choices of real images it is, as each
    rendered image may have several.
    """

    def __init__(self, model: SwappingAutoencoder, target: Domain, fixed: int | None = None, turn: int = 0):
        self.model, self.target, self.fixed, self.turn = model, target, fixed, turn

    def chosen(self, index: Tensor) -> Tensor:
        """Return the real images (n,) for rendered ones by index (n,): those of an index are always the same."""
        if self.fixed is not None:
            return torch.full_like(index, self.fixed)
        return (index + self.turn * 7 + 1) * STRIDE % len(self.target)

    def __call__(self, images: Tensor, mask: Tensor | None, index: Tensor) -> Tensor:
        """Return hybrids (n, 3, h, w) in [-1, 1] of rendered images (n, 3, h, w), by their places (n,)."""
        structure, _ = self.model.codes(images)
        _, texture = self.model.codes(self.target.take(self.chosen(index))[0])
        return self.model.decode(structure, texture, images.shape[2:])
