"""Finished runs: whether one can be evaluated, what may be overridden for it, and its weights."""

from errors import UserError
from experiment.checkpoint import load, load_training_state
from experiment.run import Run
from experiment.schema import PLACES
from model import Autoencoder

CHECKPOINTS = ("last", "best")


def check_overrides(overrides: list[str]) -> None:
    """Refuse overrides of what a run was trained with: its records would not say so."""
    for override in overrides:
        key = override.partition("=")[0].strip()
        if not key.startswith("evaluation.") and key not in PLACES:
            raise UserError(f"--set {override}: a finished run is evaluated as it was trained; allowed: evaluation.*, "
                            f"{', '.join(PLACES)}")


def check_autoencoder(run: Run, checkpoints: list[str] | None) -> None:
    """Refuse a run that holds no finished autoencoder with the wanted checkpoints."""
    if run.config.model.type == "classifier":
        raise UserError(f"{run.folder}: holds a classifier; allowed: runs of train_ae.py")
    if not run.done:
        raise UserError(f"{run.folder}: not finished; continue it with train_ae.py --resume {run.folder}")
    if "best" in (checkpoints or []) and not (run.checkpoints / "best_model.pth").exists():
        raise UserError(f"{run.folder}: has no best weights, as it was trained without [[evaluation.datasets]]; "
                        "allowed: --checkpoint last")


def checkpoints_of(run: Run) -> list[str]:
    """Return which of last and best weights a run has."""
    return [name for name in CHECKPOINTS if (run.checkpoints / f"{name}_model.pth").exists()]


def restore(model: Autoencoder, run: Run, checkpoint: str) -> int:
    """Load a checkpoint's weights and return the epoch they come from."""
    path = run.checkpoints / f"{checkpoint}_model.pth"
    state = load(path)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: does not fit the model of {run.folder / 'cfg.toml'}: "
                        f"{str(error).splitlines()[-1].strip()}") from None
    progress = load_training_state(run.checkpoints / "last.pth")["progress"]
    return progress["best_epoch"] if checkpoint == "best" else progress["epoch"]
