"""Sweeps: every combination of some values of some keys is an experiment of its own, with a name that tells them."""

import itertools
import re
from collections.abc import Iterable
from typing import Any

from errors import UserError
from experiment import toml_text
from experiment.config import PLACES, Config, flatten, is_below

# What a folder's name can hold of a value, with nothing that a shell would take apart.
OTHER = re.compile(r"[^\w.,+=-]+")


def combinations(sweeps: Iterable[str], given: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the overrides of every combination of `KEY=V1,V2` ..., the last one's values changing fastest.

    given: other overrides, which must not set a key that is swept. Without sweeps a single combination of none.
    Raises UserError for what is no such text, a key that is there twice, and one that does not say what is trained.
    """
    swept: dict[str, list[str]] = {}
    for text in sweeps:
        key, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not all(key.split(".")):
            raise UserError(f"--sweep {text}: expected section.key=value,value")
        if key == "training.seed":
            raise UserError(f"--sweep {key}: seeds are no experiments of their own; allowed: --seeds")
        if key in PLACES and not key.endswith(".root"):
            raise UserError(f"--sweep {key}: says where runs are trained, not what; allowed: --set {key}=...")
        for other in (each.partition("=")[0].strip() for each in given):
            if is_below(key, [other]) or is_below(other, [key]):
                raise UserError(f"--sweep {key}: --set gives {other}, too; allowed: one of both")
        if any(is_below(key, [other]) or is_below(other, [key]) for other in swept):
            raise UserError(f"--sweep {key}: is swept twice; allowed: all its values in one --sweep")
        try:
            swept[key] = [f"{key}={value}" for value in toml_text.split_values(values)]
        except ValueError as error:
            raise UserError(f"--sweep {text}: {error}; allowed: values between commas, lists as in [64,64],[96,64]"
                            ) from None
    return list(itertools.product(*swept.values()))


def name_of(changes: tuple[str, ...], config: Config) -> str:
    """Return what the overrides of a combination add to an experiment's name, such as `_crop=64,64_jitter=0.5`.

    Values are those of the config that they led to, so that all ways to write one have the same name; of a key the last
    part is told, where no other swept key ends alike.
    """
    values, keys = flatten(config.model_dump()), [change.partition("=")[0] for change in changes]
    last = [key.rpartition(".")[2] for key in keys]
    parts = []
    for change, key, name in zip(changes, keys, last, strict=True):
        value = values.get(key, toml_text.value_of(change.partition("=")[2]))
        parts.append(f"_{name if last.count(name) == 1 else key}={_text(value) or 'none'}")
    return "".join(parts)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}-{_text(item)}" for key, item in value.items() if item not in (None, [], False))
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    if isinstance(value, str):
        return OTHER.sub("-", value.strip("/ "))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
