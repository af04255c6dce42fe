"""Cut-outs of photographs: both layouts, and what is wrong with files."""

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from readers import create_reader
from readers.prepare import prepare

RNG = np.random.default_rng(0)


def rgba(size=(20, 12)):
    pixels = RNG.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    pixels[..., 3] = 255 * (pixels[..., 3] > 99)
    return pixels


def write(root, layout, names=("a", "b", "c"), part="kerb"):
    """Write cut-outs of 20x12 pixels; returns their pixels."""
    found = []
    for name in names:
        pixels = rgba()
        if layout == "photos":
            for folder, values, suffix in (("photos", pixels[..., :3], "png"), ("masks", pixels[..., 3], "png")):
                (root / folder / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(root / folder / part / f"{name}.{suffix}")
        else:
            folder = root / layout
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{name}.png")
        found.append(pixels)
    return found


def opened(root, split=None, factor=(), **options):
    return create_reader("cut_outs", root, list(factor), split, **options)


@pytest.mark.parametrize("layout", [".", "cut_outs", "photos"])
def test_cut_outs_are_put_into_squares_with_nothing_around(tmp_path, layout):
    pixels = write(tmp_path, layout)
    prepared = prepare(opened(tmp_path), 20, tmp_path / "cache")
    assert prepared.images.shape == (3, 4, 20, 20)
    for image, wanted in zip(prepared.images, pixels, strict=True):
        square = np.zeros((20, 20, 4), np.uint8)
        square[4:16] = np.where(wanted[..., 3:] > 0, wanted, 0)
        assert np.array_equal(image.transpose(1, 2, 0), square)


def test_splits_share_nothing_and_parts_are_chosen_by_name(tmp_path):
    write(tmp_path, "photos", [f"{i:02}" for i in range(20)])
    parts = [opened(tmp_path, split).listing().sceneries for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [14, 2, 4]
    assert sorted(name for part in parts for name in part) == opened(tmp_path).listing().sceneries
    assert len(opened(tmp_path, factor=["kerb"]).listing().sceneries) == 20
    assert "did you mean 'kerb'?" in refused(opened(tmp_path, factor=["kerbs"]).listing)
    assert "no parts to choose from" in refused(opened(tmp_path / "photos/kerb", factor=["kerb"]).listing)


def test_an_image_is_in_one_split_whichever_parts_are_chosen(tmp_path):
    for part in ("kerb", "lane", "yard"):
        write(tmp_path, "photos", [f"{i:02}" for i in range(10)], part)
    for split in ("train", "val", "test"):
        whole = opened(tmp_path, split).listing().sceneries
        for factor in (["kerb"], ["lane", "yard"]):
            assert opened(tmp_path, split, factor).listing().sceneries == [
                name for name in whole if name.partition("/")[0] in factor]
    # A part that is not chosen may be without masks.
    for mask in (tmp_path / "masks/yard").iterdir():
        mask.unlink()
    (tmp_path / "masks/yard").rmdir()
    assert len(opened(tmp_path, factor=["kerb"]).listing().sceneries) == 10
    assert "looked for folder" in refused(opened(tmp_path).listing)


# Layout, what is done, and what is said.
BAD = {
    "no mask": ("photos", lambda root: (root / "masks/kerb/b.png").unlink(), "b.png: no mask; looked for"),
    "no photo": ("photos", lambda root: (root / "photos/kerb/b.png").unlink(), "b.png: mask without a photo in"),
    "other size": ("photos", lambda root: Image.new("L", (5, 5), 9).save(root / "masks/kerb/b.png"),
                   "mask of 5x5 pixels for an image of 20x12"),
    "empty mask": ("photos", lambda root: Image.new("L", (20, 12)).save(root / "masks/kerb/b.png"),
                   "the mask is empty"),
    "transparent": (".", lambda root: Image.new("RGBA", (20, 12)).save(root / "b.png"), "the mask is empty"),
    "no alpha": (".", lambda root: Image.new("RGB", (20, 12)).save(root / "b.png"), "allowed: one with alpha (RGBA)"),
    "no image": (".", lambda root: (root / "b.png").write_bytes(b"x"), "image cannot be read"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_cut_out_that_is_none_is_named_and_left_out_on_request(tmp_path, kind):
    layout, damage, problem = BAD[kind]
    write(tmp_path, layout)
    damage(tmp_path)
    assert problem in refused(prepare, opened(tmp_path), 16, tmp_path / "cache")
    assert len(prepare(opened(tmp_path, skip_bad=True), 16, tmp_path / "cache").sources) == 2
