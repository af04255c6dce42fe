"""Commands that train runs again give the configs that the runs had."""

import json
import shlex
from pathlib import Path

import pytest

from experiment.reproduce import train_commands
from experiment.run import open_run
from experiment.schema import dump_config, load_config

PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture
def run(tmp_path):
    """Write a run folder trained from a config of the project; returns the run."""

    def write(seed, *changes, config="cfg/sviro_unseen_car.toml", name="mine", command=True):
        folder = tmp_path / name / f"{len(list(tmp_path.glob('*/*')))}-run"
        folder.mkdir(parents=True)
        (folder / "cfg.toml").write_text(dump_config(load_config(PROJECT / config, changes, seed)))
        said = {"experiment": name} | ({"command": ["train_ae.py", config, "--seed", "1"]} if command else {})
        (folder / "environment.json").write_text(json.dumps(said))
        return open_run(folder)

    return write


def parsed(command):
    """Return script, config, options and overrides of a command."""
    _, script, config, *rest = shlex.split(command)
    options, _, overrides = " ".join(map(shlex.quote, rest)).partition(" --set ")
    return script, config, shlex.split(options), shlex.split(overrides)


@pytest.mark.parametrize("changes", [
    [], ["training.epochs=7", "model.normalize=true", "training.learning_rate=1e-7"],
    ['dataset.root="/a place/with \'quotes\' and \\"more\\""', 'dataset.factor=["x5", "i3"]', "dataset.limit=30"],
    ['evaluation.datasets=[{name="sviro", factor="zoe", split="test"}, {name="ticam", limit=5}]', "model.weights=none"],
    ["dataset.root=$HOME;`ls`"],
])  # fmt: skip
def test_the_command_makes_the_config_again(run, changes):
    found = run(4, *changes)
    (command,) = train_commands([found], PROJECT)
    script, config, options, overrides = parsed(command)
    assert (script, config, options) == ("train_ae.py", "cfg/sviro_unseen_car.toml", ["--seed", "4", "--name", "mine"])
    assert len(overrides) == len(changes)
    assert load_config(PROJECT / config, overrides, 4) == found.config


def test_seeds_of_one_config_are_one_command(run):
    runs = [run(seed, f"dataset.factor={factor}") for factor in ("x5", "i3") for seed in (1, 2)]
    commands = train_commands(runs, PROJECT)
    assert [parsed(command)[::2] for command in commands] == [
        ("repeat_train.py", ["--seeds", "1,2", "--name", "mine"])] * 2
    assert [parsed(command)[3] for command in commands] == [['dataset.factor=["x5"]'], ['dataset.factor=["i3"]']]


def test_classifiers_have_their_own_script(run):
    (command,) = train_commands([run(1, config="cfg/demo_letters.toml")], PROJECT)
    assert parsed(command)[:2] == ("train_classifier.py", "cfg/demo_letters.toml")


def test_without_a_known_config_the_run_is_its_own(run):
    unknown = run(1, command=False)
    assert parsed(train_commands([unknown], PROJECT)[0])[1] == str(unknown.folder / "cfg.toml")
    named = run(1, name="sviro_unseen_car", command=False)
    assert parsed(train_commands([named], PROJECT)[0])[1] == "cfg/sviro_unseen_car.toml"
    # No override takes a limit away that the config has.
    unlimited = run(1, config="cfg/demo_ae.toml")
    text = (unlimited.folder / "cfg.toml").read_text()
    assert "limit = " in text
    (unlimited.folder / "cfg.toml").write_text("\n".join(line for line in text.splitlines() if "limit = " not in line))
    assert parsed(train_commands([open_run(unlimited.folder)], PROJECT)[0])[1] == str(unlimited.folder / "cfg.toml")


def test_commands_that_are_strange_are_not_followed(run):
    found = run(1)
    for said in (["train_ae.py", "cfg/../../secret.toml"], "text", [1, None], ["/etc/passwd.toml"]):
        (found.folder / "environment.json").write_text(json.dumps({"experiment": "mine", "command": said}))
        assert parsed(train_commands([found], PROJECT)[0])[1] == str(found.folder / "cfg.toml")


def test_published_runs_have_none(run):
    found = run(1)
    (found.folder / "environment.json").unlink()
    assert train_commands([found], PROJECT) == []
