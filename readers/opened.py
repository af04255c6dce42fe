"""A prepared dataset, opened: its images and maps on the device or the disk, and what it is called."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from errors import UserError
from files import dataset_file_name
from memory import check_memory
from readers import create_reader
from readers.base import Size, width_height
from readers.labels import label_text
from readers.prepare import CHUNK, prepare
from readers.rows import Rows


class Opened:
    """The images of a dataset, on the device where they fit there, else memory-mapped.

    rows: uint8 (images, layers, height, width), an image's channels and behind them a channel per map; reader: whose
    channels, maps and classes these are; name, factor, split: for records and pictures; others: see `Prepared`.
    """

    def __init__(self, section: Any, size: Size, cache: str, device: torch.device, **options: Any):
        """Prepare and open the dataset that a config section names; options: what its reader takes beside."""
        reader = create_reader(section.name, section.root, section.factor, section.split, section.skip_bad, **options)
        check_memory(CHUNK * reader.layers * math.prod(width_height(size)),
                     f"dataset.image_size = {size}: {CHUNK} images, prepared at a time,")
        prepared = prepare(reader, size, Path(cache), section.limit)
        self.reader, self.device = reader, device
        self.rows = Rows(prepared.images, device)
        self.first = torch.from_numpy(prepared.first).to(device)
        self.count = torch.from_numpy(prepared.count).to(device)
        self.labels, self.names, self.key = prepared.labels, prepared.names, prepared.key
        self.dropped, self.sources, self.splits = prepared.dropped, prepared.sources, prepared.splits
        self.name, self.split, self.factor = reader.title, reader.split, ", ".join(section.factor)
        self.channels, self.maps, self.classes = reader.channels, reader.maps, reader.classes

    def __len__(self) -> int:
        return len(self.names)

    @property
    def images(self) -> Tensor:
        """All images, uint8 (images, channels, height, width)."""
        return self.rows.tensor[:, : self.channels]

    @property
    def title(self) -> str:
        """Return name and factor as messages and pictures print them, for example `sviro (x5)`."""
        return f"{self.name} ({self.factor})" if self.factor else self.name

    @property
    def identity(self) -> dict[str, str]:
        """Return what records say of a dataset: name, factor and split."""
        return {"dataset": self.name, "factor": self.factor, "split": self.split}

    @property
    def file_name(self) -> str:
        """Return name, factor and split for use in file names."""
        return dataset_file_name(self.name, self.factor, self.split)

    @property
    def left_out(self) -> list[str]:
        """Return a text per reason why sources are left out."""
        return [f"{len(sources)} left out: {reason}" for reason, sources in self.dropped.items()]

    def class_text(self, label: np.ndarray) -> str:
        """Return a label (seats,) for people, see `label_text`."""
        return label_text(label, self.classes)


def check_apart(opened: Opened, others: Sequence[Opened]) -> None:
    """Raise UserError for an evaluation dataset that would share its records with another."""
    if any(opened.identity == other.identity for other in others):
        raise UserError(f"evaluation.datasets: two are called {opened.title}, {opened.split}, and would share their "
                        "records; allowed: different name, factor or split")
