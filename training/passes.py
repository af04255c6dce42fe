"""Which images make the batches of an epoch, where a pass over them and an epoch need not be the same."""

from collections.abc import Iterator

import torch
from torch import Tensor

from errors import UserError
from experiment.config import IterationTraining
from utils import mix_seed


class Passes:
    """All images come once before any comes again; what is left over of a pass is too little for a batch and left out.

    All numbers come from the seed and the number of the pass, so that a resumed run draws what an uninterrupted one
    does. name: tells apart the passes over two sets of images in one run; length: batches of an epoch, by default the
    share of `training.iterations`, or else a pass.
    """

    def __init__(self, count: int, training: IterationTraining, title: str, device: torch.device, name: str = "pass",
                 length: int | None = None):
        self.count, self.batch_size, self.seed, self.device, self.name = (count, training.batch_size, training.seed,
                                                                          device, name)
        self.per_pass = count // self.batch_size
        if not self.per_pass:
            raise UserError(f"training.batch_size: found {self.batch_size}; allowed: up to {count}, the images of "
                            f"{title}")
        shared = training.iterations // training.epochs if training.iterations else self.per_pass
        self.length = length or shared

    def __len__(self) -> int:
        return self.length

    def epoch(self, number: int) -> Iterator[Tensor]:
        """Yield the images (batch_size,) of each batch of an epoch, from 1 on; of 0 some like them."""
        order, ordered = None, -1
        for iteration in range(max(number - 1, 0) * len(self), max(number, 1) * len(self)):
            turn, place = divmod(iteration, self.per_pass)
            if turn != ordered:
                generator = torch.Generator(self.device).manual_seed(mix_seed(self.name, self.seed, turn))
                order, ordered = torch.randperm(self.count, generator=generator, device=self.device), turn
            yield order[place * self.batch_size :][: self.batch_size]
