"""What a run leaves behind while it trains: log lines, records, TensorBoard."""

import time
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from experiment import records
from experiment.run import Run
from utils import open_log

LAST, ORACLE = "last epoch", "oracle: highest accuracy on "
# Metrics whose lowest value is the best, by the part of their names before a slash.
LOWER_IS_BETTER = {"loss", "l1", "lpips"}
UNKNOWN_ORACLE = "oracle, not said on what"
PUBLISHED_ORACLE = "oracle: highest accuracy in the published training"


class Journal:
    """Writes each epoch's losses and accuracies to the log, `records.jsonl` and TensorBoard."""

    def __init__(self, run: Run, source: dict[str, Any], epoch: int):
        """`source`: what records of losses say of the training data; `epoch`: the last finished one."""
        self.run, self.source = run, source
        self.log = open_log(run.logs / "training.log")
        # What a killed run wrote after its last checkpoint is written again.
        self.board = SummaryWriter(run.logs, purge_step=epoch + 1)
        self._since = time.perf_counter()

    def epoch(self, number: int, losses: dict[str, float], accuracies: list[dict[str, Any]]) -> None:
        """Write down an epoch: mean losses by name, and the rows of its evaluation, if there was one."""
        common = {"checkpoint": "epoch", "selection": "every epoch", "epoch": number}
        loss_rows = [{**self.source, "classifier": "", "metric": f"loss/{name}", "value": value}
                     for name, value in losses.items()]
        self._append([{**common, **row} for row in (*loss_rows, *accuracies)])
        for name, value in losses.items():
            self.board.add_scalar(f"loss/{name}", value, number)
        for row in accuracies:
            self.board.add_scalar(f"accuracy/{row['classifier']} {_title(row)}", row["value"], number)
        self.log.info(self._line(number, losses, accuracies))

    def close(self, last_epoch: int, best_epoch: int) -> None:
        """Write the accuracies of the last and of the best weights, known from their epochs, as rows of their own."""
        rows = [row for row in records.read(self.run.folder)
                if row["checkpoint"] == "epoch" and row["metric"] == "accuracy"]
        if rows:
            oracle = f"{ORACLE}{_title(rows[0])}"
            self._append([{**row, "checkpoint": "last", "selection": LAST} for row in rows
                          if row["epoch"] == last_epoch])
            self._append([{**row, "checkpoint": "best", "selection": oracle} for row in rows
                          if row["epoch"] == best_epoch])
        self.board.close()

    def _append(self, rows: list[dict[str, Any]]) -> None:
        who = {"experiment": self.run.experiment, "seed": self.run.config.training.seed}
        records.append(self.run.folder, [records.record(**{**row, **who}) for row in rows])

    def _line(self, number: int, losses: dict[str, float], accuracies: list[dict[str, Any]]) -> str:
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        parts = [f"{name} {value:.4g}" for name, value in losses.items()]
        parts += [f"{row['classifier']} on {_title(row)} {100 * row['value']:.1f} %" for row in accuracies]
        return f"epoch {number}/{self.run.config.training.epochs}  {'  '.join(parts)}  ({seconds:.1f} s)"


def score(row: dict[str, Any]) -> float:
    """Return a row's value, negated where less is better, so that the highest score is the best."""
    return -row["value"] if row["metric"].partition("/")[0] in LOWER_IS_BETTER else row["value"]


def selection(run: Run, checkpoint: str) -> str:
    """Say how a finished run's last or best weights were chosen, as its training recorded it."""
    if checkpoint == "last":
        return LAST
    if run.published:
        return PUBLISHED_ORACLE
    chosen = (row["selection"] for row in records.read(run.folder) if row["checkpoint"] == "best")
    return next(chosen, UNKNOWN_ORACLE)


def _title(row: dict[str, Any]) -> str:
    return f"{row['dataset']} ({row['factor']})" if row["factor"] else row["dataset"]
