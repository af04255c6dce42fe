"""Many seeds in parallel processes, as a user starts, stops and continues them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from errors import UserError
from experiment.run import open_run
from experiment.schema import load_config

PROJECT = Path(__file__).parents[2]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last_model.pth", weights_only=True)


def test_repeat_skips_finished_resumes_stopped_and_reports_failed_seeds(script, config_file, tmp_path):
    config, out = config_file(), tmp_path / "runs"
    command = ("repeat_train_ae.py", config, "--seeds", "1-2", "--jobs", "2", "--out", out)
    code, text, err = script(*command)
    assert code == 0, err
    assert "all 2 seeds are finished" in text
    runs = {load_config(path).training.seed: path.parent for path in out.glob("*/cfg.toml")}
    assert sorted(runs) == [1, 2]
    (runs[2] / "done").unlink()
    before = weights(runs[2])
    code, text, _ = script(*command)
    assert code == 0
    assert "seed 1: finished earlier, skipped" in text
    assert "seed 2: resumed" in text
    assert all(torch.equal(before[key], value) for key, value in weights(runs[2]).items())
    (runs[2] / "done").unlink()
    (runs[2] / "checkpoints" / "last.pth").write_bytes(b"damaged")
    code, text, err = script(*command)
    assert code == 2
    assert "seed 2: FAILED (exit code 2)" in text
    assert "1 of 2 seeds failed: 2" in err
    assert len(list(out.glob("*/cfg.toml"))) == 2


def test_terminating_repeat_ends_its_children(config_file, tmp_path):
    out = tmp_path / "runs"
    process = subprocess.Popen([sys.executable, "repeat_train_ae.py", str(config_file()), "--seeds", "1", "--out",
                                str(out), "--set", "training.epochs=100000"], cwd=PROJECT, stdout=subprocess.DEVNULL)
    while not list(out.glob("*/cfg.toml")):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    run = open_run(next(out.glob("*/cfg.toml")).parent)
    deadline = time.monotonic() + 30
    while True:
        try:
            run.lock()
            break
        except UserError:
            assert time.monotonic() < deadline, "the training process is still there"
            time.sleep(0.1)
    run.release()


def test_repeat_refuses_a_config_that_its_script_does_not_train_and_a_folder_it_cannot_make(
        script, config_file, tmp_path):
    code, _, err = script("repeat_train_classifier.py", config_file(), "--out", tmp_path / "runs")
    assert (code, "allowed: classifier" in err) == (2, True)
    (tmp_path / "file").touch()
    code, _, err = script("repeat_train_ae.py", config_file(), "--out", tmp_path / "file" / "runs")
    assert (code, "cannot be made" in err) == (2, True)


def test_repeat_refuses_seeds_it_cannot_read(script, config_file, tmp_path):
    for seeds in ("one", "3-1", "1,1", ""):
        code, _, err = script("repeat_train_ae.py", config_file(), "--seeds", seeds, "--out", tmp_path / "runs")
        assert (code, "--seeds" in err) == (2, True), seeds
    assert not (tmp_path / "runs").exists()
