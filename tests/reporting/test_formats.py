"""Tables as HTML; the other formats are tested with the tables that use them."""

from html.parser import HTMLParser

from reporting.formats import FORMATS, heading, remarks

HEADER = ("name", "value", "words")


class Cells(HTMLParser):
    """Reads a table back: the texts of its cells and their classes."""

    def __init__(self, text: str):
        super().__init__()
        self.rows, self.tags = [], []
        self.feed(text)

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
