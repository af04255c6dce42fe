"""Where boxes and links of a graph go."""

import random
from functools import cache

import pytest

from reporting.layers import arrange, columns, in_order


def drawn(seed, circles=False):
    """A random graph: sizes, links, and how wide texts on links are."""
    rng = random.Random(seed)
    count = rng.randint(1, 16)
    pairs = {(rng.randrange(count), rng.randrange(count)) for _ in range(2 * count)}
    links = sorted(pairs if circles else {(min(pair), max(pair)) for pair in pairs if len(set(pair)) > 1})
    return ([(rng.randint(60, 150), rng.randint(30, 110)) for _ in range(count)], links,
            [rng.choice((0, 60)) for _ in links])


@pytest.mark.parametrize("seed", range(8))
def test_columns_are_the_longest_way_from_what_nothing_feeds(seed):
    sizes, links, _ = drawn(seed)

    @cache
    def longest(box):
        return max((1 + longest(source) for source, target in links if target == box), default=0)

    found = columns(len(sizes), links)
    for box, column in enumerate(found):
        fed, feeds = ([link for link in links if link[end] == box] for end in (1, 0))
        assert column == (longest(box) if fed else min((longest(target) - 1 for _, target in feeds), default=0))


@pytest.mark.parametrize("seed", range(12))
def test_boxes_do_not_touch_and_links_pass_between_them(seed):
    sizes, links, texts = drawn(seed, circles=seed % 3 == 0)
    found = arrange(sizes, links, texts)
    for number, (x, y, width, height) in enumerate(found.boxes):
        assert width >= sizes[number][0]
        assert 0 <= x <= x + width <= found.width + 1e-6
        assert -1e-6 <= y <= y + height <= found.height + 1e-6
        for left, top, wide, high in found.boxes[:number]:
            assert left + wide < x or x + width < left or top + high < y or y + height < top
    for (source, target), route in zip(links, found.routes, strict=True):
        if source == target:
            assert route == []
            continue
        for box, (x, y) in ((source, route[0]), (target, route[-1])):
            left, top, width, height = found.boxes[box]
            assert x in (left, left + width)
            assert top <= y <= top + height
        for (x, y), (to_x, level) in zip(route[1:-1:2], route[2:-1:2], strict=True):
            assert y == level
            for left, top, width, height in found.boxes:
                across = min(x, to_x) < left + width and left < max(x, to_x)
                assert not (across and top - 1 < y < top + height + 1)


def test_a_circle_is_opened_and_what_feeds_others_goes_before_them():
    order, kept = in_order(4, [(2, 0), (0, 1), (1, 2), (3, 2), (3, 3)])
    assert len(kept) == 3
    assert all(order.index(source) < order.index(target) for source, target in kept)
    assert in_order(0, []) == ([], set())


def test_texts_have_room_between_columns():
    (first, second) = (arrange([(50, 20)] * 2, [(0, 1)], [width]).boxes[1][0] - 50 for width in (0, 100))
    assert first < 100 < second


def test_lines_that_need_not_cross_do_not():
    found = arrange([(50, 20)] * 6, [(0, 5), (1, 4), (2, 3)], [0, 0, 0])
    assert [len(set(route)) for route in found.routes] == [2, 2, 2]
    assert all(start[1] == pytest.approx(end[1]) for start, end in found.routes)
