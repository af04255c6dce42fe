"""One run in several processes (`training.devices`): each trains on its part of every batch, all take the same steps.

Fabric starts the processes and connects them. Its wrapper of a model is not used, as steps call a model's parts; what
it does is done here: all begin with the same weights, and gradients are summed before an optimiser's step.
"""

import ctypes
import logging
import os
import signal
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from errors import UserError

if TYPE_CHECKING:
    from training.fabric import Fabric

# The number of the process that started this one and leads the run, in its environment.
LEADER = "SYN2REAL_LEADER"
# Others wait while the leader evaluates. None waits for one that has ended; see `follow` and Fabric's observer.
TIMEOUT = timedelta(days=7)
# Seconds in which a process that fails has ended, also on a busy machine.
PATIENCE = 20.0
# Linux's prctl: which signal a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


def follow() -> int:
    """Return the number of this process in its run, and have it end with the leader if it is not the leader (0)."""
    if LEADER not in os.environ:
        return 0
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[LEADER]):
        sys.exit(1)
    # Ctrl-C reaches all processes of a terminal; the leader says so, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return int(os.environ["LOCAL_RANK"])


def check_devices(model: nn.Module, batch_size: int, devices: int) -> None:
    """Raise UserError where training in so many processes would not be training in one."""
    if batch_size < devices:
        raise UserError(f"training.devices: found {devices}; allowed with training.batch_size {batch_size}: 1 to "
                        f"{batch_size}")
    model.train()
    if any(isinstance(module, BatchNorm) and module.training for module in model.modules()):
        raise UserError(f"training.devices: found {devices}, but the model has BatchNorm layers that use the "
                        "statistics of a batch, of which each process sees a part; allowed: 1, or a model without them")


def launch(device: torch.device, devices: int, rank: int) -> "Fabric":
    """Start the other processes of a run, in each of which this script comes here too, and connect all of them.

    device: this process's; on GPUs the leader's is the first, and the others take the following ones.
    """
    from training.fabric import DDPStrategy, Fabric, LightningEnvironment

    if rank == 0:
        os.environ[LEADER] = str(os.getpid())
    first = (device.index or 0) - rank
    # Of its messages only those of what is wrong.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    group = Fabric(accelerator=device.type, strategy=DDPStrategy(timeout=TIMEOUT), plugins=[LightningEnvironment()],
                   devices=list(range(first, first + devices)) if device.type == "cuda" else devices)
    group.launch()
    return group


def lost(group: "Fabric | None") -> bool:
    """Say whether one of the processes that the leader started has ended, or does within seconds."""
    children = group.strategy.launcher.procs if group else []
    deadline = time.monotonic() + PATIENCE
    while children and time.monotonic() < deadline:
        if any(child.poll() is not None for child in children):
            return True
        time.sleep(0.1)
    return False


def share_weights(model: nn.Module) -> None:
    """Give all processes the leader's weights and statistics."""
    for tensor in model.state_dict().values() if distributed.is_initialized() else ():
        # Backends take plain layouts only, and weights may be channels-last.
        plain = tensor.contiguous()
        distributed.broadcast(plain, 0)
        tensor.copy_(plain)


def part() -> tuple[int, int]:
    """Return the number of this process in its run, and how many there are."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def sum_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Replace the gradients of an optimiser's weights by their sums over all processes.

    A sum, not a mean, as losses are weighted by what a process's part of the batch counts for; see `dataset.Share`.
    """
    if not distributed.is_initialized():
        return
    gradients = [weight.grad for group in optimizer.param_groups for weight in group["params"]
                 if weight.grad is not None]
    flat = total(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    for gradient, part in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(part.view(gradient.shape))


def total(values: Tensor) -> Tensor:
    """Return a tensor summed over all processes."""
    if distributed.is_initialized():
        distributed.all_reduce(values)
    return values
