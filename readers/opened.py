"""A prepared dataset, opened: its images and maps on the device or the disk, and what it is called."""

import math
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from errors import UserError
from files import dataset_file_name
from memory import check_memory
from readers import create_reader
from readers.base import Reader, Size, width_height
from readers.joined import join
from readers.labels import label_text
from readers.prepare import CHUNK, prepare
from readers.rows import Rows


@dataclass(frozen=True)
class Part:
    """What is prepared of one root. name: of its dataset; key: changes with the content; images: int64 (n,), where its
    images are among all, in the order in which they are prepared."""

    name: str
    key: str
    images: Tensor


class Opened:
    """The images of a dataset, of one root or of several (see `readers.joined`), on the device where they fit there.

    rows: uint8 (images, layers, height, width), an image's channels and behind them a channel per map; reader: whose
    channels, maps and classes these are, the first of `readers`, one per root, as are `parts`; name, factor, split: for
    records and pictures; others: see `readers.prepare.Sceneries`.
    """

    def __init__(self, section: Any, size: Size, cache: str, device: torch.device, **options: Any):
        """Prepare and open the dataset that a config section names; options: what its reader takes beside."""
        self.roots = [section.root] if isinstance(section.root, str) else section.root
        self.readers = [create_reader(section.name, root, section.factor, section.split, section.skip_bad, **options)
                        for root in self.roots]
        self.reader = reader = self.readers[0]
        check_memory(CHUNK * reader.layers * math.prod(width_height(size)),
                     f"dataset.image_size = {size}: {CHUNK} images, prepared at a time,")
        prepared = [prepare(each, size, Path(cache), section.limit) for each in self.readers]
        whole, order, place = prepared[0], None, torch.arange(len(prepared[0].images), device=device)
        if len(prepared) > 1:
            whole, joined = join(self.readers, prepared)
            order = torch.from_numpy(joined).to(device)
            place = order.argsort()
        self.device, self.rows = device, Rows([each.images for each in prepared], device, order)
        self.first, self.count = (torch.from_numpy(array).to(device) for array in (whole.first, whole.count))
        self.parts = [Part(each.title, one.key, images) for each, one, images in zip(
            self.readers, prepared, place.split([len(each.images) for each in prepared]), strict=True)]
        self.labels, self.names, self.splits = whole.labels, whole.names, whole.splits
        self.dropped, self.sources = whole.dropped, whole.sources
        self.name = joined_title(self.readers)
        self.split, self.factor = reader.split, ", ".join(section.factor)
        self.channels, self.maps, self.classes = reader.channels, reader.maps, reader.classes

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, index: Tensor) -> Tensor:
        """Return images by index (n,), uint8 (n, channels, height, width)."""
        return self.rows.take(index)[:, : self.channels]

    @property
    def title(self) -> str:
        """Return name and factor as messages and pictures print them, for example `sviro (x5)`."""
        return f"{self.name} ({self.factor})" if self.factor else self.name

    @property
    def identity(self) -> dict[str, str]:
        """Return what records say of a dataset: name, factor and split."""
        return {"dataset": self.name, "factor": self.factor, "split": self.split}

    @property
    def origins(self) -> set[str]:
        """Return what tells its images from all others: paths, or the reader's name with what it draws or keeps."""
        return _origins(self.reader, self.sources)

    @property
    def file_name(self) -> str:
        """Return name, factor and split for use in file names."""
        return dataset_file_name(self.name, self.factor, self.split)

    @property
    def remarks(self) -> list[str]:
        """Return texts on what it is put together of, and how many sources are left out, and why."""
        joined = [f"of {len(self.roots)} roots: {', '.join(self.roots)}"] if len(self.roots) > 1 else []
        return joined + [f"{len(sources)} left out: {reason}" for reason, sources in self.dropped.items()]

    def spread(self, count: int) -> Tensor:
        """Return at most so many images (n,), evenly spread over all."""
        return torch.linspace(0, len(self.rows) - 1, min(count, len(self.rows)), device=self.device).round().long()

    def class_text(self, label: np.ndarray) -> str:
        """Return a label (seats,) for people, see `label_text`."""
        return label_text(label, self.classes)


def origins_of(section: Any, **options: Any) -> set[str]:
    """Return the origins (see `Opened`) of what a config section names, listed alone; of what is out of reach none.

    options: what its reader takes beside.
    """
    found: set[str] = set()
    for root in section.roots:
        reader = create_reader(section.name, root, section.factor, section.split, True, **options)
        try:
            listing = reader.listing().limited(section.limit)
        except UserError:
            continue
        found |= _origins(reader, chain.from_iterable(listing.sources))
    return found


def _origins(reader: Reader, sources: Iterable[str]) -> set[str]:
    return {source if os.path.isabs(source) else f"{reader.name} {source}" for source in sources}


def warn_of_trained(datasets: Sequence[Opened], trained: set[str]) -> None:
    """Say on stderr how many images of evaluation datasets are among the origins of what is trained on."""
    for opened in datasets:
        shared = len(opened.origins & trained)
        if shared:
            print(f"warning: {shared} of {len(opened.rows)} test images of {opened.title}, {opened.split}, are trained "
                  "on", file=sys.stderr)


def joined_title(readers: Sequence[Reader]) -> str:
    """Return what records and tables call the dataset of several roots, given by their readers."""
    return " + ".join(dict.fromkeys(reader.title for reader in readers))


def check_apart(datasets: Sequence[Opened]) -> None:
    """Raise UserError for evaluation datasets two of which would share their records."""
    for i, opened in enumerate(datasets):
        if any(opened.identity == other.identity for other in datasets[:i]):
            raise UserError(f"evaluation.datasets: two are called {opened.title}, {opened.split}, and would share "
                            "their records; allowed: different name, factor or split")
