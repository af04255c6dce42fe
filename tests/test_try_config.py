"""Configs on small stand-ins, from the first look to the table."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT, start

from experiment import records
from experiment.config import load_config


def test_a_config_is_tried_from_the_first_look_to_the_table(succeed, config_file, tmp_path, monkeypatch):
    run = subprocess.run

    def run_here(command, **options):
        """Run the project's scripts in this process, which proves the same and takes less long."""
        if command[0] != sys.executable:
            return run(command, **options)
        assert Path(command[1]).parent == PROJECT
        return subprocess.CompletedProcess(command, start(Path(command[1]).name, *command[2:]))

    monkeypatch.setattr(subprocess, "run", run_here)
    overrides = ["dataset.name=sviro_nocar", 'evaluation.datasets=[{name="ticam"}]',
                 "evaluation.classifiers=[\"knn\"]"]
    out = succeed("try_config.py", config_file("conv"), "--sceneries", 10, "--epochs", 1, "--out",
                  tmp_path / "tried", "--set", *overrides)
    assert [line.split()[2] for line in out.splitlines() if line.startswith("$ python")] == [
        "inspect_dataset.py", "train_ae.py", "eval_ae.py", "calculate_mean_and_var_accuracy.py"]
    assert (tmp_path / "tried" / "data" / "SVIRO-NoCar.STAND-IN.txt").exists()
    assert (tmp_path / "tried" / "look" / "pairs.png").exists()
    rows = records.read(tmp_path / "tried" / "run")
    assert {row["dataset"] for row in rows if row["metric"] == "accuracy"} == {"ticam"}
    assert "says anything about real data" in out


def test_a_folder_that_exists_is_not_touched(fail, config_file, tmp_path):
    (tmp_path / "mine").mkdir()
    message = fail("try_config.py", config_file(), "--out", tmp_path / "mine")
    assert message.endswith("delete it, or choose another folder")
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize(("arguments", "piece"), [
    (("--set", "dataset.name=folder"), "own data ('folder') has no stand-in"),
    (("--epochs", 0), "--epochs: found 0"),
    (("--sceneries", 3), "--sceneries: found 3"),
])
def test_what_cannot_be_tried_is_refused_before_anything_is_drawn(fail, config_file, tmp_path, arguments, piece):
    assert piece in fail("try_config.py", config_file(), "--out", tmp_path / "tried", *arguments)
    assert not (tmp_path / "tried").exists()


def test_a_script_that_fails_is_named_and_overrides_have_the_last_word(script, config_file, tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: called.append(Path(command[1]).name) or
                        subprocess.CompletedProcess(command, len(called) - 1))
    code, _, err = script("try_config.py", config_file(), "--out", tmp_path / "tried", "--set", "model.knn=7",
                          "dataset.limit=30", "evaluation.datasets=[{name=\"handwritten\", limit=20}]")
    assert (code, called) == (2, ["inspect_dataset.py", "train_ae.py"])
    assert "train_ae.py failed on stand-ins" in err.splitlines()[-1]
    config = load_config(next((tmp_path / "tried").glob("*.toml")))
    assert (config.model.knn, config.dataset.limit, config.evaluation.datasets[0].limit) == (7, 30, 20)
    assert (config.training.epochs, config.training.batch_size) == (2, 16)
