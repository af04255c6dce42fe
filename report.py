"""Write one HTML page about a set of runs: what was run, results, curves, pictures, and the commands to do it again.

The page holds all that it shows, works without a network, and can be printed. Tables are sorted by a click on a header.
Everything comes from what the runs have recorded; runs that are unfinished or lack something are listed as such. Of
every experiment, the pictures of one run are shown.
"""

import argparse
import hashlib
import shlex
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from markupsafe import Markup
from tqdm import tqdm

from errors import UserError, choice_error, run_script
from experiment import predictions
from experiment import records as store
from experiment.config import PLACES, flatten
from experiment.run import Run, expand, open_run, warn_of_mixture
from experiment.systems import BY_TYPE
from files import dataset_file_name, read_bytes, read_text
from paper import mpi3d as scores
from paper import text as paper_text
from paper.placement import paper_name
from paper.tables import TABLES, Entry, place
from reporting import captions, classwise, compare, gaps, inventory, page, tables
from reporting.confusion import draw_classwise
from reporting.curves import curves, draw_curves
from reporting.curves import describe as describe_curves
from reporting.embed import MOST_BYTES, embed
from reporting.inventory import RunFacts, by_experiment
from reporting.metrics import CLASSIFIERS, families, is_headline, is_judged
from reporting.options import create_parser, write_or_print
from reporting.page import REPORT, Section
from reporting.tables import Records


def main() -> None:
    arguments = parse()
    runs = [open_run(folder) for folder in expand(arguments.runs)]
    warn_of_mixture(runs, ("dataset.factor", "evaluation.datasets"))
    kept = {run.folder: predictions.read(run.folder) for run in tqdm(runs, "predictions", unit="run", disable=None)}
    facts = [describe(run, len(kept[run.folder])) for run in runs]
    check(facts, arguments)
    rows = [row for each in facts for row in each.records]
    entries = [entry for run, each in zip(runs, facts, strict=True) for entry in place(run, each.records)]
    scored = scores.render(found, "html") if (found := scores.summarise(entries)) else ""
    metrics = {row["metric"] for row in tables.of_weights(rows)}
    sections = [
        Section("What was run", what_was_run(facts)),
        Section("Accuracy" if metrics <= {"accuracy"} else "Results", results(facts, rows, entries, arguments)),
        Section("Curves over the epochs", drawn_curves(rows)),
        Section("Classes and seats", classes([each for found in kept.values() for each in found])),
        Section("Domain gap in the latent space", gaps.render(rows, "html") or page.paragraph(
            "Not recorded. recon_and_save_latent_space.py saves latents; plot_extracted_and_saved_latent_space.py "
            "measures how far apart their domains are.")),
        *([Section("Reconstructions of real MPI3D images", scored)] if scored else []),
        Section("Pictures", pictures(runs, rows)),
        Section("Environment and commands", reproduction(runs, facts, arguments)),
    ]
    names = list(by_experiment(facts))
    finished = sum(each.done for each in facts)
    lead = f"{count(len(runs), 'run')} of {count(len(names), 'experiment')}, {finished} finished: {', '.join(names)}."
    text, path = page.page("Report of training runs", lead, sections), Path(arguments.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_or_print(text, arguments.out)
    print(f"{path} ({len(text) / 1e6:.1f} MB)")


def parse() -> argparse.Namespace:
    parser = create_parser(__doc__)
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"),
                        help="names of two experiments to compare across their common seeds; where there are just two, "
                             "they are compared anyway")
    parser.add_argument("--out", metavar="FILE", default="results/report.html", help="default: results/report.html")
    return parser.parse_args()


def check(facts: list[RunFacts], arguments: argparse.Namespace) -> None:
    """Refuse what cannot be reported, before anything is drawn."""
    names = list(by_experiment(facts))
    for name in arguments.compare or ():
        if name not in names:
            raise choice_error("--compare: experiment", name, names)
    tables.group(tables.of_weights(row for each in facts for row in each.records))
    if Path(arguments.out).is_dir():
        raise UserError(f"--out {arguments.out}: is a folder; allowed: a file")


def describe(run: Run, kept: int) -> RunFacts:
    """Gather what a run folder says of itself; kept: number of its predictions."""
    config, environment = run.config, run.environment
    values = {key: in_words(value) for key, value in flatten(config.model_dump()).items()
              if key not in ("training.seed", *PLACES) or isinstance(value, list)}
    kind = f"classifier, {config.model.variation}" if config.model.type == "classifier" else paper_name(config)[0]
    network = "" if config.model.type == "conv" else f", {config.model.extractor}"
    marker = run.folder / "done"
    # A link to what is no file is no date.
    finished = read_text(marker, errors="replace").strip() if marker.is_file() else ""
    return RunFacts(run.experiment, config.training.seed, str(run.folder), kind + network, run.published,
                    run.done or run.published, str(environment.get("started", "")), finished, config.training.epochs,
                    values, environment, [*store.read(run.folder), *run.logged()], kept)


def in_words(value: Any) -> str:
    """Return a value of a config for people: lists in one line, of datasets what is set."""
    if isinstance(value, list):
        return "; ".join(map(in_words, value)) or "-"
    if isinstance(value, dict):
        shown = {key: in_words(item) for key, item in value.items() if item not in (None, [], False)}
        return ", ".join([shown.pop("name"), *(f"{key} {text}" for key, text in shown.items())])
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def what_was_run(facts: list[RunFacts]) -> Markup:
    configs = {name: [run.config for run in found] for name, found in by_experiment(facts).items()}
    return REPORT.what_was_run(inventory.overview(facts, "html"), inventory.lacking(facts, "html"),
                               *inventory.contrast(configs, "key", "html"))


def results(facts: list[RunFacts], rows: Records, entries: list[Entry], arguments: argparse.Namespace) -> Markup:
    """Return the tables of results, those of the paper, and the comparison of two experiments."""
    if not tables.of_weights(rows):
        return page.paragraph("No results of last or best weights are recorded: run eval_ae.py or "
                              "eval_classifier.py on these runs.")
    several = has_factors(rows)
    single = [row for row in rows if row["factor"] or not several]

    def summary(rows: Records, pool: bool) -> Markup:
        return tables.render(tables.summarise(rows, pool), "html")

    try:
        parts = [summary(rows, True), page.heading("By factor, one by one")] if several else []
    except UserError as error:
        parts, single = [page.note(f"Factors are not pooled. {error}")], rows
    parts.append(summary(single, False))
    if used := {entry.table for entry in entries}:
        parts.append(paper_text.render([name for name in TABLES if name in used], entries, "html"))
    names = arguments.compare or list(by_experiment(facts))
    if len(names) == 2:
        try:
            parts.append(comparison(rows, *names))
        except UserError as error:
            if arguments.compare:
                raise
            parts.append(page.note(str(error)))
    return page.join(parts)


def comparison(rows: Records, first: str, second: str) -> Markup:
    return (page.heading(f"{first} compared with {second}")
            + pooled(has_factors(rows), lambda pool: compare.render(rows, first, second, pool, "html")))


def drawn_curves(rows: Records) -> Markup:
    """Return the figures of accuracy, other metrics and losses over the epochs."""
    names = {row["metric"] for row in rows if row["checkpoint"] == "epoch"}
    parts = []
    for metric in [*(families(filter(is_headline, names)) or ["accuracy"]), "loss"]:
        what = "Losses" if metric == "loss" else metric.capitalize()
        panels = pooled(has_factors(rows), lambda pool, metric=metric: curves(rows, metric, pool))
        if not panels:
            parts.append(page.paragraph(f"{what} over the epochs: none recorded."))
            continue
        experiments = sorted({curve.experiment for found in panels.values() for curve in found})
        caption = "; ".join(part for part in (f"{what} over the epochs", describe_curves(panels)) if part)
        parts.append(drawn(lambda folder, panels=panels, metric=metric: draw_curves(folder / metric, panels, metric)[1],
                           f"{what} over the epochs of {', '.join(experiments)}, in panels: "
                           f"{'; '.join(f'{name} on {data}' for name, data in panels)}", caption))
    return page.join(parts)


def classes(kept: list[predictions.Predictions]) -> Markup:
    """Return what is taken for what with the weights of the last epoch, of one classifier per test set."""
    groups: dict[tuple[str, ...], list[predictions.Predictions]] = {}
    for each in kept:
        if each.checkpoint == "last":
            groups.setdefault((each.experiment, each.dataset, each.split), []).append(each)
    if not groups:
        return page.paragraph("No predictions of last weights are kept: run eval_ae.py or eval_classifier.py.")
    wanted, rank = [], {name: number for number, name in enumerate(CLASSIFIERS)}
    for found in groups.values():
        chosen = min({each.classifier for each in found}, key=lambda name: (rank.get(name, len(rank)), name))
        wanted += [each for each in found if each.classifier == chosen]
    several = any(len({each.factor for each in found}) > 1 for found in groups.values())
    found = pooled(several, lambda pool: classwise.collect(wanted, pool))
    figures = []
    for each in tqdm(found, "class-wise figures", unit="figure", disable=None):
        what = f"{each.experiment}: {each.classifier} on {each.data}, {each.weights}"
        figures.append(drawn(lambda folder, each=each: draw_classwise(folder, each)[1],
                             f"Confusion matrix and accuracy by class, {what}", what))
    return REPORT.classes(figures, classwise.render(found, "html"))


def pictures(runs: list[Run], rows: Records) -> Markup:
    """Show the pictures of one run of each experiment, and say where those of the others are."""
    data = {(row["dataset"], row["factor"], row["split"]) for row in rows}
    datasets = {dataset_file_name(*each): tables.title_of(*each) for each in data}
    groups: dict[str, list[tuple[Run, list[Path]]]] = {}
    for run in runs:
        # Of a published run, only what was drawn here.
        paths = [path for path in sorted(run.images.glob("*.png"))
                 if not run.published or captions.describe(path.stem, {})[0] < len(captions.KINDS)]
        groups.setdefault(run.experiment, []).append((run, paths))
    parts, seen = [], {}
    for name, found in tqdm(groups.items(), "pictures", unit="experiment", disable=None):
        run, paths = max(found, key=lambda each: len(each[1]))
        # The weights of the best epoch resemble those of the last one; both would double the size of the page.
        oracle = [path for path in paths if path.stem.endswith("_best")
                  and path.with_name(path.name.replace("_best.png", "_last.png")) in paths]
        described = sorted((captions.describe(path.stem, datasets), path) for path in paths if path not in oracle)
        whose = f"{name}, seed {run.config.training.seed}"
        shown = [picture(path, caption, alt, whose, seen) for (_, caption, alt), path in described]
        others = [f"{other.images}: {count(len(each), 'picture')}" for other, each in found if other is not run]
        parts.append((name, f"Seed {run.config.training.seed}: {run.folder}", shown, [*map(str, oracle), *others]))
    return REPORT.pictures(parts)


def picture(path: Path, caption: str, alt: str, whose: str, shown: dict[str, str]) -> Markup:
    """Show a picture, or say that the same one is above. shown: what was shown so far, digest -> whose it was."""
    try:
        digest = hashlib.sha256(read_bytes(path, MOST_BYTES)).hexdigest()
        found = None if digest in shown else embed(path)
    except (OSError, UserError) as error:
        reason = f"{path}: {error.strerror}" if isinstance(error, OSError) else error
        return page.note(f"{caption}: not shown. {reason}")
    if found is None:
        return page.note(f"{caption}: the same picture as that of {shown[digest]}, above.")
    shown[digest] = whose
    return page.figure(found, alt, f"{caption}; {whose}")


def reproduction(runs: list[Run], facts: list[RunFacts], arguments: argparse.Namespace) -> Markup:
    """Return with what the runs were made, and the commands that make them, their results and this page again."""
    groups = by_experiment(facts)
    surroundings = {name: [inventory.surroundings(run.environment) for run in found] for name, found in groups.items()}
    apart, alike = inventory.contrast(surroundings, "environment", "html")
    scripts = [BY_TYPE[run.config.model.type].evaluate for run in runs]
    lines = []
    for script in sorted(set(scripts)):
        folders = [str(run.folder) for run, own in zip(runs, scripts, strict=True) if own == script]
        lines.append([script, *(arguments.runs if len(folders) == len(runs) else folders)])
    lines.append(["calculate_mean_and_var_accuracy.py", *arguments.runs])
    compared = ["--compare", *arguments.compare] if arguments.compare else []
    lines.append(["report.py", *arguments.runs, *compared, "--out", arguments.out])
    trained = [(name, inventory.commands(found)) for name, found in groups.items()]
    return REPORT.reproduction(alike, apart, trained, [shlex.join(["python", *line]) for line in lines])


def has_factors(rows: Records) -> bool:
    """Say whether an experiment was tested on several factors of a dataset."""
    seen: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        if is_judged(row["metric"]):
            seen.setdefault((row["experiment"], row["dataset"], row["split"]), set()).add(row["factor"])
    return any(len(factors) > 1 for factors in seen.values())


def pooled(several: bool, make: Callable[[bool], Any]) -> Any:
    """Make something with the factors of datasets as one test set where there are several and all seeds have all."""
    if several:
        with suppress(UserError):
            return make(True)
    return make(False)


def drawn(draw: Callable[[Path], Path], alt: str, caption: str) -> Markup:
    """Return a figure that `draw` writes into a folder, as a part of the page."""
    with tempfile.TemporaryDirectory() as folder:
        return page.figure(embed(draw(Path(folder))), alt, caption)


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    run_script(main)
