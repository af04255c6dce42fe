"""Trained weights: from a run folder into a model."""

from torch import Tensor, nn

from errors import UserError
from experiment.checkpoint import load, load_training_state
from experiment.run import Run


def restore(model: nn.Module, run: Run, checkpoint: str) -> int:
    """Load the `last` or `best` weights of a run and return the epoch they come from.

    Raises UserError when they cannot be read or are not those of such a model.
    """
    path = run.checkpoints / f"{checkpoint}_model.pth"
    state = load(path)
    problem = _misfit(model, state)
    if problem:
        raise UserError(f"{path}: does not fit the model of {run.folder / 'cfg.toml'}: {problem}")
    model.load_state_dict(state)
    progress = load_training_state(run.checkpoints / "last.pth")["progress"]
    return progress["best_epoch"] if checkpoint == "best" else progress["epoch"]


def _misfit(model: nn.Module, state: object) -> str:
    """Say in what a state dict differs from a model's, or nothing."""
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        return "it holds no state dict of tensors"
    own = model.state_dict()
    for names, problem in ((own.keys() - state.keys(), "is missing"), (state.keys() - own.keys(), "is not known")):
        if names:
            return f"{sorted(map(str, names))[0]} {problem}{f' (and {len(names) - 1} more)' if len(names) > 1 else ''}"
    return next((f"{name} has shape {tuple(state[name].shape)}, expected {tuple(tensor.shape)}"
                 for name, tensor in own.items() if state[name].shape != tensor.shape), "")
