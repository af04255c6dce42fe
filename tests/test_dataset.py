import numpy as np
import pytest
import torch

from dataset import Batches, Scenes
from errors import UserError
from experiment.config import EvaluationDataset
from readers import READERS, create_reader
from readers.base import Reader
from readers.labels import label_codes

SIZE = 32


class Cabin(Reader):
    """Three seats drawn as grey stripes whose brightness is the label; ten variants differ in one corner pixel."""

    name = "cabin"
    mirrors = True
    empty = 0
    classes = ("empty", "infant seat", "child seat", "adult")

    def fill(self, listing):
        rng = np.random.default_rng(0)
        for i in range(30):
            label = tuple(int(seat) for seat in rng.integers(0, 2, 3))
            sources = ["_".join(map(str, (*label, i, variant))) for variant in range(10)]
            listing.add(str(i), label, sources, ["x"] * 10)

    def prepare(self, source, size):
        left, middle, right, scenery, variant = map(int, source.split("_"))
        image = np.zeros((1, size, size), dtype=np.uint8)
        third = size // 3
        for seat, start in ((left, 0), (middle, (size - third) // 2), (right, size - third)):
            image[0, 4:, start : start + third] = 60 * seat
        image[0, 0, :] = scenery
        image[0, 1, :] = variant
        return image


@pytest.fixture
def cabin(monkeypatch, tmp_path):
    monkeypatch.setitem(READERS, "cabin", Cabin)
    return Scenes(EvaluationDataset(name="cabin", root="x"), SIZE, str(tmp_path), torch.device("cpu"))


def batches(scenes, **options):
    return Batches(scenes, scenes.gather, batch_size=8, seed=3, **options)


def seats(images):
    """Read the label off the stripes of drawn images (n, 1, H, W)."""
    third = SIZE // 3
    columns = (third // 2, SIZE // 2, SIZE - third // 2 - 1)
    return (images[:, 0, 10, list(columns)] * 255 / 60).round().long()


def row(images, number):
    return (images[:, 0, number, 0] * 255).round().long()


def test_an_epoch_shows_every_scenery_once(cabin):
    seen = torch.cat([row(batch.inputs, 0) for batch in batches(cabin).epoch(1)])
    assert sorted(seen.tolist()) == list(range(30))


def test_an_epoch_is_the_same_again_and_another_one_is_not(cabin):
    first, again, second = ([batch.inputs for batch in batches(cabin).epoch(n)] for n in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_labels_follow_the_image_when_it_is_mirrored(cabin):
    feed = batches(cabin)
    mirrored = 0
    for batch in feed.epoch(1):
        assert torch.equal(seats(batch.inputs), torch.from_numpy(feed.pairing.class_labels)[batch.labels])
        original = torch.from_numpy(cabin.labels)[row(batch.inputs, 0)]
        mirrored += int((seats(batch.inputs) != original).any(dim=1).sum())
    assert 0 < mirrored < 30


def test_triplets_hold_anchor_positive_and_negative_in_this_order(cabin):
    for batch in batches(cabin, triplet=True).epoch(1):
        anchor, positive, negative = (seats(part) for part in batch.inputs.chunk(3))
        valid = batch.in_triplet
        assert torch.equal(anchor[valid], positive[valid])
        assert ((anchor != negative).sum(dim=1)[valid] == 1).all()
        assert (negative[valid].sum(dim=1) > 0).all()
        assert torch.equal(batch.inputs, batch.targets)


def test_a_second_draw_is_independent_of_the_first_and_leaves_it_as_it_is(cabin):
    alone, both, again = ([*batches(cabin, second=second).epoch(1)] for second in (False, True, True))
    other = [*batches(cabin, second=True).epoch(2)]
    assert all(batch.second is None for batch in alone)
    assert torch.equal(alone[0].inputs, both[0].inputs)
    assert all(batch.second.shape == batch.inputs.shape for batch in both)
    assert all(torch.equal(a.second, b.second) for a, b in zip(both, again, strict=True))
    assert not any(torch.equal(a.second, b.second) for a, b in zip(both, other, strict=True))
    assert sorted(torch.cat([row(batch.inputs, 0) for batch in both]).tolist()) == list(range(30))


def test_a_second_draw_shows_every_scenery_and_its_mirror_image_equally_often(cabin):
    feed = batches(cabin, second=True)
    drawn = torch.cat([batch.second for number in range(100) for batch in feed.epoch(number)])
    counts = torch.bincount(row(drawn, 0), minlength=30)
    assert len(drawn) == 3000
    assert counts.min() > 60
    assert counts.max() < 145
    variants = torch.bincount(row(drawn, 1), minlength=10)
    assert variants.min() > 240
    asymmetric = torch.from_numpy((cabin.labels != cabin.labels[:, ::-1]).any(axis=1))[row(drawn, 0)]
    original = torch.from_numpy(cabin.labels)[row(drawn, 0)]
    mirrored = (seats(drawn) != original).any(dim=1)[asymmetric]
    assert float(mirrored.double().mean()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("impossible", ["scene", "instance"])
def test_impossible_targets_keep_class_and_orientation_and_change_the_variant(cabin, impossible):
    for batch in batches(cabin, triplet=True, impossible=impossible).epoch(1):
        assert torch.equal(seats(batch.inputs), seats(batch.targets))
        assert (row(batch.inputs, 1) != row(batch.targets, 1)).all()
        same_scenery = row(batch.inputs, 0) == row(batch.targets, 0)
        if impossible == "scene":
            assert same_scenery.all()
        else:
            assert not same_scenery.any()


def test_impossible_scenes_are_refused_where_there_is_one_variant(cache):
    scenes = Scenes(EvaluationDataset(name="handwritten", root="x", limit=50), SIZE, str(cache), torch.device("cpu"))
    with pytest.raises(UserError, match="one variant per scenery"):
        batches(scenes, impossible="scene")


def test_gather_returns_prepared_pixels_and_their_mirror_images(cabin):
    index = torch.tensor([5, 5, 17])
    got = cabin.gather(index, torch.tensor([False, True, False]))
    reader = create_reader("cabin", "x", [], None)
    sources = [source for variants in reader.listing().sources for source in variants]
    plain = [torch.from_numpy(reader.prepare(sources[i], SIZE)).float() / 255 for i in index]
    assert torch.equal(got, torch.stack([plain[0], plain[1].flip(-1), plain[2]]))


def test_views_add_mirror_images_with_reversed_labels(cabin):
    index, flip, codes = cabin.views(mirrored=True, seed=1)
    assert len(index) == 60
    assert torch.equal(index[:30], index[30:])
    assert flip.tolist() == [False] * 30 + [True] * 30
    assert np.array_equal(codes[:30], label_codes(cabin.labels))
    assert np.array_equal(codes[30:], label_codes(cabin.labels[:, ::-1]))


def test_views_take_one_variant_by_seed_or_all(cabin):
    once, again, other = (cabin.views(mirrored=False, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(once // 10, torch.arange(30))
    index, _, codes = cabin.views(mirrored=False, every_variant=True)
    assert index.tolist() == list(range(300))
    assert np.array_equal(codes, np.repeat(label_codes(cabin.labels), 10))


def test_datasets_without_mirrors_are_never_flipped(cache):
    scenes = Scenes(EvaluationDataset(name="handwritten", root="x", limit=50), SIZE, str(cache), torch.device("cpu"))
    feed = batches(scenes)
    index, flip, _ = scenes.views(mirrored=True)
    assert len(index) == 50
    assert not flip.any()
    originals = {image.numpy().tobytes() for image in scenes.gather(torch.arange(50), torch.zeros(50).bool())}
    assert {image.numpy().tobytes() for batch in feed.epoch(1) for image in batch.inputs} == originals


def test_all_variants_make_an_epoch_of_every_image_once(cabin):
    epoch = list(batches(cabin, every_variant=True, impossible="scene").epoch(1))
    assert len(epoch) == len(batches(cabin, every_variant=True)) == -(-300 // 8)
    inputs, targets = (torch.cat([getattr(batch, name) for batch in epoch]) for name in ("inputs", "targets"))
    seen = sorted(zip(row(inputs, 0).tolist(), row(inputs, 1).tolist(), strict=True))
    assert seen == [(scenery, variant) for scenery in range(30) for variant in range(10)]
    # Mirrored at random, and the target is the same scenery, mirrored alike, under another variant.
    labels = torch.from_numpy(cabin.labels)[row(inputs, 0)]
    mirrored = (seats(inputs) == labels.flip(1)).all(dim=1)
    assert (mirrored | (seats(inputs) == labels).all(dim=1)).all()
    asymmetric = (labels != labels.flip(1)).any(dim=1)
    assert 0.35 < mirrored[asymmetric].float().mean() < 0.65
    assert torch.equal(row(targets, 0), row(inputs, 0))
    assert torch.equal(seats(targets), seats(inputs))
    assert (row(targets, 1) != row(inputs, 1)).all()


def test_labels_of_too_many_seats_have_no_codes():
    with pytest.raises(UserError, match="up to 7 seats"):
        label_codes(np.zeros((1, 8), dtype=np.int64))
