"""Entropies against closed forms and naive counting."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from compute_complexity_dataset import entropies, main, mean_entropies
from readers import create_reader
from standin import write_standin


def entropy(counts):
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values())


def naive(image):
    """Count grey levels and, in both directions, horizontal neighbours."""
    levels = Counter(image.ravel().tolist())
    pairs = Counter()
    for line in image.tolist():
        for a, b in pairwise(line):
            pairs.update([(a, b), (b, a)])
    return entropy(levels), entropy(pairs)


def test_entropies_are_those_of_a_count_by_hand():
    halves = np.zeros((16, 16), dtype=np.uint8)
    assert entropies(halves + 77) == (0, 0)
    halves[8:] = 200
    # Rows are constant, so neighbours are (0, 0) or (200, 200), one bit too; of columns, (0, 200) or (200, 0).
    assert entropies(halves) == pytest.approx((1, 1))
    assert entropies(halves.T[:, [0, 8] * 8]) == pytest.approx((1, 1))
    assert entropies(np.arange(256, dtype=np.uint8).reshape(16, 16))[0] == pytest.approx(8)


def test_random_images_equal_naive_counting():
    image = np.random.default_rng(0).integers(0, 9, (20, 31), dtype=np.uint8)
    assert entropies(image) == pytest.approx(naive(image))


@pytest.mark.parametrize("channels", [1, 3])
def test_means_over_many_images_equal_one_by_one(tmp_path, monkeypatch, channels):
    images = np.lib.format.open_memmap(tmp_path / "images.npy", mode="w+", dtype=np.uint8, shape=(70, channels, 8, 8))
    images[:] = np.random.default_rng(1).integers(0, 256, images.shape)
    expected = np.mean([naive(image.mean(axis=0).round().astype(np.uint8)) for image in images], axis=0)
    assert mean_entropies(images, channels, "random") == pytest.approx(tuple(expected))


def test_label_maps_are_no_part_of_an_image(tmp_path, capsys, monkeypatch):
    write_standin("camvid", tmp_path, sceneries=5)
    monkeypatch.setattr("sys.argv", ["_", "camvid", "--root", str(tmp_path), "--cache", str(tmp_path / "cache"),
                                     "--size", "32", "--format", "csv"])
    main()
    reader = create_reader("camvid", tmp_path, [], None)
    images = [reader.prepare(source, 32)[:3] for [source] in reader.listing().sources]
    expected = np.mean([naive(image.mean(axis=0).round().astype(np.uint8)) for image in images], axis=0)
    found = capsys.readouterr().out.splitlines()[1].split(",")
    assert [float(value) for value in found[3:]] == pytest.approx(expected, abs=6e-4)
