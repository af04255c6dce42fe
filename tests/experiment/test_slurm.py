"""Job arrays: what is submitted, what the kept script does, and a real SLURM where one answers."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs import same, until, weights

from errors import UserError
from experiment.config import load_config
from experiment.run import find_runs
from experiment.slurm import parse_options

PROJECT = Path(__file__).parents[2]

SBATCH = """#!{python}
import pathlib, sys
pathlib.Path({said!r}).write_text("\\n".join(sys.argv[1:]))
print({out!r})
print({err!r}, file=sys.stderr)
sys.exit({code})
"""

TASK = """
import pathlib, os, sys
pathlib.Path({report!r}).write_text("\\0".join([os.getcwd(), os.environ["OMP_NUM_THREADS"], *sys.argv[1:]]))
"""


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """Put an `sbatch` on the PATH that answers as told; returns where it notes its arguments, a line each."""

    def answer(out="7", err="", code=0):
        path, said = tmp_path / "bin" / "sbatch", tmp_path / "said.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(SBATCH.format(python=sys.executable, said=str(said), out=out, err=err, code=code))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)
        return said

    return answer


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Work in a folder whose name a shell would take apart; returns it."""
    folder = tmp_path / "it's 100% \"here\" #1"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_options_are_words_of_sbatch(sbatch):
    sbatch()
    assert parse_options("partition=gpu gres=gpu:1 exclusive comment='two words'") == [
        "partition=gpu", "gres=gpu:1", "exclusive", "comment=two words"]
    for text, told in [("--partition=gpu", "without dashes"), ("partition=", "found 'partition='"), ("p gpu=", "gpu="),
                       ("Partition=gpu", "found 'Partition=gpu'"), ("array=1-3", "'array' is set by the launcher"),
                       ("no-requeue", "'no-requeue' is set"), ("comment='a", "No closing quotation"),
                       ("'comment=a\n#SBATCH --array=1'", "found")]:
        with pytest.raises(UserError, match=re.escape(told)):
            parse_options(text)


@pytest.mark.parametrize(("answer", "told"), [
    ({"out": "", "err": "sbatch: error: invalid partition\nsbatch: failed"}, "invalid partition; failed"),
    ({"out": "Usage: no number"}, "Usage: no number")])
def test_what_sbatch_says_against_a_job_and_that_there_is_none_is_told_and_nothing_is_kept(
        script, fail, config_file, tmp_path, monkeypatch, sbatch, answer, told):
    sbatch(code=1, **answer)
    command = ("repeat_train.py", config_file(), "--out", tmp_path / "runs", "--launcher", "slurm")
    assert script(*command)[::2] == (2, f"error: sbatch refuses the job: {told}\n")
    assert [path.name for path in (tmp_path / "runs").rglob("*")] == ["repeat_logs"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "found no sbatch" in fail(*command[:3], tmp_path / "none", *command[4:])
    assert not (tmp_path / "none").exists()


def test_the_kept_script_runs_each_pair_with_the_config_as_it_was(
        succeed, config_file, tmp_path, monkeypatch, sbatch, elsewhere):
    said, report, configs = sbatch("7;cluster"), tmp_path / "report", [config_file(), config_file("conv", "ae")]
    (elsewhere / "repeat_train.py").write_text(TASK.format(report=str(report)))
    python = elsewhere / "python"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr("experiment.repeat.PROJECT", elsewhere)
    monkeypatch.delenv("OMP_NUM_THREADS")
    text = succeed("repeat_train.py", *configs, "--seeds", "4,8", "--launcher", "slurm", "--jobs", "2",
                   "--slurm", "partition=gpu time=04:00:00", "--set", "training.epochs=9", "--sweep",
                   "training.batch_size=4,8")
    assert "job 7: submitted" in text
    before = load_config(configs[1], ["training.epochs=9", "training.batch_size=8"])
    configs[1].write_text("damaged")
    names = [f"{path.stem}_batch_size={size}" for path in configs for size in (4, 8)]
    kept = [next(Path("results", name, "repeat_logs").glob("slurm-*.sh")) for name in names]
    assert said.read_text().splitlines() == ["--parsable", str(kept[0])]
    assert {path.read_text() for path in kept} == {kept[0].read_text()}
    for line in ("--partition=gpu", "--time=04:00:00", "--array=1-8%2", "--requeue", "--open-mode=append"):
        assert f"#SBATCH {line}\n" in kept[0].read_text()
    task = os.environ | {"SLURM_ARRAY_TASK_ID": "7", "SLURM_CPUS_ON_NODE": "5"}
    subprocess.run(["bash", kept[0]], env=task, check=True)
    folder, threads, config, *rest = report.read_text().split("\0")
    assert (folder, threads) == (str(elsewhere), "5")
    assert rest == ["--seeds", "4", "--name", names[3], "--out", f"results/{names[3]}"]
    assert load_config(config) == before


def test_waiting_for_a_job_ends_with_what_became_of_the_runs(script, config_file, tmp_path, sbatch):
    said = sbatch()
    code, _, err = script("repeat_train.py", config_file(), "--seeds", "1-2", "--out", tmp_path / "runs",
                          "--launcher", "slurm", "--wait")
    assert said.read_text().splitlines()[:2] == ["--parsable", "--wait"]
    assert (code, "2 of 2 runs failed: tiny_extractor_tae seed 1, tiny_extractor_tae seed 2 (" in err) == (2, True)


def slurm_answers() -> bool:
    try:
        nodes = subprocess.run(["sinfo", "--noheader"], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return bool(nodes.stdout.strip() and shutil.which("sbatch"))


def state(task: str) -> str:
    return subprocess.run(["squeue", "--noheader", "--array", "--states=all", f"--jobs={task}", "--format=%T"],
                          capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(not slurm_answers(), reason="no SLURM that answers")
@pytest.mark.usefixtures("no_pictures")
def test_slurm_goes_on_with_a_task_that_was_killed(script, config_file, elsewhere):
    config, changes = config_file(), ("--set", "training.epochs=40", "training.frequency=40")
    with (elsewhere / "output").open("w") as output:
        waiting = subprocess.Popen(
            [sys.executable, PROJECT / "repeat_train_ae.py", config, "--seeds", "1-3", "--out", "runs",
             "--launcher", "slurm", "--slurm", "time=10", "--wait", *changes], stdout=output, stderr=output)
    until(lambda: list(Path("runs").glob("2-*/checkpoints/last.pth")), waiting)
    task = re.search(r"job (\d+):", Path("output").read_text())[1] + "_2"
    subprocess.run(["scancel", "--signal=KILL", "--full", task], check=True)
    until(lambda: state(task) in ("FAILED", "CANCELLED", "COMPLETED"), waiting)
    (killed,) = Path("runs").glob("2-*")
    assert not (killed / "done").exists()
    subprocess.run(["scontrol", "requeue", task], check=True)
    # SLURM lets a requeued task wait for two minutes.
    until(lambda: state(task) == "PENDING", waiting)
    subprocess.run(["scontrol", "update", f"jobid={task}", "starttime=now"], check=True)
    for seed in (1, 2, 3):
        assert script("train_ae.py", config, "--seed", seed, "--out", f"undisturbed/{seed}", *changes)[0] == 0
    assert waiting.wait(timeout=300) == 0, Path("output").read_text()
    assert "all 3 seeds are finished, in runs" in Path("output").read_text()
    assert re.search(r"resumed after epoch [1-9]", (killed / "logs" / "training.log").read_text())
    runs = find_runs(Path("runs"))
    assert [run.config.training.seed for run in runs if run.done] == [1, 2, 3]
    for run, expected in zip(runs, find_runs(Path("undisturbed")), strict=True):
        assert same(weights(run.folder), weights(expected.folder)), run.folder
