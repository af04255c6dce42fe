"""The shortest config and those in cfg/, runs stopped and compared, and processes waited for."""

import re
import time
from pathlib import Path

import torch

from training.loop import Loop

MINIMAL = """
[dataset]
name = "glyphs"

[model]
type = "conv"
variation = "ae"

[training]
epochs = 2
"""


def configs(pattern=""):
    """The project's files in cfg/ with a text that a pattern finds, without a user's, which are of own data."""
    texts = {path: path.read_text(encoding="utf-8") for path in (Path(__file__).parents[1] / "cfg").glob("*.toml")}
    return sorted(path for path, text in texts.items() if re.search(pattern, text)
                  and not re.search('name = "(colour_|street_)?folder"', text))


def stop_after(patch, epoch):
    """Have training stop as by Ctrl-C once an epoch is saved."""
    save = Loop._save

    def stop(self, progress, *arguments):
        save(self, progress, *arguments)
        if progress.epoch == epoch:
            raise KeyboardInterrupt

    patch.setattr(Loop, "_save", stop)


def weights(run, name="last_model.pth"):
    """The state dict that a run folder holds."""
    return torch.load(run / "checkpoints" / name, weights_only=True)


def same(ours, theirs):
    """Whether two state dicts are equal, bit for bit."""
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def until(true, process=None, seconds=120):
    """Wait until something is true, while a process is there, if one is given."""
    deadline = time.monotonic() + seconds
    while not true():
        assert process is None or process.poll() is None, "the process has ended"
        assert time.monotonic() < deadline
        time.sleep(0.01)
