"""One self-contained HTML page: what it is made of. All texts given to these functions are escaped by them.

The style and the script that sorts tables lie beside this file, in page.css and page.js.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A part of a page with a line in its table of contents. body: HTML, made of what the functions here return."""

    title: str
    body: str


def page(title: str, lead: str, sections: Iterable[Section]) -> str:
    """Return a whole page that asks nothing of any network: its own policy lets it load nothing but what it holds."""
    sections = list(sections)
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    contents = "\n".join(f'<li><a href="#part-{number}">{escape(each.title)}</a></li>'
                         for number, each in enumerate(sections, 1))
    parts = "\n".join(f'<section id="part-{number}">\n<h2>{escape(each.title)}</h2>\n{each.body}</section>'
                      for number, each in enumerate(sections, 1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p>{escape(lead)}</p>
</header>
<nav aria-labelledby="contents">
<h2 id="contents">Contents</h2>
<ol>
{contents}
</ol>
</nav>
<main>
{parts}
</main>
<script>{script}</script>
</body>
</html>
"""


def heading(text: str) -> str:
    return f"<h3>{escape(text)}</h3>\n"


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>\n"


def note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>\n'


def listing(texts: Iterable[str]) -> str:
    return "<ul>\n" + "".join(f"<li>{escape(text)}</li>\n" for text in texts) + "</ul>\n"


def details(summary: str, body: str) -> str:
    """Fold a body of HTML away; it is unfolded in print."""
    return f"<details>\n<summary>{escape(summary)}</summary>\n{body}</details>\n"


def commands(lines: Iterable[str]) -> str:
    """Show commands, each in a block that a single click selects."""
    return "".join(f"<pre><code>{escape(line)}</code></pre>\n" for line in lines)


def figure(uri: str, width: int, height: int, alt: str, caption: str) -> str:
    """Show a picture of width x height pixels, two of them per CSS pixel, on white.

    alt: what is to be seen, for those who do not see it; caption: what it is of.
    """
    size = f'width="{width // 2}" height="{height // 2}" style="--width: {width // 2}px"'
    return (f'<figure>\n<div role="group" tabindex="0" aria-label="{escape(caption)}">'
            f'<img src="{escape(uri)}" {size} alt="{escape(alt)}"></div>\n'
            f"<figcaption>{escape(caption)}</figcaption>\n</figure>\n")
