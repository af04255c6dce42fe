"""Runs under the BatchNorm policies, as a user starts and evaluates them."""

import pytest
import torch

from experiment import records
from model import ExtractorAE
from pretrained_model import build_network, frozen_fingerprint
from training.loop import Loop

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def pretrained(tmp_path):
    """A file of weights of the small network, whose statistics are not those of any images."""
    torch.manual_seed(0)
    network = build_network("small_cnn", 10)
    for name, buffer in network.named_buffers():
        if "running_" in name:
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    torch.save(network.state_dict(), tmp_path / "pretrained.pth")
    return tmp_path / "pretrained.pth"


@pytest.mark.parametrize(("policy", "moves"), [("frozen", False), ("reference", True)])
def test_statistics_are_those_of_the_weights_under_frozen_alone(
        script, config_file, pretrained, tmp_path, policy, moves):
    run = tmp_path / "run"
    code, _, err = script("train_ae.py", config_file(limit=20), "--out", run, "--set", f"model.batchnorm={policy}",
                          f"model.weights={pretrained}", "training.epochs=1")
    assert code == 0, err
    assert ("cannot be cached; the run trains uncached" in err) == (policy == "reference")
    came, found = (torch.load(path, weights_only=True) for path in (pretrained, run / "checkpoints" / "last_model.pth"))
    moved = {not torch.equal(found[f"extractor.{i}.running_{kind}"], came[f"features.{i}.running_{kind}"])
             for i in (1, 4, 8) for kind in ("mean", "var")}
    assert moved == {moves}
    assert all(torch.equal(found[f"extractor.{i}.weight"], came[f"features.{i}.weight"]) for i in (0, 1, 3, 4, 7, 8))


def test_an_untrained_look_leaves_the_statistics_alone(script, config_file, pretrained, tmp_path, monkeypatch):
    """The rehearsal before a run draws a batch, which must not count as training."""
    states = []
    monkeypatch.setattr(Loop, "run", lambda self, _: states.append(self.step.model.state_dict()) or exit(3))
    options = ["--set", "model.batchnorm=reference", f"model.weights={pretrained}"]
    assert script("train_ae.py", config_file(), "--out", tmp_path / "run", *options)[0] == 3
    came = torch.load(pretrained, weights_only=True)
    for i in (1, 4, 8):
        for kind in ("running_mean", "running_var", "num_batches_tracked"):
            assert torch.equal(states[0][f"extractor.{i}.{kind}"], came[f"features.{i}.{kind}"])


def test_an_evaluation_uses_the_statistics_stored_with_the_run(succeed, config_file, pretrained, tmp_path):
    run = tmp_path / "runs" / "one"
    succeed("train_ae.py", config_file(), "--out", run, "--set", "model.batchnorm=reference",
            "model.normalize=true", f"model.weights={pretrained}")
    told = {row["checkpoint"]: row for row in records.read(run) if row["checkpoint"] != "epoch"}
    # The weights that it began with are needed no more.
    pretrained.unlink()
    succeed("eval_ae.py", run, "--classifiers", "knn")
    again = {row["checkpoint"]: row for row in records.read(run) if row["checkpoint"] != "epoch"}
    assert again == told
    assert len(told) == 2


def test_a_run_is_bound_to_the_statistics_it_began_with_unless_they_drift():
    for policy, bound in (("frozen", True), ("reference", False)):
        model = ExtractorAE(128, 1, 8, "relu", "resnet18", -3, "none", policy)
        before = frozen_fingerprint(model)
        model.frozen.norms[0].num_batches_tracked += 1
        assert frozen_fingerprint(model) == before
        model.frozen.norms[0].running_mean += 1
        assert (frozen_fingerprint(model) != before) is bound
