"""One self-contained HTML page and its parts: page.html describes them, report.html the sections of a report.

page.css is a page's style, page.js sorts its tables. All texts given to the parts are escaped by them, and so is
anything joined with them or put into a page that is none.
"""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent
_TEMPLATES = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                         undefined=StrictUndefined)
_PARTS, REPORT = (_TEMPLATES.get_template(name).module for name in ("page.html", "report.html"))
heading, paragraph, note, listing, details, commands, figure, graph, table = (getattr(_PARTS, name) for name in (
    "heading", "paragraph", "note", "listing", "details", "commands", "figure", "graph", "table"))
join = Markup("").join


class Section(NamedTuple):
    """A part of a page with a line in its table of contents. body: what the functions here return."""

    title: str
    body: Markup


def page(title: str, lead: str, sections: Iterable[Section]) -> Markup:
    """Return a whole page that asks nothing of any network: its own policy lets it load nothing but what it holds."""
    style, script = (Markup((HERE / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _PARTS.document(title, lead, list(sections), style, script, digest)
