"""The step of a segmentation network against its formulas, written out."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from segmentation.config import Training
from segmentation.data import Batch
from segmentation.deeplab import create_deeplab
from segmentation.step import SegmentationStep
from training.command import create_fabric

FABRIC = create_fabric(torch.device("cpu"))


class Tiny(nn.Module):
    """A backbone and a classifier of one layer each: images (n, 3, h, w) to logits (n, 4, h, w)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone, self.classifier = nn.Conv2d(3, 5, 1), nn.Conv2d(5, 4, 1)

    def forward(self, images):
        return self.classifier(self.backbone(images))


def create_step(length=3, **changes):
    section = Training(**{"epochs": 4, "learning_rate": 0.1, "backbone_rate": 0.25, "weight_decay": 0.01} | changes)
    return SegmentationStep(Tiny(), section, FABRIC, length)


def random_batch(generator, n=2):
    labels = torch.tensor([0, 1, 2, 3, 255])[torch.randint(5, (n, 6, 5), generator=generator)]
    return Batch(torch.rand(n, 3, 6, 5, generator=generator), labels)


def test_the_rate_falls_with_every_iteration_of_the_whole_run(generator, monkeypatch):
    step, seen = create_step(length=3, epochs=4), []
    whole = step.optimizer.step
    monkeypatch.setattr(step.optimizer, "step",
                        lambda: (seen.append([group["lr"] for group in step.optimizer.param_groups]), whole()))
    for epoch in (1, 2, 3, 4):
        step.begin(epoch)
        for _ in range(3):
            step.update(random_batch(generator))
            # What a saved state says is the config's, so that it can be compared with one.
            assert [group["lr"] for group in step.state()["optimizer"]["param_groups"]] == [0.025, 0.1]
    wanted = [[max(rate * (1 - i / 12) ** 0.9, 1e-6) for rate in (0.025, 0.1)] for i in range(12)]
    assert seen == [pytest.approx(rates) for rates in wanted]
    # Far into a long run the floor counts; an epoch that is gone on with has its own rates.
    other = create_step(length=1000, epochs=1000, learning_rate=1e-3)
    other.begin(1000)
    other.iteration += 999
    monkeypatch.setattr(other.optimizer, "step", lambda: seen.append(other.optimizer.param_groups[1]["lr"]))
    other.update(random_batch(generator))
    assert seen[-1] == 1e-6


def test_a_step_is_sgd_with_momentum_and_decay_of_all_weights_written_out(generator):
    step, iterations = create_step(length=2, epochs=2), 4
    twin = Tiny()
    velocity = {name: torch.zeros_like(weight) for name, weight in twin.named_parameters()}
    for epoch in (1, 2):
        step.begin(epoch)
        for i in range(2 * epoch - 2, 2 * epoch):
            batch = random_batch(generator)
            step.update(batch)
            twin.zero_grad()
            naive_loss(twin(batch.images), batch.labels).backward()
            with torch.no_grad():
                for name, weight in twin.named_parameters():
                    rate = 0.1 * (1 - i / iterations) ** 0.9 * (0.25 if name.startswith("backbone") else 1)
                    velocity[name] = 0.9 * velocity[name] + weight.grad + 0.01 * weight
                    weight -= rate * velocity[name]
    for found, wanted in zip(step.model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(found, wanted, atol=1e-6)


def naive_loss(logits, labels):
    """Return the mean of -log p of the true class over pixels that count, one at a time."""
    terms = []
    for i, y, x in (labels != 255).nonzero().tolist():
        scores = logits[i, :, y, x]
        terms.append(torch.log(torch.exp(scores).sum()) - scores[labels[i, y, x]])
    return sum(terms) / len(terms)


def test_the_loss_is_cross_entropy_of_the_pixels_that_count(generator):
    step, batch = create_step(), random_batch(generator)
    wanted = naive_loss(step.model(batch.images), batch.labels)
    assert step.losses(batch)["total"].item() == pytest.approx(wanted.item(), abs=1e-6)
    sure = torch.nn.functional.one_hot(batch.labels.clamp(max=3), 4).permute(0, 3, 1, 2) * 100.0
    step.model = lambda _: sure
    assert step.losses(batch)["total"].item() == pytest.approx(0, abs=1e-6)
    step.model = lambda _: torch.zeros_like(sure)
    assert step.losses(batch)["total"].item() == pytest.approx(math.log(4))


def test_of_pixels_that_are_all_ignored_there_is_nothing_to_learn(generator):
    step, batch = create_step(weight_decay=0), random_batch(generator)
    batch.labels.fill_(255)
    before = [weight.clone() for weight in step.model.parameters()]
    assert step.update(batch)["total"].item() == 0
    assert all(torch.equal(weight, old) for weight, old in zip(step.model.parameters(), before, strict=True))


def test_all_weights_of_the_network_are_in_one_of_the_groups_and_train(generator):
    model = create_deeplab(SimpleNamespace(backbone="mobilenet_v2", output_stride=16, weights="none",
                                           layout="torchvision"), 4)
    step = SegmentationStep(model, Training(epochs=1), FABRIC, 1)
    backbone, head = (group["params"] for group in step.optimizer.param_groups)
    assert {id(weight) for weight in [*backbone, *head]} == {id(weight) for weight in model.parameters()}
    assert {id(weight) for weight in backbone} == {id(weight) for weight in model.backbone.parameters()}
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    batch = Batch(torch.rand(2, 3, 32, 32, generator=generator), torch.randint(4, (2, 32, 32), generator=generator))
    model.train()
    step.rehearse(batch)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    step.update(batch)
    assert all(not torch.equal(weight, before[name]) for name, weight in model.named_parameters())
