"""Translated copies of datasets: what they say of themselves."""

from pathlib import Path
from typing import Any

from experiment.config import Places
from files import read_object

# In the root of a copy.
NOTE = "translation.json"


def read_note(root: Path) -> dict[str, Any] | None:
    """Return what a translated copy of a dataset says of itself, None where there is no note.

    OSError, ValueError where there is one that does not say from which dataset, or by which run.
    """
    try:
        note = read_object(root / NOTE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    source = note.get("dataset")
    if not isinstance(source, dict) or not all(isinstance(source.get(key), str) for key in ("name", "root")):
        raise ValueError("it names no dataset")
    if not isinstance(note.get("run", ""), str) or "\0" in note.get("run", "") + source["root"]:
        raise ValueError("it names no run")
    factors = source.get("factor")
    parts = [str(each) for each in factors] if isinstance(factors, list) else []
    return note | {"dataset": source | {"factor": parts, "split": str(source.get("split") or "")}}


def maker(note: dict[str, Any]) -> str:
    """Return the experiment whose runs, or the published weights which, made a copy, by its note."""
    return str(note.get("experiment" if "run" in note else "weights"))


def translated_by(section: Places) -> list[str]:
    """Return of each root of `[dataset]` what made its copy of the dataset, an empty text for what is no copy."""
    return [_maker(Path(root), section.name) for root in section.roots]


def _maker(root: Path, name: str) -> str:
    try:
        note = read_note(root)
    except (OSError, ValueError):
        return ""
    return maker(note) if note and note["dataset"]["name"] == name else ""
