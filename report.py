"""Write one HTML page about runs of any systems: what fed what, what was run, results, curves, pictures, and commands.

The page holds all that it shows, works without a network, and can be printed. Tables are sorted by a click on a header.
Everything comes from what the runs have recorded and what translated datasets say of themselves; runs that are
unfinished or lack something are listed as such. Of every experiment, the pictures of one run are shown.
"""

import argparse
import hashlib
import shlex
import tempfile
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from tqdm import tqdm

from errors import UserError, choice_error, run_script
from experiment import predictions
from experiment import records as store
from experiment.chain import HELP, Chain
from experiment.config import PLACES, Config, flatten
from experiment.run import Run, expand, open_run, warn_of_mixture
from experiment.systems import AUTOENCODER, BY_TYPE, CLASSIFIER, SHAPE_POSE
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
from reporting.formats import FORMATS
from reporting.graph import Arrow, Box
from reporting.graph import draw as draw_graph
from reporting.inventory import RunFacts, by_experiment
from reporting.layers import in_order
from reporting.metrics import CLASSIFIERS, IGNORANT, families, is_judged, is_news, reference_of, title_of
from reporting.options import create_parser, write_or_print
from reporting.page import REPORT, Section
from reporting.tables import Records

# Those whose evaluation keeps predictions.
PREDICTING = (AUTOENCODER, CLASSIFIER)
# What `model.type` stands for, beside autoencoders.
MODELS = {"classifier": "classifier, {0.variation}, {0.extractor}", "deeplab": "DeepLabV3+, {0.backbone}",
          "cyclegan": "CycleGAN, alpha {0.alpha}", "swapping": "swapping autoencoder",
          "point_cloud": "point cloud of {0.points}"}
# The number of the section of results.
RESULTS = 3


def main() -> None:
    arguments = parse()
    runs = [open_run(folder) for folder in expand(arguments.runs)]
    warn_of_mixture(runs, ("dataset.factor", "evaluation.datasets"))
    found = [predictions.read(run.folder) for run in tqdm(runs, "predictions", unit="run", disable=None)]
    facts = [describe(run, len(each)) for run, each in zip(runs, found, strict=True)]
    kept = [each for one in found for each in one]
    check(facts, arguments)
    rows = [row for each in facts for row in each.records]
    entries = [entry for run, each in zip(runs, facts, strict=True) for entry in place(run, each.records)]
    scored = scores.render(found, "html") if (found := scores.summarise(entries)) else ""
    metrics = {row["metric"] for row in tables.of_weights(rows)}
    chain = Chain(runs)
    chain.add_evaluations(tested(facts))
    predicting = any(each.predictions is not None for each in facts)
    sections = [
        Section("What fed what", what_fed_what(chain)),
        Section("What was run", what_was_run(runs, facts)),
        Section("Accuracy" if metrics <= {"accuracy"} else "Results", results(facts, entries, arguments, kept)),
        Section("Curves over the epochs", drawn_curves(facts)),
        *([Section("Classes and seats", classes(kept))] if predicting else []),
        *([Section("Domain gap in the latent space", gaps.render(rows, "html") or page.paragraph(
            "Not recorded. recon_and_save_latent_space.py saves latents; plot_extracted_and_saved_latent_space.py "
            "measures how far apart their domains are."))] if AUTOENCODER.title in systems(facts) else []),
        *([Section("Reconstructions of real MPI3D images", scored)] if scored else []),
        Section("Pictures", pictures(runs, rows)),
        Section("Environment and commands", reproduction(runs, facts, chain, arguments)),
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
    config, environment, system = run.config, run.environment, BY_TYPE[run.config.model.type]
    values = {key: in_words(value) for key, value in flatten(config.model_dump()).items()
              if key not in ("training.seed", *PLACES) or (key == "dataset.root" and any(run.translated_by))}
    marker = run.folder / "done"
    # A link to what is no file is no date.
    finished = read_text(marker, errors="replace").strip() if marker.is_file() else ""
    return RunFacts(run.experiment, config.training.seed, str(run.folder), model_of(config), run.published,
                    run.done or run.published, str(environment.get("started", "")), finished, config.training.epochs,
                    values, environment, [*store.read(run.folder), *run.logged()],
                    kept if system in PREDICTING else None, system.title)


def model_of(config: Config) -> str:
    """Return what a config trains, in words."""
    model = config.model
    if model.type in MODELS:
        return MODELS[model.type].format(model)
    return paper_name(config)[0] + ("" if model.type == "conv" else f", {model.extractor}")


def commonest(kept: Iterable[predictions.Predictions], pool: bool) -> Records:
    """Return the accuracies of what says of every image of a test set that it is of the commonest class, as records."""
    rows = [vars(each) | {"metric": "accuracy", "classifier": "commonest", "epoch": None, "value": each.true.tobytes()}
            for each in kept if len(each.true)]
    found = []
    for key, seeds in tables.group(rows, pool).items():
        for seed, factors in seeds.items():
            true = np.concatenate([row["true"] for row in factors.values()])
            counts = np.unique(true, axis=0, return_counts=True)[1]
            found.append(store.record(**key._asdict() | {"epoch": None}, seed=seed, selection="none",
                                      value=float(counts.max() / len(true)), n=len(true)))
    return found


def systems(facts: Iterable[RunFacts]) -> dict[str, list[RunFacts]]:
    """Group runs by system, in the order of the registry."""
    facts = list(facts)
    names = dict.fromkeys(system.title for system in BY_TYPE.values())
    return {name: found for name in names if (found := [each for each in facts if each.system == name])}


def in_words(value: Any) -> str:
    """Return a value of a config for people: lists in one line, of datasets what is set."""
    if isinstance(value, list):
        return "; ".join(map(in_words, value)) or "-"
    if isinstance(value, dict):
        shown = {key: in_words(item) for key, item in value.items() if item not in (None, [], False)}
        return ", ".join([shown.pop("name"), *(f"{key} {text}" for key, text in shown.items())])
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def tested(facts: list[RunFacts]) -> dict[str, tuple[str, ...]]:
    """Return what experiments were tested on, as tables call it; more than one factor of a dataset as their number."""
    found: dict[str, dict[tuple[str, str], dict[str, None]]] = {}
    for each in facts:
        for row in tables.of_weights(each.records):
            parts = found.setdefault(each.experiment, {}).setdefault((row["dataset"], row["split"]), {})
            parts[row["factor"]] = None
    return {name: tuple(title_of(data, *factors, split) if len(factors) == 1 else
                        title_of(data, f"{len(factors)} factors", split)
                        for (data, split), factors in sorted(each.items())) for name, each in found.items()}


def what_fed_what(chain: Chain) -> Markup:
    """Return the chain as a graph and as a table, and what is not known of it."""
    keys, nodes = list(chain.nodes), list(chain.nodes.values())
    boxes = [Box(node.head, node.name, tuple(node.about), node.kind if node.asked or not node.runs else "far",
                 ", ".join(node.folders) or node.name, f"#part-{RESULTS}" if node.kind == "evaluation" else "")
             for node in nodes]
    arrows = [Arrow(keys.index(source), keys.index(target), role if role in HELP else "")
              for source, target, role in chain.links]
    lines = []
    for key, node in chain.nodes.items():
        fed_by = [f"{role}: {chain.nodes[source].title}" if role else chain.nodes[source].title
                  for source, target, role in chain.links if target == key]
        lines.append((node.head, node.title, "\n".join(fed_by) or "-", "\n".join(node.folders) or "-"))
    return REPORT.what_fed_what(draw_graph("What fed what, from left to right", boxes, arrows), list(chain.remarks),
                                FORMATS["html"](("what", "name", "fed by", "lies in"), lines, 4))


def what_was_run(runs: list[Run], facts: list[RunFacts]) -> Markup:
    # Only configs with the same keys are compared.
    kinds: dict[type[Config], dict[str, list[dict[str, str]]]] = {}
    for run, each in zip(runs, facts, strict=True):
        kinds.setdefault(type(run.config), {}).setdefault(run.experiment, []).append(each.config)
    contrasts = []
    for columns in kinds.values():
        types = dict.fromkeys(each["model.type"] for members in columns.values() for each in members)
        contrasts.append((", ".join(types) if len(kinds) > 1 else "", *inventory.contrast(columns, "key", "html")))
    return REPORT.what_was_run(inventory.overview(facts, "html"), inventory.lacking(facts, "html"), contrasts)


def results(facts: list[RunFacts], entries: list[Entry], arguments: argparse.Namespace,
            kept: list[predictions.Predictions]) -> Markup:
    """Return the tables of results of each system, those of papers, and the comparison of two experiments."""
    groups, parts = systems(facts), []
    for name, found in groups.items():
        own, experiments = tables.of_weights(row for each in found for row in each.records), by_experiment(found)
        parts += [page.heading(name.capitalize())] if len(groups) > 1 else []
        evaluate = next(system.evaluate for system in BY_TYPE.values() if system.title == name)
        parts += tabulated(own, [each for each in kept if each.experiment in experiments]) if own else [
            page.paragraph(f"No results of last or best weights are recorded: run {evaluate} on these runs.")]
    if used := {entry.table for entry in entries}:
        published = paper_text.render([name for name in TABLES if name in used], entries, "html")
        parts.append(page.details("Beside published figures", published) if len(groups) > 1 else published)
    names = arguments.compare or list(by_experiment(facts))
    if len(names) == 2 and (arguments.compare or len(groups) == 1):
        try:
            parts.append(comparison([row for each in facts for row in each.records], *names))
        except UserError as error:
            if arguments.compare:
                raise
            parts.append(page.note(str(error)))
    return page.join(parts)


def tabulated(rows: Records, kept: list[predictions.Predictions]) -> list[Markup]:
    """Return the tables of results of a system, with what always names the commonest class; kept: predictions."""
    def summary(pool: bool, alone: Collection[str] = ()) -> Markup:
        found = tables.summarise(rows, pool)
        # Predictions need not be kept of all.
        with suppress(UserError):
            found = tables.summarise([*rows, *commonest(kept, pool)], pool)
        return tables.render([row for row in found if not alone or row.dataset in alone], "html")

    if not has_factors(rows):
        return [summary(False)]
    parts = {title_of(row["dataset"], row["factor"], row["split"]) for row in rows if row["factor"]}
    try:
        return [summary(True), page.heading("By factor, one by one"), summary(False, parts)]
    except UserError as error:
        return [page.note(f"Factors are not pooled. {error}"), summary(False)]


def comparison(rows: Records, first: str, second: str) -> Markup:
    own = [row for row in rows if not reference_of(row["metric"], row["classifier"])]
    return (page.heading(f"{first} compared with {second}")
            + pooled(has_factors(own), lambda pool: compare.render(own, first, second, pool, "html")))


def drawn_curves(facts: list[RunFacts]) -> Markup:
    """Return two figures of each system: of what it is judged by, and of its losses, over the epochs."""
    groups, parts = systems(facts), []
    for system, found in tqdm(groups.items(), "curves", unit="system", disable=None):
        rows = [row for each in found for row in each.records if row["checkpoint"] == "epoch"]
        named = families(filter(is_news, {row["metric"] for row in rows})) or ["accuracy"]
        parts += [page.heading(system.capitalize())] if len(groups) > 1 else []
        for wanted in (named, ["loss"]):
            what = "Losses" if wanted == ["loss"] else "Metrics" if len(wanted) > 1 else wanted[0].capitalize()
            panels = {metric: lines for metric in wanted if (lines := pooled(
                has_factors(rows), lambda pool, metric=metric, rows=rows: curves(rows, metric, pool)))}
            longest = max((len(curve.epochs) for each in panels.values() for lines in each.values() for curve in lines),
                          default=0)
            parts.append(figure_of(panels, what) if longest > 1 else page.paragraph(
                f"{what} over the epochs: {'recorded of a single epoch alone' if longest else 'none recorded'}."))
    return page.join(parts)


def figure_of(panels: dict[str, Any], what: str) -> Markup:
    """Return the figure of curves; what: they are of."""
    lines = [curve for each in panels.values() for found in each.values() for curve in found]
    experiments = ", ".join(sorted({curve.experiment for curve in lines}))
    names = "; ".join(f"{name} on {data}" for each in panels.values() for name, data in each)
    caption = "; ".join(part for part in (f"{what} over the epochs", describe_curves(lines)) if part)
    return drawn(lambda folder: draw_curves(folder / "curves", panels)[1],
                 f"{what} over the epochs of {experiments}, in panels: {names}", caption)


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
    datasets = {dataset_file_name(*each): title_of(*each) for each in data}
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


def reproduction(runs: list[Run], facts: list[RunFacts], chain: Chain, arguments: argparse.Namespace) -> Markup:
    """Return with what the runs were made, and the commands that make them, their results and this page again."""
    groups = by_experiment(facts)
    surroundings = {name: [inventory.surroundings(run.environment) for run in found] for name, found in groups.items()}
    apart, alike = inventory.contrast(surroundings, "environment", "html")
    lines = []
    for system in dict.fromkeys(BY_TYPE[run.config.model.type] for run in runs):
        own = [(run, each) for run, each in zip(runs, facts, strict=True) if each.system == system.title]
        floors = any(row["classifier"] in IGNORANT for _, each in own for row in each.records)
        folders = arguments.runs if len(own) == len(runs) else [str(run.folder) for run, _ in own]
        lines.append([system.evaluate, *folders, *(["--floors"] if floors and system is SHAPE_POSE else [])])
    lines.append(["calculate_mean_and_var_accuracy.py", *arguments.runs])
    compared = ["--compare", *arguments.compare] if arguments.compare else []
    lines.append(["report.py", *arguments.runs, *compared, "--out", arguments.out])
    nodes, keys = list(chain.nodes.values()), list(chain.nodes)
    order, _ = in_order(len(keys), [(keys.index(source), keys.index(target)) for source, target, _ in chain.links])
    made = []
    for node in (nodes[each] for each in order):
        said = [*node.commands, *(run.environment.get("command") for run in node.runs)]
        if said:
            made.append((node.title, inventory.commands(said)))
    return REPORT.reproduction(alike, apart, made, [shlex.join(["python", *line]) for line in lines])


def has_factors(rows: Records) -> bool:
    """Say whether an experiment was tested on several factors of a dataset, in what can be pooled."""
    return bool(tables.pools(row for row in rows if is_judged(row["metric"])))


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
