"""Finished runs that others are constrained or judged by: frozen networks that say what an image shows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from errors import UserError
from evaluation.trained import check_run, restore
from experiment.run import Run, open_run
from experiment.systems import BY_TYPE, imported


@dataclass(frozen=True)
class Recogniser:
    """A network with the weights of a finished run, which no longer change.

    module: images float32 (n, 1 or 3, H, W) in [0, 1] -> logits (n, classes), or (n, classes, H, W) with `per_pixel`;
    features: the same images -> its last feature map (n, c, h, w); classes: what the outputs are called.
    """

    module: nn.Module
    features: Callable[[Tensor], Tensor]
    classes: tuple[str, ...]
    per_pixel: bool


def open_recogniser(folder: str, key: str, device: torch.device) -> Recogniser:
    """Rebuild the classifier or segmentation network of a run folder, with the weights of its last epoch.

    key: of the config, for messages. Raises UserError where the folder holds no such run, or one that is not finished.
    """
    able = [kind for kind, system in BY_TYPE.items() if system.recogniser]
    if not Path(folder).is_dir():
        raise UserError(f"{key}: found '{folder}', which is no folder; expected the run folder of a model of type "
                        f"{' or '.join(able)}")
    run: Run = open_run(Path(folder))
    kind = run.config.model.type
    if kind not in able:
        raise UserError(f"{key}: {folder} holds a model of type '{kind}'; allowed: {', '.join(able)}")
    check_run(run, ["last"], BY_TYPE[kind], writes=False)
    found: Recogniser = imported(BY_TYPE[kind].recogniser)(run, device)
    restore(found.module, run, "last")
    found.module.eval().requires_grad_(False)
    return found
