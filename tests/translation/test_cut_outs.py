"""Filters, frames and colours of cut-outs, on masks whose areas and ratios are known by construction."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from translation.cut_outs import (
    LEAST_RATIO,
    Filters,
    Normal,
    border_cover,
    correct_colours,
    cut,
    draw_padding,
    finish,
    fit,
    frame_padding,
    frame_ratio,
    most_colour,
    reject,
    square,
)
from translation.masks import Instance, bounding_box

COLOURFUL = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
# Filters that let everything pass, one of which a test makes strict.
OPEN = Filters(confidence=0, box_side=0, fill=0, grey=-1, components=99, border_cover=1)


def block(height=150, width=150, rows=slice(None), columns=slice(None)):
    mask = np.zeros((height, width), dtype=bool)
    mask[rows, columns] = True
    return mask


def in_box(mask, box=None, **known):
    return Instance(mask, box or bounding_box(mask), **known)


def reason(instance, filters, photo=COLOURFUL):
    found = reject(photo, instance, filters)
    return found and (found.reason, found.found)


def test_the_defaults_are_those_of_the_source():
    assert Filters() == Filters(("car", "truck"), 0.7, 128, 0.5, 0, 1, 0.02, 1 / 3, "box")


@pytest.mark.parametrize(("known", "expected"), [
    ({"label": "truck", "confidence": 0.7}, None),
    ({"label": "car", "confidence": 0.6999}, ("confidence", "0.700")),
    ({"label": "bus", "confidence": 0.99}, ("class", "bus")),
    ({}, None)])
def test_class_and_confidence_are_asked_of_a_network_alone(known, expected):
    assert reason(in_box(block(), **known), replace(OPEN, confidence=0.7)) == expected


@pytest.mark.parametrize(("height", "width", "expected"), [
    (128, 128, None), (64, 256, None), (127, 128, ("box side", "127.5 px")), (64, 255, ("box side", "127.7 px"))])
def test_the_root_of_the_boxs_area_is_at_least_128_pixels(height, width, expected):
    mask = block(300, 300, slice(5, 5 + height), slice(7, 7 + width))
    assert reason(in_box(mask), replace(OPEN, box_side=128)) == expected


@pytest.mark.parametrize(("covered", "expected"), [(50, None), (49, ("fill", "0.490"))])
def test_a_mask_covers_at_least_half_of_the_predicted_box(covered, expected):
    # The box is larger than the mask's own.
    mask = block(rows=slice(20, 30), columns=slice(20, 25))
    mask[29, 24] = covered == 50
    assert reason(in_box(mask, (20, 20, 30, 30)), replace(OPEN, fill=0.5)) == expected


@pytest.mark.parametrize(("most", "spread", "expected"), [
    (0, 0, ("grey", "0 of 255")), (0, 1, None), (3, 3, ("grey", "3 of 255")), (3, 4, None)])
def test_a_photo_whose_channels_are_equal_is_grey(most, spread, expected):
    photo = np.repeat(COLOURFUL[..., :1] // 2, 3, axis=2)
    photo[10, 20, 1] += spread
    assert most_colour(photo) == spread
    assert reason(in_box(block()), replace(OPEN, grey=most), photo) == expected


@pytest.mark.parametrize(("row", "expected"), [(30, None), (31, ("components", "2"))])
def test_parts_that_touch_at_a_corner_hang_together(row, expected):
    mask = block(rows=slice(10, 30), columns=slice(10, 30))
    mask[row:40, 30:40] = True
    assert reason(in_box(mask), replace(OPEN, components=1)) == expected


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("covered", [66, 67])
def test_at_most_a_third_of_a_two_percent_strip_is_covered(turns, covered):
    # 150 x 99: the strip at the top has round(0.02 * 150) = 3 rows of 99, those at the sides have 2 columns.
    mask = block(150, 99, slice(3, 147), slice(2, 97))
    mask[:3, 20:42] = True
    mask[0, 50] = covered == 67
    mask = np.rot90(mask, turns)
    name = ("top", "left", "bottom", "right")[turns]
    assert border_cover(mask, 0.02)[name] == pytest.approx(covered / 297)
    filters = replace(OPEN, border_cover=1 / 3 if covered > 67 else 66 / 297)
    found = reason(in_box(mask, (0, 0, *mask.shape[::-1])), filters)
    assert found == (None if covered == 66 else ("border", f"0.226 of the {name}"))


@pytest.mark.parametrize(("columns", "expected"), [(33, None), (34, ("border", "0.343 of the bottom"))])
def test_a_third_itself_is_allowed(columns, expected):
    mask = block(150, 99, slice(3, 147), slice(2, 97))
    mask[-3:, :columns] = True
    assert reason(in_box(mask, (0, 0, 99, 150)), replace(OPEN, border_cover=1 / 3)) == expected


def test_a_strip_has_at_least_one_pixel_and_the_photos_border_may_be_meant():
    mask = block(20, 20, slice(4, 16), slice(0, 12))
    assert border_cover(mask, 0.02) == {"top": 0, "bottom": 0, "left": 0.6, "right": 0}
    assert reason(in_box(mask), replace(OPEN, border_cover=1 / 3)) == ("border", "1.000 of the top")
    photo = replace(OPEN, border_cover=1 / 3, border_of="photo")
    assert reason(in_box(mask), photo) == ("border", "0.600 of the left")
    assert reason(in_box(np.roll(mask, 2, 1)), photo) is None


def test_an_empty_mask_is_rejected_before_anything_else():
    assert reason(in_box(block(rows=slice(0))), OPEN) == ("empty mask", "0 pixels")
    assert reason(in_box(block(rows=slice(0)), (3, 3, 9, 9)), OPEN) == ("empty mask", "0 pixels")


def test_frame_ratio_is_object_by_background():
    assert frame_ratio(block(10, 10, slice(2), slice(10))) == 20 / 80
    assert frame_ratio(block(10, 10)) == math.inf


@pytest.mark.parametrize("ratio", [0.05, 0.2, 0.26, 1.0])
@pytest.mark.parametrize(("height", "width"), [(128, 128), (61, 200), (300, 90)])
def test_the_padding_of_a_square_gives_the_ratio_that_it_is_for(height, width, ratio):
    area, side = height * width, max(height, width)
    padding = frame_padding(area, side, ratio)
    assert area / ((side + 2 * padding) ** 2 - area) == pytest.approx(ratio, rel=1e-12)
    if padding >= 0:
        generator = np.random.default_rng(0)
        image = square(np.full((height, width, 4), 255, np.uint8), generator)
        drawn, whole = draw_padding(area, side, Normal(ratio, 0), 0, generator)
        framed = np.pad(image[..., 3], whole)
        # By how much half a pixel on each side changes the ratio.
        slack = abs(area / ((side + 2 * padding - 1) ** 2 - area) - ratio)
        assert (drawn, whole) == (ratio, round(padding))
        assert frame_ratio(framed) == pytest.approx(ratio, abs=slack)


def test_ratios_are_redrawn_until_the_frame_can_have_them_and_follow_the_truncated_normal_distribution():
    generator, normal = np.random.default_rng(0), Normal(0.5, 0.3)
    # A quarter of the square: 1/3 is the largest ratio, up to the rounding of half a pixel of padding.
    drawn = [draw_padding(250_000, 1000, normal, 50, generator) for _ in range(800)]
    ratios = np.array([ratio for ratio, _ in drawn])
    low, high = (LEAST_RATIO - 0.5) / 0.3, (1 / 3 - 0.5) / 0.3
    assert stats.kstest(ratios, stats.truncnorm(low, high, 0.5, 0.3).cdf).pvalue > 0.01
    assert min(padding for _, padding in drawn) >= 0


def test_a_frame_that_is_too_large_for_every_drawn_ratio_is_given_up():
    assert draw_padding(100, 100, Normal(0.25, 0.01), 10, np.random.default_rng(0)) is None
    assert draw_padding(100, 100, Normal(-1, 0.01), 10, np.random.default_rng(0)) is None


def test_a_normal_distribution_is_fitted_by_mean_and_deviation():
    values = np.random.default_rng(0).normal(0.2, 0.05, 1000)
    assert (fit(values).mean, fit(values).std) == pytest.approx(stats.norm.fit(values))


def test_squaring_pads_the_shorter_side_by_half_and_an_odd_pixel_on_either():
    image = np.full((4, 7, 4), 255, np.uint8)
    tops = {int(square(image, np.random.default_rng(seed))[:, 0, 3].argmax()) for seed in range(20)}
    assert tops == {1, 2}
    tall = square(np.full((8, 4, 4), 255, np.uint8), np.random.default_rng(0))
    assert (tall.shape, tall[..., 3].any(0).tolist()) == ((8, 8, 4), [False] * 2 + [True] * 4 + [False] * 2)
    same = COLOURFUL[:6, :6]
    assert square(same, np.random.default_rng(0)) is same or (square(same, np.random.default_rng(0)) == same).all()


def test_a_cut_shows_the_photo_inside_the_mask_and_nothing_outside():
    mask = block(rows=slice(3, 9), columns=slice(5, 20))
    mask[3, 5] = False
    image = cut(COLOURFUL, in_box(mask))
    assert (image.shape, image[0, 0].tolist()) == ((6, 15, 4), [0, 0, 0, 0])
    np.testing.assert_array_equal(image[1:, :, :3], COLOURFUL[4:9, 5:20])
    assert (image[..., 3] > 0).sum() == mask.sum() == 89


def test_black_inside_becomes_one_and_background_stays_black_in_arrays_and_in_tensors():
    images, inside = np.zeros((2, 1, 4, 3), np.uint8), np.zeros((2, 1, 4, 1), bool)
    images[:, :, 2] = (0, 0, 7)
    images[:, :, 3] = (0, 200, 255)
    inside[:, :, 1:] = True
    found = correct_colours(images, inside, -1)
    assert found[1, 0].tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 7], [0, 200, 255]]
    same = correct_colours(*(torch.from_numpy(each).permute(0, 3, 1, 2) for each in (images, inside)), 1)
    assert same.dtype == torch.uint8
    assert np.array_equal(same.permute(0, 2, 3, 1), found)


def disc(side, colour):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    alpha = ((x**2 + y**2) < (side / 3) ** 2)[..., None]
    return np.concatenate([np.uint8(colour) * alpha, np.uint8(255) * alpha], axis=2)


@pytest.mark.parametrize("size", [32, 128, 300])
def test_resizing_smears_no_colour_over_the_outline_and_leaves_no_black_in_it(size):
    red, black = finish(disc(128, (200, 20, 10)), size), finish(disc(128, (0, 0, 0)), size)
    inside = red[..., 3] == 255
    assert set(np.unique(red[..., 3])) == {0, 255}
    # Pillow divides by an alpha of 8 bits, so colours on the outline may be two steps off.
    assert np.abs(red[inside][:, :3].astype(int) - (200, 20, 10)).max() <= 2
    assert red[~inside].max() == black[~inside].max() == 0
    assert (black[inside] == (1, 1, 1, 255)).all()
    assert frame_ratio(inside) == pytest.approx(frame_ratio(disc(128, (1, 1, 1))[..., 3]), rel=0.03)


def test_black_that_resizing_makes_is_corrected_too():
    image = np.zeros((8, 8, 4), np.uint8)
    image[..., 3] = 255
    image[::4, ::4, 2] = 3
    smaller = finish(image, 8 // 4)
    plain = np.asarray(Image.fromarray(image).resize((2, 2), Image.Resampling.BILINEAR))
    assert not plain[..., :3].any()
    assert (smaller == (1, 1, 1, 255)).all()


def test_the_outline_can_be_read_from_the_colours():
    image = np.concatenate([COLOURFUL // 100, np.full((150, 150, 1), 255, np.uint8)], axis=2)
    image[:40] = 0
    done = finish(image, 64)
    np.testing.assert_array_equal(done[..., :3].any(-1), done[..., 3] > 0)
