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
    torch.save(content, temporary)
    os.replace(temporary, path)


def load(path: Path, device: torch.device | str = "cpu") -> Any:
    """Read a file of tensors and plain values; raises UserError when it is absent, damaged or holds anything else."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such weights file") from None
    except pickle.UnpicklingError:
        raise UserError(f"{path}: refused: not a plain file of tensors") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: cannot be read as a weights file: {reason}") from None
