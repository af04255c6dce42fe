"""Pictures as data URIs."""

import base64
import io
import os

import numpy as np
import pytest
from PIL import Image

from errors import UserError
from reporting.embed import MOST_PIXELS, MOST_WIDE, embed


def decode(found):
    kind, _, content = found.uri.partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_plot_comes_back_without_loss(tmp_path):
    image = np.full((60, 80, 3), 255, dtype=np.uint8)
    image[10:50, 20] = (0, 114, 178)
    Image.fromarray(image).save(tmp_path / "plot.png")
    found = embed(tmp_path / "plot.png")
    assert (np.asarray(decode(found)) == image).all()
    assert (found.width, found.height) == (80, 60)
    assert embed(tmp_path / "plot.png") == found


def test_a_large_photograph_is_shrunk_and_resembles_itself(tmp_path):
    x, y = np.meshgrid(np.linspace(0, 6, 2 * MOST_WIDE), np.linspace(0, 6, 600))
    noise = np.random.default_rng(0).normal(0, 4, x.shape)
    image = np.clip(127 + 80 * np.sin(x * y) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.png")
    found = embed(tmp_path / "photo.png")
    assert (found.width, found.height) == (MOST_WIDE, 300)
    shrunk = Image.fromarray(image).resize((MOST_WIDE, 300), Image.Resampling.LANCZOS)
    apart = np.abs(np.asarray(decode(found).convert("L"), dtype=int) - np.asarray(shrunk, dtype=int))
    assert apart.mean() < 3
    assert len(found.uri) < (tmp_path / "photo.png").stat().st_size / 4


def test_what_is_transparent_is_on_white(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (np.asarray(decode(embed(tmp_path / "clear.png"))) == 255).all()


def test_what_is_no_picture_is_one_line(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(UserError, match=r"bad\.png: not a picture that can be read"):
        embed(tmp_path / "bad.png")
    Image.new("1", (MOST_PIXELS // 1000 + 1, 1000)).save(tmp_path / "vast.png")
    with pytest.raises(UserError, match=r"vast\.png: \d+ x 1000 pixels; allowed"):
        embed(tmp_path / "vast.png")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"),
                                  lambda path: path.touch() or os.truncate(path, 10**12)])
def test_what_is_no_file_or_far_too_large_is_one_line(tmp_path, make):
    make(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: not a picture"):
        embed(tmp_path / "a.png")
