"""Many seeds of one experiment, in parallel processes."""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from errors import UserError, choice_error
from experiment.run import Run, experiment_name, find_runs
from experiment.schema import PLACES, Config, differences, load_config


@dataclass
class _Child:
    """A training process and where its output goes."""

    seed: int
    process: subprocess.Popen[bytes]
    output: Path


def parse_seeds(text: str) -> list[int]:
    """Read seeds such as `1-10` or `1,3,7-9`; UserError for anything else."""
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            seeds += range(int(first), int(last or first) + 1)
    except ValueError:
        seeds = []
    if not seeds or len(set(seeds)) != len(seeds):
        raise UserError(f"--seeds: found '{text}'; allowed: different numbers such as 1-10 or 1,3,7-9")
    return seeds


def repeat_command(script: str, description: str, types: tuple[str, ...]) -> None:
    """Run a training script for many seeds: finished runs are skipped, stopped ones resumed, failures reported.

    types: values of `model.type` that the script trains.
    """
    arguments = _parse(description)
    seeds = parse_seeds(arguments.seeds)
    if arguments.jobs < 1:
        raise UserError(f"--jobs: found {arguments.jobs}; allowed: 1 or more")
    config = load_config(arguments.config, arguments.set)
    if config.model.type not in types:
        raise choice_error(f"{arguments.config}: model.type for {script}", config.model.type, types)
    name = experiment_name(arguments.name, arguments.config)
    folder = Path(arguments.out) if arguments.out else Path("results") / name
    commands = _plan(script, arguments, config, name, folder, seeds)
    logs = folder / "repeat_logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be made: {error.strerror}") from None
    failed = _run(commands, arguments.jobs, logs)
    if failed:
        raise UserError(f"{len(failed)} of {len(seeds)} seeds failed: {', '.join(map(str, sorted(failed)))} "
                        f"(their output is in {logs})")
    print(f"{name}: all {len(seeds)} seeds are finished, in {folder}")


def _parse(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="TOML file of the experiment")
    parser.add_argument("--seeds", default="1-10", help="seeds such as 1-10 or 1,3,7-9 (default: 1-10)")
    parser.add_argument("--jobs", type=int, default=1, help="seeds trained at the same time (default: 1)")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="SECTION.KEY=VALUE",
                        help="override config keys for all seeds")
    parser.add_argument("--name", help="name of the experiment; default: the config file's name")
    parser.add_argument("--out", metavar="DIR", help="folder for the runs; default: results/<experiment>")
    return parser.parse_args()


def _plan(script: str, arguments: argparse.Namespace, config: Config, name: str, folder: Path,
          seeds: list[int]) -> dict[int, list[str]]:
    """Return the command of each seed that is still to be trained."""
    same = [run for run in find_runs(folder) if not differences(config, run.config, ("training.seed", *PLACES))]
    # Finished runs last, so that they win over stopped ones of the same seed.
    found = {run.config.training.seed: run for run in sorted(same, key=lambda run: run.done)}
    commands = {}
    python = [sys.executable, str(Path(__file__).parent.parent / script)]
    for seed in seeds:
        run: Run | None = found.get(seed)
        if run and run.done:
            print(f"seed {seed}: finished earlier, skipped ({run.folder})")
        elif run:
            commands[seed] = [*python, "--resume", str(run.folder)]
        else:
            stamp = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"
            commands[seed] = [*python, arguments.config, "--seed", str(seed), "--name", name,
                              "--out", str(folder / f"{seed}-{stamp}")]
            commands[seed] += ["--set", *arguments.set] if arguments.set else []
    return commands


def _run(commands: dict[int, list[str]], jobs: int, logs: Path) -> list[int]:
    """Run the commands, `jobs` at a time, and return the seeds that failed."""
    waiting, running, failed = list(commands.items()), [], []
    environment = dict(os.environ)
    if jobs > 1:
        # Each process would otherwise use all cores, and they would slow each other down.
        threads = str(max(1, (os.cpu_count() or 1) // jobs))
        environment |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                seed, command = waiting.pop(0)
                running.append(_start(seed, command, logs, environment))
            time.sleep(0.2)
            for child in [child for child in running if child.process.poll() is not None]:
                running.remove(child)
                if not _succeeded(child):
                    failed.append(child.seed)
    finally:
        for child in running:
            child.process.terminate()
    return failed


def _start(seed: int, command: list[str], logs: Path, environment: dict[str, str]) -> _Child:
    output = logs / f"seed-{seed}.log"
    how = "resumed" if "--resume" in command else "started"
    print(f"seed {seed}: {how}, output in {output}", flush=True)
    with output.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   env=environment)
    return _Child(seed, process, output)


def _succeeded(child: _Child) -> bool:
    lines = child.output.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
    state = "finished" if child.process.returncode == 0 else f"FAILED (exit code {child.process.returncode})"
    epochs = [line for line in lines if line.startswith("epoch ")]
    errors = [line for line in lines if line.startswith("error: ")]
    told = epochs if child.process.returncode == 0 else errors
    print(f"seed {child.seed}: {state}: {(told or lines)[-1]}", flush=True)
    return child.process.returncode == 0
