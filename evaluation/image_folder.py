"""Folders of images, as a network sees them: found, decoded and resized in threads, turned into features by batches."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from errors import UserError
from readers.base import is_image
from readers.images import open_colour
from readers.parallel import in_threads

BATCH = 32


class Features(Protocol):
    """A network that turns images uint8 (n, 3, side, side) into features float32 (n, d)."""

    module: nn.Module
    side: int

    def __call__(self, images: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Found:
    """Features of a folder's images by network, float32 (n, d); and how large the images are, as text."""

    features: list[Tensor]
    sizes: str


def find(folder: Path, limit: int | None, seed: int) -> list[Path]:
    """Return the image files in a folder and in those below it, sorted; at most `limit`, drawn at random.

    Raises UserError where there are none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    files = sorted(path for path in folder.rglob("*") if is_image(path.name) and path.is_file())
    if not files:
        raise UserError(f"{folder}: no images in it, nor in folders below")
    if limit is None or limit >= len(files):
        return files
    return [files[i] for i in np.sort(np.random.default_rng(seed).permutation(len(files))[:limit])]


def find_all(places: Iterable[str | Path]) -> list[Path]:
    """Return image files by place: files as they are named, of folders what `find` finds; each once.

    Raises UserError for a place that is neither, and for a folder without images.
    """
    found: dict[Path, None] = {}
    for place in map(Path, places):
        if not place.is_file() and not place.is_dir():
            raise UserError(f"{place}: no such image file or folder")
        found |= dict.fromkeys([place] if place.is_file() else find(place, None, 0))
    return list(found)


def prepare(file: Path, size: tuple[int, int] | None, sides: Sequence[int]) -> tuple[str, list[np.ndarray]]:
    """Decode an image and resize it, first to `size` (width, height), then to each side; bicubic, antialiased.

    Returns what it is, as `480x360 PNG`, and uint8 (side, side, 3). Raises BadImage for one that cannot be decoded.
    """
    image = open_colour(file)
    about = f"{image.width}x{image.height} {file.suffix[1:].upper()}"
    if size is not None:
        image = image.resize(size, Image.Resampling.BICUBIC)
    return about, [np.array(image.resize((side, side), Image.Resampling.BICUBIC)) for side in sides]


def batches(files: list[Path], size: tuple[int, int] | None,
            sides: Sequence[int]) -> Iterator[tuple[list[str], list[Tensor]]]:
    """Yield what the images of a batch are, and for each side uint8 (n, 3, side, side), in the files' order."""
    def load(part: list[Path]) -> tuple[list[str], list[Tensor]]:
        loaded = [prepare(file, size, sides) for file in part]
        stacks = [torch.from_numpy(np.stack(images)) for images in zip(*(each[1] for each in loaded), strict=True)]
        return [each[0] for each in loaded], [stack.permute(0, 3, 1, 2) for stack in stacks]

    return in_threads(load, files, BATCH)


@torch.inference_mode()
def features_of(files: list[Path], networks: Sequence[Features], size: tuple[int, int] | None, title: str,
                device: torch.device) -> Found:
    """Return the features that networks have of image files, on the device."""
    found: list[list[Tensor]] = [[] for _ in networks]
    sizes: Counter[str] = Counter()
    for network in networks:
        network.module.to(device)
    with tqdm(total=len(files), desc=title, unit="image", delay=3, disable=None) as bar:
        for about, images in batches(files, size, [network.side for network in networks]):
            sizes.update(about)
            for parts, network, seen in zip(found, networks, images, strict=True):
                parts.append(network(seen.to(device)))
            bar.update(len(about))
    common = [f"{name} ({count})" if len(sizes) > 1 else name for name, count in sizes.most_common(3)]
    return Found([torch.cat(parts) for parts in found], ", ".join(common) + (", ..." if len(sizes) > 3 else ""))
