"""A training state is restored whole or not at all."""

import copy
import re
from dataclasses import replace

import pytest
import torch

from autoencoder.config import Model, Training
from autoencoder.step import create_step
from dataset import Batch
from errors import UserError
from model import create_autoencoder
from training.command import create_fabric
from training.loop import Loop

FABRIC = create_fabric(torch.device("cpu"))
IMAGES = Batch(*torch.rand(2, 2, 1, 16, 16), None, None, torch.rand(2, 1, 16, 16))
DAMAGE = {
    "trainable.decoder_conv.0.bias is missing": lambda state: state["trainable"].clear(),
    "trainable.5 is not known": lambda state: state["trainable"].update({5: torch.ones(1)}),
    "trainable is of type int": lambda state: state.update(trainable=5),
    "trainable.encoder.0.bias has shape": lambda state: state["trainable"].update({"encoder.0.bias": torch.ones(3)}),
    "step is of type": lambda state: state.update(step=[1]),
    "step.optimizer is missing": lambda state: state.update(step={}),
    "step.optimizer.param_groups has 0 entries": lambda state: state["step"]["optimizer"].update(param_groups=[]),
    "step.optimizer.param_groups.0.lr is missing": lambda state: group(state).pop("lr"),
    "step.optimizer.param_groups.0.lr is of type": lambda state: group(state).update(lr=torch.ones(2)),
    "settings of the optimiser": lambda state: group(state).update(lr=7.0),
    "step.optimizer.state.0 is missing": lambda state: moments(state).clear(),
    "step.optimizer.state.0.exp_avg is missing": lambda state: moments(state)[0].pop("exp_avg"),
    "step.optimizer.state.0.exp_avg is of type": lambda state: moments(state)[0].update(exp_avg="x"),
    "step.optimizer.state.1.step has shape": lambda state: moments(state)[1].update(step=torch.ones(2)),
}  # fmt: skip


def group(state):
    return state["step"]["optimizer"]["param_groups"][0]


def moments(state):
    return state["step"]["optimizer"]["state"]


@pytest.fixture(scope="module")
def after_an_epoch(tmp_path_factory):
    """The folder of checkpoints that a run of one epoch leaves, and a function for the loop that continues it."""
    folder = tmp_path_factory.mktemp("checkpoints")

    class One(list):
        def epoch(self, _):
            return self

    def loop(optimizer="adamw", epochs=5):
        torch.manual_seed(0)
        section = Training(epochs=epochs, loss="mse", optimizer=optimizer)
        model = create_autoencoder(Model(type="conv", variation="ae", dimension=2), 16, 1)
        step = create_step("ae", model, section, FABRIC)
        return Loop(step, One([IMAGES]), section, folder, finish_epoch=lambda *_: None, frozen="")

    first = loop(epochs=1)
    first.run(first.resume())
    return folder, loop


@pytest.mark.parametrize("problem", DAMAGE)
def test_a_damaged_training_state_is_refused_before_anything_is_restored(after_an_epoch, monkeypatch, problem):
    folder, loop = after_an_epoch
    state = torch.load(folder / "last.pth", weights_only=True)
    DAMAGE[problem](state)
    continued = loop()
    monkeypatch.setattr("experiment.checkpoint.load", lambda _: state)
    before = copy.deepcopy(continued.step.model.state_dict())
    with pytest.raises(UserError, match=rf"last\.pth: damaged: .*{re.escape(problem)}"):
        continued.resume()
    assert all(torch.equal(value, before[name]) for name, value in continued.step.model.state_dict().items())
    assert not continued.step.state()["optimizer"]["state"]


def test_a_step_is_told_each_epoch_that_begins(after_an_epoch, monkeypatch, tmp_path):
    _, loop = after_an_epoch
    continued, told = loop(epochs=3), []
    monkeypatch.setattr(continued.step, "begin", told.append)
    progress = continued.resume()
    # The folder is other tests' as well.
    continued.checkpoints = tmp_path
    continued.run(progress)
    assert told == [2, 3]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_epoch_and_batch(after_an_epoch, monkeypatch, tmp_path):
    _, loop = after_an_epoch
    diverging = loop()
    diverging.checkpoints = tmp_path
    odd = replace(IMAGES, inputs=IMAGES.inputs * torch.nan)
    monkeypatch.setattr(type(diverging.batches), "epoch", lambda _, epoch: [IMAGES, IMAGES if epoch < 2 else odd])
    with pytest.raises(UserError, match=r"'reconstruction' is not finite in epoch 2, batch 2"):
        diverging.run(diverging.resume())
    assert diverging.resume().epoch == 1


def test_a_whole_training_state_is_restored_and_that_of_another_optimizer_is_not(after_an_epoch):
    folder, loop = after_an_epoch
    continued = loop()
    assert continued.resume().epoch == 1
    kept = torch.load(folder / "last.pth", weights_only=True)
    assert all(torch.equal(value, kept["trainable"][name]) for name, value in continued.step.model.state_dict().items())
    for optimizer in ("adam", "sgd"):
        with pytest.raises(UserError, match=r"last\.pth: damaged: step"):
            loop(optimizer).resume()


@pytest.mark.parametrize("variation", ["ae", "factorvae"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_the_state_after_a_step_is_what_is_expected_of_one(variation, optimizer):
    model = create_autoencoder(Model(type="conv", variation=variation, dimension=2), 16, 1)
    step = create_step(variation, model, Training(epochs=1, loss="mse", tc_weight=1.0, optimizer=optimizer), FABRIC)
    assert "state.0 is missing" in step.misfit(step.state())
    step.update(IMAGES)
    assert step.misfit(step.state()) == ""
