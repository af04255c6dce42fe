"""Run folders in the layout of the published weights, which hold less than those made here.

`cfg.toml` without a seed, `checkpoints/last_model.pth` and `best_model.pth` (plain state dicts) and `logs/accuracy.log`
(one accuracy per evaluated epoch) are read. What else lies there, such as the pickled `checkpoints/label_dict.npy`, is
never opened.
"""

import math
import zlib
from pathlib import Path

from files import read_text


def is_published(folder: Path) -> bool:
    """Return whether a run was not made here: one made here has environment.json before anything else."""
    own = (folder / "environment.json", folder / "checkpoints" / "last.pth", folder / "done")
    return (folder / "cfg.toml").is_file() and not any(path.exists() for path in own)


def number(folder: Path) -> int:
    """Return the number that stands for the unknown seed, 0 to 2^31 - 1: a checksum of the folder's name.

    So ten runs have ten numbers, which stay the same whichever other runs lie beside them.
    """
    return zlib.crc32(folder.resolve().name.encode(errors="surrogateescape")) >> 1


def epoch(folder: Path, checkpoint: str, frequency: int, epochs: int) -> int | None:
    """Return the epoch of the `last` weights or, by the first highest accuracy, of the `best` ones; None if unknown.

    frequency: epochs between the accuracies in logs/accuracy.log; epochs: how many were trained, after which there may
    be one accuracy more.
    """
    found = _accuracies(folder)
    evaluated = len(found) if checkpoint == "last" else found.index(max(found)) + 1 if found else 0
    return min(evaluated * frequency, epochs) or None


def curve(folder: Path, frequency: int, epochs: int) -> dict[int, float]:
    """Return epoch -> accuracy in [0, 1] as logs/accuracy.log has them, empty where it cannot be read.

    Which test set they are of, it does not say. Values above one are percentages. frequency, epochs: as for `epoch`;
    an accuracy after the last epoch stands for the last epoch.
    """
    found = _accuracies(folder)
    scale = 0.01 if found and max(found) > 1 else 1.0
    return {min(number * frequency, epochs): scale * value for number, value in enumerate(found, 1)}


def _accuracies(folder: Path) -> list[float]:
    try:
        lines = read_text(folder / "logs" / "accuracy.log").split("\n")
        found = [float(line.split()[-1]) for line in lines if line.strip()]
    except (OSError, ValueError):
        return []
    return found if all(map(math.isfinite, found)) else []
