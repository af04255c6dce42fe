"""The plain baseline of translations: the published order of things, written with torch's own layers and losses."""

import random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from translation.config import CycleGanTraining
from translation.cyclegan import Conv, CycleGan, InstanceNorm, LastConv, TransposedConv
from translation.data import Batch


class PlainCycleGan:
    """A CycleGAN's step: every image through its network by itself, each discriminator by itself."""

    def __init__(self, model: CycleGan, section: CycleGanTraining):
        self.section, self.pools = section, ([], [])
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                for kind, plain in ((Conv, nn.Conv2d), (LastConv, nn.Conv2d), (TransposedConv, nn.ConvTranspose2d)):
                    if type(child) is kind:
                        child.__class__ = plain
                if isinstance(child, InstanceNorm):
                    # What it is of is looked at only to warn of another number.
                    setattr(parent, name, nn.InstanceNorm2d(0))
        model.requires_grad_(True)
        self.g, self.f, self.judge_b, self.judge_a = model.G_A, model.G_B, model.D_A, model.D_B
        self.generators, self.judges = (
            torch.optim.Adam([each for part in parts for each in part.parameters()], section.learning_rate,
                             (0.5, 0.999)) for parts in (model.generators, model.discriminators))

    def update(self, batch: Batch) -> dict[str, Tensor]:
        a, b, section = batch.source, batch.target, self.section
        fake_b, fake_a = self.g(a), self.f(b)
        again_a, again_b = self.f(fake_b), self.g(fake_a)
        self.turn(False)
        self.generators.zero_grad()
        terms = [F.l1_loss(self.g(b), b) * section.lambda_b * section.lambda_identity,
                 F.l1_loss(self.f(a), a) * section.lambda_a * section.lambda_identity,
                 adversarial(self.judge_b(fake_b), 1), adversarial(self.judge_a(fake_a), 1),
                 F.l1_loss(again_a, a) * section.lambda_a, F.l1_loss(again_b, b) * section.lambda_b]
        total = sum(terms)
        total.backward()
        self.generators.step()
        self.turn(True)
        self.judges.zero_grad()
        for judge, real, fake, pool in ((self.judge_b, b, fake_b, self.pools[0]), (self.judge_a, a, fake_a,
                                                                                   self.pools[1])):
            shown = self.exchange(pool, fake.detach())
            ((adversarial(judge(real), 1) + adversarial(judge(shown), 0)) / 2).backward()
        self.judges.step()
        return {"total": total.detach()}

    def turn(self, on: bool) -> None:
        """Let discriminators train, or not."""
        for judge in (self.judge_a, self.judge_b):
            judge.requires_grad_(on)

    def exchange(self, pool: list[Tensor], images: Tensor) -> Tensor:
        shown = []
        for image in images.split(1):
            if len(pool) < self.section.pool:
                pool.append(image)
            elif random.random() < 0.5:
                place = random.randrange(len(pool))
                pool[place], image = image, pool[place].clone()
            shown.append(image)
        return torch.cat(shown)


def adversarial(says: Tensor, wanted: float) -> Tensor:
    return F.mse_loss(says, torch.full_like(says, wanted))
