"""The parts of a page, its style and its policy."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from reporting import page
from reporting.embed import Embedded
from reporting.page import HERE, Section

HOSTILE = "\"'><script>alert(1)</script>&lt;"


class Seen(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(str(text))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("part", [
    page.heading(HOSTILE), page.paragraph(HOSTILE), page.note(HOSTILE), page.listing([HOSTILE]),
    page.details(HOSTILE, ""), page.details("", HOSTILE), page.commands([HOSTILE]),
])  # fmt: skip
def test_parts_show_texts_and_never_run_them(part):
    found = Seen(part)
    assert HOSTILE in found.text
    assert "script" not in found.tags


def test_figures_and_pages_show_texts_and_never_run_them():
    figure = Seen(page.figure(Embedded("data:,", 20, 10), HOSTILE, HOSTILE))
    assert {("alt", HOSTILE), ("aria-label", HOSTILE)} <= set(figure.attributes)
    assert ("width", "10") in figure.attributes
    assert "script" not in figure.tags
    # What no part has made is a text, also where it is joined with parts.
    whole = Seen(page.page(HOSTILE, HOSTILE, [Section(HOSTILE, HOSTILE), Section("", page.join([HOSTILE]))]))
    assert whole.tags.count("script") == 1
    assert whole.text.count(HOSTILE) == 7  # title, heading, lead, contents, section and two bodies


def test_the_policy_allows_the_script_of_the_page_alone():
    text = page.page("t", "l", [])
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.split("; ") == ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'",
                                  f"script-src 'sha256-{digest}'"]


def luminance(colour):
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_texts_have_the_contrast_that_wcag_asks_for_in_light_and_dark():
    css = (HERE / "page.css").read_text()
    schemes = re.findall(r":root \{[^}]*?(--paper:[^}]*)\}", css)
    assert len(schemes) == 3  # light, dark, print
    for scheme in schemes:
        colours = {name: value if len(value) == 7 else "#" + "".join(2 * digit for digit in value[1:])
                   for name, value in re.findall(r"--(\w+): (#\w+)", scheme)}
        for ground in ("paper", "shade"):
            for text in ("ink", "quiet", "link"):
                dark, light = sorted((luminance(colours[ground]), luminance(colours[text])))
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, ground, text)
