"""The step of a CycleGAN: both generators, then both discriminators."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluation.recogniser import Recogniser
from training.optimising import SingleOptimizerStep, changed_rates, create_optimizer, fixed
from translation.config import CycleGanTraining
from translation.cyclegan import CycleGan
from translation.data import Batch
from translation.losses import alpha_loss, feature_loss, open_features, printed_mask, semantic_loss, soft_mask
from translation.pool import ImagePool

if TYPE_CHECKING:
    from training.fabric import Fabric

BETAS = (0.5, 0.999)
MASKS = {"printed": printed_mask, "soft": soft_mask}


def decayed(epoch: int, epochs: int, decay: int) -> float:
    """Return the part of the learning rate in an epoch, from 1 on, that the last `decay` of them bring towards zero."""
    return 1 - max(0, epoch - (epochs - decay)) / (decay + 1)


class CycleGanStep(SingleOptimizerStep):
    """Least-squares adversarial, cycle and identity losses, and those that have annotations kept.

    Order, weights and signs are those of the published code: `total` is the generators' loss; then each discriminator
    sees as many real images as translated ones of its pool. Each loss is logged as it is, before its weight.
    recogniser: of the semantic loss; shape: of a batch's images (channels, height, width).
    """

    betas = BETAS

    def __init__(self, model: CycleGan, section: CycleGanTraining, alpha: str, recogniser: Recogniser | None,
                 shape: tuple[int, int, int], fabric: "Fabric"):
        self.section, self.recogniser, self.factor = section, recogniser, 1.0
        self.mask_of = MASKS.get(alpha)
        super().__init__(model, section, fabric)
        self.judges = [parameter for part in model.discriminators for parameter in part.parameters()
                       if parameter.requires_grad]
        self.discriminator_optimizer = fabric.setup_optimizers(create_optimizer(self.judges, section, BETAS))
        self.pools = {name: ImagePool(section.pool, shape, fabric.device) for name in ("pool_a", "pool_b")}
        self.features = None
        if section.lambda_feature_g or section.lambda_feature_f:
            self.features = open_features(section, fabric.device)[1]

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for part in self.model.generators for parameter in part.parameters()
                if parameter.requires_grad]

    def begin(self, epoch: int) -> None:
        self.factor = decayed(epoch, self.section.epochs, self.section.decay)

    def translated(self, batch: Batch) -> dict[str, Tensor]:
        """Return what the generators make of a batch; images of both kinds go through each of them at once."""
        model, a, b, mask_a, mask_b = self.model, batch.source, batch.target, batch.source_mask, batch.target_mask
        identity = self.section.lambda_identity > 0

        def both(translate, first: Tensor, second: Tensor, first_mask: Tensor | None,
                 second_mask: Tensor | None) -> tuple[Tensor, ...]:
            if not identity:
                return (translate(first, first_mask),)
            mask = None if first_mask is None or second_mask is None else torch.cat([first_mask, second_mask])
            return translate(torch.cat([first, second]), mask).split([len(first), len(second)])

        fake_b, *same_b = both(model.translate, a, b, mask_a, mask_b)
        fake_a, *same_a = both(model.translate_back, b, a, mask_b, mask_a)
        found = {"fake_b": fake_b, "fake_a": fake_a, "cycle_a": model.translate_back(fake_b, mask_a),
                 "cycle_b": model.translate(fake_a, mask_b)}
        return found | ({"same_a": same_a[0], "same_b": same_b[0]} if identity else {})

    def generator_losses(self, batch: Batch, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of the generators by name, `total` first."""
        section, model = self.section, self.model
        fakes = (("g", model.D_A, "b"), ("f", model.D_B, "a"))
        terms = {f"adversarial_{name}": (1.0, (judge(found[f"fake_{side}"]).float() - 1).square().mean())
                 for name, judge, side in fakes}
        for side, image, weight in (("a", batch.source, section.lambda_a), ("b", batch.target, section.lambda_b)):
            terms[f"cycle_{side}"] = weight, F.l1_loss(found[f"cycle_{side}"].float(), image)
            if f"same_{side}" in found:
                terms[f"identity_{side}"] = (weight * section.lambda_identity,
                                             F.l1_loss(found[f"same_{side}"].float(), image))
        if self.mask_of:
            for name, side, mask in (("g", "b", batch.source_mask), ("f", "a", batch.target_mask)):
                terms[f"alpha_{name}"] = (getattr(section, f"lambda_alpha_{name}"),
                                          alpha_loss(self.mask_of(found[f"fake_{side}"].float()), mask))
        if self.features:
            for name, side, image in (("g", "b", batch.source), ("f", "a", batch.target)):
                terms[f"feature_{name}"] = (getattr(section, f"lambda_feature_{name}"),
                                            feature_loss(self.features, image, found[f"fake_{side}"].float()))
        if self.recogniser:
            terms["semantic"] = (section.lambda_semantic,
                                 semantic_loss(self.recogniser, found["fake_b"].float(), batch.labels))
        return {"total": sum(weight * term for weight, term in terms.values() if weight),
                **{name: term for name, (_, term) in terms.items()}}

    def discriminator_losses(self, batch: Batch, shown: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of both discriminators on real images and translated ones that are shown beside them."""
        losses = {}
        for name, judge, real, fake in (("discriminator_b", self.model.D_A, batch.target, shown["b"]),
                                        ("discriminator_a", self.model.D_B, batch.source, shown["a"])):
            says = judge(torch.cat([real, fake])).float()
            losses[name] = ((says[: len(real)] - 1).square().mean() + says[len(real) :].square().mean()) / 2
        return losses

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the generators' losses on a batch, and under `fake_a`, `fake_b` what they made of it, detached."""
        with self.fabric.autocast(), fixed(self.judges):
            found = self.translated(batch)
            losses = self.generator_losses(batch, found)
        return losses | {name: found[name].detach().float() for name in ("fake_a", "fake_b")}

    def update(self, batch: Batch) -> dict[str, Tensor]:
        losses = self.losses(batch)
        shown = {side: losses.pop(f"fake_{side}") for side in "ab"}
        self.descend(self.optimizer, losses["total"])
        shown = {side: self.pools[f"pool_{side}"].exchange(images) for side, images in shown.items()}
        with self.fabric.autocast():
            judged = self.discriminator_losses(batch, shown)
        self.descend(self.discriminator_optimizer, sum(judged.values()))
        return {name: loss.detach() for name, loss in (losses | judged).items()}

    def descend(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        with changed_rates(optimizer, lambda rate: rate * self.factor):
            super().descend(optimizer, loss)

    def rehearse(self, batch: Batch) -> None:
        super().rehearse(batch)
        with self.fabric.autocast():
            judged = self.discriminator_losses(batch, {"a": batch.source, "b": batch.target})
        self.fabric.backward(sum(judged.values()))
        self.discriminator_optimizer.zero_grad(set_to_none=True)

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return super().optimizers | {"discriminator_optimizer": self.discriminator_optimizer}

    def others(self) -> dict[str, Any]:
        return {name: pool.state() for name, pool in self.pools.items()}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        for name, pool in self.pools.items():
            pool.restore(state[name])
