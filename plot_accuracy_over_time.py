"""Draw accuracy and losses over the epochs of training: mean over seeds and a band of one standard deviation.

One panel per test set and classifier, and one per loss; one line per experiment. Of published runs, the accuracies in
logs/accuracy.log. Writes accuracy.pdf, accuracy.png, loss.pdf and loss.png.
"""

import argparse
import sys
from pathlib import Path

from errors import UserError, run_script
from experiment import records
from experiment.run import expand, open_run, warn_of_mixture
from reporting.curves import curves, draw_curves
from reporting.style import STYLES

METRICS = ("accuracy", "loss")


def main() -> None:
    arguments = parse()
    folders = expand(arguments.runs)
    warn_of_mixture(folders, ("dataset.factor", "evaluation.datasets"))
    rows = [row for folder in folders for row in (*records.read(folder), *open_run(folder).logged())]
    drawn = {metric: panels for metric in arguments.metric if (panels := curves(rows, metric, arguments.pool))}
    if not drawn:
        raise UserError(f"{', '.join(arguments.runs)}: no {' and no '.join(arguments.metric)} per epoch recorded; runs "
                        "record them while they train, accuracies every training.frequency epochs")
    for metric in arguments.metric:
        if metric not in drawn:
            print(f"note: no {metric} per epoch recorded, so there is none to draw", file=sys.stderr)
    names = {curve.experiment for panels in drawn.values() for found in panels.values() for curve in found}
    if len(names) > STYLES:
        print(f"note: {len(names)} experiments, and {STYLES} lines that can be told apart; name fewer runs for one "
              "that can be read", file=sys.stderr)
    for metric, panels in drawn.items():
        for path in draw_curves(Path(arguments.out) / metric, panels, metric):
            print(path)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, experiment folders or globs")
    parser.add_argument("--metric", nargs="+", choices=METRICS, default=METRICS, help="default: both")
    parser.add_argument("--pool", action="store_true",
                        help="take the factors of a dataset (cars left out in turn) as one test set")
    parser.add_argument("--out", metavar="DIR", default="results/figures", help="default: results/figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
