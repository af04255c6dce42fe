"""What a run leaves behind while it trains: log lines, records, TensorBoard."""

import time
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from experiment import records
from experiment.run import Run
from reporting.metrics import is_judged, is_news, metric_of, shown, subject, title_of
from utils import open_log

LAST = "last epoch"
UNKNOWN_ORACLE = "oracle, not said on what"
PUBLISHED_ORACLE = "oracle: highest accuracy in the published training"


class Journal:
    """Writes each epoch's losses and results to the log, `records.jsonl` and TensorBoard."""

    def __init__(self, run: Run, source: dict[str, Any], epoch: int):
        """`source`: what records of losses say of the training data; `epoch`: the last finished one."""
        self.run, self.source = run, source
        self.log = open_log(run.logs / "training.log")
        # What a killed run wrote after its last checkpoint is written again.
        self.board = SummaryWriter(run.logs, purge_step=epoch + 1)
        self._since = time.perf_counter()

    def epoch(self, number: int, losses: dict[str, float], results: list[dict[str, Any]]) -> None:
        """Write down an epoch: mean losses by name, and the rows of its evaluation, if there was one."""
        common = {"checkpoint": "epoch", "selection": "every epoch", "epoch": number}
        loss_rows = [{**self.source, "classifier": "", "metric": f"loss/{name}", "value": value}
                     for name, value in losses.items()]
        self._append([{**common, **row} for row in (*loss_rows, *results)])
        for row in loss_rows:
            self.board.add_scalar(row["metric"], row["value"], number)
        for row in results:
            tag = " ".join(filter(None, (row["classifier"], _title(row))))
            self.board.add_scalar(f"{row['metric']}/{tag}", row["value"], number)
        seconds, self._since = time.perf_counter() - self._since, time.perf_counter()
        parts = [*(f"{name} {value:.4g}" for name, value in losses.items()),
                 *(f"{subject(row)} on {_title(row)} {shown(row)}" for row in results if is_news(row["metric"]))]
        self.log.info(f"epoch {number}/{self.run.config.training.epochs}  {'  '.join(parts)}  ({seconds:.1f} s)")

    def close(self, last_epoch: int, best_epoch: int) -> None:
        """Write the results of the last and of the best weights, known from their epochs, as rows of their own."""
        rows = [row for row in records.read(self.run.folder)
                if row["checkpoint"] == "epoch" and is_judged(row["metric"])]
        best = rows and self._choice(rows[0])
        for checkpoint, epoch, chosen in (("last", last_epoch, LAST), ("best", best_epoch, best)):
            self._append([{**row, "checkpoint": checkpoint, "selection": chosen} for row in rows
                          if row["epoch"] == epoch])
        self.board.close()

    def _choice(self, row: dict[str, Any]) -> str:
        """Say how the best weights were chosen, by the metric of a row: by an oracle, or on the source's own data."""
        metric, who = metric_of(row["metric"]), "source" if self.run.config.chosen_on_source else "oracle"
        return f"{who}: {'highest' if metric.higher_is_better else 'lowest'} {metric.title} on {_title(row)}"

    def _append(self, rows: list[dict[str, Any]]) -> None:
        who = {"experiment": self.run.experiment, "seed": self.run.config.training.seed}
        records.append(self.run.folder, [records.record(**{**row, **who}) for row in rows])


def score(row: dict[str, Any]) -> float:
    """Return a row's value, negated where less is better, so that the highest score is the best."""
    return row["value"] if metric_of(row["metric"]).higher_is_better else -row["value"]


def selection(run: Run, checkpoint: str) -> str:
    """Say how a finished run's last or best weights were chosen, as its training recorded it."""
    if checkpoint == "last":
        return LAST
    if run.published:
        return PUBLISHED_ORACLE
    chosen = (row["selection"] for row in records.read(run.folder) if row["checkpoint"] == "best")
    return next(chosen, UNKNOWN_ORACLE)


def _title(row: dict[str, Any]) -> str:
    return title_of(row["dataset"], row["factor"], row["split"])
