"""TOML as configs and command lines have it: read with care, written so that it is read back alike."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import toml

from errors import UserError, choice_error, reason, shortened
from files import read_text

DEEPEST = 10
# The parser takes hours for long ones.
LONG_KEY = re.compile(r"""(?<![\w-])(["']?[\w-]+["']?[ \t]*\.[ \t]*){30}""")
# What a list of values is made of: quoted texts, brackets, commas, and what is between them.
TOKEN = re.compile(r"""\"(?:\\.|[^"\\])*\"|'[^']*'|[^"'\[\]{},]+|.""", re.DOTALL)


def read(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds; UserError where it is none."""
    text = ""
    try:
        text = read_text(path)
        return parse(text)
    except FileNotFoundError:
        raise choice_error("config file", path, sorted(path.parent.glob("*.toml"))) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as TOML: {reason(error)}{_line_of(error, text)}") from None


def _line_of(error: Exception, text: str) -> str:
    """Return the line of a text that an error names, to stand behind its message."""
    place = re.search(r"\(at line (\d+),", str(error))
    return f": {shortened(text.split(chr(10))[int(place[1]) - 1].strip())}" if place else ""


def parse(text: str) -> dict[str, Any]:
    """Return what a TOML text holds; ValueError where it is none, also for one that the parser chokes on."""
    if LONG_KEY.search(text):
        raise ValueError("a key of more than 30 parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def check(value: Any, path: str, key: str = "", depth: int = 0) -> None:
    """Refuse what no key takes and other code trips over: deep nesting, numbers beyond 64 bits, NUL in a text."""
    if depth > DEEPEST:
        raise UserError(f"{path}: {shortened(key)}: nested more than {DEEPEST} deep")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise UserError(f"{path}: {key}: found an integer of {value.bit_length()} bits; allowed: up to 64")
    if isinstance(value, str) and "\0" in value:
        raise UserError(f"{path}: {key}: found a NUL character in {shortened(repr(value))}")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        check(item, path, f"{key}.{name}" if key else str(name), depth + 1)


def value_of(text: str) -> Any:
    """Return what a text on the command line stands for: a TOML value, or plain text where it is none."""
    try:
        return parse(f"value = {text.strip()}")["value"]
    except ValueError:
        return text.strip()


def split_values(text: str) -> list[str]:
    """Return the texts between the commas of `text`, but for commas in brackets or quotes.

    ValueError for an empty one, and for brackets that do not close.
    """
    parts, depth = [""], 0
    for token in TOKEN.findall(text):
        depth += (token in "[{") - (token in "]}")
        if token == "," and not depth:
            parts.append("")
        else:
            parts[-1] += token
    if depth:
        raise ValueError("brackets do not close")
    if not all(part.strip() for part in parts):
        raise ValueError("a value is empty")
    return [part.strip() for part in parts]


def dump(values: dict[str, Any]) -> str:
    """Return sections of values as TOML."""
    encoder = toml.TomlEncoder()
    encoder.dump_funcs[str] = _quoted
    return toml.dumps(values, encoder)


def _quoted(text: str) -> str:
    """Quote a text for TOML; the toml package's own quoting damages backslashes and control characters."""
    # JSON escapes all that TOML wants escaped, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
