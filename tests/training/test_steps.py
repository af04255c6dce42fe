"""Steps against the sums written out by hand."""

import pytest
import torch

from autoencoder.config import Model, Training
from autoencoder.losses import RECONSTRUCTION_LOSSES, triplet_loss
from autoencoder.step import AutoencoderStep, FactorVaeStep, VaeStep
from classifier.step import ClassifierStep
from dataset import Batch
from errors import UserError
from model import create_autoencoder
from pretrained_model import Classifier
from training.command import create_fabric

FABRIC = create_fabric(torch.device("cpu"))


def autoencoder(loss="ssim", variation="tae", **options):
    torch.manual_seed(0)
    section = Model(type="conv", variation=variation, dimension=4)
    return AutoencoderStep(create_autoencoder(section, 32, 1), Training(epochs=1, loss=loss, **options), FABRIC)


def triplets(generator, n=4):
    images = torch.rand(2, 3 * n, 1, 32, 32, generator=generator)
    return Batch(images[0], images[1], torch.zeros(n), torch.tensor([True, True, False, True]))


@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES)
def test_tae_adds_the_triplet_loss_to_the_reconstruction_of_all_three(loss, generator):
    step, batch = autoencoder(loss), triplets(generator)
    losses = step.losses(batch)
    expected, latents = 0, []
    for part in range(3):
        rows = slice(4 * part, 4 * part + 4)
        images, latent = step.model(batch.inputs[rows])
        expected += RECONSTRUCTION_LOSSES[loss](images, batch.targets[rows])
        latents.append(latent)
    torch.testing.assert_close(losses["reconstruction"], expected)
    torch.testing.assert_close(losses["triplet"], triplet_loss(*latents, batch.in_triplet))
    torch.testing.assert_close(losses["total"], losses["reconstruction"] + losses["triplet"])


def test_update_moves_every_weight_and_rehearse_none(generator):
    step, batch = autoencoder(), triplets(generator)
    before = weights_of(step)
    step.rehearse(batch)
    assert moved(step, before) == set()
    step.update(batch)
    assert moved(step, before) == before.keys()


def test_classifier_loss_is_the_mean_negative_log_probability_and_rehearsing_leaves_batchnorm_statistics(generator):
    step = ClassifierStep(Classifier("small_cnn", 3, "scratch", -3, "none"), Training(epochs=1), FABRIC)
    batch = Batch(torch.rand(4, 1, 32, 32, generator=generator), None, torch.tensor([0, 1, 2, 0]), None)
    before = weights_of(step)
    step.rehearse(batch)
    assert moved(step, before) == set()
    step.model.eval()
    probabilities = torch.softmax(step.model(batch.inputs), dim=1)
    expected = -torch.stack([probabilities[i, label].log() for i, label in enumerate(batch.labels)]).mean()
    torch.testing.assert_close(step.losses(batch)["total"], expected)


def variational(variation, precision="32", **options):
    torch.manual_seed(0)
    model = create_autoencoder(Model(type="conv", variation=variation, dimension=4), 32, 1)
    section = Training(**{"epochs": 1, "loss": "bce", "kl_weight": 4.0, "tc_weight": 10.0, **options})
    fabric = create_fabric(torch.device("cpu"), precision)
    return {"vae": VaeStep, "factorvae": FactorVaeStep}[variation](model, section, fabric)


def two_draws(generator, n=6):
    first, target, second = torch.rand(3, n, 1, 32, 32, generator=generator)
    return Batch(first, target, torch.zeros(n), None, second)


def weights_of(step):
    return {name: value.clone() for name, value in step.model.state_dict().items()}


def moved(step, before):
    return {name for name, value in step.model.state_dict().items() if not torch.equal(before[name], value)}


def posterior_draw(model, images, noise):
    hidden = model.encoder(images)
    mean, log_variance = model.encoder_fc21(hidden), model.encoder_fc22(hidden)
    return mean, log_variance, mean + noise * torch.sqrt(torch.exp(log_variance))


@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES)
@pytest.mark.parametrize("variation", ["vae", "factorvae"])
def test_vae_losses_equal_the_sums_written_out(variation, loss, generator):
    step, batch = variational(variation, loss=loss), two_draws(generator)
    torch.manual_seed(5)
    losses = step.losses(batch)
    torch.manual_seed(5)
    mean, log_variance, latents = posterior_draw(step.model, batch.inputs, torch.randn(6, 4))
    expected = {"reconstruction": RECONSTRUCTION_LOSSES[loss](step.model.decode(latents), batch.targets),
                "kl": sum(-0.5 * (1 + v - m**2 - v.exp()).sum() for m, v in zip(mean, log_variance, strict=True)) / 6}
    expected["total"] = expected["reconstruction"] + 4 * expected["kl"]
    if variation == "factorvae":
        logits = step.model.discriminator(latents)
        expected["tc"] = sum(a - b for a, b in logits) / 6
        expected["total"] = expected["total"] + 10 * expected["tc"]
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, msg=name)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_each_optimizer_of_the_factor_vae_moves_its_own_weights_only(precision, generator, monkeypatch):
    step, batch = variational("factorvae", precision), two_draws(generator)
    before = weights_of(step)
    discriminator = {name for name in before if name.startswith("discriminator.")}
    step.rehearse(batch)
    assert moved(step, before) == set()
    assert all(parameter.grad is None for parameter in step.model.parameters())

    takes_step = step.descend
    monkeypatch.setattr(step, "descend", lambda optimizer, loss: optimizer is step.optimizer
                        and takes_step(optimizer, loss))
    step.update(batch)
    assert moved(step, before) == before.keys() - discriminator
    assert all(parameter.grad is None for parameter in step.model.discriminator.parameters())

    before = weights_of(step)
    gradients = {parameter: parameter.grad.clone() for parameter in step.parameters()}
    monkeypatch.setattr(step, "descend", lambda optimizer, loss: optimizer is step.discriminator_optimizer
                        and takes_step(optimizer, loss))
    step.update(batch)
    assert moved(step, before) == discriminator
    assert all(torch.equal(parameter.grad, gradient) for parameter, gradient in gradients.items())


def test_the_discriminator_learns_from_the_first_latents_and_permuted_ones_of_the_second_batch(generator):
    """One update against Algorithm 2 of Kim and Mnih (2018), written out with plain optimisers."""
    step, reference, batch = variational("factorvae"), variational("factorvae").model, two_draws(generator)
    torch.manual_seed(5)
    losses = step.update(batch)

    torch.manual_seed(5)
    discriminator = list(reference.discriminator.parameters())
    others = [parameter for name, parameter in reference.named_parameters() if not name.startswith("discriminator.")]
    first, second = (torch.optim.AdamW(parameters, lr=1e-4, weight_decay=1e-5, betas=betas)
                     for parameters, betas in ((others, (0.9, 0.999)), (discriminator, (0.5, 0.9))))
    mean, log_variance, real = posterior_draw(reference, batch.inputs, torch.randn(6, 4))
    kl = torch.distributions.kl_divergence(torch.distributions.Normal(mean, torch.exp(log_variance / 2)),
                                           torch.distributions.Normal(0.0, 1.0)).sum() / 6
    bce = torch.nn.functional.binary_cross_entropy(reference.decode(real), batch.targets, reduction="sum")
    logits = reference.discriminator(real)
    (bce + 4 * kl + 10 * (logits[:, 0] - logits[:, 1]).mean()).backward()
    first.step()
    second.zero_grad()
    latents = posterior_draw(reference, batch.second, torch.randn(6, 4))[2].detach()
    order = torch.rand(6, 4).argsort(dim=0)
    permuted = torch.tensor([[latents[order[i, j], j] for j in range(4)] for i in range(6)])
    entropy = torch.nn.functional.cross_entropy
    loss = 0.5 * (entropy(reference.discriminator(real.detach()), torch.zeros(6).long())
                  + entropy(reference.discriminator(permuted), torch.ones(6).long()))
    loss.backward()
    second.step()

    torch.testing.assert_close(losses["discriminator"], loss.detach())
    torch.testing.assert_close(losses["tc"], (logits[:, 0] - logits[:, 1]).mean().detach())
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(step.model.state_dict()[name], value, rtol=0, atol=2e-6, msg=name)


def test_a_factor_vaes_optimizers_have_the_published_betas_and_it_wants_a_weight_for_the_total_correlation():
    step = variational("factorvae", learning_rate=3e-4)
    ours, theirs = step.optimizer.param_groups[0], step.discriminator_optimizer.param_groups[0]
    assert (ours["betas"], theirs["betas"]) == ((0.9, 0.999), (0.5, 0.9))
    assert (ours["lr"], theirs["lr"]) == (3e-4, 3e-4)
    with pytest.raises(UserError, match=r"training.tc_weight: found 0.*above 0"):
        variational("factorvae", tc_weight=0.0)


@pytest.mark.parametrize("variation", ["ae", "factorvae"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_every_optimizer_lowers_the_loss(optimizer, variation, generator):
    options = {"loss": "mse", "optimizer": optimizer, "learning_rate": 1e-3}
    step = variational(variation, **options) if variation == "factorvae" else autoencoder(variation="ae", **options)
    images, before = torch.rand(1, 1, 32, 32, generator=generator).expand(4, 1, 32, 32), weights_of(step)
    losses = [float(step.update(Batch(images, images, torch.zeros(4), None, images))["reconstruction"])
              for _ in range(15)]
    assert losses[-1] < losses[7] < losses[0]
    assert moved(step, before) == before.keys()
