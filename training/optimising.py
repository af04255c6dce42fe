"""One step per kind of model: a batch in, losses by name out, weights updated."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from experiment.checkpoint import misfit
from experiment.config import Training
from training.parallel import sum_gradients

if TYPE_CHECKING:
    from training.fabric import Fabric

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def create_optimizer(parameters: list[nn.Parameter], section: Training,
                     betas: tuple[float, float] = (0.9, 0.999)) -> torch.optim.Optimizer:
    """Return the optimiser of the config; `betas` are those of Adam and AdamW."""
    options: dict[str, Any] = {"lr": section.learning_rate, "weight_decay": section.weight_decay, "fused": True}
    options |= {"momentum": 0.9} if section.optimizer == "sgd" else {"betas": betas}
    return OPTIMIZERS[section.optimizer](parameters, **options)


def whole_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state dict of an optimiser with the names and shapes that it has after its first step."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    sgd = isinstance(optimizer, torch.optim.SGD)
    names, counter = (["momentum_buffer"], {}) if sgd else (["exp_avg", "exp_avg_sq"], {"step": torch.zeros(())})
    return optimizer.state_dict() | {"state": {i: dict.fromkeys(names, parameter) | counter
                                               for i, parameter in enumerate(parameters)}}


@contextmanager
def changed_rates(optimizer: torch.optim.Optimizer, change: Callable[[float], float]) -> Iterator[None]:
    """Change the learning rates of an optimiser for a step or so; what is saved has those of the config."""
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = change(group["lr"])
    yield
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


@contextmanager
def fixed(weights: list[nn.Parameter]) -> Iterator[None]:
    """Keep the gradient out of weights, which it goes through."""
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


class SingleOptimizerStep:
    """What the loop needs of a step, here with one optimiser over all trainable parameters.

    A subclass says what the losses are; one with other optimisers has its own `update`, `rehearse` and `optimizers`.
    """

    betas = (0.9, 0.999)

    def __init__(self, model: nn.Module, section: Training, fabric: "Fabric"):
        self.fabric, self.model = fabric, model
        self.optimizer = fabric.setup_optimizers(create_optimizer(self.parameters(), section, self.betas))

    def parameters(self) -> list[nn.Parameter]:
        """Return what the optimiser trains."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def begin(self, epoch: int) -> None:
        """Set what is scheduled to an epoch, from 1 on; here nothing is."""

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Return scalar losses by name; `total` is what is minimised."""
        raise NotImplementedError

    def update(self, batch: Any) -> dict[str, Tensor]:
        """Train on a batch and return its losses, detached and still on the device."""
        losses = self.losses(batch)
        self.descend(self.optimizer, losses["total"])
        return {name: loss.detach() for name, loss in losses.items()}

    def descend(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """Take one step of an optimiser down a loss."""
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        sum_gradients(optimizer)
        optimizer.step()

    def rehearse(self, batch: Any) -> None:
        """Go forward and backward without changing anything, to find what cannot work before a run is made."""
        before = [buffer.clone() for buffer in self.model.buffers()]
        self.fabric.backward(self.losses(batch)["total"])
        self.optimizer.zero_grad(set_to_none=True)
        for buffer, value in zip(self.model.buffers(), before, strict=True):
            buffer.copy_(value)

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return all optimisers by their names in saved states."""
        return {"optimizer": self.optimizer}

    def others(self) -> dict[str, Any]:
        """Return what a saved state holds beside the states of the optimisers, as it is now; here nothing."""
        return {}

    def state(self) -> dict[str, Any]:
        return {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()} | self.others()

    def misfit(self, state: Any) -> str:
        """Say in what a saved state, whatever it may be, is not one of this step after training, or nothing."""
        own = {name: whole_state(optimizer) for name, optimizer in self.optimizers.items()}
        problem = misfit(state, own | self.others(), "step")
        if not problem and any(state[name]["param_groups"] != own[name]["param_groups"] for name in own):
            problem = "step: settings of the optimiser are not those of the config"
        return problem

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state, without a look at it."""
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state[name])
