"""A run in several processes trains as one process does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from runs import until

from autoencoder.config import Model, Training
from autoencoder.step import create_step
from classifier.step import ClassifierStep
from dataset import Batches, Scenes
from errors import UserError
from experiment import records
from experiment.config import EvaluationDataset
from frozen.inputs import LiveInputs
from model import create_autoencoder
from pretrained_model import Classifier, build_network
from training.command import create_fabric
from training.parallel import check_devices

CPU = torch.device("cpu")
PROJECT = Path(__file__).parent.parent.parent
# Batches of 16, 16 and 1: one process has nothing of the last.
EPOCHS, LIMIT, TWO = 12, 33, "training.devices=2"


@pytest.fixture(scope="module")
def scenes(cache):
    return Scenes(EvaluationDataset(name="glyphs", root="x", limit=LIMIT), 32, str(cache), CPU)


def gradients(step, batch):
    losses = step.losses(batch)
    losses["total"].backward()
    flat = torch.cat([parameter.grad.flatten() for parameter in step.parameters()])
    step.optimizer.zero_grad()
    return torch.stack([losses[name].detach() for name in sorted(losses)]), flat


CASES = [("tae", "ssim"), ("tae", "bce"), ("tae", "mse"), ("factorvae", "bce"), ("vae", "l1"), ("classifier", "ssim")]


@pytest.mark.parametrize(("variation", "loss"), CASES)
@pytest.mark.parametrize(("count", "size"), [(11, 3), (2, 3)])
def test_losses_and_gradients_of_the_parts_sum_to_those_of_the_batch(variation, loss, count, size, scenes):
    torch.manual_seed(0)
    fabric, section = create_fabric(CPU), Training(epochs=1, loss=loss, tc_weight=3.0)
    if variation == "classifier":
        step = ClassifierStep(Classifier("small_cnn", 10, "scratch", -3, "none").eval(), section, fabric)
    else:
        model = create_autoencoder(Model(type="conv", variation=variation, dimension=4), 32, 1)
        step = create_step(variation, model, section, fabric)
        step.model.sample = lambda mean, log_variance: mean
    batches = Batches(scenes, LiveInputs(None, scenes), 16, 1, triplet=variation == "tae", second=True)
    # Triplets unevenly spread: none of the first samples is in one.
    choose = batches.choose
    batches.choose = lambda samples, generator: (
        *choose(samples, generator)[:2], torch.arange(len(samples)) > count // 2 if variation == "tae" else None)
    found = []
    for part in [(0, 1), *((rank, size) for rank in range(size))]:
        batches.part = part
        found.append(gradients(step, batches.draw(torch.arange(count), torch.Generator().manual_seed(5))))
    for whole, *parts in zip(*found, strict=True):
        torch.testing.assert_close(sum(parts), whole, rtol=1e-5, atol=1e-5 * float(whole.abs().max()))


def train(script, config, out, *changes):
    return [sys.executable, PROJECT / script, config, "--out", out, "--set", TWO, f"training.epochs={EPOCHS}",
            f"training.frequency={EPOCHS}", "training.learning_rate=1e-4", "evaluation.datasets=[]", *changes]


def losses_of(run):
    rows = [row for row in records.read(run) if row["metric"].startswith("loss/")]
    return {(row["metric"], row["epoch"]): row["value"] for row in rows}


def start(*command):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children(process):
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def kill(process, run, said, leader):
    """Kill one of the two processes of a run once its log says something; returns what the leader said on stderr."""
    log = run / "logs" / "training.log"
    until(lambda: log.exists() and said in log.read_text(), process, 60)
    [other] = children(process)
    os.kill(process.pid if leader else other, signal.SIGKILL)
    _, err = process.communicate(timeout=20)
    # A process that is killed closes its pipes some time before it is gone.
    until(lambda: gone(other), seconds=10)
    return err


def gone(pid):
    path = Path(f"/proc/{pid}/stat")
    return not path.exists() or path.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_two_processes_train_a_triplet_autoencoder_as_one_does_also_after_a_kill(config_file, script, tmp_path):
    config, alone, killed = config_file(limit=LIMIT), tmp_path / "alone", tmp_path / "killed"
    assert script("train_ae.py", *train("train_ae.py", config, alone, "training.devices=1")[2:])[0] == 0
    process = start(*train("train_ae.py", config, killed))
    err = kill(process, killed, "epoch 3/", leader=False)
    assert (process.returncode, err.strip().splitlines()[-1]) == (
        2, f"error: {killed}: another process of the run has ended; it can be resumed")
    assert err.count("epoch 1/") == 1
    resumed = start(sys.executable, PROJECT / "train_ae.py", "--resume", killed)
    _, err = resumed.communicate(timeout=120)
    assert (resumed.returncode, "resumed after epoch" in err) == (0, True)
    expected, found = losses_of(alone), losses_of(killed)
    assert len(expected) == len(found) == 3 * EPOCHS
    assert found == pytest.approx(expected, rel=1e-5)
    assert (killed / "checkpoints" / "last.pth").stat().st_size == (alone / "checkpoints" / "last.pth").stat().st_size


def test_two_processes_train_a_classifier_as_one_does_and_the_other_ends_with_the_leader(config_file, script, tmp_path):
    config, alone, two = config_file("classifier", "pretrained", limit=LIMIT), tmp_path / "alone", tmp_path / "two"
    torch.manual_seed(0)
    torch.save(build_network("small_cnn", 10).state_dict(), tmp_path / "weights.pth")
    weights = f"model.weights={tmp_path / 'weights.pth'}"
    one = train("train_classifier.py", config, alone, weights, "training.devices=1")
    assert script("train_classifier.py", *one[2:])[0] == 0
    # Long enough to be killed before its end.
    kill(start(*train("train_classifier.py", config, two, weights, "training.epochs=1000", "training.frequency=1000")),
         two, f"epoch {EPOCHS}/", leader=True)
    expected, found = losses_of(alone), losses_of(two)
    assert len(expected) == EPOCHS
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_in_one_process_stops_all_with_one_line(config_file, tmp_path):
    command = train("train_ae.py", config_file(limit=LIMIT), tmp_path / "run", "training.learning_rate=1e30",
                    "training.optimizer=sgd")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert "is not finite in epoch 1, batch 2" in done.stderr


def test_what_several_processes_cannot_train_alike_is_refused():
    model = Classifier("small_cnn", 3, "scratch", -3, "none")
    with pytest.raises(UserError, match=r"training.devices: found 2, but .*BatchNorm"):
        check_devices(model, 16, 2)
    with pytest.raises(UserError, match=r"training.devices: found 17; allowed with training.batch_size 16: 1 to 16"):
        check_devices(model, 16, 17)
    check_devices(create_autoencoder(Model(type="conv", variation="tae"), 32, 1), 16, 16)
