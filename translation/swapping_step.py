"""The step of the swapping autoencoder: batches train the discriminators and what makes images, in turns."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluation.recogniser import Recogniser
from readers.class_maps import IGNORE
from training.optimising import SingleOptimizerStep, create_optimizer, fixed
from training.parallel import part, total
from translation.data import Batch
from translation.swapping import SwappingAutoencoder
from translation.swapping_config import SwappingTraining
from translation.swapping_losses import DRAWS, fake_loss, gradient_penalty, random_patches, real_loss
from utils import mix_seed

if TYPE_CHECKING:
    from training.fabric import Fabric

BETAS = (0.0, 0.99)
Terms = dict[str, tuple[float, Tensor]]


class SwappingStep(SingleOptimizerStep):
    """Losses, signs, weights and order of the published code, with what makes it label-consistent.

    The first batch trains the discriminators, the second encoder and generator, and so on; an image with the structure
    of a rendered and the texture of a real one is a hybrid. Half of the images of each domain are reconstructed. Every
    `r1_every` steps of the discriminators one more follows, down R1 alone. Each loss is logged before its weight.
    recogniser: of the outer semantic loss; length: batches of an epoch.
    Source: Park et al. 2020, and the label-consistent swapping autoencoder (chapter 3).
    """

    betas = BETAS

    def __init__(self, model: SwappingAutoencoder, section: SwappingTraining, patch_size: int,
                 recogniser: Recogniser | None, fabric: "Fabric", length: int):
        self.section, self.patch_size, self.recogniser, self.length = section, patch_size, recogniser, length
        super().__init__(model, section, fabric)
        # Steps down R1 alone count as steps, too: rate and memory are those of as many more of them.
        self.penalised = section.lambda_r1 > 0 or section.lambda_patch_r1 > 0
        lazy = section.r1_every / (section.r1_every + 1) if self.penalised else 1.0
        slower = section.model_copy(update={"learning_rate": lazy * section.learning_rate})
        self.judges = [weight for network in model.judges for weight in network.parameters()]
        self.discriminator_optimizer = fabric.setup_optimizers(
            create_optimizer(self.judges, slower, (BETAS[0] ** lazy, BETAS[1] ** lazy)))
        self.iteration, self.generator = 0, torch.Generator(fabric.device)
        wrap: Callable = torch.compile if section.compile else lambda network: network
        self.encode, self.decode, self.judge = wrap(model.E), wrap(model.G), wrap(model.D)
        self.patch_features = wrap(model.Dpatch.features)

    def parameters(self) -> list[nn.Parameter]:
        return [weight for network in self.model.trained for weight in network.parameters()]

    def begin(self, epoch: int) -> None:
        self.iteration = (epoch - 1) * self.length
        self.generator.manual_seed(mix_seed("swapping", self.section.seed, epoch))

    def draw(self, kind: Callable[..., Tensor], count: int, *shape: int) -> Tensor:
        """Return random numbers (count, *shape) for as many images: this process's part of what all of them draw."""
        rank, size = part()
        numbers = kind(count * size, *shape, generator=self.generator, device=self.fabric.device)
        return numbers[count * rank : count * (rank + 1)]

    def patches(self, images: Tensor) -> Tensor:
        """Return random patches (n, crops, 3, h, w) of images."""
        draws = self.draw(torch.rand, len(images), self.section.patches, DRAWS)
        return random_patches(images, draws, self.patch_size)

    def made(self, batch: Batch) -> dict[str, Tensor]:
        """Return `images` (2n, ...), rendered ones first, which n were `chosen`, their reconstructions `rec`, hybrids
        `mix` (n, ...), and `hidden`, what the inner branch sees of all images."""
        images, n = torch.cat([batch.source, batch.target]), len(batch.source)
        structure, texture, hidden = self.encode(images)
        # One of each two neighbours, in both domains: half of each, also of a process's part, and in its order.
        pairs = torch.arange(0, 2 * n, 2, device=images.device).view(2, -1).T
        chosen = (pairs + (self.draw(torch.rand, n // 2, 2) < 0.5)).flatten()
        noise = self.draw(torch.randn, n, 2, self.model.G.noise_size(*structure.shape[2:]))
        made = self.decode(torch.cat([structure[chosen], structure[:n]]), torch.cat([texture[chosen], texture[n:]]),
                           noise.transpose(0, 1).flatten(0, 1))
        rec, mix = made.float().split(n)
        return {"images": images, "chosen": chosen, "rec": rec, "mix": mix,
                "hidden": structure if self.model.inner == "code" else hidden}

    def discriminator_terms(self, batch: Batch) -> Terms:
        """Return weights and losses of the discriminators by name."""
        with torch.no_grad():
            made = self.made(batch)
        images = made["images"] if self.section.real_domain == "both" else batch.target
        n = len(batch.source)
        says = self.judge(torch.cat([images, made["rec"], made["mix"]])).split([len(images), n, n])
        reference, real, mix = self.patch_features(torch.cat(
            [self.patches(batch.target), self.patches(batch.target), self.patches(made["mix"])])).split(n)
        says_real, says_mix = self.model.Dpatch.compare(reference.repeat(2, 1, 1), torch.cat([real, mix])).split(n)
        return {"d_real": (1.0, real_loss(says[0])), "d_rec": (0.5, fake_loss(says[1])),
                "d_mix": (0.5, fake_loss(says[2])), "patch_real": (1.0, real_loss(says_real)),
                "patch_mix": (1.0, fake_loss(says_mix))}

    def penalty_terms(self, batch: Batch) -> Terms:
        """Return weights and losses of R1, of images and of patches; in 32 bits, and not compiled."""
        section, model = self.section, self.model
        images = torch.cat([batch.source, batch.target]) if section.real_domain == "both" else batch.target
        images = images.detach().requires_grad_()
        patches = [self.patches(batch.target).detach().requires_grad_() for _ in range(2)]
        says = model.Dpatch.compare(*model.Dpatch.features(torch.cat(patches)).split(len(batch.target)))
        return {"r1": (section.r1_every * section.lambda_r1, 0.5 * gradient_penalty(model.D(images), images)),
                "patch_r1": (section.r1_every * section.lambda_patch_r1, 0.25 * gradient_penalty(says, *patches))}

    def generator_terms(self, batch: Batch) -> Terms:
        """Return weights and losses of encoder, generator and inner branch by name."""
        section, made, n = self.section, self.made(batch), len(batch.source)
        says_rec, says_mix = self.judge(torch.cat([made["rec"], made["mix"]])).split(n)
        with torch.no_grad():
            reference = self.patch_features(self.patches(batch.target))
        says_patch = self.model.Dpatch.compare(reference, self.patch_features(self.patches(made["mix"])))
        terms = {"l1": (section.lambda_l1, F.l1_loss(made["rec"], made["images"][made["chosen"]])),
                 "gan_rec": (0.5 * section.lambda_gan, real_loss(says_rec)),
                 "gan_mix": (section.lambda_swap * section.lambda_gan, real_loss(says_mix)),
                 "patch": (section.lambda_patch, real_loss(says_patch))}
        if self.model.I:
            labels = [each for each in (batch.labels, batch.target_labels) if each is not None]
            hidden = made["hidden"][: n * len(labels)]
            terms["inner"] = (section.lambda_in, self.likelihood(
                self.model.I(hidden), torch.cat(labels)[:, ::4, ::4], batch.share))
        if self.recogniser:
            logits = self.recogniser.module((made["mix"] + 1) / 2)
            terms["outer"] = (section.lambda_out * self.ramp, self.likelihood(logits, batch.labels, batch.share))
        return terms

    @staticmethod
    def likelihood(logits: Tensor, labels: Tensor, share: float) -> Tensor:
        """Return the negative log-likelihood of labels, a mean over what is not ignored, in all processes' parts.

        Times their shares, as other losses are weighted, the parts sum up to that.
        """
        found = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="sum")
        return found / (share * total((labels != IGNORE).sum()).clamp(min=1))

    @property
    def ramp(self) -> float:
        """The part of `lambda_out` that counts in this iteration."""
        rising = self.section.ramp * self.length * self.section.epochs
        return min(1.0, (self.iteration + 1) / rising) if rising else 1.0

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of what makes images; `total` is what is minimised."""
        with self.fabric.autocast(), fixed(self.judges):
            return self._summed("total", self.generator_terms(batch), batch.share)

    def discriminator_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of the discriminators; `discriminator` is what is minimised."""
        with self.fabric.autocast():
            return self._summed("discriminator", self.discriminator_terms(batch), batch.share)

    @staticmethod
    def _summed(name: str, terms: Terms, share: float) -> dict[str, Tensor]:
        """Return losses, and first their weighted sum, each as what it counts for in the whole batch."""
        found = sum(weight * loss for weight, loss in terms.values() if weight)
        return {name: share * found} | {name: share * loss for name, (_, loss) in terms.items()}

    def update(self, batch: Batch) -> dict[str, Tensor]:
        losses = self._judge(batch) if self.iteration % 2 == 0 else self._make(batch)
        self.iteration += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def _make(self, batch: Batch) -> dict[str, Tensor]:
        """Take a step of what makes images."""
        losses = self.losses(batch)
        self.descend(self.optimizer, losses["total"])
        self._follow()
        return losses

    def _judge(self, batch: Batch) -> dict[str, Tensor]:
        """Take a step of the discriminators, and where it is due one down R1."""
        losses = self.discriminator_losses(batch)
        self.descend(self.discriminator_optimizer, losses["discriminator"])
        if self.penalised and self.iteration // 2 % self.section.r1_every == 0:
            penalty = self._summed("penalty", self.penalty_terms(batch), batch.share)
            self.descend(self.discriminator_optimizer, penalty.pop("penalty"))
            losses |= penalty
        self.model.num_discriminator_iters += 1
        return losses

    @torch.no_grad()
    def _follow(self) -> None:
        """Have the moving averages of encoder and generator follow."""
        for name, twin in self.model.averaged.items() if self.model.averaged else ():
            weights, averages = dict(getattr(self.model, name).named_parameters()), dict(twin.named_buffers())
            torch._foreach_lerp_([averages[key] for key in weights], list(weights.values()), 1 - self.section.average)

    def rehearse(self, batch: Batch) -> None:
        """Go forward and backward through all losses without changing anything."""
        state = self.generator.get_state()
        super().rehearse(batch)
        self.fabric.backward(self.discriminator_losses(batch)["discriminator"])
        if self.penalised:
            self.fabric.backward(self._summed("penalty", self.penalty_terms(batch), batch.share)["penalty"])
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        self.generator.set_state(state)

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return super().optimizers | {"discriminator_optimizer": self.discriminator_optimizer}
