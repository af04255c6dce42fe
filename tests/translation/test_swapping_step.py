"""The step of the swapping autoencoder against a table written by hand, a plain form, and formulas written out."""

import copy
import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from benchmarks.plain_swapping import PLAIN
from training.command import create_fabric
from translation.data import Batch
from translation.swapping import SwappingAutoencoder
from translation.swapping_config import SwappingModel, SwappingTraining
from translation.swapping_losses import random_patches
from translation.swapping_step import SwappingStep

FABRIC = create_fabric(torch.device("cpu"))
SIZE, CLASSES, LENGTH = 32, 5, 10
TINY = SwappingModel(type="swapping", texture=16, downsamplings=3, texture_downsamplings=1, encoder_capacity=1 / 16,
                     generator_capacity=1 / 32, discriminator_capacity=1 / 128, patch_capacity=1 / 64, patch_size=16)


def create(fabric=FABRIC, outer=False, seed=0, **changes):
    torch.manual_seed(seed)
    section = SwappingTraining(**{"epochs": 4, "batch_size": 4, "patches": 3, "semantic": "x"} | changes)
    model = SwappingAutoencoder(TINY, (SIZE, SIZE), CLASSES if section.lambda_in else 0, section.average > 0)
    for weight in model.parameters():
        # New biases and weights of noise are 0.
        weight.data += 0.05 * torch.randn(weight.shape)
    recogniser = SimpleNamespace(module=torch.nn.Conv2d(3, CLASSES, 1).requires_grad_(False)) if outer else None
    step = SwappingStep(model.train(), section, TINY.patch_size, recogniser, fabric, LENGTH)
    step.begin(1)
    return step


def random_batch(seed=0, n=4):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, n, 3, SIZE, SIZE, generator=generator) * 2 - 1
    labels = torch.tensor([0, 1, 2, 3, 4, 255])[torch.randint(6, (2, n, SIZE, SIZE), generator=generator)]
    return Batch(*images, labels=labels[0], target_labels=labels[1])


def drawn(step, batch):
    """Return what a step draws for `made`, from its generator as it is, which moves on."""
    n = len(batch.source)
    second = torch.rand(n // 2, 2, generator=step.generator).tolist()
    chosen = [domain + 2 * pair + (second[pair][domain > 0] < 0.5) for pair in range(n // 2) for domain in (0, n)]
    noise = torch.randn(n, 2, step.model.G.noise_size(SIZE // 8, SIZE // 8), generator=step.generator)
    return torch.tensor(chosen), noise


def patch_draws(step, n):
    return torch.rand(n, step.section.patches, 5, generator=step.generator)


def plain_twin(step):
    """Return a copy of a step whose networks are of plain layers."""
    twin = copy.copy(step)
    twin.model, twin.generator = copy.deepcopy(step.model), torch.Generator()
    twin.generator.set_state(step.generator.get_state())
    for module in twin.model.modules():
        module.__class__ = PLAIN.get(module.__class__, module.__class__)
    return twin


def one_by_one(twin, batch):
    """Return reconstructions with what they are of, and hybrids, of a plain twin, image after image."""
    model, n = twin.model, len(batch.source)
    chosen, noise = drawn(twin, batch)
    images = torch.cat([batch.source, batch.target])
    codes = [model.E(image[None]) for image in images]
    rec = torch.cat([model.G(*codes[place][:2], noise[i, :1]) for i, place in enumerate(chosen.tolist())])
    mix = torch.cat([model.G(codes[i][0], codes[n + i][1], noise[i, 1:]) for i in range(n)])
    return images, chosen, rec, mix, torch.cat([code[2] for code in codes])


def softplus(values):
    return torch.log1p(torch.exp(values))


def patch_logits(model, reference, patches):
    """Return what is said of each patch beside the mean of an image's reference patches, one at a time."""
    says = []
    for ours, others in zip(reference, patches, strict=True):
        mean = sum(model.Dpatch.convs(each[None]).flatten() for each in ours) / len(ours)
        says += [model.Dpatch.pairlinear(torch.cat([mean, model.Dpatch.convs(each[None]).flatten()]))
                 for each in others]
    return torch.cat(says)


def adam_once(weight, gradient, rate, second):
    """Return a weight after its first step of Adam without a first moment's memory."""
    moment = (1 - second) * gradient.square() / (1 - second)
    return weight - rate * gradient / (moment.sqrt() + 1e-8)


def moved_as(step, before, gradients, rate, second):
    """Say whether weights of a step moved from where they were as Adam has it."""
    for name, weight in step.model.named_parameters():
        wanted = adam_once(before[name], gradients[name], rate, second) if name in gradients else before[name]
        # Where a gradient is nothing but rounding, so is what comes of its sign.
        sure = gradients[name].abs() > 1e-5 if name in gradients else torch.ones_like(weight, dtype=torch.bool)
        if not torch.allclose(weight[sure], wanted[sure], atol=1e-4 * rate + 1e-6):
            return False
    return True


@pytest.mark.parametrize("real_domain", ["both", "target"])
def test_a_step_of_the_discriminators_is_that_of_a_plain_one(real_domain):
    step, batch = create(real_domain=real_domain, lambda_r1=0.0, lambda_patch_r1=0.0), random_batch()
    twin = plain_twin(step)
    model, before = twin.model, {name: weight.clone() for name, weight in step.model.named_parameters()}
    with torch.no_grad():
        _, _, rec, mix, _ = one_by_one(twin, batch)
    real = torch.cat([batch.source, batch.target]) if real_domain == "both" else batch.target
    says = [torch.cat([model.D(image[None]) for image in images]) for images in (real, rec, mix)]
    draws = [patch_draws(twin, 4) for _ in range(3)]
    reference, same, other = (random_patches(images, each, TINY.patch_size) for images, each in
                              zip((batch.target, batch.target, mix), draws, strict=True))
    wanted = {"d_real": softplus(-says[0]).mean(), "d_rec": softplus(says[1]).mean(), "d_mix": softplus(says[2]).mean(),
              "patch_real": softplus(-patch_logits(model, reference, same)).mean(),
              "patch_mix": softplus(patch_logits(model, reference, other)).mean()}
    total = (wanted["d_real"] + 0.5 * wanted["d_rec"] + 0.5 * wanted["d_mix"] + wanted["patch_real"]
             + wanted["patch_mix"])
    total.backward()
    losses = step.update(batch)
    assert losses.pop("discriminator").item() == pytest.approx(total.item(), rel=1e-5)
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(
        {name: value.item() for name, value in wanted.items()}, rel=1e-4)
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    assert {name.split(".")[0] for name in gradients} == {"D", "Dpatch"}
    # Without R1 the rate is the config's.
    assert moved_as(step, before, gradients, 2e-3, 0.99)


@pytest.mark.parametrize("swap", [0.5, 1.0])
def test_a_step_of_the_generator_is_that_of_a_plain_one(swap):
    step = create(lambda_in=0.7, lambda_out=3.0, outer=True, lambda_swap=swap)
    batch, before = random_batch(), {name: weight.clone() for name, weight in step.model.named_parameters()}
    twin = plain_twin(step)
    model = twin.model
    images, chosen, rec, mix, hidden = one_by_one(twin, batch)
    assert sorted((chosen // 2).tolist()) == [0, 1, 2, 3]
    draws = [patch_draws(twin, 4) for _ in range(2)]
    reference, other = (random_patches(each, draw, TINY.patch_size) for each, draw in
                        zip((batch.target, mix), draws, strict=True))
    logits, labels = model.I(hidden), torch.cat([batch.labels, batch.target_labels])[:, ::4, ::4]
    assert logits.shape[2:] == (SIZE // 4, SIZE // 4)
    wanted = {"l1": (rec - images[chosen]).abs().mean(),
              "gan_rec": softplus(-torch.cat([model.D(each[None]) for each in rec])).mean(),
              "gan_mix": softplus(-torch.cat([model.D(each[None]) for each in mix])).mean(),
              "patch": softplus(-patch_logits(model, reference, other)).mean(),
              "inner": naive_likelihood(logits, labels),
              "outer": naive_likelihood(twin.recogniser.module((mix + 1) / 2), batch.labels)}
    total = (wanted["l1"] + 0.5 * wanted["gan_rec"] + swap * wanted["gan_mix"] + wanted["patch"]
             + 0.7 * wanted["inner"] + 3 * wanted["outer"])
    gradients = dict(zip(before, torch.autograd.grad(total, list(model.parameters()), allow_unused=True), strict=True))
    step.iteration = 1
    losses = step.update(batch)
    assert losses.pop("total").item() == pytest.approx(total.item(), rel=1e-5)
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(
        {name: value.item() for name, value in wanted.items()}, rel=1e-4)
    gradients = {name: each for name, each in gradients.items() if name[0] in "EGI"}
    assert moved_as(step, before, gradients, 2e-3, 0.99)
    assert all(weight.requires_grad for weight in step.model.parameters())


def naive_likelihood(logits, labels):
    """Return the mean of -log p of the true class over pixels that count, one at a time."""
    terms = [torch.logsumexp(logits[i, :, y, x], 0) - logits[i, labels[i, y, x], y, x]
             for i, y, x in (labels != 255).nonzero().tolist()]
    return sum(terms) / len(terms)


def test_every_term_has_its_weight():
    step, batch = create(lambda_in=0.7, lambda_out=3.0, outer=True, lambda_l1=2.0, lambda_gan=4.0, lambda_patch=5.0,
                         lambda_r1=10.0, lambda_patch_r1=1.0), random_batch()
    weights = {name: weight for terms in (step.discriminator_terms, step.generator_terms, step.penalty_terms)
               for name, (weight, _) in terms(batch).items()}
    assert weights == {
        "d_real": 1, "d_rec": 0.5, "d_mix": 0.5, "patch_real": 1, "patch_mix": 1, "l1": 2, "gan_rec": 2, "gan_mix": 2,
        "patch": 5, "inner": 0.7, "outer": 3, "r1": 160, "patch_r1": 16}


def test_penalties_are_halves_of_squared_gradients_of_real_images_and_patches():
    step, batch = create(), random_batch()
    twin = plain_twin(step)
    found = {name: value.item() for name, (_, value) in step.penalty_terms(batch).items()}
    images = torch.cat([batch.source, batch.target]).requires_grad_()
    [of_images] = torch.autograd.grad(twin.model.D(images).sum(), images)
    patches = [random_patches(batch.target, patch_draws(twin, 4), TINY.patch_size).requires_grad_() for _ in range(2)]
    of_patches = torch.autograd.grad(patch_logits(twin.model, *patches).sum(), patches)
    wanted = {"r1": 0.5 * of_images.square().sum().item() / 8,
              "patch_r1": 0.5 * 0.5 * sum(each.square().sum().item() for each in of_patches) / 4}
    assert found == pytest.approx(wanted, rel=1e-3)


def test_batches_train_in_turns_and_every_sixteenth_step_of_the_discriminators_is_followed_by_one_down_r1():
    step, seen = create(r1_every=3, average=0.5), []
    groups = {name: optimizer.param_groups[0] for name, optimizer in step.optimizers.items()}
    assert (groups["optimizer"]["lr"], groups["optimizer"]["betas"]) == (2e-3, (0.0, 0.99))
    assert groups["discriminator_optimizer"]["lr"] == pytest.approx(2e-3 * 3 / 4)
    assert groups["discriminator_optimizer"]["betas"] == (0.0, pytest.approx(0.99**0.75))
    published = create().discriminator_optimizer.param_groups[0]
    assert (round(published["lr"], 7), round(published["betas"][1], 6)) == (0.0018824, 0.990585)
    for number in range(1, 3):
        step.begin(number)
        # An odd number of batches: an epoch may end between the two.
        step.length = 7
        step.iteration = (number - 1) * 7
        for _ in range(7):
            before = {name: weight.clone() for name, weight in step.model.named_parameters()}
            losses = step.update(random_batch())
            moved = {name.split(".")[0] for name, weight in step.model.named_parameters()
                     if not torch.equal(weight, before[name])}
            seen.append(("D" in moved, "E" in moved, "r1" in losses))
            assert moved in ({"D", "Dpatch"}, {"E", "G"})
    assert [turn for turn, _, _ in seen] == [True, False] * 7
    assert [penalty for _, _, penalty in seen[::2]] == [True, False, False] * 2 + [True]
    assert step.model.num_discriminator_iters.item() == 7


def test_the_average_follows_encoder_and_generator():
    step = create(average=0.75)
    before, start = (dict(step.model.averaged["G"].named_buffers()), None)
    start = {name: value.clone() for name, value in before.items()}
    step.update(random_batch())
    assert all(torch.equal(value, start[name]) for name, value in step.model.averaged["G"].named_buffers())
    step.update(random_batch())
    weights = dict(step.model.G.named_parameters())
    for name, value in step.model.averaged["G"].named_buffers():
        wanted = 0.75 * start[name] + 0.25 * weights[name] if name in weights else start[name]
        assert torch.allclose(value, wanted, atol=1e-6)


def test_the_outer_weight_rises_over_its_part_of_the_training():
    step = create(lambda_out=2.0, ramp=0.25, outer=True)
    found = []
    for step.iteration in (0, 4, 9, 30):
        found.append(step.generator_terms(random_batch())["outer"][0])
    assert found == pytest.approx([0.2, 1.0, 2.0, 2.0])


def test_a_rehearsal_changes_nothing():
    step, batch = create(lambda_in=1.0, average=0.9), random_batch()
    before = copy.deepcopy(step.model.state_dict())
    step.rehearse(batch)
    assert all(torch.equal(value, before[name]) for name, value in step.model.state_dict().items())
    assert all(weight.grad is None for weight in step.model.parameters())
    losses = step.update(batch), create(lambda_in=1.0, average=0.9).update(batch)
    assert {name: float(value) for name, value in losses[0].items()} == {
        name: float(value) for name, value in losses[1].items()}


def test_labels_that_are_all_ignored_are_nothing_to_learn_from():
    step, batch = create(lambda_in=1.0, lambda_out=1.0, outer=True), random_batch()
    batch.labels.fill_(255)
    batch.target_labels = None
    step.iteration = 1
    losses = step.update(batch)
    assert (losses["inner"].item(), losses["outer"].item()) == (0, 0)
    assert math.isfinite(losses["total"].item())


def test_half_precision_has_the_losses_of_full_precision():
    found = []
    for precision in ("32", "bf16"):
        step = create(create_fabric(torch.device("cpu"), precision), lambda_in=1.0)
        found.append([float(value) for _ in range(2) for value in step.update(random_batch()).values()])
        assert all(weight.dtype == torch.float32 for weight in step.model.parameters())
    assert found[1] == pytest.approx(found[0], rel=0.05, abs=0.02)
    assert found[1] != found[0]


def test_compiled_networks_have_the_losses_of_others(monkeypatch):
    # Captured and derived as for any backend; the default one takes minutes for its C++. The step of encoder and
    # generator goes through all networks, and back.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    monkeypatch.setitem(globals(), "TINY", TINY.model_copy(update={"downsamplings": 2}))
    found = []
    for compiled in (False, True):
        step = create(compile=compiled, patches=2)
        step.iteration = 1
        found.append([float(value) for value in step.update(random_batch()).values()])
    assert found[1] == pytest.approx(found[0], rel=1e-4, abs=1e-5)
