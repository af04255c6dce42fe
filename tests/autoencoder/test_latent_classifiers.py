import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from autoencoder.latent_classifiers import NearestNeighbours

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# As far apart as label codes of several seats are, in no order of size.
CODES = np.array([2**56, 7, 2**40 + 3, 0, 5 * 2**32])


def both(latents, codes, queries, k):
    """Return the predictions on the device and scikit-learn's."""
    latents, queries = np.float32(latents), np.float32(queries)
    ours, theirs = NearestNeighbours(latents, codes, k, DEVICE), KNeighborsClassifier(k).fit(latents, codes)
    assert np.allclose(ours.predict_proba(queries), theirs.predict_proba(queries))
    assert np.array_equal(ours.classes_, theirs.classes_)
    return ours.predict(queries), theirs.predict(queries)


def clusters(rng, count, d):
    numbers = rng.integers(0, len(CODES), count)
    return np.eye(len(CODES), d)[numbers] * 2 + rng.normal(0, 1.5, (count, d)), CODES[numbers]


@pytest.mark.parametrize("chunk_bytes", [1, 700 * 8 * 7, 2**27])
@pytest.mark.parametrize("d", [2, 64])
@pytest.mark.parametrize("k", [1, 2, 7, 115, 700])
@pytest.mark.parametrize("offset", [0, 1000])
def test_predictions_are_those_of_scikit_learn(monkeypatch, chunk_bytes, d, k, offset):
    monkeypatch.setattr("autoencoder.latent_classifiers.CHUNK_BYTES", chunk_bytes)
    rng = np.random.default_rng([d, k])
    latents, codes = clusters(rng, 700, d)
    queries, _ = clusters(rng, 100, d)
    ours, expected = both(latents + offset, codes, queries + offset, k)
    assert np.array_equal(ours, expected)
    assert ours.dtype == expected.dtype
    assert len(set(ours.tolist())) == (len(CODES) if k < 700 else 1)


def test_a_tied_vote_goes_to_the_smallest_code():
    # Distances from 0 rise, so the four nearest are open to no doubt, and two codes have two of them each.
    ours, expected = both([[1.0], [2.0], [3.0], [4.0], [50.0]], np.array([9, 4, 9, 4, 2**50]), [[0.0]], 4)
    assert ours.tolist() == expected.tolist() == [4]
    latents = np.arange(1.0, 61)[:, None]
    codes = CODES[np.random.default_rng(0).permutation(np.repeat(np.arange(5), 12))]
    for k in range(1, 61):
        ours, expected = both(latents, codes, [[0.0]], k)
        assert ours.tolist() == expected.tolist(), k
