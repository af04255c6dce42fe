"""Folders of images, as a network sees them: found, decoded and resized in threads, turned into features by batches."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import joblib
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from errors import UserError
from readers.base import is_image
from readers.images import open_colour

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
    """Yield what the images of a batch are, and for each side uint8 (n, 3, side, side), in the files' order.

    Threads decode ahead of what is asked for, by a few batches.
    """
    def load(part: list[Path]) -> tuple[list[str], list[Tensor]]:
        loaded = [prepare(file, size, sides) for file in part]
        stacks = [torch.from_numpy(np.stack(images)) for images in zip(*(each[1] for each in loaded), strict=True)]
        return [each[0] for each in loaded], [stack.permute(0, 3, 1, 2) for stack in stacks]

    workers, pending = joblib.cpu_count(), deque()
    # Decoding and resizing leave Python's lock alone.
    with ThreadPoolExecutor(workers) as pool:
        try:
            for start in range(0, len(files), BATCH):
                pending.append(pool.submit(load, files[start:start + BATCH]))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


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
