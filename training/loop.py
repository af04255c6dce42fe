"""The training loop: epochs, losses, evaluation, checkpoints, resume. It knows no model and no dataset."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from errors import UserError
from experiment.checkpoint import Progress, load_training_state, misfit, save
from experiment.config import Training
from training.optimising import SingleOptimizerStep
from training.parallel import total
from utils import seed_everything


@dataclass
class Loop:
    """Trains a step for the epochs of a config and keeps last and best weights.

    batches: as of a `Job`; checkpoints: folder; finish_epoch: called with epoch, mean losses and whether an evaluation
    is due, returns the score that chooses the best weights, or None; frozen: fingerprint of what does not train, so
    that a resumed run is sure to have the same; rank: number of this process in the run; all but the first only train.
    """

    step: SingleOptimizerStep
    batches: Any
    training: Training
    checkpoints: Path
    finish_epoch: Callable[[int, dict[str, float], bool], float | None]
    frozen: str
    rank: int = 0

    def run(self, progress: Progress) -> Progress:
        """Train from where `progress` stands to the end. Raises UserError on a loss that is not finite."""
        epochs, length = self.training.epochs, len(self.batches)
        with tqdm(total=epochs * length, initial=progress.epoch * length, desc="training", unit="batch",
                  disable=True if self.rank else None) as bar:
            for epoch in range(progress.epoch + 1, epochs + 1):
                losses = self._train(epoch, bar)
                progress.epoch = epoch
                if self.rank:
                    continue
                self.step.model.eval()
                due = epoch % self.training.frequency == 0 or epoch == epochs
                self._save(progress, self.finish_epoch(epoch, losses, due), due)
        return progress

    def resume(self) -> Progress:
        """Restore weights, optimiser and progress from `last.pth`; a run that was killed before it starts anew.

        Raises UserError where the file is not whole, before anything is restored.
        """
        path = self.checkpoints / "last.pth"
        if not path.exists():
            return Progress()
        # To the CPU: loading copies weights to where they belong, and optimisers move their state to the weights.
        state, progress = load_training_state(path, self.training.epochs)
        if state["frozen"] != self.frozen:
            raise UserError(f"{path}: the frozen weights are not those that the run began with (model.weights changed)")
        problem = misfit(state["trainable"], self._trainable(), "trainable") or self.step.misfit(state["step"])
        if problem:
            raise UserError(f"{path}: damaged: {problem}")
        self.step.model.load_state_dict(dict(state["trainable"]), strict=False)
        self.step.restore(state["step"])
        return progress

    def _train(self, epoch: int, bar: tqdm) -> dict[str, float]:
        """Train for an epoch and return its mean losses; the device is waited for at its end alone."""
        # Whatever draws from the global generators (noise, augmentation) depends on seed and epoch alone
        # (and on the process, as each has other samples).
        seed_everything("training", self.training.seed, epoch, *([self.rank] if self.rank else []))
        self.step.model.train()
        self.step.begin(epoch)
        history: list[dict[str, Tensor]] = []
        for batch in self.batches.epoch(epoch):
            history.append(self.step.update(batch))
            bar.update()
        # Some steps have other losses than others have, where they train something else in turns.
        names = list(dict.fromkeys(name for losses in history for name in losses))
        if not names:
            return {}
        counts = torch.tensor([sum(name in losses for losses in history) for name in names])
        nothing = torch.zeros((), device=next(iter(history[0].values())).device)
        table = torch.stack([torch.stack([losses.get(name, nothing) for name in names]) for losses in history]).double()
        # Of all processes, so that all of them stop where one loss is not finite.
        table = total(table).cpu()
        broken = (~torch.isfinite(table)).any(dim=1).nonzero()
        if len(broken):
            batch = int(broken[0])
            wrong = [name for name, value in zip(names, table[batch], strict=True) if not value.isfinite()]
            raise UserError(f"training stopped: loss '{wrong[-1]}' is not finite in epoch {epoch}, batch {batch + 1} "
                            "(try a lower training.learning_rate)")
        return dict(zip(names, (table.sum(dim=0) / counts).tolist(), strict=True))

    def _save(self, progress: Progress, score: float | None, due: bool) -> None:
        """Write the state dicts that are due, and all that resume needs.

        The latter leaves the frozen weights out: they are rebuilt, and checked by fingerprint. It comes last, so that a
        kill in between only means that the epoch is trained again.
        """
        model = self.step.model
        if due:
            save(model.state_dict(), self.checkpoints / "last_model.pth")
        if score is not None and score > progress.best_score:
            progress.best_epoch, progress.best_score = progress.epoch, score
            save(model.state_dict(), self.checkpoints / "best_model.pth")
        save({"trainable": self._trainable(), "step": self.step.state(), "progress": vars(progress),
              "frozen": self.frozen}, self.checkpoints / "last.pth")

    def _trainable(self) -> dict[str, Tensor]:
        model = self.step.model
        fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        return {name: value for name, value in model.state_dict().items() if name not in fixed}
