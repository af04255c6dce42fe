"""Commands as one SLURM job array, submitted with `sbatch`; SLURM alone queues, starts and requeues its tasks."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from errors import UserError

# What the launcher itself says to sbatch, and what would keep a preempted task from coming back.
OWN = ("array", "chdir", "output", "open-mode", "requeue", "no-requeue")


def parse_options(text: str) -> list[str]:
    """Read sbatch's long options, without dashes, such as `partition=gpu gres=gpu:1 exclusive`.

    Raises UserError for anything else, and where there is no sbatch; whether it knows the options is for it to say.
    """
    if not shutil.which("sbatch"):
        raise UserError("--launcher slurm: found no sbatch on the PATH; start this on a machine that submits to SLURM, "
                        "or leave --launcher out to train here")
    try:
        options = shlex.split(text)
    except ValueError as error:
        raise UserError(f"--slurm '{text}': {error}") from None
    for option in options:
        if not re.fullmatch(r"[a-z][a-z0-9-]*(=.+)?", option):
            raise UserError(f"--slurm: found '{option}'; allowed: sbatch's long options without dashes, such as "
                            "partition=gpu gres=gpu:1 time=04:00:00 exclusive")
        key = option.partition("=")[0]
        if key in OWN:
            raise UserError(f"--slurm: '{key}' is set by the launcher; allowed: sbatch's other options")
    return options


def array_script(commands: list[list[str]], options: list[str], logs: Path, at_once: int | None) -> str:
    """Return the script of a job array with a task per command, which runs in the present working directory.

    options: as `parse_options` returns them; logs: folder for the output of the tasks; at_once: tasks that run at the
    same time, None for as many as SLURM likes.
    """
    limit = f"%{at_once}" if at_once else ""
    # sbatch takes the last word on an option, so the launcher's own come last; a requeued task adds to its output.
    said = ["job-name=syn2real", *options, f"array=1-{len(commands)}{limit}", f"chdir={Path.cwd()}",
            f"output={str(logs).replace('%', '%%')}/slurm-%A_%a.log", "open-mode=append", "requeue"]
    directives = []
    for key, equals, value in (option.partition("=") for option in said):
        if "\n" in value:
            raise UserError(f"--launcher slurm: {key} holds a line break, which sbatch cannot take: {value}")
        directives.append(f"#SBATCH --{key}{equals}{shlex.quote(value) if value else ''}")
    # `exec`: signals reach the command, not a shell before it.
    tasks = [f"{number}) exec {shlex.join(command)} ;;" for number, command in enumerate(commands, 1)]
    return "\n".join(["#!/bin/bash", *directives, "",
                      "# Finished runs are skipped and stopped ones resumed, also where this file is submitted again.",
                      'export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$SLURM_CPUS_ON_NODE}"',
                      'case "$SLURM_ARRAY_TASK_ID" in', *tasks, "esac", ""])


def submit(script: Path, wait: bool) -> None:
    """Submit a script and say the job's number; with `wait`, return when it has ended. UserError if sbatch refuses."""
    sbatch = subprocess.Popen(["sbatch", "--parsable", *(["--wait"] if wait else []), os.fspath(script)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        # The number comes at once, also with --wait; other clusters than the own one are named behind it.
        job = sbatch.stdout.readline().strip().partition(";")[0]
        if job.isdecimal():
            print(f"job {job}: submitted, script in {script}; how it stands: squeue -j {job}, to stop it: "
                  f"scancel {job}", flush=True)
        rest, errors = sbatch.communicate()
    finally:
        sbatch.terminate()
    if not job.isdecimal():
        said = [re.sub("^sbatch: (error: )?", "", line) for line in f"{errors}{job}\n{rest}".splitlines() if line]
        raise UserError(f"sbatch refuses the job: {'; '.join(said)}")
