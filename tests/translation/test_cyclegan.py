"""The CycleGAN's networks against the published layers, and its step against one written out by hand."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from training.command import create_fabric
from translation.config import CycleGanModel, CycleGanTraining
from translation.cyclegan import CycleGan, Discriminator, Generator
from translation.cyclegan_step import CycleGanStep, decayed
from translation.data import Batch
from translation.judge import to_bytes
from translation.pool import ImagePool


def test_networks_have_the_published_names_shapes_and_parameters():
    with torch.device("meta"):
        generator, judge = Generator(3, 64, 9, 0.0), Discriminator(3, 64, 3)
    assert sum(each.numel() for each in generator.parameters()) == 11_378_179
    assert sum(each.numel() for each in judge.parameters()) == 2_764_737
    shapes = {name: tuple(each.shape) for name, each in generator.state_dict().items()}
    expected = {1: (64, 3, 7, 7), 4: (128, 64, 3, 3), 7: (256, 128, 3, 3), 19: (256, 128, 3, 3), 22: (128, 64, 3, 3),
                26: (3, 64, 7, 7)}
    assert {name: shape for name, shape in shapes.items() if "conv_block" not in name} == {
        f"model.{i}.{kind}": shape if kind == "weight" else (shape[1] if i in (19, 22) else shape[0],)
        for i, shape in expected.items() for kind in ("weight", "bias")}
    assert {name for name in shapes if "conv_block" in name} == {
        f"model.{i}.conv_block.{j}.{kind}" for i in range(10, 19) for j in (1, 5) for kind in ("weight", "bias")}
    assert {name: tuple(each.shape) for name, each in judge.state_dict().items() if name.endswith("weight")} == {
        "model.0.weight": (64, 3, 4, 4), "model.2.weight": (128, 64, 4, 4), "model.5.weight": (256, 128, 4, 4),
        "model.8.weight": (512, 256, 4, 4), "model.11.weight": (1, 512, 4, 4)}
    with torch.device("meta"):
        assert judge(torch.empty(1, 3, 256, 256)).shape == (1, 1, 30, 30)


@pytest.mark.parametrize(("layers", "seen"), [(0, 10), (1, 16), (2, 34), (3, 70)])
def test_a_patch_has_the_size_that_the_config_says(layers, seen):
    judge = Discriminator(1, 4, layers).double()
    for module in judge.modules():
        if isinstance(module, nn.Conv2d):
            # Instance norm sees the whole image, so it is taken out of what is looked at.
            nn.init.constant_(module.weight, 1.0)
    judge.model = nn.Sequential(*(each for each in judge.model if type(each).__name__ != "InstanceNorm"))
    images = torch.ones(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    found = judge(images)
    found[0, 0, found.shape[2] // 2, found.shape[3] // 2].backward()
    rows = images.grad[0, 0].abs().sum(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == seen


PLAIN = {"Conv": nn.Conv2d, "LastConv": nn.Conv2d, "TransposedConv": nn.ConvTranspose2d}


def plain(network: nn.Module) -> nn.Module:
    """Return the same network of torch's own layers, as the published code writes it."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            kind = PLAIN.get(type(child).__name__)
            if kind:
                child.__class__ = kind
            elif type(child).__name__ == "InstanceNorm":
                setattr(parent, name, nn.InstanceNorm2d(1))
    return network


@pytest.mark.filterwarnings("ignore:input's size at dim=1")
def test_networks_compute_what_the_published_layers_do_whatever_their_biases():
    torch.manual_seed(0)
    model = CycleGan(3, CycleGanModel(type="cyclegan", width=4, blocks=2, layers=2)).double()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    images = torch.rand(2, 3, 32, 24, dtype=torch.float64) * 2 - 1
    for network in (model.G_A, model.D_A):
        torch.testing.assert_close(network(images), plain(network)(images), rtol=1e-9, atol=1e-9)


def test_new_weights_have_the_published_spread():
    torch.manual_seed(0)
    model = CycleGan(3, CycleGanModel(type="cyclegan", width=32, blocks=1))
    assert abs(model.G_A.model[10].conv_block[1].weight.std() - 0.02) < 5e-4
    assert not model.G_A.model[-2].bias.any()


SECTION = {"epochs": 4, "batch_size": 3, "learning_rate": 1e-3, "decay": 2, "pool": 4}


def one_step(section: CycleGanTraining, alpha: str = "none", steps: int = 3):
    """Train a tiny step in float64 for a few batches; return it, its losses, the model before, and the batches."""
    torch.manual_seed(1)
    fabric = create_fabric(torch.device("cpu"))
    model = CycleGan(1, CycleGanModel(type="cyclegan", width=4, blocks=1, layers=1, alpha=alpha)).double()
    before = copy.deepcopy(model)
    step = CycleGanStep(model, section, alpha, None, (1, 16, 16), fabric)
    for pool in step.pools.values():
        pool.images = pool.images.double()
    masks = (torch.rand(3, 1, 16, 16, dtype=torch.float64) > 0.4).double()
    batches = [Batch(*(masks * (torch.rand(3, 1, 16, 16, dtype=torch.float64) * 2) - 1 for _ in range(2)), masks, masks)
               for _ in range(steps)]
    step.begin(3)
    torch.manual_seed(7)
    return step, [step.update(batch) for batch in batches], before, batches


def float_free(monkeypatch):
    """Keep float64 through what a step computes in float32."""
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)


@pytest.mark.filterwarnings("ignore:input's size at dim=1")
@pytest.mark.parametrize("identity", [0.5, 0.0])
def test_updates_equal_those_of_the_published_order_written_out(identity, monkeypatch):
    float_free(monkeypatch)
    section = CycleGanTraining(**SECTION, lambda_a=8.0, lambda_b=12.0, lambda_identity=identity)
    step, losses, before, batches = one_step(section)
    generators = [plain(before.G_A), plain(before.G_B)]
    judges = [plain(before.D_A), plain(before.D_B)]
    g, f = generators
    judge_b, judge_a = judges
    # Epoch 3 of 4, of which the last 2 bring the rate down: 1 - 1/3.
    options = {"lr": 1e-3 * 2 / 3, "betas": (0.5, 0.999)}
    first = torch.optim.Adam([each for part in generators for each in part.parameters()], **options)
    second = torch.optim.Adam([each for part in judges for each in part.parameters()], **options)
    pools, mse = ([], []), F.mse_loss
    torch.manual_seed(7)
    for found, batch in zip(losses, batches, strict=True):
        a, b = batch.source, batch.target
        fake_b, fake_a = g(a), f(b)
        terms = {"adversarial_g": mse(judge_b(fake_b), torch.ones_like(judge_b(fake_b))),
                 "adversarial_f": mse(judge_a(fake_a), torch.ones_like(judge_a(fake_a))),
                 "cycle_a": F.l1_loss(f(fake_b), a), "cycle_b": F.l1_loss(g(fake_a), b)}
        total = terms["adversarial_g"] + terms["adversarial_f"] + 8 * terms["cycle_a"] + 12 * terms["cycle_b"]
        if identity:
            terms |= {"identity_a": F.l1_loss(f(a), a), "identity_b": F.l1_loss(g(b), b)}
            total = total + 12 * identity * terms["identity_b"] + 8 * identity * terms["identity_a"]
        first.zero_grad()
        total.backward()
        first.step()
        second.zero_grad()
        for name, judge, real, fake, pool in (("a", judge_a, a, fake_a, pools[0]), ("b", judge_b, b, fake_b, pools[1])):
            shown = naive_pool(pool, fake.detach(), 4)
            ones, zeros = torch.ones_like(judge(real)), torch.zeros_like(judge(real))
            terms[f"discriminator_{name}"] = (mse(judge(real), ones) + mse(judge(shown), zeros)) / 2
            terms[f"discriminator_{name}"].backward()
        second.step()
        for name, value in (terms | {"total": total}).items():
            torch.testing.assert_close(found[name], value.detach(), rtol=1e-8, atol=1e-8)
    model = step.model
    for network, other in zip((model.G_A, model.G_B, model.D_A, model.D_B), (g, f, judge_b, judge_a), strict=True):
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                torch.testing.assert_close(parameter, other.get_parameter(name), rtol=1e-8, atol=1e-8)


def naive_pool(pool: list, images: torch.Tensor, size: int) -> torch.Tensor:
    """The published pool, image after image, with the draws that are made for a batch."""
    draws, places = torch.rand(len(images)).tolist(), torch.randint(size, (len(images),)).tolist()
    shown = []
    for image, draw, place in zip(images, draws, places, strict=True):
        if len(pool) < size:
            pool.append(image.clone())
            shown.append(image)
        elif draw < 0.5:
            shown.append(pool[place].clone())
            pool[place] = image.clone()
        else:
            shown.append(image)
    return torch.stack(shown)


def test_the_pool_shows_and_keeps_what_one_does_that_takes_image_after_image():
    pool, kept = ImagePool(5, (1, 2, 2), torch.device("cpu")), []
    old = 0
    for batch in range(40):
        images = torch.full((4, 1, 2, 2), float(batch)) + torch.arange(4.0).reshape(4, 1, 1, 1) / 10
        torch.manual_seed(batch)
        shown = pool.exchange(images)
        torch.manual_seed(batch)
        assert torch.equal(shown, naive_pool(kept, images, 5))
        old += int((shown != images).flatten(1).any(dim=1).sum())
    assert torch.equal(pool.images, torch.stack(kept))
    assert 50 < old < 110  # half of 155


def test_the_rate_is_that_of_the_published_schedule():
    # Its code: 1 - max(0, epoch + 1 - n_epochs) / (n_epochs_decay + 1), epochs counted from 0.
    assert [decayed(epoch, 6, 3) for epoch in range(1, 7)] == [1 - max(0, epoch + 1 - 3) / 4 for epoch in range(6)]
    assert decayed(44, 44, 0) == 1


@pytest.mark.parametrize("alpha", ["printed", "soft", "composite"])
def test_alpha_has_a_gradient_when_soft_and_exact_outlines_when_composite(alpha, monkeypatch):
    float_free(monkeypatch)
    section = CycleGanTraining(**SECTION, lambda_alpha_g=2.0, lambda_alpha_f=2.0)
    without = one_step(CycleGanTraining(**SECTION), "none", steps=1)[0].model.state_dict()
    step, [losses], _, [batch] = one_step(section, alpha, steps=1)
    same = all(torch.equal(value, without[name]) for name, value in step.model.state_dict().items())
    assert same == (alpha == "printed")
    if alpha != "composite":
        assert losses["alpha_g"] > 0.01
        return
    assert "alpha_g" not in losses
    for translate, images in ((step.model.translate, batch.source), (step.model.translate_back, batch.target)):
        assert torch.equal(translate(images, batch.source_mask) > -1, batch.source_mask.bool())
    # Also where it paints black, in eight bits.
    step.model.G_A.model[-2].bias.data.fill_(-50)
    painted = to_bytes(step.model.translate(batch.source, batch.source_mask))
    assert torch.equal(painted.any(dim=1, keepdim=True), batch.source_mask.bool())


def test_a_restored_step_goes_on_as_if_nothing_had_happened(monkeypatch):
    float_free(monkeypatch)
    section = CycleGanTraining(**SECTION)
    step, _, _, batches = one_step(section)
    other = one_step(section, steps=1)[0]
    other.model.load_state_dict(step.model.state_dict())
    assert other.misfit(step.state()) == ""
    other.restore(copy.deepcopy(step.state()))
    for each in (step, other):
        torch.manual_seed(3)
        each.last = [each.update(batch) for batch in batches]
    assert all(torch.equal(one[name], two[name]) for one, two in zip(step.last, other.last, strict=True)
               for name in one)
    damaged = step.state()
    damaged["pool_a"] = {"images": torch.zeros(1), "filled": torch.zeros((), dtype=torch.int64)}
    assert other.misfit(damaged) == "step.pool_a.images has shape (1,), expected (4, 1, 16, 16)"
