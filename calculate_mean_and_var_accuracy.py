"""Tabulate results over seeds, from records: mean, standard deviation, maximum, number of seeds.

Without further options every dataset, classifier and metric that the runs were evaluated on. With --table the paper's
tables, our figures beside the published ones; which row a run belongs to follows from its config, and in what that
departs from the published runs is said below the table. With --compare a paired test of two experiments across their
common seeds.
"""

import argparse
import sys

from errors import UserError, choice_error, run_script
from experiment import records
from experiment.run import Run, expand, open_run, warn_of_mixture
from paper import text as paper_text
from paper.tables import TABLES, place
from reporting import compare
from reporting.metrics import is_headline, is_news
from reporting.options import create_parser, write_or_print
from reporting.ranking import ranked
from reporting.tables import of_weights, render, summarise


def main() -> None:
    arguments = parse()
    runs = [open_run(folder) for folder in expand(arguments.runs)]
    warn_of_mixture(runs, ("dataset.factor", "evaluation.datasets") if arguments.pool else ())
    write_or_print((paper_tables if arguments.table else results)(runs, arguments), arguments.out)


def parse() -> argparse.Namespace:
    parser = create_parser(__doc__, pool=True, table="--out")
    parser.add_argument("--rank-by", metavar="TEST_SET",
                        help="order experiments by their mean on this test set, as the first column calls it, best "
                             "first: on a held-out split of the source, say, where targets have no labels")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--table", choices=(*TABLES, "all"),
                      help="the paper's table: S5 (MPI3D reconstructions), S6 (vehicle interiors), S7 (digits), 4.3 "
                           "(swapping autoencoder on streets), 6.2 (shape and pose of cars), or all that runs belong "
                           "to")
    kind.add_argument("--compare", nargs=2, metavar=("A", "B"),
                      help="names of two experiments among the runs: mean difference, paired t-test, Wilcoxon test, "
                           "effect size")
    parser.add_argument("--metric", nargs="+", metavar="NAME",
                        help="metrics as records name them, `iou/` for all that begin so; default: all but losses, "
                             "domain gaps, MPI3D scores and what is of single classes")
    arguments = parser.parse_args()
    for name in ("pool", "metric") if arguments.table else ():
        if getattr(arguments, name):
            raise UserError(f"--{name}: the paper's tables have no factors to pool and metrics of their own; allowed: "
                            "without --table")
    if arguments.rank_by and (arguments.table or arguments.compare):
        raise UserError("--rank-by: orders the table of all results; allowed: without --table and --compare")
    return arguments


def is_one(metric: str, wish: str) -> bool:
    """Say whether a metric is one that is asked for, by name or, ending in a slash, by what names begin with."""
    return metric.startswith(wish) if wish.endswith("/") else metric == wish


def results(runs: list[Run], arguments: argparse.Namespace) -> str:
    """Render the table of all results, or the comparison of two experiments; UserError where nothing is recorded."""
    rows = of_weights([row for run in runs for row in records.read(run.folder)], lambda name: True)
    known = sorted({row["metric"] for row in rows})
    wishes = tuple(arguments.metric or ())
    for name in wishes:
        if not any(is_one(metric, name) for metric in known):
            raise choice_error("--metric: recorded metric", name, known)

    # The floors and ceilings of two experiments are not compared unless that is asked for.
    usual = is_news if arguments.compare else is_headline

    def wanted(metric: str) -> bool:
        return any(is_one(metric, name) for name in wishes) if wishes else usual(metric)

    if not any(map(wanted, known)):
        raise UserError(f"{', '.join(arguments.runs)}: no results of last or best weights recorded; evaluate these "
                        "runs first, with eval_ae.py or eval_classifier.py, say")
    names = sorted({row["experiment"] for row in rows})
    for name in arguments.compare or ():
        if name not in names:
            raise choice_error("--compare: experiment", name, names)
    if arguments.compare:
        return compare.render(rows, *arguments.compare, arguments.pool, arguments.format, wanted)
    found, note = summarise(rows, arguments.pool, wanted), ""
    if arguments.rank_by:
        found, note = ranked(found, arguments.rank_by)
    return render(found, arguments.format, note)


def paper_tables(runs: list[Run], arguments: argparse.Namespace) -> str:
    """Render the tables that are asked for; say on stderr which runs belong to none of them."""
    wanted = list(TABLES) if arguments.table == "all" else [arguments.table]
    entries = [entry for run in runs for entry in place(run, records.read(run.folder)) if entry.table in wanted]
    if not entries:
        raise UserError(f"{', '.join(arguments.runs)}: no run belongs to {'a table' if len(wanted) > 1 else wanted[0]};"
                        " they go by what was trained on: mpi3d (S5), sviro_nocar (S6), mnist (S7), carla by a "
                        "swapping autoencoder (4.3), and 6.2 by model.type point_cloud")
    if len(entries) < len(runs):
        print(f"note: {len(runs) - len(entries)} of {len(runs)} runs were trained on other data and are in no table "
              "shown", file=sys.stderr)
    used = {entry.table for entry in entries}
    return paper_text.render([name for name in wanted if name in used], entries, arguments.format)


if __name__ == "__main__":
    run_script(main)
