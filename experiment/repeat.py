"""Many seeds of one or several experiments: in parallel processes, each with GPUs of its own, or by SLURM."""

import argparse
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path

from errors import UserError, check_range, shortened
from experiment import slurm, sweep
from experiment.config import PLACES, Config, differences, dump_config, load_config
from experiment.copies import translated_by
from experiment.run import Run, experiment_name, find_runs, stamp
from experiment.systems import BY_TYPE, System

PROJECT = Path(__file__).parent.parent
# What file systems allow, less what the names of a run's files may add.
LONGEST_NAME = 200
MOST_SEEDS = 10_000
# Begins an attempt in the log of a seed.
STARTED = "=== started\n"


@dataclass(frozen=True)
class Experiment:
    """What is repeated: a config, where it came from, and the folder of its runs."""

    name: str
    config: Config
    source: list[str]
    folder: Path

    @property
    def logs(self) -> Path:
        return self.folder / "repeat_logs"

    def runs(self) -> dict[int, Run]:
        """Return the runs of this config that there are, by seed; those on another copy of the data are others."""
        translated = translated_by(self.config.dataset)
        same = [run for run in find_runs(self.folder)
                if not differences(self.config, run.config, ("training.seed", *PLACES))
                and run.translated_by == translated]
        # Finished runs last, so that they win over stopped ones of the same seed.
        return {run.config.training.seed: run for run in sorted(same, key=lambda run: run.done)}


@dataclass(frozen=True)
class Task:
    """An experiment with one seed, and its run, where there is one already."""

    experiment: Experiment
    seed: int
    run: Run | None

    def __str__(self) -> str:
        return f"{self.experiment.name} seed {self.seed}"

    @property
    def devices(self) -> int:
        return self.experiment.config.training.devices

    @property
    def output(self) -> Path:
        return self.experiment.logs / f"seed-{self.seed}.log"

    def command(self) -> list[str]:
        """Return what trains it."""
        here, seed = self.experiment, self.seed
        python = [sys.executable, str(PROJECT / BY_TYPE[here.config.model.type].train)]
        if self.run:
            return [*python, "--resume", str(self.run.folder)]
        config, *changes = here.source
        return [*python, config, "--seed", str(seed), "--name", here.name, "--out",
                str(here.folder / f"{seed}-{stamp()}"), *(["--set", *changes] if changes else [])]


def parse_seeds(text: str) -> list[int]:
    """Read seeds such as `1-10` or `1,3,7-9`; UserError for anything else."""
    with suppress(ValueError):
        parts = [part.partition("-") for part in text.split(",")]
        ranges = [range(int(first), int(last if dash else first) + 1) for first, dash, last in parts]
        # Before they are counted out: nobody waits for more, and memory has an end.
        if sum(map(len, ranges)) <= MOST_SEEDS and all(each and each[-1] < 2**31 for each in ranges):
            seeds = list(chain.from_iterable(ranges))
            if len(set(seeds)) == len(seeds):
                return seeds
    raise UserError(f"--seeds: found '{shortened(text)}'; allowed: different numbers such as 1-10 or 1,3,7-9, up to "
                    f"{MOST_SEEDS} of them, below 2^31")


def repeat_command(description: str, system: System | None = None) -> None:
    """Train configs for many seeds: finished runs are skipped, stopped ones resumed, failures reported.

    system: whose configs are taken; None for those of all.
    """
    arguments = _parse(description)
    seeds = parse_seeds(arguments.seeds)
    options = slurm.parse_options(arguments.slurm) if arguments.launcher == "slurm" else []
    experiments = _experiments(arguments, system)
    if arguments.sweep:
        print(f"{len(experiments)} experiments of {len(seeds)} seeds")
    tasks = _unfinished(experiments, seeds, told=True)
    slots = _slots(arguments.jobs, tasks) if arguments.launcher == "local" else []
    for experiment in experiments:
        try:
            experiment.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {experiment.folder}: cannot be made: {error.strerror}") from None
    if tasks and arguments.launcher == "slurm":
        _submit(tasks, options, arguments.jobs, arguments.wait)
        if not arguments.wait:
            return
        failed = _unfinished(experiments, seeds)
    else:
        failed = _run(tasks, slots)
    if failed:
        places = dict.fromkeys(str(task.experiment.logs) for task in failed)
        raise UserError(f"{len(failed)} of {len(experiments) * len(seeds)} runs failed: "
                        f"{', '.join(map(str, failed))} (their output is in {', '.join(places)})")
    for each in experiments:
        print(f"{each.name}: all {len(seeds)} seeds are finished, in {each.folder} (to evaluate them: python "
              f"{BY_TYPE[each.config.model.type].evaluate} {each.folder})")


def _parse(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="TOML file of an experiment")
    parser.add_argument("--seeds", default="1-10", help="seeds such as 1-10 or 1,3,7-9 (default: 1-10)")
    parser.add_argument("--jobs", type=int, help="runs trained at the same time; GPUs are shared where there are fewer "
                        "(default: as many as have training.devices GPUs each, 1 without; with SLURM: as many as it "
                        "starts)")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="SECTION.KEY=VALUE",
                        help="override config keys for all runs")
    parser.add_argument("--sweep", nargs="+", default=[], action="extend", metavar="SECTION.KEY=V1,V2",
                        help="train every combination of these values, each an experiment of its own, <name>_<key>="
                             "<value>; lists as in 'training.crop=[64,64],[96,64]'")
    parser.add_argument("--name", help="name of the experiment; default: the config file's name")
    parser.add_argument("--out", metavar="DIR",
                        help="folder for the runs; default: results/<experiment>; of several experiments: "
                             "DIR/<experiment>")
    parser.add_argument("--launcher", choices=("local", "slurm"), default="local",
                        help="what starts the runs: this process (default), or SLURM as one job array")
    parser.add_argument("--slurm", default="", metavar="OPTIONS",
                        help='options of sbatch, for example "partition=gpu gres=gpu:1 time=04:00:00"')
    parser.add_argument("--wait", action="store_true", help="with SLURM: end when all runs have, and say how")
    arguments = parser.parse_args()
    check_range("--jobs", arguments.jobs, 1)
    if arguments.launcher == "local" and (arguments.slurm or arguments.wait):
        raise UserError("--slurm and --wait: allowed with --launcher slurm")
    return arguments


def _experiments(arguments: argparse.Namespace, system: System | None) -> list[Experiment]:
    """Return the experiments of a command line, each config with each combination of swept values, all checked."""
    if len(arguments.configs) > 1 and arguments.name:
        raise UserError(f"--name {arguments.name}: names one experiment; found {len(arguments.configs)} configs")
    combinations = sweep.combinations(arguments.sweep, arguments.set)
    several = len(arguments.configs) > 1 or bool(arguments.sweep)
    found: dict[str, Experiment] = {}
    for path, changes in product(arguments.configs, combinations):
        source = [path, *arguments.set, *changes]
        config = _load(source, changes)
        if system:
            system.check(config.model.type, path)
        name = experiment_name(arguments.name, path) + sweep.name_of(changes, config)
        if name in found:
            raise UserError(f"{' '.join((path, *changes))}: its experiment is called '{name}', as that of "
                            f"{' '.join(found[name].source)}; allowed: configs with different file names, values that "
                            "differ")
        if len(name.encode()) > LONGEST_NAME:
            raise UserError(f"{name}: is too long for the name of a folder; allowed: up to {LONGEST_NAME} bytes, so "
                            "fewer or shorter values of --sweep, or configs of their own")
        folder = Path(arguments.out or "results", *([name] if several or not arguments.out else []))
        found[name] = Experiment(name, config, source, folder)
    return list(found.values())


def _load(source: list[str], changes: tuple[str, ...]) -> Config:
    """Return the config of a source, a file and its overrides; UserError says which combination of a sweep is wrong."""
    try:
        return load_config(source[0], source[1:])
    except UserError as error:
        raise UserError(f"--sweep {' '.join(changes)}: {error}" if changes else str(error)) from None


def _unfinished(experiments: list[Experiment], seeds: list[int], told: bool = False) -> list[Task]:
    """Return what is still to be trained; `told`: say what is not."""
    tasks = []
    for experiment in experiments:
        runs = experiment.runs()
        for seed in seeds:
            task = Task(experiment, seed, runs.get(seed))
            if not task.run or not task.run.done:
                tasks.append(task)
            elif told:
                print(f"{task}: finished earlier, skipped ({task.run.folder})")
    return tasks


def _submit(tasks: list[Task], options: list[str], jobs: int | None, wait: bool) -> None:
    """Submit a job array whose tasks each repeat one experiment with one seed, and so find out what is to be done.

    Script and configs are kept beside the output, in every experiment's folder. A task reads the config as it is now,
    whatever becomes of the user's file while it waits or is requeued.
    """
    experiments = list({task.experiment.name: task.experiment for task in tasks}.values())
    kept = f"slurm-{stamp()}"
    commands = [[sys.executable, str(PROJECT / "repeat_train.py"), str(task.experiment.logs / f"{kept}.toml"),
                 "--seeds", str(task.seed), "--name", task.experiment.name, "--out", str(task.experiment.folder)]
                for task in tasks]
    script = slurm.array_script(commands, options, experiments[0].logs, jobs)
    files = {each.logs / f"{kept}.toml": dump_config(each.config) for each in experiments}
    files |= {each.logs / f"{kept}.sh": script for each in experiments}
    try:
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
        slurm.submit(experiments[0].logs / f"{kept}.sh", wait)
    except (UserError, OSError):
        for path in files:
            path.unlink(missing_ok=True)
        raise


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, each as a CUDA_VISIBLE_DEVICES of its own; CUDA is not started."""
    # Imported here, as tables and configs come without it.
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [str(index) for index in range(torch.cuda.device_count())]
    names = [name.strip() for name in given.split(",")]
    # Of MIG's parts CUDA shows a process only the first, but each process can have another.
    return names if names[0].startswith("MIG-") else names[: torch.cuda.device_count()]


def _slots(jobs: int | None, tasks: list[Task]) -> list[list[str]]:
    """Return the GPUs of each run that trains at a time, in turn where there are more runs than groups of GPUs.

    A group has as many as the largest `training.devices` asks for; UserError where there are fewer. Nothing in place of
    a group stands for the environment as it is, where there is no GPU or no second run to share them with.
    """
    shared = [task.devices for task in tasks if task.experiment.config.training.device != "cpu" and len(tasks) > 1]
    gpus, size = visible_gpus() if shared else [], max(shared, default=1)
    if 0 < len(gpus) < size:
        raise UserError(f"training.devices: found {size}, but only {len(gpus)} GPU(s) for each run to have as many")
    groups = [gpus[start : start + size] for start in range(0, len(gpus) - size + 1, size)] or [[]]
    return [groups[index % len(groups)] for index in range(jobs or len(groups))]


def _run(tasks: list[Task], slots: list[list[str]]) -> list[Task]:
    """Train, one run per slot at a time, and return what failed."""
    waiting, free, failed = list(tasks), list(slots), []
    running: list[tuple[Task, list[str], subprocess.Popen[bytes]]] = []
    environment = dict(os.environ)
    if len(slots) > 1:
        # Each process would otherwise use all cores, and they would slow each other down.
        processes = len(slots) * max((task.devices for task in tasks), default=1)
        threads = str(max(1, (os.cpu_count() or 1) // processes))
        environment |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    try:
        while waiting or running:
            while waiting and free:
                task, gpus = waiting.pop(0), free.pop(0)
                running.append((task, gpus, _start(task, gpus[:task.devices], environment)))
            time.sleep(0.2)
            ended = [child for child in running if child[2].poll() is not None]
            running = [child for child in running if child not in ended]
            free += [gpus for _, gpus, _ in ended]
            failed += [task for task, _, process in ended if not _succeeded(task, process.returncode)]
    finally:
        for _, _, process in running:
            process.terminate()
    return sorted(failed, key=tasks.index)


def _start(task: Task, gpus: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    where = f" on GPU {', '.join(gpus)}" if gpus else ""
    print(f"{task}: {'resumed' if task.run else 'started'}{where}, output in {task.output}", flush=True)
    given = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
    with task.output.open("ab") as file:
        file.write(STARTED.encode())
        file.flush()
        return subprocess.Popen(task.command(), stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                env=environment | given)


def _succeeded(task: Task, code: int) -> bool:
    # Of this attempt alone.
    text = task.output.read_text(encoding="utf-8", errors="replace").rpartition(STARTED)[2]
    lines = text.strip().splitlines() or ["no output"]
    state = "finished" if code == 0 else f"FAILED (exit code {code})"
    told = [line for line in lines if line.startswith("epoch " if code == 0 else "error: ")]
    print(f"{task}: {state}: {(told or lines)[-1]}", flush=True)
    return code == 0
