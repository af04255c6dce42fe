"""What a translated copy of a dataset is to the runs that are trained on it."""

import json
from pathlib import Path

import pytest

from experiment.config import load_config
from experiment.repeat import Experiment
from experiment.run import create, open_run, warn_of_mixture

TEXT = """
[dataset]
name = "glyphs"
root = "{root}"
[model]
type = "conv"
variation = "ae"
[training]
epochs = 1
seed = {seed}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for root, experiment in (("data", ""), ("one", "cyclegan"), ("two", "cyclegan"), ("other", "swapping")):
        Path(root).mkdir()
        note = {"run": f"results/{experiment}/{root}", "experiment": experiment,
                "dataset": {"name": "glyphs", "root": "data"}}
        if experiment:
            Path(root, "translation.json").write_text(json.dumps(note))
    return tmp_path


def config_of(root, seed=1):
    path = Path(f"{root}.toml")
    path.write_text(TEXT.format(root=root, seed=seed))
    return load_config(path)


def trained(root, seed):
    run = create(config_of(root, seed), "mine", "cpu", Path("results", "mine", f"{root}-{seed}"))
    run.release()
    return run.folder


@pytest.mark.usefixtures("place")
def test_runs_on_a_copy_are_others_than_those_on_the_original_wherever_either_lies():
    for root, seed in (("data", 1), ("one", 2), ("other", 3)):
        trained(root, seed)
    found = {root: set(Experiment("mine", config_of(root), [], Path("results/mine")).runs())
             for root in ("data", "one", "two", "other")}
    assert found == {"data": {1}, "one": {2}, "two": {2}, "other": {3}}
    # The run says what it was trained on when its data have moved.
    Path("one").rename("moved")
    assert set(Experiment("mine", config_of("moved"), [], Path("results/mine")).runs()) == {2}
    Path("data").rename("elsewhere")
    assert set(Experiment("mine", config_of("elsewhere"), [], Path("results/mine")).runs()) == {1}


@pytest.mark.usefixtures("place")
def test_a_mixture_of_runs_on_a_copy_and_on_the_original_is_said(capsys):
    alike = [trained("one", 1), trained("two", 2)]
    warn_of_mixture([open_run(folder) for folder in alike])
    assert capsys.readouterr().err == ""
    warn_of_mixture([open_run(folder) for folder in (*alike, trained("data", 3))])
    assert "warning: runs of mine differ in dataset.root (results/mine/one-1, results/mine/data-3)" in (
        capsys.readouterr().err)


@pytest.mark.usefixtures("place")
def test_a_copy_of_another_dataset_in_the_same_root_is_none():
    note = json.loads(Path("one/translation.json").read_text())
    Path("one/translation.json").write_text(json.dumps(note | {"dataset": {"name": "mnist", "root": "data"}}))
    assert open_run(trained("one", 1)).translated_by == [""]
