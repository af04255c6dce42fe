import hashlib
import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageFont
from refusals import refused

from errors import UserError
from readers import create_reader
from readers.base import Listing
from readers.glyphs import FONTS, VARIANTS, Letters, glyph_mask, render

PROJECT = Path(__file__).parents[2]
DIGITS = "0123456789"


def listing(name="glyphs", split=None, factor=()):
    return create_reader(name, "unused", list(factor), split).listing()


def pixels(name, split, sceneries, size=32):
    """Prepare all variants of the first sceneries, as bytes."""
    reader = create_reader(name, "unused", [], split)
    sources = reader.listing().sources[:sceneries]
    return [reader.prepare(source, size).tobytes() for variants in sources for source in variants]


DIGEST = """
import hashlib
from readers.glyphs import render
digest = hashlib.sha256()
for scenery in reversed(range(12)):
    for variant in range(10):
        digest.update(render("0123456789", 1, scenery, variant, 48).tobytes())
print(digest.hexdigest())
"""


def test_another_process_draws_the_same_bytes_in_any_order():
    done = subprocess.run([sys.executable, "-c", DIGEST], cwd=PROJECT, capture_output=True, text=True, check=True)
    images = [render(DIGITS, 1, scenery, variant, 48).tobytes() for scenery in range(12) for variant in range(VARIANTS)]
    backwards = [image for scenery in reversed(range(12)) for image in images[10 * scenery : 10 * scenery + 10]]
    assert done.stdout.strip() == hashlib.sha256(b"".join(backwards)).hexdigest()


@pytest.mark.parametrize("size", [16, 32, 64])
def test_images_are_grey_bytes_of_the_wanted_size_that_use_their_range(size):
    images = np.stack([render(DIGITS, 1, scenery, scenery % 10, size) for scenery in range(50)])
    assert images.dtype == np.uint8
    assert images.shape == (50, 1, size, size)
    spread = np.ptp(images.reshape(50, -1).astype(int), axis=1)
    assert spread.min() > 40


def test_masks_are_coverage_and_no_glyph_is_lost():
    for scenery in range(300):
        mask = glyph_mask(DIGITS, 1, scenery, 32)
        assert mask.dtype == np.float32
        assert 0 <= mask.min() <= mask.max() <= 1
        assert 0.02 < mask.mean() < 0.7


def test_variants_of_a_scenery_differ_but_show_its_glyph():
    masks = [glyph_mask(DIGITS, 1, scenery, 64).ravel() for scenery in range(10)]
    for scenery in range(10):
        variants = [render(DIGITS, 1, scenery, variant, 64) for variant in range(VARIANTS)]
        assert len({image.tobytes() for image in variants}) == VARIANTS
        likeness = np.array([[abs(np.corrcoef(image.ravel(), mask)[0, 1]) for mask in masks] for image in variants])
        assert (likeness.argmax(axis=1) == scenery).all()


def test_ink_is_brighter_than_paper_in_some_variants_and_darker_in_others():
    signs = []
    for scenery in range(20):
        mask = glyph_mask(DIGITS, 1, scenery, 32).ravel()
        signs += [np.corrcoef(render(DIGITS, 1, scenery, variant, 32).ravel(), mask)[0, 1] > 0 for variant in range(10)]
    assert 0.3 < np.mean(signs) < 0.7


def test_sceneries_of_one_character_have_different_shapes():
    assert len({glyph_mask("8", 1, scenery, 32).tobytes() for scenery in range(40)}) == 40


@pytest.mark.parametrize(("name", "classes"), [("glyphs", 10), ("letters", 37)])
def test_the_label_names_the_character_that_is_drawn_and_classes_are_balanced(name, classes):
    reader = create_reader(name, "unused", [], "train")
    found = reader.listing()
    for i in range(0, 5000, 77):
        alone = render(reader.classes[found.labels[i][0]], 1, i, 4, 32)
        np.testing.assert_array_equal(reader.prepare(found.sources[i][4], 32), alone)
    assert len(set(reader.classes)) == len(reader.classes) == classes
    counts = Counter(found.labels)
    assert (len(counts), sum(counts.values())) == (classes, 5000)
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("name", ["glyphs", "letters"])
def test_train_and_test_share_no_image_and_no_glyph_shape(name):
    train, test = pixels(name, "train", 40), pixels(name, "test", 40)
    assert len(set(train)) == len(set(test)) == 400
    assert not set(train) & set(test)
    masks = {seed: {glyph_mask(DIGITS, seed, scenery, 32).tobytes() for scenery in range(200)} for seed in (1, 2)}
    assert not masks[1] & masks[2]


def test_the_default_split_is_train_and_all_holds_both_and_there_are_no_factors():
    train, test, both = (listing(split=split) for split in ("train", "test", "all"))
    assert listing() == train
    assert both.sources == train.sources + test.sources
    assert len(set(both.sceneries)) == 10000
    with pytest.raises(UserError, match=r"dataset\.factor.*'3'"):
        listing(factor=["3"])


@pytest.mark.parametrize(("name", "problem"), [
    ("first_3", "number 'first' in the name; expected <number>_<class>"),
    ("00001_z", "class 'z' in the name"),
    ("00001_3", "no images in this scenery folder"),
])
def test_folders_of_glyphs_that_are_no_sceneries_are_named_and_left_out_on_request(tmp_path, name, problem):
    folder = tmp_path / "glyphs" / "train"
    for each in ("00000_3", name):
        (folder / each).mkdir(parents=True)
    for each in ["00000_3"] if "images" in problem else ["00000_3", name]:
        Image.new("L", (16, 16)).save(folder / each / "0.png")
    assert f"{folder / name}: {problem}" in refused(create_reader("glyphs", tmp_path, [], None).listing)
    found = create_reader("glyphs", tmp_path, [], None, skip_bad=True).listing()
    assert (found.sceneries, found.labels) == (["train-0"], [(3,)])


def test_a_copy_has_the_inks_of_what_is_drawn(tmp_path):
    drawn = create_reader("glyphs", "nowhere", [], "test")
    found = drawn.listing()
    for source in chain.from_iterable(found.sources[:12]):
        path = tmp_path / drawn.place(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn.prepare(source, 16)[0]).save(path)
    for factor in (["bright"], ["dark"], ["dark", "bright"]):
        whole, copy = (create_reader("glyphs", root, factor, "test") for root in ("nowhere", tmp_path))
        wanted, copied = (chain.from_iterable(each.listing().sources[:12]) for each in (whole, copy))
        assert [copy.place(source) for source in copied] == [whole.place(source) for source in wanted]
    assert 30 < len(create_reader("glyphs", tmp_path, ["bright"], "test").listing().stamps) < 90
    path.rename(path.with_stem("last"))
    assert "variant 'last' in the name, which says no ink" in refused(copy.listing)


@pytest.mark.parametrize("name", FONTS)
def test_every_font_has_every_character(name):
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), 40)
    missing = "\uffff"
    shapes = [bytes(font.getmask(character)) for character in (*DIGITS, *Letters.characters, missing)]
    assert len(set(shapes)) == len(shapes)


@pytest.mark.parametrize(("name", "enough", "classes"), [("glyphs", 100, 10), ("letters", 300, 37)])
def test_a_limit_draws_nested_subsets_with_all_classes(name, enough, classes):
    whole = listing(name)
    previous = set()
    for limit in (1, 7, enough, 2000, 4999):
        part = whole.limited(limit)
        assert len(part.sceneries) == len(set(part.sceneries)) == limit
        assert previous <= set(part.sceneries)
        previous = set(part.sceneries)
    assert previous < set(whole.sceneries)
    assert len(set(whole.limited(enough).labels)) == classes


def uneven():
    """A listing whose sceneries have 1, 2, 3, 1, 2, 3, ... variants."""
    whole = Listing(dropped={"odd": ["a", "b"]})
    for i in range(50):
        names = [f"{i}.{variant}" for variant in range(i % 3 + 1)]
        whole.add(f"scene {i}", (i, i + 1), names, [f"stamp {name}" for name in names])
    return whole


def test_a_limited_listing_keeps_order_labels_sources_and_stamps_together():
    part = uneven().limited(20)
    numbers = [int(name.split()[1]) for name in part.sceneries]
    assert numbers == sorted(numbers)
    assert part.labels == [(i, i + 1) for i in numbers]
    assert part.sources == [[f"{i}.{variant}" for variant in range(i % 3 + 1)] for i in numbers]
    assert part.stamps == [f"stamp {source}" for variants in part.sources for source in variants]
    assert part.dropped == {"odd": ["a", "b"]}
    assert uneven().limited(None) == uneven().limited(50) == uneven().limited(1000) == uneven()
