"""Trained models: rebuilt from a run's config, filled with its weights.

Runs made here and folders in the layout of the published weights are opened alike. BatchNorm statistics are those in
the weights file, whatever `model.batchnorm` says, and the weights that training began with are not needed.
"""

from pathlib import Path

from torch import nn

from errors import UserError
from experiment import published_run as published
from experiment import records
from experiment.checkpoint import load_state_dict, load_training_state, misfit
from experiment.config import PLACES
from experiment.run import Run
from experiment.systems import System
from pretrained_model import COUNTER, Classifier

DATA_PARALLEL = "module."


def check_overrides(overrides: list[str], runs: list[Path]) -> None:
    """Raise UserError for overrides of what runs were trained with: their records would not say so.

    Of published runs the dataset may be corrected: their config may name it otherwise, or leave something out.
    """
    allowed = ("evaluation.", "dataset.") if all(map(published.is_published, runs)) else ("evaluation.",)
    for override in overrides:
        key = override.partition("=")[0].strip()
        if not key.startswith(allowed) and key not in PLACES:
            raise UserError(f"--set {override}: a finished run is evaluated as it was trained; allowed: evaluation.*, "
                            f"{', '.join(PLACES)}")


def check_run(run: Run, checkpoints: list[str] | None, system: System, writes: bool = True) -> None:
    """Raise UserError for a run that is not finished, of another system, or without the weights that are asked for.

    writes: whether records are to be added to it.
    """
    system.check(run.config.model.type, str(run.folder))
    if not run.done and not run.published:
        raise UserError(f"{run.folder}: not finished; continue it with {system.train} --resume {run.folder}")
    if writes:
        records.check_writable(run.folder)
    if not run.saved:
        raise UserError(f"{run.folder}: holds no weights (looked for last_model.pth and best_model.pth in "
                        f"{run.checkpoints})")
    missing = [name for name in checkpoints or () if name not in run.saved]
    if missing:
        reason = ", as it was trained without [[evaluation.datasets]]" if run.done and missing == ["best"] else ""
        raise UserError(f"{run.folder}: has no {missing[0]} weights{reason}; allowed: --checkpoint {run.saved[0]}")


def restore(model: nn.Module, run: Run, checkpoint: str) -> int | None:
    """Load the `last` or `best` weights of a run; return the epoch they come from, None where the run does not say.

    Raises UserError when they cannot be read or are not those of such a model, but for a prefix of parallel training.
    """
    path = run.weights(checkpoint)
    state, own = load_state_dict(path), model.state_dict()
    if all(name.startswith(DATA_PARALLEL) for name in state):
        state = {name.removeprefix(DATA_PARALLEL): value for name, value in state.items()}
    # The model's own batch counters: they say how often statistics were updated, which nothing here depends on.
    state = {name: value for name, value in state.items() if name in own or not name.endswith(COUNTER)}
    state = {name: value for name, value in own.items() if name.endswith(COUNTER)} | state
    if problem := misfit(state, own):
        hint = "; a classifier has an output per class of its training data" if isinstance(model, Classifier) else ""
        raise UserError(f"{path}: does not fit the model of {run.folder / 'cfg.toml'}: {problem}{hint}")
    model.load_state_dict(state)
    if run.published:
        training = run.config.training
        return published.epoch(run.folder, checkpoint, training.frequency, training.epochs)
    _, progress = load_training_state(run.checkpoints / "last.pth", run.config.training.epochs)
    return progress.best_epoch if checkpoint == "best" else progress.epoch
