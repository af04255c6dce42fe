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
from files import dataset_file_name, read_bytes, read_text, write_out
from paper import mpi3d as scores
from paper import text as paper_text
from paper.placement import is_as_published, paper_name, paper_place
from paper.tables import TABLES, Entry
from reporting import captions, classwise, compare, gaps, inventory, page, tables
from reporting.confusion import draw_classwise
from reporting.curves import curves, draw_curves
from reporting.curves import describe as describe_curves
from reporting.embed import MOST_BYTES, embed
from reporting.inventory import RunFacts, by_experiment
from reporting.page import Section
from reporting.tables import Records

# Whose predictions are shown class by class, where there are several: the network's own, else those of kNN.
PREFERRED = ("network", "knn", "knn_cosine", "logistic", "svm", "forest")


def main() -> None:
    arguments = parse()
    runs = [open_run(folder) for folder in expand(arguments.runs)]
    warn_of_mixture([run.folder for run in runs], ("dataset.factor", "evaluation.datasets"))
    kept = {run.folder: predictions.read(run.folder) for run in tqdm(runs, "predictions", unit="run", disable=None)}
    facts = [describe(run, len(kept[run.folder])) for run in runs]
    check(facts, arguments)
    rows = [row for each in facts for row in each.records]
    sections = [
        Section("What was run", what_was_run(facts)),
        Section("Accuracy", accuracy(runs, facts, rows, arguments)),
        Section("Curves over the epochs", drawn_curves(rows)),
        Section("Classes and seats", classes([each for found in kept.values() for each in found])),
        Section("Domain gap in the latent space", gaps.render(rows, "html") or page.paragraph(
            "Not recorded. recon_and_save_latent_space.py saves latents; plot_extracted_and_saved_latent_space.py "
            "measures how far apart their domains are.")),
        *mpi3d(runs, facts),
        Section("Pictures", pictures(runs, rows)),
        Section("Environment and commands", reproduction(runs, facts, arguments)),
    ]
    names = list(by_experiment(facts))
    finished = sum(each.done for each in facts)
    lead = f"{count(len(runs), 'run')} of {count(len(names), 'experiment')}, {finished} finished: {', '.join(names)}."
    write(Path(arguments.out), page.page("Report of training runs", lead, sections))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, experiment folders or globs")
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
    tables.check_unique([row for each in facts for row in each.records])
    if Path(arguments.out).is_dir():
        raise UserError(f"--out {arguments.out}: is a folder; allowed: a file")


def describe(run: Run, kept: int) -> RunFacts:
    """Gather what a run folder says of itself; kept: number of its predictions."""
    config, environment = run.config, run.environment
    values = {key: in_words(value) for key, value in flatten(config.model_dump()).items()
              if key not in ("training.seed", *PLACES)}
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
    groups = by_experiment(facts)
    apart, alike = inventory.contrast({name: [run.config for run in found] for name, found in groups.items()},
                                      "key", "html")
    missing = inventory.lacking(facts, "html")
    parts = [inventory.overview(facts, "html"),
             page.heading("Unfinished or lacking"),
             missing or page.paragraph("Nothing: all runs are finished, evaluated, and have kept their predictions."),
             page.heading("How their configs differ"),
             apart or page.paragraph("In nothing but seeds and places."),
             page.note("Several values in a cell: runs of an experiment differ.") if apart else "",
             page.details("What they have in common", alike) if alike else ""]
    return page.join(parts)


def accuracy(runs: list[Run], facts: list[RunFacts], rows: Records, arguments: argparse.Namespace) -> Markup:
    """Return the tables of accuracies, those of the paper, and the comparison of two experiments."""
    if not tables.summarise(rows):
        return page.paragraph("No accuracies of last or best weights are recorded: run eval_ae.py or "
                              "eval_classifier.py on these runs.")
    several = has_factors(rows)
    single = [row for row in rows if row["factor"] or not several]
    try:
        parts = [summary(rows, True), page.heading("By factor, one by one")] if several else []
    except UserError as error:
        parts, single = [page.note(f"Factors are not pooled. {error}")], rows
    parts.append(summary(single, False))
    found = [Entry(run.experiment, run.config.training.seed, *place, each.records)
             for run, each in zip(runs, facts, strict=True) if (place := paper_place(run.config, run.published))]
    used = {entry.table for entry in found}
    if used:
        parts.append(paper_text.render([name for name in TABLES if name in used], found, "html"))
    names = list(by_experiment(facts))
    if arguments.compare:
        parts.append(comparison(rows, *arguments.compare))
    elif len(names) == 2:
        try:
            parts.append(comparison(rows, *names))
        except UserError as error:
            parts.append(page.note(str(error)))
    return page.join(parts)


def summary(rows: Records, pool: bool) -> Markup:
    return tables.render(tables.summarise(rows, pool), "html")


def comparison(rows: Records, first: str, second: str) -> Markup:
    return (page.heading(f"{first} compared with {second}")
            + pooled(rows, lambda pool: compare.render(rows, first, second, pool, "html")))


def drawn_curves(rows: Records) -> Markup:
    """Return the figures of accuracy and losses over the epochs."""
    parts = []
    for metric, what in (("accuracy", "Accuracy"), ("loss", "Losses")):
        panels = pooled(rows, lambda pool, metric=metric: curves(rows, metric, pool))
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
    last = [each for each in kept if each.checkpoint == "last"]
    chosen: dict[tuple[str, ...], str] = {}
    for each in last:
        key = (each.experiment, each.dataset, each.split)
        chosen[key] = min(chosen.get(key, each.classifier), each.classifier, key=rank)
    wanted = [each for each in last if chosen[each.experiment, each.dataset, each.split] == each.classifier]
    if not wanted:
        return page.paragraph("No predictions of last weights are kept: run eval_ae.py or eval_classifier.py.")
    several = has_factors([vars(each) for each in wanted])
    try:
        found = classwise.collect(wanted, several)
    except UserError:
        found = classwise.collect(wanted)
    parts = [page.paragraph("Of every experiment and test set one classifier, with the weights of the last epoch: the "
                            "network's own, else k-nearest-neighbours. plot_class_accuracy.py draws the others.")]
    for each in tqdm(found, "class-wise figures", unit="figure", disable=None):
        what = f"{each.experiment}: {each.classifier} on {each.data}, {each.weights}"
        parts.append(drawn(lambda folder, each=each: draw_classwise(folder, each)[1],
                           f"Confusion matrix and accuracy by class, {what}", what))
    return page.join([*parts, page.details("The same as a table", classwise.render(found, "html"))])


def rank(classifier: str) -> tuple[int, str]:
    return PREFERRED.index(classifier) if classifier in PREFERRED else len(PREFERRED), classifier


def mpi3d(runs: list[Run], facts: list[RunFacts]) -> list[Section]:
    """Return the section of MPI3D scores, where there are any."""
    scored = [(scores.Origin(", ".join(run.config.dataset.factor), *paper_name(run.config),
                             is_as_published(run.config)), row)
              for run, each in zip(runs, facts, strict=True) if run.config.model.type != "classifier"
              for row in each.records]
    found = scores.summarise(scored)
    return [Section("Reconstructions of real MPI3D images", scores.render(found, "html"))] if found else []


def pictures(runs: list[Run], rows: Records) -> Markup:
    """Show the pictures of one run of each experiment, and say where those of the others are."""
    datasets = {dataset_file_name(row["dataset"], row["factor"], row["split"]):
                tables.title_of(("", row["dataset"], row["factor"], row["split"], "", "")) for row in rows}
    groups: dict[str, list[tuple[Run, list[Path]]]] = {}
    for run in runs:
        # Of a published run, only what was drawn here.
        paths = [path for path in sorted(run.images.glob("*.png"))
                 if not run.published or captions.is_known(path.stem)]
        groups.setdefault(run.experiment, []).append((run, paths))
    parts, shown = [], {}
    for name, found in tqdm(groups.items(), "pictures", unit="experiment", disable=None):
        run, paths = max(found, key=lambda each: len(each[1]))
        parts.append(page.heading(name))
        if not paths:
            parts.append(page.paragraph("No pictures in any of its runs."))
            continue
        parts.append(page.note(f"Seed {run.config.training.seed}: {run.folder}"))
        # The weights of the best epoch resemble those of the last one; both would double the size of the page.
        oracle = [path for path in paths if path.with_name(path.name.replace("_best.png", "_last.png")) in paths
                  and path.stem.endswith("_best")]
        described = sorted((captions.describe(path.stem, datasets), path) for path in paths if path not in oracle)
        parts += [picture(path, caption, alt, f"{name}, seed {run.config.training.seed}", shown)
                  for (_, caption, alt), path in described]
        others = [*map(str, oracle), *(f"{other.images}: {count(len(each), 'picture')}" for other, each in found
                                       if other is not run)]
        if others:
            parts.append(page.details("Not shown: those of other runs, and of the best epoch beside the last one",
                                      page.listing(others)))
    return page.join(parts)


def picture(path: Path, caption: str, alt: str, whose: str, shown: dict[str, str]) -> Markup:
    """Show a picture, or say that the same one is above. shown: what was shown so far, digest -> whose it was."""
    try:
        digest = hashlib.sha256(read_bytes(path, MOST_BYTES)).hexdigest()
        if digest in shown:
            return page.note(f"{caption}: the same picture as that of {shown[digest]}, above.")
        found = embed(path)
    except OSError as error:
        return page.note(f"{caption}: not shown. {path}: {error.strerror}")
    except UserError as error:
        return page.note(f"{caption}: not shown. {error}")
    shown[digest] = whose
    return page.figure(found, alt, f"{caption}; {whose}")


def reproduction(runs: list[Run], facts: list[RunFacts], arguments: argparse.Namespace) -> Markup:
    """Return with what the runs were made, and the commands that make them, their results and this page again."""
    groups = by_experiment(facts)
    surroundings = {name: [inventory.surroundings(run.environment) for run in found] for name, found in groups.items()}
    apart, alike = inventory.contrast(surroundings, "environment", "html")
    parts = [page.details("The same for all", alike) if alike else "", apart, page.heading("Training"),
             page.note("As they were given; a click selects a command.")]
    for name, found in groups.items():
        given = inventory.commands(found)
        parts.append(page.commands(given) if given else page.note(f"{name}: no command is recorded."))
    parts.append(page.heading("Evaluation, tables and this page"))
    lines, scripts = [], [BY_TYPE[run.config.model.type].evaluate for run in runs]
    for script in sorted(set(scripts)):
        folders = [str(run.folder) for run, own in zip(runs, scripts, strict=True) if own == script]
        lines.append(["python", script, *(arguments.runs if len(folders) == len(runs) else folders)])
    lines.append(["python", "calculate_mean_and_var_accuracy.py", *arguments.runs])
    compared = ["--compare", *arguments.compare] if arguments.compare else []
    lines.append(["python", "report.py", *arguments.runs, *compared, "--out", arguments.out])
    return page.join([*parts, page.commands(map(shlex.join, lines))])


def has_factors(rows: Records) -> bool:
    """Say whether an experiment was tested on several factors of a dataset."""
    seen: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        if row.get("metric", "accuracy") == "accuracy":
            seen.setdefault((row["experiment"], row["dataset"], row["split"]), set()).add(row["factor"])
    return any(len(factors) > 1 for factors in seen.values())


def pooled(rows: Records, make: Callable[[bool], object]):
    """Make something with the factors of datasets as one test set where there are several and all seeds have all."""
    if has_factors(rows):
        try:
            return make(True)
        except UserError:
            pass
    return make(False)


def drawn(draw: Callable[[Path], Path], alt: str, caption: str) -> Markup:
    """Return a figure that `draw` writes into a folder, as a part of the page."""
    with tempfile.TemporaryDirectory() as folder:
        return page.figure(embed(draw(Path(folder))), alt, caption)


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def write(path: Path, text: str) -> None:
    """Write the page, in place of an earlier one: the file is the old or the whole new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_out(path, text)
    except OSError as error:
        raise UserError(f"--out {path}: cannot be written: {error.strerror}") from None
    print(f"{path} ({len(text) / 1e6:.1f} MB)")


if __name__ == "__main__":
    run_script(main)
