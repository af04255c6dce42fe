"""Boxes and links as SVG."""

import re

from test_page import HOSTILE, Seen

from reporting.graph import MOST_ALIKE, WIDEST, Arrow, Box, draw, fewer, fitted, width_of


def test_texts_are_shown_and_never_run():
    boxes = [Box(HOSTILE, "name", (), "run", HOSTILE), Box("what", "other")]
    found = Seen(draw(HOSTILE, boxes, [Arrow(0, 1, HOSTILE)]))
    assert found.text.count(HOSTILE) == 3
    assert "script" not in found.tags
    assert ("aria-label", HOSTILE) in found.attributes


def test_a_link_is_a_path_with_a_head_that_ends_at_its_box_and_one_with_a_text_is_broken():
    text = draw("graph", [Box("a", "a"), Box("b", "b", target="#part-1")], [Arrow(0, 1), Arrow(0, 1, "judge")])
    paths = re.findall(r'<path class="(link[^"]*)" d="M([\d.]+) [^"]*?([\d.]+) ([\d.]+)"/>'
                       r'<path class="head" d="M(\S+) (\S+)l', text)
    assert [path[0] for path in paths] == ["link", "link helps"]
    boxes = [tuple(map(float, found)) for found in re.findall(r'<rect x="(\S+)" y="(\S+)" width="(\S+)" height', text)]
    for _, start, *ends in paths:
        assert float(start) == boxes[0][0] + boxes[0][2]
        assert ends[:2] == ends[2:]
        assert float(ends[0]) == boxes[1][0]
    assert text.count('<a href="#part-1">') == 1
    assert "url(" not in text


def test_one_box_and_none_are_graphs_too():
    assert draw("one", [Box("a", "a")], []).count("<rect") == 1
    assert draw("none", [], []).count("<rect") == 0


def test_long_names_break_where_words_meet_and_end_with_dots():
    assert fitted("on_demo_translation_free", 1.15, 3) == ["on_demo_", "translation_free"]
    for name in ("x" * 200, "漢" * 60, "W_" * 80, "a b " * 50):
        lines = fitted(name, 1.15, 3)
        assert len(lines) == 3
        assert lines[-1].endswith("…")
        assert all(width_of(line, 1.15) <= WIDEST + 12 for line in lines)


def test_many_that_are_linked_alike_are_one_box():
    many = [Box("run", f"e{number}") for number in range(MOST_ALIKE + 1)]
    boxes = [Box("data", "d"), *many, Box("run", "judged"), Box("test", "t")]
    last = len(boxes) - 1
    arrows = [arrow for place in range(1, last) for arrow in (Arrow(0, place), Arrow(place, last))]
    shown, links = fewer(boxes, [*arrows, Arrow(0, last - 1, "judge")])
    assert [box.name for box in shown] == ["d", f"{len(many)} alike", "judged", "t"]
    assert [text for text, _ in shown[1].lines] == ["run", "6 alike", "e0", "e1", "e2", "e3", "and 2 more"]
    assert set(links) == {Arrow(0, 1), Arrow(1, 3), Arrow(0, 2), Arrow(2, 3), Arrow(0, 2, "judge")}
    few = [boxes[0], *many[1:], boxes[-1]]
    assert len(fewer(few, [Arrow(0, place) for place in range(1, len(few))])[0]) == len(few)
