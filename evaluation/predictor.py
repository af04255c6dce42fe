"""A finished run applied to new images, without labels: from Python (`docs/python.md`) and by predict.py.

Each system has a class of its own, which `experiment.systems` names.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from errors import UserError, choice_error
from evaluation.trained import check_overrides, check_run, restore
from experiment.config import EvaluationDataset
from experiment.run import Run, open_run
from experiment.systems import BY_TYPE, imported
from files import fingerprint_file
from readers import READERS, Reader, create_reader
from readers.base import width_height
from utils import choose_device


@dataclass(frozen=True)
class Described:
    """What a run says of an image: values by column of a table; found: what is drawn of it, see `Predictor.keep`."""

    values: dict[str, str | float]
    found: Any = None


class Predictor(ABC):
    """A finished run with its weights; `open_predictor` opens one.

    model: in evaluation mode, on `device`; reader: prepares image files; epoch: that the weights come from, None where
    unknown; options: what its class takes beside; pictures: folders of what `keep` writes for each image; shown:
    images of an overview.
    """

    options: ClassVar[tuple[str, ...]] = ()
    pictures: ClassVar[tuple[str, ...]] = ()
    shown: ClassVar[int] = 10

    def __init__(self, run: Run, checkpoint: str, device: torch.device, prepare_as: str | None = None):
        self.run, self.checkpoint, self.device = run, checkpoint, device
        self.size, self.reader = run.config.dataset.image_size, reader_of(run.config.dataset, prepare_as)
        self.model = self.build()
        self.epoch = restore(self.model, run, checkpoint)
        self.model.eval().requires_grad_(False)

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network of the run's config on the device, still without the run's weights."""

    @abstractmethod
    def describe(self, images: np.ndarray) -> list[Described]:
        """Return what the run says of images, see `as_input`; the same columns for each."""

    @abstractmethod
    def draw(self, path: Path, images: np.ndarray, title: str) -> None:
        """Draw what the run makes of a few images."""

    def keep(self, described: Described, file: Path, folder: Path, name: str) -> None:
        """Write what is drawn of each image, `<folder>/<pictures>/<name>...`, where there is such."""
        raise NotImplementedError

    @property
    def channels(self) -> int:
        """How many channels images have."""
        return self.reader.channels

    @cached_property
    def weights(self) -> str:
        """The fingerprint of the weights file."""
        return fingerprint_file(self.run.weights(self.checkpoint))

    @cached_property
    def made_of(self) -> tuple[str, ...]:
        """What says of which weights and training data something is: of those that are named now, and of the run's own.
        """
        return tuple(f"{self.weights} {run.config.dataset.model_dump_json(exclude={'cache'})}"
                     for run in (self.run, open_run(self.run.folder)))

    def read(self, files: Iterable[str | Path]) -> np.ndarray:
        """Return image files, prepared as those of the run's dataset are: uint8 (n, channels, height, width).

        Raises BadImage for one that cannot be used, UserError for one that cannot be reached, and for none.
        """
        images = [self.reader.prepare_file(file, self.size) for file in files]
        if not images:
            raise UserError("images: found none; allowed: one file or more")
        return np.stack(images)

    def as_input(self, images: np.ndarray) -> Tensor:
        """Return images (n, channels, height, width), uint8 or float in [0, 1], as float32 in [0, 1] on the device.

        Raises UserError for an array of another shape or with other values.
        """
        width, height = width_height(self.size)
        wanted, whole = (self.channels, height, width), images.dtype == np.uint8
        if images.ndim != 4 or images.shape[1:] != wanted or not len(images) or not (
                whole or (images.dtype.kind == "f" and ((images >= 0) & (images <= 1)).all())):
            raise UserError(f"images: found {images.dtype} {images.shape}; allowed: uint8, or float in [0, 1], of "
                            f"shape (n, {', '.join(map(str, wanted))})")
        tensor = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        return tensor / 255 if whole else tensor.float()


def open_predictor(folder: str | Path, checkpoint: str = "last", prepare_as: str | None = None,
                   overrides: Sequence[str] = (), **options: Any) -> Predictor:
    """Open a finished run to apply it to new images.

    checkpoint: `last` or `best` weights; prepare_as: the dataset as whose images new ones are prepared, by default the
    one that the run was trained on; overrides: `section.key=value` of places, as `training.device=cpu`; options: what
    predictors of one system take beside, as `classifier` of an autoencoder. Raises UserError where the folder holds no
    finished run of a system that can be applied.
    """
    check_overrides(list(overrides), [Path(folder)])
    # What it was evaluated on is not needed.
    run = open_run(Path(folder), [*overrides, "evaluation.datasets=[]"])
    kind = run.config.model.type
    able = {each: system for each, system in BY_TYPE.items() if system.predictor}
    if kind not in able:
        raise UserError(f"{folder}: model.type: found '{kind}', a translation, which translate_dataset.py applies; "
                        f"allowed: {', '.join(able)}")
    check_run(run, [checkpoint], able[kind], writes=False)
    predictor: type[Predictor] = imported(able[kind].predictor)
    for option in options:
        if option not in predictor.options:
            raise UserError(f"--{option}: {folder} holds a model of type '{kind}', which takes none")
    device = choose_device(run.config.training.device, run.config.training.gpu)
    return predictor(run, checkpoint, device, prepare_as, **options)


def reader_of(section: EvaluationDataset, prepare_as: str | None = None) -> Reader:
    """Return the reader of a config's dataset, or another one whose images have the same channels and maps."""
    own = READERS[section.name]
    alike = [name for name, each in READERS.items() if (each.channels, each.maps) == (own.channels, own.maps)]
    name = prepare_as or section.name
    if name not in alike:
        raise choice_error(f"--prepare-as (images of {own.channels} channels, as those of {section.name})", name, alike)
    # What readers of label maps take beside.
    options = {key: getattr(section, key) for key in ("class_map", "classes") if hasattr(section, key)}
    return create_reader(name, section.roots[0], section.factor, section.split, **options)


def class_values(label: np.ndarray, classes: Sequence[str]) -> dict[str, str]:
    """Return the columns of a label (seats,): `class`, or `seat_1`, `seat_2`, ... from left to right."""
    if len(label) == 1:
        return {"class": str(classes[label[0]])}
    return {f"seat_{number}": str(classes[seat]) for number, seat in enumerate(label, 1)}


def percent(share: float) -> str:
    """Return a share as pictures show it, nothing where there is none (NaN)."""
    return f"{100 * share:.0f} %" if np.isfinite(share) else ""
