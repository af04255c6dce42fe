"""A swapping autoencoder in two processes, and after a stop, trains as one that was left alone."""

import multiprocessing

import pytest
import torch
from test_swapping_step import SIZE, create, random_batch
from torch import distributed

from experiment.checkpoint import Progress, load
from training import loop as loop_module
from training.loop import Loop
from training.parallel import share_weights
from translation.data import Batch

STEPS = 10
OPTIONS = {"lambda_in": 0.7, "lambda_out": 2.0, "outer": True, "r1_every": 2, "average": 0.9}


def trained(rank=0, size=1):
    """Return the losses of ten steps, on a process's part of each batch."""
    step = create(**OPTIONS)
    share_weights(step.model)
    found = []
    for number in range(STEPS):
        batch, n = random_batch(number), 4 // size
        # Unevenly spread: what is ignored.
        batch.labels[0, : SIZE // 2] = 255
        own = slice(rank * n, (rank + 1) * n)
        losses = step.update(Batch(batch.source[own], batch.target[own], labels=batch.labels[own],
                                   target_labels=batch.target_labels[own], share=1 / size))
        found.append(torch.stack(list(losses.values())))
    return found, list(losses)


def as_one_of_two(rank, file):
    """Return the losses of two processes, of which this is one."""
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    try:
        found, _ = trained(rank, 2)
        for losses in found:
            distributed.all_reduce(losses)
        return found
    finally:
        distributed.destroy_process_group()


def test_two_processes_have_the_losses_of_one(tmp_path):
    wanted, names = trained()
    other = multiprocessing.get_context("spawn").Process(target=as_one_of_two, args=(1, tmp_path / "group"))
    other.start()
    found = as_one_of_two(0, tmp_path / "group")
    other.join(60)
    assert other.exitcode == 0
    assert {"l1", "outer", "inner"} <= set(names)
    for ours, theirs in zip(wanted, found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


class Killed(BaseException):
    pass


class Batches(list):
    """Seven batches: an epoch may end after a step of the discriminators."""

    def epoch(self, number):
        return (random_batch(100 * number + i) for i in range(len(self)))


def loop(folder):
    step = create(**OPTIONS)
    step.length = 7
    return Loop(step, Batches(range(7)), step.section, folder, finish_epoch=lambda *_: None, frozen="")


def after(folder):
    return {name: load(folder / name) for name in ("last.pth", "last_model.pth")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted run of four epochs leaves."""
    folder = tmp_path_factory.mktemp("whole")
    loop(folder).run(Progress())
    return after(folder)


@pytest.mark.parametrize("where", ["between", "penalty", "checkpoint"])
def test_a_run_that_was_stopped_ends_as_an_uninterrupted_one_bit_for_bit(where, whole, tmp_path, monkeypatch):
    stopped = loop(tmp_path)
    if where == "checkpoint":
        monkeypatch.setattr(loop_module, "save", killing(loop_module.save, 4))
    else:
        name = "_make" if where == "between" else "penalty_terms"
        setattr(stopped.step, name, killing(getattr(stopped.step, name), 6))
    with pytest.raises(Killed):
        stopped.run(stopped.resume())
    monkeypatch.undo()
    assert 1 <= load(tmp_path / "last.pth")["progress"]["epoch"] < 4
    continued = loop(tmp_path)
    progress = continued.resume()
    assert progress.epoch >= 1
    continued.run(progress)
    assert same(after(tmp_path), whole)


def same(found, wanted):
    """Say whether all that is in two nested structures is alike, tensors bit for bit."""
    if isinstance(wanted, torch.Tensor):
        return torch.equal(found, wanted)
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return found == wanted


def killing(function, call):
    """Return a function that is killed in its n-th call."""
    left = [call]

    def killed(*arguments):
        left[0] -= 1
        if not left[0]:
            raise Killed
        return function(*arguments)

    return killed


def test_losses_that_only_some_steps_have_are_means_over_those(tmp_path):
    seen, run = [], loop(tmp_path)
    run.finish_epoch = lambda epoch, losses, due: seen.append(losses)
    history, update = [], run.step.update
    run.step.update = lambda batch: history.append(update(batch)) or history[-1]
    run.run(Progress(epoch=3))
    assert len(history) == 7
    for name, value in seen[0].items():
        of_steps = [float(losses[name]) for losses in history if name in losses]
        assert value == pytest.approx(sum(of_steps) / len(of_steps), rel=1e-6)
    assert {name: sum(name in losses for losses in history) for name in ("l1", "d_real", "r1")} == {
        "l1": 4, "d_real": 3, "r1": 1}
