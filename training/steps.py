"""One step per kind of model: a batch in, losses by name out, weights updated."""

from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from dataset import Batch
from experiment.schema import Training
from training.losses import RECONSTRUCTION_LOSSES, triplet_loss

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


class Step(Protocol):
    """What the loop needs of a step; a method with two optimisers overrides `update` and the two state functions."""

    model: nn.Module

    def update(self, batch: Any) -> dict[str, Tensor]: ...
    def rehearse(self, batch: Any) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...


class SingleOptimizerStep:
    """A step with one optimiser over all trainable parameters; a subclass says what the losses are."""

    def __init__(self, model: nn.Module, section: Training, fabric: Fabric):
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        options: dict[str, Any] = {"lr": section.learning_rate, "weight_decay": section.weight_decay, "fused": True}
        if section.optimizer == "sgd":
            options["momentum"] = 0.9
        self.fabric, self.model = fabric, model
        _, self.optimizer = fabric.setup(model, OPTIMIZERS[section.optimizer](trainable, **options))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return scalar losses by name; `total` is what is minimised."""
        raise NotImplementedError

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Train on a batch and return its losses, detached and still on the device."""
        losses = self.losses(batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(losses["total"])
        self.optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def rehearse(self, batch: Batch) -> None:
        """Go forward and backward without changing anything, to find what cannot work before a run is made."""
        before = [buffer.clone() for buffer in self.model.buffers()]
        self.fabric.backward(self.losses(batch)["total"])
        self.optimizer.zero_grad(set_to_none=True)
        for buffer, value in zip(self.model.buffers(), before, strict=True):
            buffer.copy_(value)

    def state(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])


class AutoencoderStep(SingleOptimizerStep):
    """Reconstruction, plus the triplet loss on the latents where the batch holds triplets (Eq. 5, alpha = beta = 1)."""

    def __init__(self, model: nn.Module, section: Training, fabric: Fabric):
        super().__init__(model, section, fabric)
        self.reconstruction = RECONSTRUCTION_LOSSES[section.loss]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        with self.fabric.autocast():
            latents = self.model.encode(batch.inputs)
            images = self.model.decode(latents)
        # In 32 bit whatever the precision: the losses sum over many pixels, and BCE is not safe in 16 bit.
        latents, images = latents.float(), images.float()
        parts = 1 if batch.in_triplet is None else 3
        pairs = zip(images.chunk(parts), batch.targets.chunk(parts), strict=True)
        losses = {"reconstruction": sum(self.reconstruction(image, target) for image, target in pairs)}
        if batch.in_triplet is not None:
            losses["triplet"] = triplet_loss(*latents.chunk(3), batch.in_triplet)
        return {"total": sum(losses.values()), **losses}


class ClassifierStep(SingleOptimizerStep):
    """Cross-entropy on the class of the whole image."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        with self.fabric.autocast():
            logits = self.model(batch.inputs)
        return {"total": F.cross_entropy(logits.float(), batch.labels)}
