"""The command line and the course of a training script, from the config to the closed run folder."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm.contrib.logging import logging_redirect_tqdm

from errors import UserError
from experiment.config import Config, load_config
from experiment.run import Run, check_free, create, experiment_name, open_run
from experiment.systems import System
from memory import check_memory
from pretrained_model import frozen_fingerprint
from training.fabric import Fabric, LightningEnvironment
from training.journal import Journal, score
from training.loop import Loop
from training.optimising import SingleOptimizerStep
from training.parallel import PATIENCE, check_devices, follow, launch, lost, share_weights
from training.profile import profile_steps
from utils import choose_device, seed_everything, tune

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}


@dataclass
class Job:
    """What a training script makes of a config.

    batches: epoch(number) yields those of an epoch, which follow from its number alone, and its length is how many
    there are; rehearse: checks, cheaply, that the model can be judged; rows: what records say of it as it is, the first
    of which chooses the best weights; identity: what records of losses say, the training dataset and the samples of an
    epoch (`n`); about: lines on the data for the dry run; pictures: writes those of data and results to a folder;
    notes: lines to say when the run starts; board: writes pictures of the model after an epoch to TensorBoard.
    """

    step: SingleOptimizerStep
    batches: Any
    rehearse: Callable[[], None]
    rows: Callable[[], list[dict[str, Any]]]
    identity: dict[str, Any]
    about: tuple[str, ...]
    pictures: Callable[[Path], None]
    notes: tuple[str, ...] = ()
    board: Callable[[SummaryWriter, int], None] | None = None


def train_command(description: str, system: System, build: Callable[[Config, Fabric, bool], Job]) -> None:
    """Run a training script: parse the command line, build the job, rehearse it, train, close the run.

    system: whose configs are taken;
    build(config, fabric, dry): `dry` for a dry run, which computes nothing for the dataset that a batch can do without.
    """
    arguments = _parse(description)
    rank, run = follow(), None
    if arguments.resume:
        run = open_run(Path(arguments.resume))
        system.check(run.config.model.type, str(run.folder))
        if run.done:
            print(f"{run.folder} is finished; nothing to resume")
            return
        if run.published:
            raise UserError(f"{run.folder}: a published run holds no training state to continue from (looked for "
                            f"{run.checkpoints / 'last.pth'})")
        if rank == 0:
            run.lock()
        config = run.config
    else:
        config = load_config(arguments.config, arguments.set, arguments.seed)
        system.check(config.model.type, arguments.config)
        name = experiment_name(arguments.name, arguments.config)
        if arguments.out:
            check_free(Path(arguments.out))
    devices = config.training.devices
    device = choose_device(config.training.device, config.training.gpu, devices)
    if device.type == "cuda":
        device = torch.device("cuda", device.index + rank)
    tune(device)
    seed_everything("model", config.training.seed)
    fabric = create_fabric(device, config.training.precision)
    job = build(config, fabric, arguments.dry_run)
    if rank == 0:
        # Here alone, before there are others: what is wrong is said once, and caches are made once.
        _rehearse(job, device)
    if devices > 1:
        check_devices(job.step.model, config.training.batch_size, devices)
    if arguments.dry_run:
        print(_summary(config, job, device))
        return
    if arguments.profile:
        if not trainable(job.step.model):
            raise UserError("--profile: nothing trains with this config, so there are no steps to look into")
        each, trace = job.identity["n"] / len(job.batches), Path(f"{Path(arguments.config).stem}.trace.json")
        print(profile_steps(job.step, job.batches.epoch, each, arguments.profile, trace))
        return
    group = launch(device, devices, rank) if devices > 1 else None
    if rank == 0 and run is None:
        run = create(config, name, str(device), Path(arguments.out) if arguments.out else None)
    elif rank == 0:
        run.note_resume(str(device))
    if group:
        job.batches.part = (rank, devices)
        folder = group.broadcast(str(run.folder) if run else "")
        run = run or open_run(Path(folder))
    _train(run, job, rank, group)


def create_fabric(device: torch.device, precision: str = "32") -> Fabric:
    """Return what places and casts on one device, whatever this process was started by."""
    # Left to itself, Fabric takes a process in a SLURM job for one of several, and advises `srun` where it finds that.
    return Fabric(accelerator=device.type, devices=[device.index or 0] if device.type == "cuda" else 1,
                  precision=PRECISIONS[precision], plugins=[LightningEnvironment()])


def _parse(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", nargs="?", help="TOML file of the experiment, for example cfg/demo_e_tae.toml")
    parser.add_argument("--seed", type=int, help="seed of this run (training.seed)")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="SECTION.KEY=VALUE",
                        help="override config keys, for example --set training.epochs=10 dataset.root=/data")
    parser.add_argument("--name", help="name of the experiment; default: the config file's name")
    parser.add_argument("--out", metavar="DIR", help="run folder; default: results/<experiment>/<seed>-<id>")
    parser.add_argument("--resume", metavar="RUN", help="continue a run that was stopped, with the config it has")
    parser.add_argument("--dry-run", action="store_true", help="check config, data and one batch, then stop")
    parser.add_argument("--profile", type=int, metavar="N",
                        help="print where the time of N steps goes, write a trace to <config>.trace.json, then stop")
    arguments = parser.parse_args()
    if bool(arguments.config) == bool(arguments.resume):
        swallowed = [item for item in arguments.set if item.endswith(".toml") and "=" not in item]
        parser.error(f"put {swallowed[0]} before --set" if swallowed else "give either a config file or --resume RUN")
    if arguments.profile is not None and (arguments.resume or arguments.dry_run or arguments.profile < 1):
        parser.error("--profile takes a config file and a number of steps, from 1 on")
    if arguments.resume and (arguments.set or arguments.seed is not None or arguments.out or arguments.name):
        parser.error("--resume takes everything from the run folder; leave out --set, --seed, --name and --out")
    return arguments


def trainable(model: nn.Module) -> int:
    """Return how many weights of a model train."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _rehearse(job: Job, device: torch.device) -> None:
    """Send one batch forward and backward and one image of each dataset through evaluation; nothing is kept."""
    if device.type == "cpu":
        check_memory(8 * trainable(job.step.model), "training: gradients and moments of the weights")
    # Drawn in evaluation mode, as a draw in training mode may move the statistics of a frozen extractor.
    job.step.model.eval()
    batch = next(job.batches.epoch(0))
    job.step.model.train()
    job.step.rehearse(batch)
    job.step.model.eval()
    job.rehearse()


def _summary(config: Config, job: Job, device: torch.device) -> str:
    model = job.step.model
    frozen = sum(parameter.numel() for parameter in model.parameters()) - trainable(model)
    epochs = [f"{config.training.epochs} epochs of {len(job.batches)} batches"] if trainable(model) else []
    return "\n".join([
        *job.about,
        f"{type(model).__name__}: {trainable(model):,} trainable and {frozen:,} frozen parameters, on {device}",
        *epochs, *job.notes, "config, data, one batch and evaluation work"])


def _train(run: Run, job: Job, rank: int, group: Fabric | None) -> None:
    def finish_epoch(epoch: int, losses: dict[str, float], due: bool) -> float | None:
        rows = job.rows() if due else []
        journal.epoch(epoch, losses, rows)
        if job.board:
            job.board(journal.board, epoch)
        return score(rows[0]) if rows else None

    loop = Loop(job.step, job.batches, run.config.training, run.checkpoints, finish_epoch,
                frozen_fingerprint(job.step.model), rank)
    progress = loop.resume()
    share_weights(job.step.model)
    if rank:
        try:
            loop.run(progress)
        except Exception:
            # Most errors are the leader's too, who says so and ends all.
            time.sleep(PATIENCE)
            raise
        return
    journal = Journal(run, job.identity, progress.epoch)
    journal.log.info(f"{run.folder}: {'resumed after epoch ' + str(progress.epoch) if progress.epoch else 'started'}")
    for note in job.notes:
        journal.log.info(note)
    try:
        with logging_redirect_tqdm([journal.log]):
            loop.run(progress)
    except (UserError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not lost(group):
            raise
        told = error if isinstance(error, UserError) else "another process of the run has ended; it can be resumed"
        journal.log.info(str(told))
        raise UserError(f"{run.folder}: {told}") from None
    job.step.model.eval()
    job.pictures(run.images)
    journal.close(progress.epoch, progress.best_epoch)
    run.finish()
    journal.log.info(f"{run.folder}: finished")
