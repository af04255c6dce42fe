"""Images with the structure of rendered ones and the texture of real ones."""

from pathlib import Path

import torch
from torch import Tensor

from reporting.pictures import pair_sheet
from translation.data import Domain
from translation.judge import to_bytes
from translation.swapping import SwappingAutoencoder

# A step through the real images that meets all of them before it comes back to one: a large prime.
STRIDE = 104_729
# Of a sheet.
ROWS, COLUMNS = 5, 7


class Hybrids:
    """Gives rendered images the texture of whole real ones: each of its own, or all the same one.

    fixed: place of the real image that all take theirs from; turn: which of several real images it is, where each
    rendered one has several.
    """

    def __init__(self, model: SwappingAutoencoder, target: Domain, fixed: int | None = None, turn: int = 0):
        self.model, self.target, self.fixed, self.turn = model, target, fixed, turn

    def chosen(self, index: Tensor) -> Tensor:
        """Return the real images (n,) for rendered ones by index (n,): those of an index are always the same."""
        if self.fixed is not None:
            return torch.full_like(index, self.fixed)
        return (index + self.turn) * STRIDE % len(self.target)

    def __call__(self, images: Tensor, mask: Tensor | None, index: Tensor) -> Tensor:
        """Return hybrids (n, 3, h, w) in [-1, 1] of rendered images (n, 3, h, w), by their places (n,)."""
        structure, _ = self.model.codes(images)
        _, texture = self.model.codes(self.target.take(self.chosen(index))[0])
        return self.model.decode(structure, texture, images.shape[2:])


@torch.inference_mode()
def hybrid_sheet(model: SwappingAutoencoder, target: Domain, path: Path, source: Domain, title: str) -> Path:
    """Draw all combinations of some structures and some textures beside the picture of a path; return its own path."""
    path = path.with_name(f"hybrids_{path.name.removeprefix('translation_')}")
    rendered, real = source.take(source.spread(ROWS))[0], target.take(target.spread(COLUMNS))[0]
    structures, textures = model.codes(rendered)[0], model.codes(real)[1]
    sheet = {"texture of": torch.cat([torch.ones_like(rendered[:1]), real])}
    for i, structure in enumerate(structures):
        made = model.decode(structure.expand(len(real), -1, -1, -1), textures, rendered.shape[2:])
        sheet[f"structure {i + 1}"] = torch.cat([rendered[i : i + 1], made])
    pair_sheet(path, {name: (to_bytes(images).cpu().numpy(), [""] * (len(real) + 1)) for name, images in sheet.items()},
               f"{title}: structure of the rendered image at the left, texture of the real one at the top")
    return path
