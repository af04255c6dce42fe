"""What fed what: datasets, the runs that learn from them, translated copies of datasets, runs that others need.

All of it stands in the configs of runs and in the note within a translated copy. Runs that these name and that were not
asked for are looked at, too.
"""

import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from errors import UserError, reason
from experiment.config import flatten
from experiment.copies import NOTE, maker, read_note
from experiment.run import Run, open_run
from experiment.systems import BY_TYPE

# Keys that may name another run -> what it is there for, and weights of which one has to be above zero.
HELPERS = {"training.semantic": ("semantic", ("training.lambda_semantic", "training.lambda_out")),
           "training.features": ("features", ("training.lambda_feature_g", "training.lambda_feature_f")),
           "evaluation.judge": ("judge", ()), "evaluation.second_judge": ("second judge", ()),
           "model.weights": ("extractor", ())}
# Of these, the value may be a name or a file as well.
NAMES = ("training.features", "model.weights")
# What runs are to other runs.
HELP = {role for role, _ in HELPERS.values()}
Key = tuple[Hashable, ...]


@dataclass
class Node:
    """A part of the chain, with the folders that it lies in.

    kind: `dataset`, `copy` (a translated one), `run` (an experiment, all its seeds), `gone` (a run that is not to be
    had), `evaluation`; notes: what there is to say beside the name; roles: what it is to others; commands: what made
    copies, as they were given; runs: those of an experiment; asked: those among them that were asked for.
    """

    kind: str
    name: str
    folders: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    commands: list[Any] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    asked: list[Run] = field(default_factory=list)

    @property
    def head(self) -> str:
        """What it is, in a few words."""
        if self.kind == "run":
            types = dict.fromkeys(run.config.model.type for run in self.runs)
            system = BY_TYPE[next(iter(types))]
            return ", ".join([system.title, *types] if len(system.types) > 1 else [system.title])
        looks = [f"{role} images" for role in ("rendered", "real") if role in self.roles]
        return {"copy": "translated dataset", "gone": "run", "evaluation": "tested on",
                "dataset": looks[0] if len(looks) == 1 else "dataset"}[self.kind]

    @property
    def title(self) -> str:
        """What it is called where it is spoken of."""
        return f"translated {self.name}" if self.kind == "copy" else self.name

    @property
    def about(self) -> list[str]:
        """What there is to say of it, a line each."""
        places = [Path(folder) for folder in self.folders]
        if self.kind == "run":
            return [_seeds(self.asked) or "not on this page"]
        if self.kind == "gone":
            return ["not there"]
        if self.kind == "copy":
            copies = [f"{len(places)} copies"] if len(places) > 1 else []
            return [*self.notes, *copies, ", ".join(place.name for place in places)]
        # All datasets that are downloaded lie in `data`, unless it is said otherwise.
        where = [f"in {'/'.join(place.parts[-2:])}" for place in places[:1] if place != Path("data")]
        return [*([", ".join(self.notes)] if self.kind == "dataset" and self.notes else self.notes), *where]


class Chain:
    """The chain that runs are a part of. nodes: by key; links: from, to, and what for; remarks: what is not known."""

    def __init__(self, runs: Iterable[Run]):
        self.nodes: dict[Key, Node] = {}
        self.links: dict[tuple[Key, Key, str], None] = {}
        self.remarks: dict[str, None] = {}
        self._runs = {os.path.realpath(run.folder): run for run in runs}
        self._copies: dict[tuple[str, str], Key | None] = {}
        # User, role, name and root of a dataset -> factors and split, as each of the user's runs has them.
        self._uses: dict[tuple[Key, str, str, str], list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        asked = set(self._runs)
        # Grows while it is gone through, by runs that are named.
        self._waiting = list(self._runs.values())
        for run in self._waiting:
            node = self._node(("run", run.experiment), "run", run.experiment, str(run.folder))
            node.runs.append(run)
            if os.path.realpath(run.folder) in asked:
                node.asked.append(run)
            self._follow(run)
        for (user, role, name, root), parts in self._uses.items():
            dataset = self._dataset(name, root, parts)
            self.nodes[dataset].roles.add(role)
            self._link(dataset, user, role)

    def add_evaluations(self, tested: dict[str, tuple[str, ...]]) -> None:
        """Add what experiments were tested on, by name; those tested on the same share a node."""
        for experiment, titles in tested.items():
            if titles:
                node = self._node(("evaluation", titles), "evaluation", titles[0])
                node.notes.update(dict.fromkeys(titles[1:]))
                self._link(("run", experiment), ("evaluation", titles), "")

    def _node(self, key: Key, kind: str, name: str, folder: str = "") -> Node:
        node = self.nodes.setdefault(key, Node(kind, name))
        if folder:
            node.folders[folder] = None
        return node

    def _link(self, source: Key, target: Key, role: str) -> None:
        self.links[source, target, role] = None

    def _follow(self, run: Run) -> None:
        """Link a run with what its config says that it was fed by."""
        user, content = ("run", run.experiment), run.config.model_dump()
        for key, section in datasets_in(content, run.config.dataset.roots[0]):
            if not key.startswith("evaluation."):
                role = {"target": "real", "dataset": "rendered" if "target" in content else ""}.get(key, key)
                self._use(user, role, section)
        flat = flatten(content)
        for key, (role, weights) in HELPERS.items():
            folder, known = flat.get(key), [flat[weight] for weight in weights if weight in flat]
            if not isinstance(folder, str) or (known and not any(known)):
                continue
            path = Path(folder)
            if key not in NAMES or (path / "cfg.toml").is_file() or ("/" in folder and not path.suffix):
                self._link(self._run(folder, f"{run.folder}: {key}") or self._gone(folder), user, role)

    def _run(self, folder: str, source: str) -> Key | None:
        """Return the key of the experiment whose run is in a folder; None, and a remark, where there is none.

        source: what names it.
        """
        place = os.path.realpath(folder)
        if place not in self._runs:
            try:
                self._runs[place] = open_run(Path(folder))
            except (UserError, OSError) as error:
                why = f"cannot be opened: {error}" if os.path.exists(place) else "is gone"
                self.remarks[f"{source} names the run {folder}, which {why}."] = None
                return None
            self._waiting.append(self._runs[place])
        return "run", self._runs[place].experiment

    def _gone(self, folder: str) -> Key:
        self._node(("gone", folder), "gone", "/".join(Path(folder).parts[-2:]), folder)
        return "gone", folder

    def _use(self, user: Key, role: str, section: dict[str, Any]) -> None:
        """Note that a user learns from the dataset of a section, which may be a translated copy."""
        name, root = section["name"], str(section["root"])
        place = os.path.realpath(root), name
        if place not in self._copies:
            self._copies[place] = None
            self._copies[place] = self._copy(Path(root), name)
        if copy := self._copies[place]:
            self._link(copy, user, role)
        else:
            self._uses[user, role, name, root].append((tuple(section.get("factor") or ()), section.get("split") or ""))

    def _dataset(self, name: str, root: str, parts: list[tuple[tuple[str, ...], str]]) -> Key:
        """Return the key of a dataset by its name, where it lies, and the factors that are used."""
        key = ("dataset", name, os.path.realpath(root), frozenset(factors for factors, _ in parts))
        factors = sorted({factor for each, _ in parts for factor in each})
        shown = f"{len(factors)} factors" if len(factors) > 3 else ", ".join(factors)
        node = self._node(key, "dataset", f"{name} ({shown})" if shown else name, root)
        node.notes.update({split: None for _, split in parts if split})
        return key

    def _copy(self, root: Path, name: str) -> Key | None:
        """Return the key of the translated copies that a dataset is one of; None where it is none.

        Copies that runs of one experiment made with the same kind of weights share a node.
        """
        try:
            note = read_note(root)
        except (OSError, ValueError) as error:
            self.remarks[f"{root / NOTE} cannot be read ({reason(error)}), so what the dataset in "
                         f"{root} was made of is not known."] = None
            return None
        if not note or note["dataset"]["name"] != name:
            return None
        source, published = note["dataset"], "run" not in note
        made_by = None if published else self._run(note["run"], str(root / NOTE))
        how = ("published weights" if published else f"{note.get('checkpoint')} weights" if made_by else
               "its run is gone")
        key: Key = ("copy", name, how, made_by or maker(note))
        node = self._node(key, "copy", _named(source), str(root))
        node.notes[how] = None
        node.commands.append(note.get("command"))
        trained = None
        if made_by:
            self._link(made_by, key, "")
            trained = self._runs[os.path.realpath(note["run"])].config.dataset.model_dump()
        if published or (trained and _place(trained) != _place(source)):
            self._use(key, "rendered", source)
        return key


def _seeds(runs: list[Run]) -> str:
    """Say of which seeds runs are, in a few words; an empty text for none."""
    seeds = sorted({run.config.training.seed for run in runs if not run.published})
    published = sum(run.published for run in runs)
    stopped = sum(not run.published and not run.done for run in runs)
    listed = f": {', '.join(map(str, seeds))}" if len(seeds) < 6 else ""
    texts = [f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds{listed}"] if seeds else []
    texts += [f"{published} published"] if published else []
    return ", ".join([*texts, *(["unfinished" if len(runs) == 1 else f"{stopped} unfinished"] if stopped else [])])


def _place(section: dict[str, Any]) -> tuple[str, str, list[str]]:
    return section["name"], os.path.realpath(section["root"]), section["factor"]


def _named(section: dict[str, Any]) -> str:
    return f"{section['name']} ({', '.join(section['factor'])})" if section["factor"] else section["name"]


def datasets_in(values: dict[str, Any], root: str, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the sections of a config that name a dataset, by dotted key; `root` where they have none of their own.

    One with several roots is yielded once for each.
    """
    if isinstance(values.get("name"), str) and "root" in values:
        roots = values["root"] or root
        for each in [roots] if isinstance(roots, str) else roots:
            yield key, values | {"root": each}
    for name, value in values.items():
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(each, dict):
                yield from datasets_in(each, root, f"{key}.{name}" if key else name)
