"""Tables as HTML, and special characters in the other formats, which are tested with the tables that use them."""

import itertools
import re
from html.parser import HTMLParser

import pytest

from paper.tables import TABLES
from reporting.formats import FORMATS, heading, remarks
from reporting.metrics import METRICS

HEADER = ("name", "value", "words")


class Cells(HTMLParser):
    """Reads a table back: the texts of its cells and their classes."""

    def __init__(self, text: str):
        super().__init__()
        self.rows, self.tags = [], []
        self.feed(str(text))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([dict(attributes).get("class"), ""])
        if tag == "br":
            self.rows[-1][-1][1] += "\n"

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1][1] += data.strip("\n")


def html(lines, texts=1, note=""):
    return FORMATS["html"](HEADER, lines, texts, note)


def test_cells_come_back_as_they_were():
    lines = [("a", "1.5 ± 0.2", "two\nlines"), ("<b>&amp;\"'", "-", "</td><script>")]
    found = Cells(html(lines))
    assert [tuple(text for _, text in row) for row in found.rows] == [HEADER, *lines]
    assert set(found.tags) == {"div", "table", "thead", "tbody", "tr", "th", "td", "br"}


def test_columns_of_numbers_are_marked_and_only_those():
    found = Cells(html([("1", "+1.0 to +2.0", "x"), ("2", "-", "3"), ("3", "nan", "4"), ("4", "-0.5", "-")]))
    assert [[mark for mark, _ in row] for row in found.rows] == [[None, "n", None]] * 5


def test_long_cells_may_be_wrapped():
    found = Cells(html([("of many words " * 3, "1", "short\n" * 40), ("an_experiment_by_name", "1", "12345678901234")]))
    assert [[mark for mark, _ in row] for row in found.rows[1:]] == [["long", "n", None], ["word", "n", None]]


def test_a_table_without_lines_a_heading_and_notes_are_escaped():
    text = html([], note="<i>") + heading("html", "<b>") + remarks("html", ["<u>", "&"])
    assert not {"i", "b", "u"} & set(Cells(text).tags)
    assert "&lt;i&gt;" in text
    assert text.count('<p class="note">') == 3


@pytest.mark.parametrize(("text", "cell"), [
    ("<script>", r"\<script>"), ("a|b", r"a\|b"), ("**a**", r"\*\*a\*\*"), ("`a` $b$", r"\`a\` \$b\$"),
    ("a & &lt;", r"a & \&lt;"), ("two\nlines", "two lines"), ("65.0 *", "65.0 *"),
    ("sviro_unseen_car", "sviro_unseen_car"),
])
def test_a_markdown_cell_is_shown_as_it_is(text, cell):
    lines = FORMATS["markdown"](HEADER, [(text, "1", "x")], 1).splitlines()
    assert lines[2:] == [f"| {cell} | 1 | x |"]


@pytest.mark.parametrize(("text", "cell"), [
    ("a<b>|c", r"a\textless{}b\textgreater{}\textbar{}c"), ("two\nlines", "two lines"), ("50 %_#&", r"50 \%\_\#\&"),
    (r"\end{x}", r"\textbackslash{}end\{x\}"), ("-1.5 to -0.2", "$-$1.5 to $-$0.2"), ("+1.0", "+1.0"), ("-", "-"),
    ("run-3", "run-3"), ("-3x", "-3x"),
])
def test_a_latex_cell_prints_what_it_holds(text, cell):
    lines = FORMATS["latex"](HEADER, [("a", text, "x")], 1).splitlines()
    assert rf"a & {cell} & x \\" in lines
    assert all(len(re.findall(r"(?<!\\)&", line)) == 2 for line in lines if line.endswith(r"\\"))


def test_latex_knows_all_characters_of_our_own_tables():
    """What is beyond Latin-1 stops LaTeX unless it is written as mathematics."""
    texts = [metric.title for metric in METRICS.values()]
    texts += [text for table in TABLES.values() for column in table.columns
              for text in (*table.names, column.name, *itertools.chain(*column.published))]
    text = FORMATS["latex"](HEADER, [(each, "1 ± 2", "≈") for each in texts], 1)
    assert {each for each in text if ord(each) > 255} == set()


@pytest.mark.parametrize("first", ["[a]", "*"])
def test_a_latex_row_is_no_argument_of_the_line_break_before_it(first):
    lines = FORMATS["latex"](HEADER, [("a", "1", "x"), (first, "1", "x")], 1).splitlines()
    assert rf"{{}}{first} & 1 & x \\" in lines


def test_remarks_in_latex_stay_comments():
    text = heading("latex", "three\nfour") + FORMATS["latex"](HEADER, [], 1, "one\ntwo")
    text += remarks("latex", ["five\nsix"])
    assert {"% one two", "% three four", "% five six"} <= set(text.splitlines())
