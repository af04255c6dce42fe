"""Show which classes and which seats fail: confusion matrices, accuracy by seat and by class, over seeds.

Takes runs that eval_ae.py or eval_classifier.py have evaluated, which keep their predictions in predictions/. Writes a
figure (PDF and PNG) per experiment, test set and classifier, and prints a table.
"""

import argparse
import sys
from pathlib import Path

from errors import UserError, run_script
from experiment import predictions, records
from experiment.run import expand, open_run, warn_of_mixture
from reporting.classwise import collect, render
from reporting.confusion import draw_classwise
from reporting.metrics import CLASSIFIERS
from reporting.options import create_parser, write_or_print


def main() -> None:
    arguments = parse()
    runs = [open_run(folder) for folder in expand(arguments.runs)]
    warn_of_mixture(runs, ("dataset.factor", "evaluation.datasets"))
    kept = [each for run in runs for each in predictions.read(run.folder)]
    if not kept:
        raise UserError(f"{', '.join(arguments.runs)}: no predictions kept; run eval_ae.py or eval_classifier.py on "
                        "these runs first")
    wanted = [each for each in kept if each.checkpoint == arguments.checkpoint
              and each.classifier in (arguments.classifier or [each.classifier])]
    if not wanted:
        there = ", ".join(sorted({f"{each.classifier} ({each.checkpoint})" for each in kept}))
        raise UserError(f"{', '.join(arguments.runs)}: no predictions of these weights and classifiers; found: {there}")
    found = collect(wanted, arguments.pool, [row for run in runs for row in records.read(run.folder)])
    for each in found:
        for path in draw_classwise(Path(arguments.out), each):
            print(path, file=sys.stderr)
    write_or_print(render(found, arguments.format), arguments.table)


def parse() -> argparse.Namespace:
    parser = create_parser(__doc__, pool=True, table="--table")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last",
                        help="weights of the last epoch (default), or those of the best; figures say what chose it")
    parser.add_argument("--classifier", nargs="+", choices=tuple(CLASSIFIERS),
                        help="default: all that there are predictions of")
    parser.add_argument("--out", metavar="DIR", default="results/figures",
                        help="folder for the figures; default: results/figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
