"""Checkpoints: written to a temporary name and renamed, read without ever running code from the file."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from errors import UserError


def save(content: Any, path: Path) -> None:
    """Write tensors and plain values so that `path` is either the old file or the whole new one."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        torch.save(content, temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_training_state(path: Path) -> dict[str, Any]:
    """Read a run's `last.pth`: trainable, step, progress, frozen. Raises UserError like `load`."""
    state = load(path)
    if not isinstance(state, dict) or not {"trainable", "step", "progress", "frozen"} <= state.keys():
        raise UserError(f"{path}: not the state of a training run")
    return state


def load(path: Path, device: torch.device | str = "cpu") -> Any:
    """Read a file of tensors and plain values; raises UserError when it is absent, damaged or holds anything else."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such weights file") from None
    except pickle.UnpicklingError:
        raise UserError(f"{path}: refused: not a plain file of tensors") from None
    except OSError as error:
        raise UserError(f"{path}: weights file cannot be read: {error.strerror or error}") from None
    except Exception:
        # A damaged or foreign file makes torch raise nearly anything, with advice that would not be safe to follow.
        raise UserError(f"{path}: not a weights file, or a damaged one (expected what torch.save writes)") from None
