"""Checkpoints: written whole, read without ever running code from the file, checked before anything is restored."""

import math
import os
import pickle
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from errors import UserError
from files import open_regular, replacing

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# What a published checkpoint's best score is pickled with.
NUMPY = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")
WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass
class Progress:
    """Where a run stands: the last finished epoch, and the best score with its epoch (0 while there is none)."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = float("-inf")


def save(content: Any, path: Path) -> None:
    """Write tensors and plain values so that `path` is either the old file or the whole new one."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        # A path would lend its name to the archive's inside, so that the same weights were another file each time.
        torch.save(content, file)


def load(path: Path, device: torch.device | str = "cpu") -> Any:
    """Read a file of tensors and plain values; raises UserError when it is absent, damaged or holds anything else."""
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            if zipfile.is_zipfile(file):
                claimed = sum(member.file_size for member in zipfile.ZipFile(file).infolist())
                # More than the file itself holds, which torch never writes, would fill the memory.
                if claimed > file.seek(0, os.SEEK_END):
                    raise ValueError
            file.seek(0)
            # What torch remarks on odd tensors; `misfit` refuses them.
            warnings.simplefilter("ignore")
            return torch.load(file, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such weights file") from None
    except pickle.UnpicklingError:
        raise UserError(f"{path}: refused: not a plain file of tensors") from None
    except OSError as error:
        raise UserError(f"{path}: weights file cannot be read: {error.strerror or error}") from None
    except Exception:
        # A damaged or foreign file makes torch raise nearly anything, with advice that would not be safe to follow.
        raise UserError(f"{path}: not a weights file, or a damaged one (expected what torch.save writes)") from None


class Unread:
    """Stands for a NumPy number in a checkpoint of others, whose value nobody needs."""

    def __init__(self, *_: Any):
        pass

    __setstate__ = __init__


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Read tensors by name; UserError as `load`, and for anything else. `misfit` says whether they fit a model.

    Of a published checkpoint of DeepLabV3+, which holds more, its `model_state` is taken.
    """
    with torch.serialization.safe_globals([(Unread, name) for name in NUMPY]):
        state = load(path)
    state = state.get("model_state", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise UserError(f"{path}: holds no state dict of tensors")
    return dict(state)


def load_training_state(path: Path, epochs: int) -> tuple[dict[str, Any], Progress]:
    """Read a run's `last.pth`, of a run of so many epochs: trainable, step, frozen; and the progress in it.

    Raises UserError like `load`. What is in `trainable` and `step` has to be compared with the model's; see `misfit`.
    """
    state = load(path)
    if not isinstance(state, dict) or set(state) != {"trainable", "step", "progress", "frozen"}:
        raise UserError(f"{path}: not the state of a training run")
    values = state.pop("progress")
    problem = misfit(values, vars(Progress()), "progress") or misfit(state["frozen"], "", "frozen")
    if not problem:
        progress = Progress(**values)
        if (0 <= progress.best_epoch <= progress.epoch and 1 <= progress.epoch <= epochs
                and math.isfinite(progress.best_score) == (progress.best_epoch > 0)):
            return state, progress
        problem = f"{progress}, of {epochs} epochs"
    raise UserError(f"{path}: damaged: {problem}")


def misfit(found: Any, own: Any, name: str = "") -> str:
    """Say in what something read differs in structure from what it is to replace, or nothing.

    Dictionaries have the same keys, lists and tuples the same lengths, plain values the same types, and tensors the
    same shape and, all in all, the same kind of finite numbers. name: of the whole.
    """
    if isinstance(own, Tensor):
        problem = _tensor_misfit(found, own)
        return problem and f"{name} {problem}"
    if type(found) is not type(own) and not (isinstance(found, dict) and isinstance(own, dict)):
        return f"{name} is of type {type(found).__name__}, expected {type(own).__name__}"
    below = f"{name}." if name else ""
    if isinstance(own, dict):
        for names, problem in ((own.keys() - found.keys(), "is missing"), (found.keys() - own.keys(), "is not known")):
            if names:
                more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
                return f"{below}{min(map(str, names))} {problem}{more}"
    elif not isinstance(own, list | tuple):
        return ""
    elif len(found) != len(own):
        return f"{name} has {len(found)} entries, expected {len(own)}"
    keys = own if isinstance(own, dict) else range(len(own))
    return next(filter(None, (misfit(found[key], own[key], f"{below}{key}") for key in keys)), "")


def _tensor_misfit(found: Any, own: Tensor) -> str:
    if not isinstance(found, Tensor):
        return f"is of type {type(found).__name__}, expected a tensor"
    kind = next(kind for kind in (FLOATING, WHOLE, (own.dtype,)) if own.dtype in kind)
    if found.layout != torch.strided or found.is_meta or found.dtype not in kind:
        what = "without content" if found.is_meta else f"of {found.dtype}, {found.layout}"
        return f"is a tensor {what}; expected a dense one of {own.dtype}".replace("torch.", "")
    if found.shape != own.shape:
        return f"has shape {tuple(found.shape)}, expected {tuple(own.shape)}"
    return "" if torch.isfinite(found.to(own.dtype)).all() else "holds values that are not finite"
