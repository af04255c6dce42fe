"""Commands that train the runs of an experiment again, from what their folders say."""

import re
import shlex
from pathlib import Path

from errors import UserError
from experiment.run import Run
from experiment.schema import Config, differences, dump_config, flatten, load_config, toml_value
from experiment.systems import BY_TYPE


def train_commands(runs: list[Run], project: Path) -> list[str]:
    """Return the shell commands that train runs of one experiment again: one per config, over its seeds.

    A config is said as the file that the runs were trained from, as it is in `project` now, and the keys that differ;
    where there is no such file, as the cfg.toml of a run. Published runs, which were not trained here, have none.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if not run.published:
            training = run.config.training.model_copy(update={"seed": 0})
            groups.setdefault(dump_config(run.config.model_copy(update={"training": training})), []).append(run)
    return [_command(group, project) for group in groups.values()]


def _command(runs: list[Run], project: Path) -> str:
    first = runs[0]
    seeds = sorted({run.config.training.seed for run in runs})
    config, changes = _named_config(first, project)
    parts = [config, "--seed", str(seeds[0])] if len(seeds) == 1 else [config, "--seeds", ",".join(map(str, seeds))]
    script = BY_TYPE[first.config.model.type].train if len(seeds) == 1 else "repeat_train.py"
    return shlex.join(["python", script, *parts, "--name", first.experiment, *(["--set", *changes] if changes else [])])


def _named_config(run: Run, project: Path) -> tuple[str, list[str]]:
    """Return the config file to train a run from and the `section.key=value` that make its config of it."""
    command = run.environment.get("command")
    texts = [part for part in command if isinstance(part, str)] if isinstance(command, list) else []
    named = [part for part in [*texts, f"cfg/{run.experiment}.toml"] if re.fullmatch(r"cfg/[\w.-]+\.toml", part)]
    for name in named:
        if (project / name).is_file():
            changes = _changes(project / name, run.config)
            if changes is not None:
                return name, changes
    return str(run.folder / "cfg.toml"), []


def _changes(path: Path, config: Config) -> list[str] | None:
    """Return what turns a config file into a config; None where nothing can, as an override cannot take a key away."""
    try:
        named = load_config(path)
    except UserError:
        return None
    values = flatten(config.model_dump())
    keys = differences(named, config, ("training.seed",))
    if any(values[key] is None for key in keys):
        return None
    return [f"{key}={toml_value(values[key])}" for key in keys]
