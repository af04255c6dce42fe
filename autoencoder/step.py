"""One step per kind of autoencoder: a batch in, losses by name out, weights updated."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from autoencoder.config import Training
from autoencoder.losses import (
    RECONSTRUCTION_LOSSES,
    discriminator_loss,
    kl_divergence,
    permute_latents,
    total_correlation,
    triplet_loss,
)
from dataset import Batch
from errors import UserError
from model import Autoencoder, FactorVAE, FrozenFeatures
from training.fabric import Fabric
from training.optimising import SingleOptimizerStep, create_optimizer


class AutoencoderStep(SingleOptimizerStep):
    """Reconstruction, plus the triplet loss on the latents where the batch holds triplets (Eq. 5, alpha = beta = 1)."""

    def __init__(self, model: nn.Module, section: Training, fabric: Fabric):
        super().__init__(model, section, fabric)
        self.section = section

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        with self.fabric.autocast():
            latents = self.model.encode(batch.inputs)
            images = self.model.decode(latents)
        losses = {"reconstruction": self.reconstruction(images, batch)}
        if batch.in_triplet is not None:
            losses["triplet"] = batch.share.triplet * triplet_loss(*latents.float().chunk(3), batch.in_triplet)
        return {"total": sum(losses.values()), **losses}

    def reconstruction(self, images: Tensor, batch: Batch) -> Tensor:
        """Sum the loss over anchors, positives, negatives; in 32 bit: it sums many pixels, and BCE needs it."""
        loss, parts = RECONSTRUCTION_LOSSES[self.section.loss], 1 if batch.in_triplet is None else 3
        pairs = zip(images.float().chunk(parts), batch.targets.chunk(parts), strict=True)
        # BCE sums over samples, the others average.
        share = batch.share.total if self.section.loss == "bce" else batch.share.mean
        return share * sum(loss(image, target) for image, target in pairs)


# What a VAE makes of a batch: mean, log-variance and a draw, float32 (n, d).
Latents = tuple[Tensor, Tensor, Tensor]


class VaeStep(AutoencoderStep):
    """Reconstruction from drawn latents, plus the KL divergence times `training.kl_weight` (beta)."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return self.losses_of(self.draw(batch.inputs), batch)

    def draw(self, inputs: Tensor) -> Latents:
        """Encode images and draw a latent of each."""
        with self.fabric.autocast():
            mean, log_variance = self.model.posterior(inputs)
        return mean, log_variance, self.model.sample(mean, log_variance)

    def losses_of(self, latents: Latents, batch: Batch) -> dict[str, Tensor]:
        """Return scalar losses by name, of latents that were drawn for the batch."""
        mean, log_variance, sample = latents
        with self.fabric.autocast():
            images = self.model.decode(sample)
        reconstruction, kl = self.reconstruction(images, batch), batch.share.mean * kl_divergence(mean, log_variance)
        return {"total": reconstruction + self.section.kl_weight * kl, "reconstruction": reconstruction, "kl": kl}


class FactorVaeStep(VaeStep):
    """The VAE's losses plus the total correlation times `training.tc_weight` (gamma), and the discriminator's training.

    The order is that of Kim and Mnih (2018), Algorithm 2. First the VAE's update on the first batch, through a
    discriminator that stays as it is. Then the discriminator's update: the first batch's latents, as they were drawn
    for the VAE's update, against the permuted latents of the second batch, which the updated encoder draws.
    """

    def __init__(self, model: FactorVAE, section: Training, fabric: Fabric):
        if section.tc_weight == 0:
            raise UserError("training.tc_weight: found 0, with which a FactorVAE is a VAE; allowed with "
                            "model.variation 'factorvae': above 0 (10, 30 and 50 in Table S5)")
        super().__init__(model, section, fabric)
        optimizer = create_optimizer(list(model.discriminator.parameters()), section, betas=(0.5, 0.9))
        self.discriminator_optimizer = fabric.setup_optimizers(optimizer)

    def parameters(self) -> list[nn.Parameter]:
        others = set(self.model.discriminator.parameters())
        return [parameter for parameter in super().parameters() if parameter not in others]

    def losses_of(self, latents: Latents, batch: Batch) -> dict[str, Tensor]:
        # Detached weights: the gradient goes through the discriminator to the latents, and not to its weights.
        fixed = {name: weight.detach() for name, weight in self.model.discriminator.named_parameters()}
        with self.fabric.autocast():
            logits = functional_call(self.model.discriminator, fixed, latents[2])
        losses = super().losses_of(latents, batch)
        tc = batch.share.mean * total_correlation(logits.float())
        return losses | {"total": losses["total"] + self.section.tc_weight * tc, "tc": tc}

    def discriminator_loss(self, latents: Tensor, second: Tensor) -> Tensor:
        """Return the discriminator's loss on latents (n, d) of the first batch and the inputs of the second."""
        with torch.no_grad():
            permuted = permute_latents(self.draw(second)[2])
        with self.fabric.autocast():
            logits = self.model.discriminator(torch.cat([latents.detach(), permuted]))
        return discriminator_loss(*logits.float().split([len(latents), len(permuted)]))

    def update(self, batch: Batch) -> dict[str, Tensor]:
        latents = self.draw(batch.inputs)
        losses = self.losses_of(latents, batch)
        self.descend(self.optimizer, losses["total"])
        losses["discriminator"] = batch.share.mean * self.discriminator_loss(latents[2], batch.second)
        self.descend(self.discriminator_optimizer, losses["discriminator"])
        return {name: loss.detach() for name, loss in losses.items()}

    def rehearse(self, batch: Batch) -> None:
        super().rehearse(batch)
        self.fabric.backward(self.discriminator_loss(self.draw(batch.inputs)[2], batch.second))
        self.discriminator_optimizer.zero_grad(set_to_none=True)

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return super().optimizers | {"discriminator_optimizer": self.discriminator_optimizer}


AUTOENCODER_STEPS = {"ae": AutoencoderStep, "tae": AutoencoderStep, "vae": VaeStep, "factorvae": FactorVaeStep}


def create_step(variation: str, model: Autoencoder, section: Training, fabric: Fabric) -> SingleOptimizerStep:
    """Return the step that trains an autoencoder of a variation (`model.variation`)."""
    return AUTOENCODER_STEPS[variation](model, section, fabric)


class FeaturesStep(SingleOptimizerStep):
    """Nothing to train: an update fits principal components, if any, on `features()`, float32 (n, chw); no losses."""

    optimizers: ClassVar[dict[str, torch.optim.Optimizer]] = {}

    def __init__(self, model: FrozenFeatures, features: Callable[[], np.ndarray]):
        self.model, self.features = model, features

    def update(self, batch: Any) -> dict[str, Tensor]:
        if self.model.kind == "pca":
            self.model.fit(self.features())
        return {}

    def rehearse(self, batch: Any) -> None:
        pass
