"""Many seeds and experiments in parallel processes, as a user starts, stops and continues them."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import get_args

import pytest
import torch

from errors import UserError
from experiment.config import load_config
from experiment.repeat import visible_gpus
from experiment.run import open_run
from experiment.systems import BY_TYPE

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
    assert "1 of 2 runs failed: tiny_extractor_tae seed 2 " in err
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
    code, _, err = script("repeat_train.py", config_file(), config_file("conv", "ae"), "--name", "one")
    assert (code, "found 2 configs" in err) == (2, True)
    code, _, err = script("repeat_train.py", config_file(), config_file())
    assert (code, "is called 'tiny_extractor_tae'" in err) == (2, True)
    code, _, err = script("repeat_train.py", config_file(), "--wait")
    assert (code, "--launcher slurm" in err) == (2, True)
    (tmp_path / "file").touch()
    code, _, err = script("repeat_train_ae.py", config_file(), "--out", tmp_path / "file" / "runs")
    assert (code, "cannot be made" in err) == (2, True)


def test_repeat_refuses_seeds_it_cannot_read(script, config_file, tmp_path):
    for seeds in ("one", "3-1", "1,1", ""):
        code, _, err = script("repeat_train_ae.py", config_file(), "--seeds", seeds, "--out", tmp_path / "runs")
        assert (code, "--seeds" in err) == (2, True), seeds
    assert not (tmp_path / "runs").exists()


TRAINER = """
import json, os, sys, time
start = time.monotonic()
time.sleep(0.3)
with open({report!r}, "a") as file:
    said = [*sys.argv[1:4], os.environ.get("CUDA_VISIBLE_DEVICES"), start, time.monotonic()]
    file.write(json.dumps([os.path.basename(sys.argv[0]), *said]) + "\\n")
"""


@pytest.fixture
def repeated(script, config_file, tmp_path, monkeypatch):
    """Repeat two experiments with trainers that only report themselves; GPUs are names, so that none is needed.

    Returns a list of script, config, option, seed, CUDA_VISIBLE_DEVICES, start, end.
    """

    def run(*arguments, gpus=()):
        report = tmp_path / "report.jsonl"
        for name in ("train_ae.py", "train_classifier.py"):
            (tmp_path / name).write_text(TRAINER.format(report=str(report)))
        monkeypatch.setattr("experiment.repeat.PROJECT", tmp_path)
        monkeypatch.setattr("experiment.repeat.visible_gpus", lambda: list(gpus))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "as it was")
        configs = config_file(), config_file("classifier", "scratch")
        code, _, err = script("repeat_train.py", *configs, "--out", tmp_path / "runs", *arguments)
        assert code == 0, err
        return [json.loads(line) for line in report.read_text().splitlines()]

    return run


def test_each_process_has_a_gpu_of_its_own_and_the_others_queue(repeated):
    found = repeated("--seeds", "1-3", "--set", "training.device=auto", gpus=["3", "GPU-8a"])
    trained = Counter((script, Path(config).stem, seed) for script, config, _, seed, *_ in found)
    assert trained == Counter([(script, stem, seed) for seed in "123" for script, stem in [
        ("train_ae.py", "tiny_extractor_tae"), ("train_classifier.py", "tiny_classifier_scratch")]])
    assert {gpu for *_, gpu, _, _ in found} == {"3", "GPU-8a"}
    for (*_, gpu, start, end), (*_, other, other_start, other_end) in combinations(found, 2):
        assert gpu != other or end <= other_start or other_end <= start


def test_more_jobs_than_gpus_share_them_in_turn(repeated):
    found = repeated("--seeds", "1-2", "--jobs", "3", "--set", "training.device=auto", gpus=["0", "1"])
    first = sorted(found, key=lambda each: each[-2])[:3]
    assert sorted(gpu for *_, gpu, _, _ in first) == ["0", "0", "1"]


def test_runs_on_a_cpu_are_given_no_gpu_and_queue(repeated):
    found = sorted(repeated("--seeds", "1", gpus=["0", "1"]), key=lambda each: each[-2])
    assert [gpu for *_, gpu, _, _ in found] == ["as it was"] * 2
    assert found[0][-1] <= found[1][-2]


@pytest.mark.parametrize(("given", "count", "names"), [
    (None, 0, []), (None, 3, ["0", "1", "2"]), ("", 0, []), ("2, 5", 2, ["2", "5"]),
    ("GPU-8a,GPU-9b", 2, ["GPU-8a", "GPU-9b"]), ("GPU-8a,none", 1, ["GPU-8a"]),
    ("MIG-1f,MIG-2e", 1, ["MIG-1f", "MIG-2e"]),
])  # fmt: skip
def test_gpus_are_named_as_the_user_has_named_them(monkeypatch, given, count, names):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: pytest.fail("CUDA was started"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_gpus() == names


def test_every_type_of_model_has_its_scripts():
    for kind, system in BY_TYPE.items():
        assert kind in get_args(system.config.model_fields["model"].annotation.model_fields["type"].annotation)
        assert (PROJECT / system.train).is_file()
        assert (PROJECT / system.evaluate).is_file()
