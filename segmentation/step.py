"""The step of a segmentation network."""

from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from readers.class_maps import IGNORE
from segmentation.config import Training
from segmentation.data import Batch
from training.fabric import Fabric
from training.optimising import SingleOptimizerStep, changed_rates

POWER, FLOOR = 0.9, 1e-6


def polynomial(rate: float, iteration: int, iterations: int) -> float:
    """Return the learning rate of an iteration, counted from 0, which falls from `rate` to nearly 0 over all of them.

    Source: the published code of DeepLabV3+ for Cityscapes, rate * (1 - i / I)^0.9, not below 1e-6.
    """
    return max(rate * (1 - iteration / iterations) ** POWER, FLOOR)


class SegmentationStep(SingleOptimizerStep):
    """Cross-entropy on the class of every pixel that is not ignored; the learning rate falls with every iteration.

    length: iterations of an epoch.
    """

    def __init__(self, model: nn.Module, section: Training, fabric: Fabric, length: int):
        self.section = section
        super().__init__(model, section, fabric)
        self.length, self.iterations, self.iteration = length, length * section.epochs, 0

    def parameters(self) -> list[dict]:
        """Return backbone and head as groups with their learning rates."""
        rate = self.section.learning_rate
        return [{"params": list(self.model.backbone.parameters()), "lr": rate * self.section.backbone_rate},
                {"params": list(self.model.classifier.parameters()), "lr": rate}]

    def begin(self, epoch: int) -> None:
        self.iteration = (epoch - 1) * self.length

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        with self.fabric.autocast():
            logits = self.model(batch.images)
        total = F.cross_entropy(logits.float(), batch.labels, ignore_index=IGNORE, reduction="sum")
        # A batch may hold nothing but what is ignored.
        return {"total": total / (batch.labels != IGNORE).sum().clamp(min=1)}

    def descend(self, optimizer: Optimizer, loss: Tensor) -> None:
        """Take a step at the rate of this iteration; the saved state has the rates of the config."""
        with changed_rates(optimizer, lambda rate: polynomial(rate, self.iteration, self.iterations)):
            super().descend(optimizer, loss)
        self.iteration += 1
