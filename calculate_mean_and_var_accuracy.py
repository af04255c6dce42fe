"""Tabulate results over seeds, from records: mean, standard deviation, maximum, number of seeds.

Without further options every dataset and classifier that the runs were evaluated on. With --table the paper's tables,
our figures beside the published ones; which row a run belongs to follows from its config, and in what that departs from
the published runs is said below the table. With --compare a paired test of two experiments across their common seeds.
"""

import argparse
import sys

from errors import UserError, choice_error, run_script
from experiment import records
from experiment.output import write_or_print
from experiment.run import Run, expand, open_run, warn_of_mixture
from paper import text as paper_text
from paper.placement import paper_place
from paper.tables import TABLES, Entry
from reporting import compare
from reporting.formats import FORMATS
from reporting.tables import Records, check_unique, render, summarise


def main() -> None:
    arguments = parse()
    folders = expand(arguments.runs)
    warn_of_mixture(folders, ("dataset.factor", "evaluation.datasets") if arguments.pool else ())
    if arguments.table:
        text = paper_tables([open_run(folder) for folder in folders], arguments)
    else:
        rows = [row for folder in folders for row in records.read(folder)]
        check(rows, arguments)
        text = (compare.render(rows, *arguments.compare, arguments.pool, arguments.format) if arguments.compare else
                render(summarise(rows, arguments.pool), arguments.format))
    write_or_print(text, arguments.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, experiment folders or globs")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--table", choices=(*TABLES, "all"),
                      help="the paper's table: S5 (MPI3D reconstructions), S6 (vehicle interiors), S7 (digits), or all "
                           "that runs belong to")
    kind.add_argument("--compare", nargs=2, metavar=("A", "B"),
                      help="names of two experiments among the runs: mean difference, paired t-test, Wilcoxon test, "
                           "effect size")
    parser.add_argument("--pool", action="store_true",
                        help="take the factors of a dataset (cars left out in turn) as one test set")
    parser.add_argument("--format", choices=FORMATS, default="terminal")
    parser.add_argument("--out", metavar="FILE", help="write the table to a file")
    arguments = parser.parse_args()
    if arguments.table and arguments.pool:
        raise UserError("--pool: the paper's tables have no factors to pool; allowed: without --table")
    return arguments


def check(rows: Records, arguments: argparse.Namespace) -> None:
    """Refuse what has no accuracies, and to average several runs of a seed, which would count one seed twice."""
    if not summarise(rows, arguments.pool):
        raise UserError(f"{', '.join(arguments.runs)}: no accuracies recorded; run eval_ae.py or "
                        "eval_classifier.py on these runs first")
    names = sorted({row["experiment"] for row in rows})
    for name in arguments.compare or ():
        if name not in names:
            raise choice_error("--compare: experiment", name, names)
    check_unique(rows)


def paper_tables(runs: list[Run], arguments: argparse.Namespace) -> str:
    """Render the tables that are asked for; say on stderr which runs belong to none of them."""
    wanted = list(TABLES) if arguments.table == "all" else [arguments.table]
    entries = [found for run in runs if (found := entry(run)) and found.table in wanted]
    if not entries:
        raise UserError(f"{', '.join(arguments.runs)}: no run belongs to {'a table' if len(wanted) > 1 else wanted[0]};"
                        " they go by what was trained on: mpi3d (S5), sviro_nocar (S6), mnist (S7)")
    if len(entries) < len(runs):
        print(f"note: {len(runs) - len(entries)} of {len(runs)} runs were trained on other data and are in no table "
              "shown", file=sys.stderr)
    used = {found.table for found in entries}
    return paper_text.render([name for name in wanted if name in used], entries, arguments.format)


def entry(run: Run) -> Entry | None:
    """Place a run in the paper's tables; None for one that belongs to none."""
    place = paper_place(run.config, run.published)
    return place and Entry(run.experiment, run.config.training.seed, *place, records.read(run.folder))


if __name__ == "__main__":
    run_script(main)
