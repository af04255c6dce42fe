"""Steps against the sums written out by hand."""

import pytest
import torch
from lightning_fabric import Fabric

from dataset import Batch
from errors import UserError
from experiment.schema import Model, Training
from model import create_autoencoder
from pretrained_model import Classifier
from training.loop import Loop
from training.losses import RECONSTRUCTION_LOSSES, triplet_loss
from training.steps import AutoencoderStep, ClassifierStep

FABRIC = Fabric(accelerator="cpu", devices=1)


def autoencoder(loss="ssim", variation="tae"):
    torch.manual_seed(0)
    section = Model(type="conv", variation=variation, dimension=4)
    return AutoencoderStep(create_autoencoder(section, 32, 1), Training(epochs=1, loss=loss), FABRIC)


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
    before = {name: value.clone() for name, value in step.model.state_dict().items()}
    step.rehearse(batch)
    assert all(torch.equal(before[name], value) for name, value in step.model.state_dict().items())
    step.update(batch)
    assert not any(torch.equal(before[name], value) for name, value in step.model.state_dict().items())


def test_rehearsing_a_classifier_leaves_its_batchnorm_statistics(generator):
    step = ClassifierStep(Classifier("small_cnn", 3, "scratch", -3, "none"), Training(epochs=1), FABRIC)
    before = {name: value.clone() for name, value in step.model.state_dict().items()}
    batch = Batch(torch.rand(4, 1, 32, 32, generator=generator), None, torch.tensor([0, 1, 2, 0]), None)
    step.rehearse(batch)
    assert all(torch.equal(before[name], value) for name, value in step.model.state_dict().items())


def test_classifier_loss_is_the_mean_negative_log_probability(generator):
    step = ClassifierStep(Classifier("small_cnn", 3, "scratch", -3, "none").eval(), Training(epochs=1), FABRIC)
    batch = Batch(torch.rand(4, 1, 32, 32, generator=generator), None, torch.tensor([0, 1, 2, 0]), None)
    probabilities = torch.softmax(step.model(batch.inputs), dim=1)
    expected = -torch.stack([probabilities[i, label].log() for i, label in enumerate(batch.labels)]).mean()
    torch.testing.assert_close(step.losses(batch)["total"], expected)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_every_optimizer_lowers_the_loss(optimizer, generator):
    torch.manual_seed(0)
    section = Training(epochs=1, loss="mse", optimizer=optimizer, learning_rate=1e-3)
    step = AutoencoderStep(create_autoencoder(Model(type="conv", variation="ae"), 32, 1), section, FABRIC)
    images = torch.rand(1, 1, 32, 32, generator=generator).expand(4, 1, 32, 32)
    losses = [float(step.update(Batch(images, images, torch.zeros(4), None))["total"]) for _ in range(15)]
    assert losses[-1] < losses[7] < losses[0]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_epoch_and_batch(tmp_path):
    class Diverging:
        model = torch.nn.Linear(1, 1)

        def update(self, batch):
            return {"total": torch.tensor(float(batch)), "triplet": torch.tensor(0.0)}

        def state(self):
            return {}

        def restore(self, state):
            assert state == {}

    loop = Loop(step=Diverging(), batches=lambda epoch: [1, 2, 3 if epoch < 2 else "nan"], length=3, epochs=5, seed=0,
                frequency=1, checkpoints=tmp_path, finish_epoch=lambda *_: None, frozen="")
    with pytest.raises(UserError, match=r"'total' is not finite in epoch 2, batch 3"):
        loop.run(loop.resume())
    assert loop.resume().epoch == 1
