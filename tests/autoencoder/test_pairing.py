"""Draws compared with lists that a naive loop over all sceneries makes."""

from collections import Counter

import numpy as np
import pytest
import torch

from autoencoder.pairing import Pairing
from errors import UserError
from readers.labels import label_codes, labels_of

DRAWS = 6000


class Naive:
    """The sampling rules as loops: every candidate of an anchor, by looking at every scenery."""

    def __init__(self, labels, counts, mirrors, empty):
        self.labels, self.counts, self.empty = [tuple(label) for label in labels], counts, empty
        self.first = np.cumsum([0, *counts[:-1]])
        self.flips = (0, 1) if mirrors else (0,)

    def label(self, scenery, flip):
        return self.labels[scenery][::-1] if flip else self.labels[scenery]

    def views(self):
        return [(scenery, flip) for scenery in range(len(self.labels)) for flip in self.flips]

    def same_class(self, scenery, flip):
        return [view for view in self.views() if view[0] != scenery and self.label(*view) == self.label(scenery, flip)]

    def negatives(self, scenery, flip):
        own = self.label(scenery, flip)
        return [view for view in self.views()
                if sum(a != b for a, b in zip(self.label(*view), own, strict=True)) == 1
                and not (self.empty is not None and all(seat == self.empty for seat in self.label(*view)))]

    def images(self, view, but=None):
        """All (image, view) of a view, less the variant number `but` where there is another."""
        numbers = [v for v in range(self.counts[view[0]]) if v != but or self.counts[view[0]] == 1]
        return [(self.first[view[0]] + v, view[0] * len(self.flips) + view[1]) for v in numbers]


def make(seed, sceneries=40, seats=3, values=3, mirrors=True, empty=0, most_variants=4):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, values, (sceneries, seats))
    counts = rng.integers(1, most_variants + 1, sceneries)
    first = torch.from_numpy(np.cumsum(counts) - counts)
    return Pairing(first, torch.from_numpy(counts), labels, mirrors, empty), Naive(labels, counts, mirrors, empty)


def anchors_of(naive, scenery, flip, variant, n=DRAWS):
    pick = (naive.first[scenery] + variant, scenery * len(naive.flips) + flip)
    return torch.tensor(pick)[:, None].expand(2, n)


def assert_uniform(picks, expected):
    """Check that draws hit exactly the expected pairs, each within five standard deviations of its share."""
    found = Counter(map(tuple, picks.T.tolist()))
    assert set(found) == set(expected)
    for pair, share in expected.items():
        deviation = 5 * (DRAWS * share * (1 - share)) ** 0.5 + 1
        assert abs(found[pair] - DRAWS * share) < deviation, pair


def shares(naive, views, but=None):
    """Return (image, view) -> probability for a uniform view and then a uniform variant."""
    pairs_of = [naive.images(view, but) for view in views]
    return {pair: 1 / len(views) / len(pairs) for pairs in pairs_of for pair in pairs}


CASES = [
    pytest.param({"seats": 3, "values": 3}, id="three mirrored seats"),
    pytest.param({"seats": 3, "values": 4, "sceneries": 25}, id="many lonely classes"),
    pytest.param({"seats": 2, "values": 2, "mirrors": False}, id="two fixed seats"),
    pytest.param({"seats": 1, "values": 5, "mirrors": False, "empty": None, "most_variants": 1}, id="digits"),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_positives_negatives_and_targets_follow_the_rules_for_every_anchor(case, seed, generator):
    pairing, naive = make(seed, **case)
    anchors = pairing.anchors(torch.arange(len(naive.labels)).repeat(20), generator)
    positive, has_positive = pairing.positives(anchors, generator)
    negative, has_negative = pairing.negatives(anchors, generator)
    scene = pairing.targets(anchors, "scene", generator)
    instance = pairing.targets(anchors, "instance", generator)
    assert torch.equal(pairing.targets(anchors, "none", generator), anchors)
    flips = len(naive.flips)
    for i, (image, view) in enumerate(anchors.T.tolist()):
        scenery, flip = divmod(view, flips)
        variant = image - naive.first[scenery]
        own = naive.images((scenery, flip), but=variant)
        others = naive.same_class(scenery, flip)
        assert tuple(scene[:, i].tolist()) in own
        if others:
            assert has_positive[i]
            assert tuple(positive[:, i].tolist()) in [pair for other in others for pair in naive.images(other)]
            assert tuple(instance[:, i].tolist()) in [pair for other in others for pair in naive.images(other, variant)]
        else:
            assert bool(has_positive[i]) == (naive.counts[scenery] > 1)
            assert tuple(positive[:, i].tolist()) in own
            assert tuple(instance[:, i].tolist()) in own
        rivals = naive.negatives(scenery, flip)
        assert bool(has_negative[i]) == bool(rivals)
        if rivals:
            assert tuple(negative[:, i].tolist()) in [pair for rival in rivals for pair in naive.images(rival)]


@pytest.mark.parametrize("flip", [0, 1])
@pytest.mark.parametrize("symmetric", [True, False])
def test_every_candidate_is_drawn_equally_often(symmetric, flip, generator):
    pairing, naive = make(3)
    fits = [s for s, label in enumerate(naive.labels) if (label == label[::-1]) == symmetric
            and len(naive.same_class(s, flip)) > 2 and naive.counts[s] > 1]
    scenery = fits[0]
    anchor = anchors_of(naive, scenery, flip, variant=1)
    same = naive.same_class(scenery, flip)
    assert_uniform(pairing.positives(anchor, generator)[0], shares(naive, same))
    assert_uniform(pairing.negatives(anchor, generator)[0], shares(naive, naive.negatives(scenery, flip)))
    assert_uniform(pairing.targets(anchor, "instance", generator), shares(naive, same, but=1))
    assert_uniform(pairing.targets(anchor, "scene", generator), shares(naive, [(scenery, flip)], but=1))


def test_anchors_take_every_variant_and_are_mirrored_half_the_time(generator):
    pairing, naive = make(4)
    scenery = int(np.argmax(naive.counts))
    drawn = pairing.anchors(torch.full((DRAWS,), scenery), generator)
    assert_uniform(drawn, shares(naive, [(scenery, 0), (scenery, 1)]))


def test_a_scenery_alone_with_one_variant_has_no_positive(generator):
    labels = np.array([[0, 0, 1], [0, 0, 2], [0, 0, 2]])
    pairing = Pairing(torch.tensor([0, 1, 2]), torch.tensor([1, 1, 1]), labels, True, 0)
    _, valid = pairing.positives(pairing.anchors(torch.tensor([0, 1, 2]), generator), generator)
    assert valid.tolist() == [False, True, True]


def test_triplets_need_a_class_with_a_negative():
    lonely = Pairing(torch.tensor([0, 1]), torch.tensor([1, 1]), np.array([[1, 1], [2, 2]]), False, 0)
    with pytest.raises(UserError, match="differs in exactly one seat"):
        lonely.check_triplets("pairs")
    only_against_empty = Pairing(torch.tensor([0, 1]), torch.tensor([1, 1]), np.array([[0, 0], [0, 1]]), False, 0)
    only_against_empty.check_triplets("the empty scenery has a negative, the other has not")


def test_classes_are_numbered_in_the_order_of_their_labels_and_mirrored_views_have_the_reversed_one():
    pairing, naive = make(seed=5)
    views = np.unique(np.concatenate([pairing.class_labels, pairing.class_labels[:, ::-1]]), axis=0)
    assert np.array_equal(pairing.class_labels, views)
    for view in range(len(pairing.class_of)):
        assert tuple(pairing.class_labels[pairing.class_of[view]]) == naive.label(*divmod(view, 2))


def test_so_many_classes_that_a_table_over_their_pairs_would_not_fit_are_refused():
    grid = np.stack(np.unravel_index(np.arange(6000), (20, 20, 15)), axis=1)
    first = torch.arange(6000)
    pairing = Pairing(first, torch.ones_like(first), grid, mirrors=False, empty=None)
    with pytest.raises(UserError, match=r"factors has 6000 classes; allowed with triplets: up to 5000"):
        pairing.check_triplets("factors")


@pytest.mark.parametrize("seats", [1, 3, 7])
def test_labels_are_unpacked_as_they_were_packed(seats):
    labels = np.random.default_rng(seats).integers(0, 256, (50, seats))
    assert np.array_equal(labels_of(label_codes(labels), seats), labels)
