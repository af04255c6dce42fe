"""Draw accuracy and losses over the epochs of training: mean over seeds and a band of one standard deviation.

One panel per test set and classifier, and one per loss; one line per experiment. Of published runs, the accuracies in
logs/accuracy.log. Writes accuracy.pdf, accuracy.png, loss.pdf and loss.png, and such files of other metrics.
"""

import argparse
import sys
from pathlib import Path

from errors import UserError, run_script
from experiment import records
from experiment.run import expand, open_run, warn_of_mixture
from reporting.curves import curves, draw_curves
from reporting.metrics import families, is_headline
from reporting.options import create_parser
from reporting.style import STYLES


def main() -> None:
    arguments = parse()
    runs = [open_run(folder) for folder in expand(arguments.runs)]
    warn_of_mixture(runs, ("dataset.factor", "evaluation.datasets"))
    rows = [row for run in runs for row in (*records.read(run.folder), *run.logged()) if row["checkpoint"] == "epoch"]
    names = {row["metric"] for row in rows}
    wanted = arguments.metric or [*families({*filter(is_headline, names)} or {"accuracy"}), "loss"]
    drawn = {metric: panels for metric in wanted if (panels := curves(rows, metric, arguments.pool))}
    if not drawn:
        raise UserError(f"{', '.join(arguments.runs)}: no {' and no '.join(wanted)} per epoch recorded; found: "
                        f"{', '.join(families(names)) or 'nothing'}; runs record losses while they train, results "
                        "every training.frequency epochs")
    for metric in wanted:
        if metric not in drawn:
            print(f"note: no {metric} per epoch recorded, so there is none to draw", file=sys.stderr)
    lines = {curve.experiment for panels in drawn.values() for found in panels.values() for curve in found}
    if len(lines) > STYLES:
        print(f"note: {len(lines)} experiments, and {STYLES} lines that can be told apart; name fewer runs for one "
              "that can be read", file=sys.stderr)
    for metric, panels in drawn.items():
        for path in draw_curves(Path(arguments.out) / metric, {metric: panels}):
            print(path)


def parse() -> argparse.Namespace:
    parser = create_parser(__doc__, pool=True)
    parser.add_argument("--metric", nargs="+", metavar="NAME",
                        help="accuracy, loss or others that are recorded, without what follows a slash; default: all")
    parser.add_argument("--out", metavar="DIR", default="results/figures", help="default: results/figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
