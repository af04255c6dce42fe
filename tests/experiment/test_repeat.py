"""Many seeds and experiments in parallel processes, as a user starts, stops and continues them."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
import torch
from refusals import refused
from runs import same, until, weights

from errors import UserError
from experiment import sweep
from experiment.config import load_config
from experiment.repeat import parse_seeds, visible_gpus
from experiment.run import find_runs, open_run

PROJECT = Path(__file__).parents[2]


def test_repeat_skips_finished_resumes_stopped_reports_failed_seeds(script, succeed, config_file, finished, tmp_path):
    out = tmp_path / "runs"
    fast = ["evaluation.datasets=[]", "dataset.limit=20"]
    runs = {seed: finished("extractor", "tae", f"training.seed={seed}", *fast, copy=out / str(seed))
            for seed in (1, 2, 3)}
    for seed in (2, 3):
        (runs[seed] / "done").unlink()
    busy = open_run(runs[3])
    busy.lock()
    (out / "repeat_logs").mkdir()
    (out / "repeat_logs" / "seed-3.log").write_text("error: of an earlier attempt\n")
    command = ("repeat_train_ae.py", config_file(), "--jobs", "2", "--out", out, "--set", *fast, "--seeds")
    code, text, err = script(*command, "1-3")
    assert code == 2
    for told in ("1: finished earlier, skipped", "2: resumed", "2: finished: ", "3: resumed",
                 f"3: FAILED (exit code 2): error: {runs[3]}: another process is training this run"):
        assert f"tiny_extractor_tae seed {told}" in text
    assert "1 of 3 runs failed: tiny_extractor_tae seed 3 " in err
    assert same(weights(finished("extractor", "tae", "training.seed=2", *fast)), weights(runs[2]))
    assert "all 2 seeds are finished" in succeed(*command, "1-2")
    assert {path.parent for path in out.glob("*/cfg.toml")} == set(runs.values())


def test_repeat_starts_a_missing_seed_and_ends_its_children_with_itself(config_file, tmp_path):
    out = tmp_path / "runs"
    process = subprocess.Popen([sys.executable, "repeat_train_ae.py", str(config_file()), "--seeds", "7", "--out",
                                str(out), "--set", "training.epochs=100000"], cwd=PROJECT, stdout=subprocess.DEVNULL)
    until(lambda: list(out.glob("*/cfg.toml")), process)
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    [run] = find_runs(out)
    assert (run.config.training.seed, run.folder.name[:2], run.experiment) == (7, "7-", "tiny_extractor_tae")
    deadline = time.monotonic() + 30
    while True:
        try:
            run.lock()
            break
        except UserError:
            assert time.monotonic() < deadline, "the training process is still there"
            time.sleep(0.1)
    run.release()


@pytest.mark.parametrize(("name", "arguments", "message"), [
    ("repeat_train_classifier.py", ["{ae}", "--out", "{folder}/runs"], "allowed: classifier"),
    ("repeat_train.py", ["{ae}", "{conv}", "--name", "one"], "found 2 configs"),
    ("repeat_train.py", ["{ae}", "{ae}"], "is called 'tiny_extractor_tae'"),
    ("repeat_train.py", ["{ae}", "--wait"], "--launcher slurm"),
    ("repeat_train_ae.py", ["{ae}", "--out", "{ae}/runs"], "cannot be made"),
    *(("repeat_train.py", ["{ae}", "--out", "{folder}/runs", *given.split(" ")], told) for given, told in (
        ("--sweep epochs", "--sweep epochs: expected section.key=value,value"),
        ("--sweep training.epochs=", "a value is empty"), ("--sweep training.epochs=1,,2", "a value is empty"),
        ("--sweep training.x=[1,[2]", "brackets do not close"),
        ("--sweep training.epoch=1,2", "did you mean 'training.epochs'"),
        ("--sweep training.epochs=2,0", "--sweep training.epochs=0: "),
        ("--sweep model.layer=-3 --sweep training.loss=mse,msee", "--sweep model.layer=-3 training.loss=msee: "),
        ("--sweep training.epochs=1 training.epochs=2", "is swept twice"),
        ("--sweep training.epochs=1,2 --set training.epochs=3", "--set gives training.epochs, too"),
        ("--sweep evaluation.datasets=[] --set evaluation={{}}", "--set gives evaluation, too"),
        ("--sweep training.learning_rate=0.1,2,1e-1", "is called 'tiny_extractor_tae_learning_rate=0.1', as that of "),
        ("--sweep training.seed=1,2", "allowed: --seeds"), ("--sweep training.gpu=0,1", "allowed: --set training.gpu"),
        (f"--sweep dataset.cache={'x' * 300}", "says where runs are trained"),
        (f"--sweep dataset.root={'x' * 300}", "is too long for the name of a folder"))),
    ("repeat_train.py", ["{ae}", "--seeds", "one", "--out", "{folder}/runs"], "--seeds")])
def test_what_cannot_be_repeated_is_refused(fail, config_file, tmp_path, name, arguments, message):
    places = {"ae": config_file(), "conv": config_file("conv", "ae"), "folder": tmp_path}
    assert message in fail(name, *(argument.format(**places) for argument in arguments))
    assert not (tmp_path / "runs").exists()


TRAINER = """
import json, os, sys, time
start = time.monotonic()
time.sleep(0.2)
with open({report!r}, "a") as file:
    said = [*sys.argv[1:4], sys.argv[4:], os.environ.get("CUDA_VISIBLE_DEVICES"), start, time.monotonic()]
    file.write(json.dumps([os.path.basename(sys.argv[0]), *said]) + "\\n")
"""


@pytest.fixture
def repeated(succeed, config_file, tmp_path, monkeypatch):
    """Repeat two experiments with trainers that only report themselves; GPUs are names, so that none is needed.

    Returns a list of script, config, option, seed, further arguments, CUDA_VISIBLE_DEVICES, start, end.
    """

    def run(*arguments, gpus=()):
        report = tmp_path / "report.jsonl"
        for name in ("train_ae.py", "train_classifier.py"):
            (tmp_path / name).write_text(TRAINER.format(report=str(report)))
        monkeypatch.setattr("experiment.repeat.PROJECT", tmp_path)
        monkeypatch.setattr("experiment.repeat.visible_gpus", lambda: list(gpus))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "as it was")
        configs = config_file(), config_file("classifier", "scratch")
        succeed("repeat_train.py", *configs, "--out", tmp_path / "runs", *arguments)
        return [json.loads(line) for line in report.read_text().splitlines()]

    return run


@pytest.mark.parametrize(("devices", "gpus", "groups"), [
    (1, ["3", "GPU-8a"], {"3", "GPU-8a"}), (2, "01234", {"0,1", "2,3"}), (3, "012", {"0,1,2"})])
def test_each_run_has_gpus_of_its_own_and_the_others_queue(repeated, devices, gpus, groups):
    found = repeated("--seeds", "1-3", "--set", "training.device=auto", f"training.devices={devices}", gpus=gpus)
    trained = Counter((script, Path(config).stem, seed) for script, config, _, seed, *_ in found)
    assert trained == Counter([(script, stem, seed) for seed in "123" for script, stem in [
        ("train_ae.py", "tiny_extractor_tae"), ("train_classifier.py", "tiny_classifier_scratch")]])
    assert {gpu for *_, gpu, _, _ in found} == groups
    for (*_, gpu, start, end), (*_, other, other_start, other_end) in combinations(found, 2):
        assert gpu != other or end <= other_start or other_end <= start


@pytest.mark.parametrize(("devices", "gpus", "groups"), [
    (1, "01", ["0", "0", "1"]), (2, "01234", ["0,1", "0,1", "2,3"])])
def test_more_jobs_than_groups_of_gpus_share_them_in_turn(repeated, devices, gpus, groups):
    found = repeated("--seeds", "1-2", "--jobs", "3", "--set", "training.device=auto", f"training.devices={devices}",
                     gpus=gpus)
    first = sorted(found, key=lambda each: each[-2])[:3]
    assert sorted(gpu for *_, gpu, _, _ in first) == groups


def test_fewer_gpus_than_a_run_asks_for_are_refused(script, config_file, tmp_path, monkeypatch):
    monkeypatch.setattr("experiment.repeat.visible_gpus", lambda: ["0", "1"])
    code, _, err = script("repeat_train.py", config_file(), "--out", tmp_path / "runs", "--set", "training.devices=3",
                          "training.device=auto")
    assert (code, err) == (2, "error: training.devices: found 3, but only 2 GPU(s) for each run to have as many\n")
    assert not (tmp_path / "runs").exists()


def test_every_combination_of_swept_values_is_an_experiment_of_its_own_and_goes_on(repeated, finished, tmp_path):
    done = tmp_path / "runs" / "tiny_extractor_tae_epochs=3_batch_size=16"
    finished(copy=done / "1")
    found = repeated("--seeds", "1", "--jobs", "4", "--set", "training.frequency=1", "--sweep", "training.epochs=3,0x4",
                     "--sweep", "training.batch_size=8,16")
    started = {}
    for script, _, _, seed, (_, name, _, out, _, *changes), *_ in found:
        assert (seed, Path(out).parent) == ("1", tmp_path / "runs" / name)
        started[script, name] = changes
    assert started == {
        (f"train_{kind}.py", f"tiny_{model}_epochs={epochs}_batch_size={size}"):
        ["training.frequency=1", f"training.epochs={text}", f"training.batch_size={size}"]
        for kind, model in (("ae", "extractor_tae"), ("classifier", "classifier_scratch"))
        for epochs, text in ((3, "3"), (4, "0x4")) for size in (8, 16) if (kind, epochs, size) != ("ae", 3, 16)}


@pytest.mark.parametrize(("config", "sweeps", "names"), [
    ("camvid_efficientnet", ["training.crop=[64,64],[96, 64]", "training.jitter=0,0.5"], [
        "_crop=64,64_jitter=0.0", "_crop=64,64_jitter=0.5", "_crop=96,64_jitter=0.0", "_crop=96,64_jitter=0.5"]),
    ("demo_digits", ['dataset.root="data",["data", "data/copy 2"]', "dataset.split=train,ALL"], [
        "_root=data_split=train", "_root=data_split=all", "_root=data,data-copy-2_split=train",
        "_root=data,data-copy-2_split=all"]),
    ("demo_digits", ["dataset.factor='','a,b',['a','b']"], ["_factor=none", "_factor=a,b", "_factor=a,b"]),
    ("camvid_efficientnet", ["training.mirror=0,true", "evaluation.datasets=[{name='camvid', split='val'}]"], [
        "_mirror=false_datasets=name-camvid,split-val", "_mirror=true_datasets=name-camvid,split-val"]),
    ("nocar_vgg11_e_ae", ["model.layer=-3,-5", 'model.weights="none","/weights/a b.pth"'], [
        "_layer=-3_weights=none", "_layer=-3_weights=weights-a-b.pth", "_layer=-5_weights=none",
        "_layer=-5_weights=weights-a-b.pth"]),
    ("cars_cyclegan", ["dataset.split=train", "target.split=all"], ["_dataset.split=train_target.split=all"])])
def test_names_tell_the_values_however_they_are_written(config, sweeps, names):
    path = PROJECT / "cfg" / f"{config}.toml"
    assert [sweep.name_of(each, load_config(path, each)) for each in sweep.combinations(sweeps, [])] == names


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


def test_seeds_are_numbers_and_ranges_each_once():
    assert parse_seeds("4-6") == [4, 5, 6]
    assert parse_seeds("9,1-3,0") == [9, 1, 2, 3, 0]
    for text in ("", "one", "3-1", "1,3-1", "1,1", "2-", "-2", "1,", "1-100000000000", "3000000000"):
        assert f"--seeds: found '{text}'; allowed: different numbers" in refused(parse_seeds, text)
