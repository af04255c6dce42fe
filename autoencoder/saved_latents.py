"""Latents in a run folder: plain arrays in `latents/<dataset>_<checkpoint>.npz`, which need no torch to be read."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from errors import UserError, choice_error
from files import parse_json, read_arrays, write_arrays
from reporting.metrics import title_of

FOLDER, VERSION = "latents", 1
# Below this, squared distances are finite in 32 bit.
LARGEST = 1e15
# What `about` says of the latents, beside the version of the file's layout.
ABOUT = {"version": int, "role": str, "dataset": str, "factor": str, "split": str, "experiment": str, "seed": int,
         "checkpoint": str, "epoch": int | None, "selection": str, "weights": str, "environment": dict}


@dataclass(frozen=True)
class SavedLatents:
    """The latents of a dataset under one set of weights, a row per view (an image as it is or mirrored).

    latents: float32 (n, d); codes: int64 (n,), labels packed as by `pairing.label_codes`; labels: int64 (n, seats),
    reversed for mirror images; scenery: int64 (n,), the same for the variants and mirror images of one; flip: bool
    (n,), whether mirrored; sources: text (n,), what the image was prepared from; classes: text (k,), names of the
    labels; about: what made them, with the keys of ABOUT. In it, role: `training` or `evaluation`; dataset, factor,
    split, experiment, seed, checkpoint, epoch, selection: as in records; weights: SHA-256 of the weights file;
    environment: as in a run's environment.json.
    """

    latents: np.ndarray
    codes: np.ndarray
    labels: np.ndarray
    scenery: np.ndarray
    flip: np.ndarray
    sources: np.ndarray
    classes: np.ndarray
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def title(self) -> str:
        """Return dataset, factor and split as pictures print them, for example `sviro (x5), train`."""
        return title_of(*(self.about[name] for name in ("dataset", "factor", "split")))

    def one_per_scenery(self, seed: int = 0) -> np.ndarray:
        """Return latents (sceneries, d): of each scenery one image drawn at random, none of them mirrored."""
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(~self.flip))
        return self.latents[rows[np.unique(self.scenery[rows], return_index=True)[1]]]


def path_of(run: Path, dataset: str, checkpoint: str) -> Path:
    """Return where a run folder keeps the latents of a dataset, given by its name for files."""
    return run / FOLDER / f"{dataset}_{checkpoint}.npz"


def save(path: Path, saved: SavedLatents) -> None:
    """Write latents so that `path` is either the old file or the whole new one."""
    arrays = {field.name: getattr(saved, field.name) for field in fields(saved)}
    path.parent.mkdir(exist_ok=True)
    write_arrays(path, arrays | {"about": json.dumps(saved.about)})


def load(path: Path) -> SavedLatents:
    """Read latents; UserError where the file is absent, damaged or holds anything but such arrays."""
    try:
        arrays = read_arrays(path, [field.name for field in fields(SavedLatents)])
        saved = SavedLatents(**arrays | {"about": parse_json(str(arrays["about"]))})
        problem = _problem(saved)
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
    if problem:
        raise UserError(f"{path}: no file of saved latents, or a damaged one ({problem}); make it again with "
                        "recon_and_save_latent_space.py")
    return saved


def saved_checkpoints(run: Path) -> list[str]:
    """Return for which weights a run folder keeps latents: `last`, `best`, or both; UserError where for none."""
    found = [name for name in ("last", "best") if any((run / FOLDER).glob(f"*_{name}.npz"))]
    if not found:
        raise UserError(f"{run}: no latents are saved there; make them with recon_and_save_latent_space.py {run}")
    return found


def find(run: Path, checkpoint: str, names: list[str] | None = None) -> list[SavedLatents]:
    """Return the latents that a run folder keeps for a checkpoint, the training dataset's first.

    names: of the evaluation datasets that are wanted, as in the files' names; all where there are none. Raises
    UserError where latents are missing or come from different weights.
    """
    remedy = f"make them with recon_and_save_latent_space.py {run} --checkpoint {checkpoint}"
    end = f"_{checkpoint}.npz"
    loaded = {path.name.removesuffix(end): load(path) for path in sorted((run / FOLDER).glob(f"*{end}"))}
    training = [name for name, each in loaded.items() if each.about["role"] == "training"]
    if len(training) != 1:
        raise UserError(f"{run / FOLDER}: holds latents of several training datasets ({', '.join(training)}); delete "
                        "those that are not meant" if training else
                        f"{run}: no latents of the training dataset under the {checkpoint} weights are saved there; "
                        f"{remedy}")
    first, others = loaded[training[0]], [name for name in loaded if name not in training]
    for name in (wanted := names or others):
        if name not in others:
            raise choice_error(f"{run}: --datasets", name, others)
        each = loaded[name]
        differ = ("comes from other weights" if each.about["weights"] != first.about["weights"] else
                  "has other dimensions" if (each.latents.shape[1], each.labels.shape[1]) !=
                  (first.latents.shape[1], first.labels.shape[1]) else "")
        if differ:
            raise UserError(f"{run / FOLDER / name}{end}: {differ} than {training[0]}{end}; {remedy}")
    return [first, *(loaded[name] for name in wanted)]


def _problem(saved: SavedLatents) -> str:
    """Say what is wrong with the arrays of a file, or nothing."""
    if not isinstance(saved.about, dict) or set(saved.about) != set(ABOUT) or saved.about["version"] != VERSION:
        return f"expected version {VERSION} of the layout"
    if not all(isinstance(saved.about[name], kind) for name, kind in ABOUT.items()):
        return "what it says of the latents is of other types"
    arrays = {"latents": (2, "f"), "codes": (1, "iu"), "labels": (2, "iu"), "scenery": (1, "iu"), "flip": (1, "b"),
              "sources": (1, "U"), "classes": (1, "U")}
    for name, (dimensions, kinds) in arrays.items():
        array = getattr(saved, name)
        if array.dtype.kind not in kinds:
            return f"{name} holds {array.dtype}"
        if array.ndim != dimensions or not array.size or (name != "classes" and len(array) != len(saved.latents)):
            return f"{name} has shape {array.shape}"
    if saved.labels.min() < 0 or saved.labels.max() >= len(saved.classes):
        return f"labels go beyond {len(saved.classes)} classes"
    return "" if (np.abs(saved.latents) < LARGEST).all() else f"latents are not finite, or beyond {LARGEST:g}"
