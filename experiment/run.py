"""The run folder: made once, never shared, locked while in use, closed by a `done` marker."""

import fcntl
import glob
import json
import os
import platform
import secrets
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from errors import UserError, nearest, printable
from experiment import published_run as published
from experiment import records
from experiment.config import PLACES, Config, differences, dump_config, load_config
from experiment.copies import translated_by
from files import TEMPORARY, read_object, write_text

FOLDERS = ("checkpoints", "logs", "images")
PACKAGES = ("torch", "torchvision", "lightning-fabric", "numpy", "scikit-learn", "scikit-image", "pillow")


class Run:
    """A run folder and the lock on it; use `create` or `open_run`.

    experiment: name of the experiment, the same for all its seeds; config: the resolved config;
    folder: holds cfg.toml, environment.json, checkpoints/, records.jsonl, logs/ and images/.
    """

    def __init__(self, folder: Path, experiment: str, config: Config):
        self.folder, self.experiment, self.config = folder, experiment, config
        self.checkpoints, self.logs, self.images = (folder / name for name in FOLDERS)
        self._lock: IO[str] | None = None

    @property
    def saved(self) -> list[str]:
        """Return which weights there are: `last`, `best`, or both."""
        return [name for name in ("last", "best") if self.weights(name).exists()]

    def weights(self, checkpoint: str) -> Path:
        """Return where the `last` or `best` weights are."""
        return self.checkpoints / f"{checkpoint}_model.pth"

    @property
    def published(self) -> bool:
        """Whether it is one of the published runs, not made here; see `experiment.published_run`."""
        return published.is_published(self.folder)

    def logged(self) -> list[dict[str, Any]]:
        """Return the accuracies that a published run logged as records; runs made here have theirs in their records.

        The log does not say how many samples are behind a value: `n` is 1.
        """
        if not self.published:
            return []
        training, network = self.config.training, self.config.model.type == "classifier"
        return [records.record(
            experiment=self.experiment, seed=training.seed, dataset="test set of the published training", factor="",
            split="accuracy.log", classifier="network" if network else "knn", checkpoint="epoch", epoch=epoch,
            metric="accuracy", selection="every epoch", value=value, n=1)
            for epoch, value in published.curve(self.folder, training.frequency, training.epochs).items()]

    @property
    def environment(self) -> dict[str, Any]:
        """What environment.json holds, empty where there is none or it cannot be read."""
        try:
            return read_object(self.folder / "environment.json")
        except (OSError, ValueError):
            return {}

    @property
    def translated_by(self) -> list[str]:
        """What translated the data of each root before the run trained on them, see `experiment.copies`."""
        told = self.environment.get("translated_by")
        known = isinstance(told, list) and all(isinstance(each, str) for each in told)
        return told if known else translated_by(self.config.dataset)

    @property
    def done(self) -> bool:
        return (self.folder / "done").exists()

    def finish(self) -> None:
        """Write the marker that closes the run, and let go of the lock."""
        write_text(self.folder / "done", datetime.now(UTC).isoformat(timespec="seconds") + "\n")
        self.release()

    def note_resume(self, device: str) -> None:
        """Add to environment.json where and with what a stopped run is continued."""
        path, environment = self.folder / "environment.json", self.environment
        if not environment:
            raise UserError(f"{path}: cannot be read")
        environment.setdefault("resumed", []).append(describe_environment(self.experiment, device))
        write_text(path, json.dumps(environment, indent=2) + "\n")

    def lock(self) -> None:
        """Keep other processes from training in this folder until this one ends; raises UserError when one does."""
        for path in (self.folder / "lock", self.logs / "training.log", self.folder / records.FILE_NAME):
            if path.exists() and not path.is_file():
                raise UserError(f"{path}: not a regular file, so the run cannot be written")
        try:
            self._lock = (self.folder / "lock").open("a", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # What a process that was killed was about to write.
            for left in self.checkpoints.glob(f"*{TEMPORARY}"):
                left.unlink()
        except BlockingIOError:
            self.release()
            raise UserError(f"{self.folder}: another process is training this run") from None
        except OSError as error:
            raise UserError(f"{self.folder}: run cannot be written: {error.strerror}") from None

    def release(self) -> None:
        if self._lock:
            self._lock.close()


def create(config: Config, experiment: str, device: str, out: Path | None = None) -> Run:
    """Make a new, locked run folder, `results/<experiment>/<seed>-<id>` or `out`.

    Raises UserError when `out` exists and is not an empty folder.
    """
    if out:
        check_free(out)
    folder = out or Path("results") / experiment / f"{config.training.seed}-{stamp()}"
    try:
        for name in FOLDERS:
            (folder / name).mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}") from None
    run = Run(folder, experiment, config)
    run.lock()
    environment = describe_environment(experiment, device) | {"translated_by": translated_by(config.dataset)}
    write_text(folder / "environment.json", json.dumps(environment, indent=2) + "\n")
    # Written last: a folder without cfg.toml is not a run, so a kill up to here leaves nothing that is taken for one.
    write_text(folder / "cfg.toml", dump_config(config))
    return run


def stamp() -> str:
    """Return a text that no other call returns, and that begins with the time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def check_free(out: Path) -> None:
    """Raise UserError when `out` cannot become a new run folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        hint = f", or continue it with --resume {out}" if (out / "cfg.toml").exists() else ""
        raise UserError(f"{out}: output folder is taken; name another{hint}")


def open_run(folder: Path, overrides: list[str] | tuple[str, ...] = ()) -> Run:
    """Open an existing run; `overrides` change its config for this process only. Raises UserError when it is none.

    A published run does not say its seed, and has a number of its own in its place.
    """
    if not (folder / "cfg.toml").is_file():
        near = [*folder.glob("*/cfg.toml"), *folder.parent.glob(f"{glob.escape(folder.name)}-*/cfg.toml")]
        hint = f"; run folders there: {', '.join(sorted(str(path.parent) for path in near)[:5])}" if near else ""
        raise UserError(f"{folder}: not a run folder (looked for {folder / 'cfg.toml'}){hint}")
    config = load_config(folder / "cfg.toml", overrides, kept=True)
    if "seed" not in config.training.model_fields_set and published.is_published(folder):
        training = config.training.model_copy(update={"seed": published.number(folder)})
        config = config.model_copy(update={"training": training})
    run = Run(folder, folder.resolve().parent.name, config)
    run.experiment = printable(str(run.environment.get("experiment", run.experiment)))
    return run


def find_runs(parent: Path) -> list[Run]:
    """Return the runs directly below a folder, sorted by name."""
    return [open_run(path.parent) for path in sorted(parent.glob("*/cfg.toml"))]


def experiment_name(name: str | None, config: str) -> str:
    """Return the name given on the command line, else the config file's; UserError for one that is no folder name."""
    name = name or Path(config).stem
    if "/" in name or name in (".", ".."):
        raise UserError(f"--name {name}: allowed: a name without '/'")
    return name


def expand(patterns: list[str]) -> list[Path]:
    """Turn run folders, experiment folders (their runs) and globs into run folders; UserError where nothing fits."""
    folders: list[Path] = []
    for pattern in patterns:
        runs: list[Path] = []
        for match in map(Path, [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern))):
            found = {path.parent for path in match.rglob("cfg.toml")}
            # What lies within a run, such as copies of configs in a published one, is no run.
            runs += sorted(path for path in found if found.isdisjoint(path.parents))
        if not runs:
            beside = [path.name for path in Path(pattern).parent.glob("*") if path.is_dir() and path != Path(pattern)]
            hint = nearest(Path(pattern).name, beside)
            raise UserError(f"{pattern}: no run folder here (looked for cfg.toml in it and in the folders below it)"
                            f"{'; ' * bool(hint)}{hint}")
        folders += runs
    # A run counts once, however it is spelled.
    return list({folder.resolve(): folder for folder in reversed(folders)}.values())[::-1]


def warn_of_mixture(runs: list[Run], ignore: tuple[str, ...] = ()) -> None:
    """Say on stderr when runs of one experiment differ in more than seed, place and the keys in `ignore`.

    A translated copy of a dataset is no mere place of it. Runs that differ from the experiment's first one in the same
    keys share a line.
    """
    first: dict[str, Run] = {}
    found: dict[tuple[str, str], list[Path]] = {}
    for run in runs:
        reference = first.setdefault(run.experiment, run)
        keys = differences(reference.config, run.config, ("training.seed", *PLACES, *ignore))
        if "dataset.root" not in keys and reference.translated_by != run.translated_by:
            keys.append("dataset.root")
        if keys:
            found.setdefault((run.experiment, ", ".join(keys)), []).append(run.folder)
    for (experiment, keys), others in found.items():
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        print(f"warning: runs of {experiment} differ in {keys} ({first[experiment].folder}, {others[0]}{more})",
              file=sys.stderr)


def describe_environment(experiment: str, device: str) -> dict[str, object]:
    """Return with what something is made: command, time, versions, device, commit and whether the tree was dirty."""
    status = _git("status", "--porcelain")
    return {
        "experiment": experiment,
        "command": sys.argv,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "device": device,
        "packages": {name: version(name) for name in PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
    }


def _git(*arguments: str) -> str | None:
    """Return git's answer about the project's own folder, or None where it is no checkout."""
    try:
        done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True,
                              timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
