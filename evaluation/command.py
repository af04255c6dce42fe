"""The command line and the course of an evaluation script, from run folders to records and predictions."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from dataset import Scenes
from errors import UserError
from evaluation.trained import check_overrides, check_run, restore
from experiment import predictions, records
from experiment.predictions import Predictions
from experiment.run import Run, expand, open_run
from experiment.systems import System
from readers.labels import labels_of
from reporting import options
from reporting.metrics import shown, subject
from training.journal import selection
from utils import choose_device


@dataclass
class Evaluation:
    """What an evaluation script makes of a config: a model, and what is found with the weights that it then has.

    outcomes: one per dataset, such as an `Outcome`: `rows`, parts of records, and `keep`, what else a run keeps of it.
    """

    model: nn.Module
    outcomes: Callable[[], Sequence[Any]]


@dataclass(frozen=True)
class Outcome:
    """Predicted and true label codes (n,) of a dataset's test samples; classifier: as in records."""

    scenes: Scenes
    classifier: str
    predicted: np.ndarray
    true: np.ndarray

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The accuracy as part of a record: dataset, factor, split, classifier, metric, value, n."""
        return [{**self.scenes.identity, "classifier": self.classifier, "metric": "accuracy",
                 "value": float(np.mean(self.predicted == self.true)), "n": len(self.true)}]

    def keep(self, run: Run, checkpoint: str) -> None:
        """Keep the predictions of a run's checkpoint in its folder."""
        seats, names = self.scenes.labels.shape[1], np.array(self.scenes.classes, dtype=np.str_)
        predicted, true = (labels_of(codes, seats) for codes in (self.predicted, self.true))
        predictions.save(run.folder, Predictions(
            run.experiment, run.config.training.seed, *self.scenes.identity.values(), self.classifier, checkpoint,
            predicted, true, names))


def create_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser that all evaluation scripts share."""
    parser = options.create_parser(description)
    parser.add_argument("--checkpoint", nargs="+", choices=("last", "best"),
                        help="weights of the last epoch, or the best on the first evaluation dataset (an oracle, "
                             "where that is a target); default: those that the run has")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="SECTION.KEY=VALUE",
                        help="override keys of [evaluation] and of places, for example "
                             "--set 'evaluation.datasets=[{name=\"sviro\", factor=\"x5\"}]'")
    return parser


def open_trained(arguments: argparse.Namespace, system: System) -> list[Run]:
    """Return the runs of a system that a command line names, their configs under --set; UserError if any is unfit."""
    folders = expand(arguments.runs)
    check_overrides(arguments.set, folders)
    runs = [open_run(folder, arguments.set) for folder in folders]
    for run, folder in zip(runs, folders, strict=True):
        check_run(run, arguments.checkpoint, system)
        found, trained = (len(each.config.dataset.roots) for each in (run, open_run(folder) if arguments.set else run))
        if found != trained:
            raise UserError(f"--set dataset.root: found {found} root(s), {folder} was trained on {trained}; allowed: "
                            "as many, in the same order")
    return runs


def eval_command(arguments: argparse.Namespace, system: System,
                 build: Callable[[Run, torch.device], Evaluation]) -> None:
    """Evaluate runs: check all of them, then keep what each one finds, append its records and print them.

    build: run, its config with overrides, and device -> evaluation.
    """
    runs = open_trained(arguments, system)
    for run in runs:
        predictions.check_writable(run.folder)
        if not run.config.evaluation.datasets:
            raise UserError(f"{run.folder}: the config names no [[evaluation.datasets]]; "
                            "give some with --set 'evaluation.datasets=[{name=\"...\"}]'")
    for run in tqdm(runs, desc="runs", unit="run", disable=None):
        rows = _evaluate(run, arguments.checkpoint, build)
        records.append(run.folder, rows)
        for row in rows:
            tqdm.write(in_a_line(run, row))


def in_a_line(run: Run, row: dict[str, Any]) -> str:
    """Return a record as scripts print it."""
    epoch = "unknown" if row["epoch"] is None else row["epoch"]
    return (f"{run.folder}  {row['dataset']} {row['factor']}  {row['checkpoint']} (epoch {epoch})  {subject(row)}  "
            f"{shown(row)}  (n = {row['n']})")


def _evaluate(run: Run, checkpoints: list[str] | None,
              build: Callable[[Run, torch.device], Evaluation]) -> list[dict[str, Any]]:
    """Keep what a run's checkpoints find on the datasets of its config; return the records."""
    training = run.config.training
    evaluation = build(run, choose_device(training.device, training.gpu))
    rows = []
    for checkpoint in checkpoints or run.saved:
        epoch, chosen = restore(evaluation.model, run, checkpoint), selection(run, checkpoint)
        evaluation.model.eval()
        for found in evaluation.outcomes():
            found.keep(run, checkpoint)
            rows += [records.record(experiment=run.experiment, seed=training.seed, checkpoint=checkpoint,
                                    selection=chosen, epoch=epoch, **row) for row in found.rows]
    return rows
