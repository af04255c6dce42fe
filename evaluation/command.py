"""The command line and the course of an evaluation script, from run folders to records and predictions."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from errors import UserError
from evaluation.outcome import Outcome
from evaluation.trained import check_overrides, check_run, restore
from experiment import predictions, records
from experiment.config import Config
from experiment.run import Run, expand, open_run
from training.journal import selection
from utils import choose_device


@dataclass
class Evaluation:
    """What an evaluation script makes of a config: a model, and outcomes() for the weights it then has."""

    model: nn.Module
    outcomes: Callable[[], list[Outcome]]


def create_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser that all evaluation scripts share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, experiment folders or globs")
    parser.add_argument("--checkpoint", nargs="+", choices=("last", "best"),
                        help="weights of the last epoch, or those with the best test accuracy (an oracle); "
                             "default: those that the run has")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="SECTION.KEY=VALUE",
                        help="override keys of [evaluation] and of places, for example "
                             "--set 'evaluation.datasets=[{name=\"sviro\", factor=\"x5\"}]'")
    return parser


def open_trained(arguments: argparse.Namespace, trainer: str, types: tuple[str, ...]) -> list[tuple[Run, Config]]:
    """Return the runs that a command line names, each with its config under --set; UserError if any is unfit."""
    runs = [open_run(folder) for folder in expand(arguments.runs)]
    check_overrides(arguments.set, runs)
    opened = [(run, open_run(run.folder, arguments.set).config) for run in runs]
    for run in runs:
        check_run(run, arguments.checkpoint, trainer, types)
    return opened


def eval_command(arguments: argparse.Namespace, trainer: str, types: tuple[str, ...],
                 build: Callable[[Run, Config, torch.device], Evaluation]) -> None:
    """Evaluate runs: check all of them, then keep each one's predictions, append its records and print them.

    trainer: the script whose runs are taken, types: values of `model.type` that it trains; build: run, its config
    with overrides, and device -> evaluation.
    """
    runs = open_trained(arguments, trainer, types)
    for run, config in runs:
        predictions.check_writable(run.folder)
        if not config.evaluation.datasets:
            raise UserError(f"{run.folder}: the config names no [[evaluation.datasets]]; "
                            "give some with --set 'evaluation.datasets=[{name=\"...\"}]'")
    for run, config in tqdm(runs, desc="runs", unit="run", disable=None):
        rows = _evaluate(run, config, arguments.checkpoint, build)
        records.append(run.folder, rows)
        for row in rows:
            epoch = "unknown" if row["epoch"] is None else row["epoch"]
            tqdm.write(f"{run.folder}  {row['dataset']} {row['factor']}  {row['checkpoint']} (epoch {epoch})  "
                       f"{row['classifier']}  {100 * row['value']:.1f} %  (n = {row['n']})")


def _evaluate(run: Run, config: Config, checkpoints: list[str] | None,
              build: Callable[[Run, Config, torch.device], Evaluation]) -> list[dict[str, Any]]:
    """Keep the predictions of a run's checkpoints on the datasets of its config, with overrides; return the records."""
    evaluation = build(run, config, choose_device(config.training.device, config.training.gpu))
    rows = []
    for checkpoint in checkpoints or run.saved:
        epoch = restore(evaluation.model, run, checkpoint)
        evaluation.model.eval()
        for found in evaluation.outcomes():
            predictions.save(run.folder, found.predictions(run.experiment, config.training.seed, checkpoint))
            rows.append(records.record(experiment=run.experiment, seed=config.training.seed, checkpoint=checkpoint,
                                       selection=selection(run, checkpoint), epoch=epoch, **found.row))
    return rows
