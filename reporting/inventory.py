"""What was run: tables of experiments, of what they have in common and not, and of what runs lack."""

import math
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from reporting.formats import FORMATS
from reporting.tables import Records


@dataclass(frozen=True)
class RunFacts:
    """What a report says of a run.

    model: in words; config: dotted key -> value as text, without seed and places; started, finished: ISO dates, empty
    where unknown; done: whether training was finished; epochs: to be trained; predictions: how many are kept, None of
    systems that keep none; environment: what environment.json holds; records: also the accuracies that a published run
    has logged; system: which of the systems it is of.
    """

    experiment: str
    seed: int
    folder: str
    model: str
    published: bool
    done: bool
    started: str
    finished: str
    epochs: int
    config: dict[str, str]
    environment: dict[str, Any]
    records: Records
    predictions: int | None
    system: str = ""


def by_experiment(facts: Iterable[RunFacts]) -> dict[str, list[RunFacts]]:
    """Group runs by experiment, both in their order."""
    groups: dict[str, list[RunFacts]] = {}
    for each in facts:
        groups.setdefault(each.experiment, []).append(each)
    return groups


OVERVIEW = ("experiment", "model", "runs", "finished seeds", "unfinished seeds", "from, to (UTC)", "commit", "device")


def overview(facts: list[RunFacts], style: str) -> str:
    """Render one line per experiment: its runs, when, from which commit and on which device they were trained."""
    lines = []
    for name, runs in by_experiment(facts).items():
        finished, unfinished = ([run for run in runs if run.done == done] for done in (True, False))
        dates = [[date[:16].replace("T", " ") for date in found if date]
                 for found in ((run.started for run in runs), (run.finished for run in runs))]
        ends = min(dates[0], default="-"), max(dates[1], default="-")
        lines.append((name, _distinct(run.model for run in runs), str(len(runs)), _seeds(finished), _seeds(unfinished),
                      _distinct(ends), _distinct(map(_commit, runs)),
                      _distinct("-" if run.published else str(run.environment.get("device", "-")) for run in runs)))
    return FORMATS[style](OVERVIEW, lines, len(OVERVIEW), "From the first start to the last end of a run. Commit: of "
                          "the project; dirty: with changes that no commit holds.")


def _seeds(runs: list[RunFacts]) -> str:
    """List seeds, with how many runs each has where they have several; numbers of published runs are no seeds."""
    counts = Counter(run.seed for run in runs if not run.published)
    published = sum(run.published for run in runs)
    same = set(counts.values())
    if len(same) == 1 and same != {1}:
        texts = [f"{', '.join(map(str, sorted(counts)))} ({same.pop()} runs each)"]
    else:
        texts = [f"{seed}{f' ({count} runs)' if count > 1 else ''}" for seed, count in sorted(counts.items())]
    return ", ".join([*texts, *([f"{published} published"] if published else [])]) or "-"


def _commit(run: RunFacts) -> str:
    commit = run.environment.get("commit")
    if not isinstance(commit, str):
        return "-"
    return commit[:10] + (", dirty" if run.environment.get("dirty") else "")


def _distinct(texts: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(texts))


def contrast(columns: dict[str, list[dict[str, str]]], what: str, style: str) -> tuple[str, str]:
    """Render two tables of keys and values: those in which columns differ, or that vary within one, and the others.

    columns: name -> values by key, of each of its members. An empty text for a table without lines.
    """
    keys = dict.fromkeys(key for members in columns.values() for member in members for key in member)
    apart, alike = [], []
    for key in keys:
        cells = [_distinct(member.get(key, "-") for member in members) for members in columns.values()]
        if len(set(cells)) == 1 and "\n" not in cells[0]:
            alike.append((key, cells[0]))
        else:
            apart.append((key, *cells))
    # Numbers among words: aligned as text.
    return (FORMATS[style]((what, *columns), apart, len(columns) + 1) if apart else "",
            FORMATS[style]((what, "value"), alike, 2) if alike else "")


PACKAGE = "package "


def surroundings(environment: dict[str, Any]) -> dict[str, str]:
    """Return what an environment.json says of machine and packages as key -> text."""
    known = {name: environment[name] for name in ("platform", "cpu_count", "device", "python") if name in environment}
    packages = environment.get("packages")
    known |= {PACKAGE + str(name): number for name, number in (packages if isinstance(packages, dict) else {}).items()}
    return {name: str(value) for name, value in known.items()}


def commands(said: Iterable[Any]) -> list[str]:
    """Return the distinct shell commands among what runs and copies say they were made with; others are passed over."""
    return list(dict.fromkeys(shlex.join(["python", *command]) for command in said if isinstance(command, list)
                              and command and all(isinstance(part, str) for part in command)))


LACKING = ("experiment", "what is lacking", "runs", "which")


def lacking(facts: list[RunFacts], style: str) -> str:
    """Render what runs of an experiment lack, a line for all that lack the same; an empty text where none does."""
    lines = []
    for name, runs in by_experiment(facts).items():
        found: dict[str, list[str]] = {}
        for run in runs:
            for text in lacks(run):
                found.setdefault(text, []).append(run.folder)
        lines += [(name, text, f"{len(folders)} of {len(runs)}",
                   "all" if 1 < len(folders) == len(runs) else "\n".join(folders)) for text, folders in found.items()]
    return FORMATS[style](LACKING, lines, len(LACKING)) if lines else ""


def lacks(run: RunFacts) -> list[str]:
    """Say what a run lacks, a text each."""
    found = []
    if not run.done:
        reached = max((row["epoch"] for row in run.records if row["checkpoint"] == "epoch" and row["epoch"]), default=0)
        found.append(f"training is unfinished: epoch {reached} of {run.epochs} is recorded")
    if not run.published and not run.environment:
        found.append("environment.json is missing or cannot be read")
    if not run.records:
        found.append("no records: in no table and no curve")
    elif not any(row["checkpoint"] in ("last", "best") for row in run.records):
        found.append("not evaluated: in no table")
    if run.predictions == 0:
        found.append("no predictions are kept: not among the class-wise figures")
    strange = sum(not math.isfinite(row["value"]) for row in run.records)
    if strange:
        found.append(f"{strange} of {len(run.records)} recorded values are no finite numbers")
    return found
