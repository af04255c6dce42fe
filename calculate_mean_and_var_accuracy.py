"""Tabulate the accuracy of experiments over their seeds: mean, standard deviation, maximum, number of seeds."""

import argparse

from errors import UserError, run_script
from experiment import records
from experiment.command import write_or_print
from experiment.run import expand, warn_of_mixture
from reporting.formats import FORMATS
from reporting.tables import Records, duplicates, render, summarise


def main() -> None:
    arguments = parse()
    folders = expand(arguments.runs)
    rows = [row for folder in folders for row in records.read(folder)]
    warn_of_mixture(folders, ("dataset.factor", "evaluation.datasets") if arguments.pool else ())
    table = summarise(rows, arguments.pool)
    if not table:
        raise UserError(f"{', '.join(arguments.runs)}: no accuracies recorded; run eval_ae.py or "
                        "eval_classifier.py on these runs first")
    check_unique(rows)
    text = render(table, arguments.format)
    write_or_print(text, arguments.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, experiment folders or globs")
    parser.add_argument("--format", choices=FORMATS, default="terminal")
    parser.add_argument("--out", metavar="FILE", help="write the table to a file")
    parser.add_argument("--pool", action="store_true",
                        help="take the factors of a dataset (cars left out in turn) as one test set")
    return parser.parse_args()


def check_unique(rows: Records) -> None:
    """Refuse to average several runs of the same seed, which would count one seed twice."""
    repeated = duplicates(rows)
    if repeated:
        raise UserError(f"several runs hold different values for the same cell: {repeated[0]}"
                        f"{f' and {len(repeated) - 1} more' if len(repeated) > 1 else ''}; name the runs to use")


if __name__ == "__main__":
    run_script(main)
