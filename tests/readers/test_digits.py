import shutil

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from sklearn.datasets import load_digits
from torchvision.transforms import InterpolationMode, Resize

from readers import create_reader


def photos(root, count=2):
    """Write `count` colour photos per digit; returns the digit folders' parent."""
    for digit in range(10):
        folder = root / "digit_photos" / str(digit)
        folder.mkdir(parents=True)
        for i in range(count):
            values = np.random.default_rng([digit, i]).integers(0, 256, (30, 20, 3), dtype=np.uint8)
            Image.fromarray(values).save(folder / f"{i}.png")
    return root / "digit_photos"


def refusal(name, root, factor=(), split=None):
    return refused(create_reader(name, root, list(factor), split).listing)


def test_a_photo_has_the_digit_of_its_folder(tmp_path):
    photos(tmp_path)
    found = create_reader("digit_photos", tmp_path, [], None).listing()
    assert [label for (label,) in found.labels] == [digit for digit in range(10) for _ in range(2)]
    assert all(f"/{label}/" in source for (label,), (source,) in zip(found.labels, found.sources, strict=True))
    assert len(set(found.sceneries)) == 20


def test_every_second_photo_of_a_digit_is_for_testing(tmp_path):
    photos(tmp_path, count=3)
    found = {split: create_reader("digit_photos", tmp_path, [], split).listing().sceneries
             for split in ("train", "test")}
    assert found["train"] == [f"{digit}/{i}.png" for digit in range(10) for i in (0, 2)]
    assert found["test"] == [f"{digit}/1.png" for digit in range(10)]


def test_a_photo_is_prepared_as_grey_and_resized_like_torchvision(tmp_path):
    path = photos(tmp_path, count=1) / "4" / "0.png"
    expected = Resize((16, 16), InterpolationMode.BILINEAR, antialias=True)(Image.open(path).convert("L"))
    prepared = create_reader("digit_photos", tmp_path, [], None).prepare(str(path), 16)
    np.testing.assert_array_equal(prepared, np.asarray(expected)[None])


def test_root_may_be_the_photo_folder_and_what_is_missing_is_named(tmp_path):
    folder = photos(tmp_path, count=1)
    assert len(create_reader("digit_photos", folder, [], None).listing().labels) == 10
    shutil.rmtree(folder / "7")
    assert str(folder / "7") in refusal("digit_photos", tmp_path)
    message = refusal("digit_photos", tmp_path / "nowhere")
    assert "dataset.root" in message
    assert str(tmp_path / "nowhere" / "digit_photos") in message


@pytest.mark.parametrize("name", ["digit_photos", "handwritten"])
def test_a_factor_is_refused_and_splits_are_halves_without_a_common_image(tmp_path, name):
    photos(tmp_path, count=3)
    message = refusal(name, tmp_path, factor=["x5"])
    assert "dataset.factor" in message
    assert "'x5'" in message
    assert "allowed: train, test, all" in refusal(name, tmp_path, split="val")
    train, test, both = (create_reader(name, tmp_path, [], split).listing().sceneries
                         for split in ("train", "test", "all"))
    assert sorted(train + test) == sorted(both)
    assert not set(train) & set(test)


@pytest.fixture(scope="module")
def handwritten(tmp_path_factory):
    return create_reader("handwritten", tmp_path_factory.mktemp("nothing"), [], None)


def test_handwritten_has_the_1797_scans_with_their_labels(handwritten):
    found = handwritten.listing()
    assert len(found.sceneries) == len(set(found.sceneries)) == 1797
    assert [label for (label,) in found.labels] == load_digits().target.tolist()


def test_a_scan_is_bright_on_dark_with_a_margin_of_one_block(handwritten):
    scan = load_digits().images[5]
    prepared = handwritten.prepare("5", 10)
    expected = np.zeros((10, 10))
    for row in range(8):
        for column in range(8):
            expected[row + 1, column + 1] = round(scan[row, column] * 255 / 16)
    np.testing.assert_array_equal(prepared[0], expected)


def keys(x):
    """Keys' cubic kernel with a = -0.5."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def enlarging(small, large):
    """Rows of weights that resample `small` pixels to `large`, by pixel centres, renormalised at the border."""
    weights = np.array([[keys((i + 0.5) * small / large - (j + 0.5)) for j in range(small)] for i in range(large)])
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("index", [0, 11, 1796])
def test_a_scan_is_enlarged_bicubically(handwritten, index):
    blocks = np.pad(load_digits().images[index], 1) * 255 / 16
    weights = enlarging(10, 48)
    # An image has no values beyond 0..255, not even between the two passes.
    expected = (weights @ (blocks @ weights.T).clip(0, 255)).clip(0, 255)
    prepared = handwritten.prepare(str(index), 48)
    assert prepared.shape == (1, 48, 48)
    assert prepared.dtype == np.uint8
    assert abs(prepared[0] - expected).max() < 2
