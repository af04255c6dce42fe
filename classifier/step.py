"""The step of the classifiers."""

from torch import Tensor
from torch.nn import functional as F

from dataset import Batch
from training.optimising import SingleOptimizerStep


class ClassifierStep(SingleOptimizerStep):
    """Cross-entropy on the class of the whole image."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        with self.fabric.autocast():
            logits = self.model(batch.inputs)
        return {"total": batch.share.mean * F.cross_entropy(logits.float(), batch.labels)}
