from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from autoencoder.neighbours import NearestNeighbours

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# As far apart as label codes of several seats are, in no order of size.
CODES = np.array([2**56, 7, 2**40 + 3, 0, 5 * 2**32])


class Counting(KNeighborsClassifier):
    """scikit-learn's classifier, counting how often it is asked."""

    asked = 0

    def predict(self, X):
        self.asked += 1
        return super().predict(X)


def fitted(latents, codes, k):
    latents = np.float32(latents)
    return NearestNeighbours(Counting(k).fit(latents, codes), latents, np.array(codes), DEVICE)


def both(latents, codes, queries, k):
    """Return the predictions on the device and scikit-learn's, and how often the former went to scikit-learn."""
    latents, queries = np.float32(latents), np.float32(queries)
    ours = fitted(latents, codes, k)
    predicted = ours.predict(queries)
    return predicted, KNeighborsClassifier(k).fit(latents, codes).predict(queries), ours.classifier.asked


def clusters(rng, count, d, spread=1.5):
    numbers = rng.integers(0, len(CODES), count)
    return np.eye(len(CODES), d)[numbers] * 2 + rng.normal(0, spread, (count, d)), CODES[numbers]


@pytest.mark.parametrize("d", [2, 10, 64])
@pytest.mark.parametrize("k", [1, 2, 7, 115])
def test_predictions_are_those_of_scikit_learn_without_asking_it(d, k):
    rng = np.random.default_rng([d, k])
    latents, codes = clusters(rng, 700, d)
    queries, _ = clusters(rng, 300, d)
    ours, expected, asked = both(latents, codes, queries, k)
    assert np.array_equal(ours, expected)
    assert ours.dtype == expected.dtype
    assert len(set(ours.tolist())) == len(CODES)
    assert not asked


@pytest.mark.parametrize("chunk_bytes", [1, 700 * 8 * 7])
def test_chunks_change_nothing(monkeypatch, chunk_bytes):
    rng = np.random.default_rng(0)
    latents, codes = clusters(rng, 700, 8)
    queries, _ = clusters(rng, 100, 8)
    monkeypatch.setattr("autoencoder.neighbours.CHUNK_BYTES", chunk_bytes)
    ours, expected, asked = both(latents, codes, queries, 30)
    assert np.array_equal(ours, expected)
    assert not asked


@pytest.mark.parametrize("d", [1, 3, 20])
@pytest.mark.parametrize("k", [1, 4, 25, 200])
@pytest.mark.parametrize("levels", [2, 5])
def test_ties_in_distance_and_votes_go_as_in_scikit_learn(d, k, levels):
    rng = np.random.default_rng([d, k, levels])
    latents, codes = rng.integers(0, levels, (400, d)), CODES[rng.integers(0, len(CODES), 400)]
    ours, expected, _ = both(latents, codes, rng.integers(0, levels, (300, d)), k)
    assert np.array_equal(ours, expected)


def test_open_ties_are_settled_by_scikit_learn():
    latents = np.repeat([[0.0, 0.0], [1.0, 1.0]], 50, axis=0)
    codes = np.tile(CODES[:2], 50)
    ours, expected, asked = both(latents, codes, [[0.1, 0.2], [0.9, 1.0]], 7)
    assert np.array_equal(ours, expected)
    assert asked == 1


def test_ties_that_change_no_majority_are_settled_here():
    # The third neighbour is either latent at 3, and the class of the first two has the majority in any case.
    ours, expected, asked = both([[1.0], [2.0], [3.0], [3.0], [9.0]], np.array([8, 8, 5, 5, 5]), [[0.0]], 3)
    assert ours.tolist() == expected.tolist() == [8]
    assert not asked


@pytest.mark.parametrize("k", [1, 40])
def test_more_equally_distant_latents_than_candidates_are_left_open(k):
    latents = np.zeros((200, 2), np.float32)
    for odd in range(0, 200, 20):
        codes = np.where(np.arange(200) == odd, 3, 8)
        _, settled = fitted(latents, codes, k)._vote(torch.ones(4, 2, device=DEVICE))
        assert not settled.any()


def test_a_tied_vote_goes_to_the_smallest_code():
    latents = [[1.0], [2.0], [3.0], [4.0], [50.0]]
    ours, expected, asked = both(latents, np.array([9, 4, 9, 4, 2**50]), [[0.0]], 4)
    assert ours.tolist() == expected.tolist() == [4]
    assert not asked


@pytest.mark.parametrize("d", [4, 40])
def test_equal_latents_go_as_in_scikit_learn(d):
    rng = np.random.default_rng(1)
    ours, expected, asked = both(np.full((200, d), 0.3), CODES[rng.integers(0, 5, 200)], np.full((30, d), 0.3), 15)
    assert np.array_equal(ours, expected)
    assert asked == 1


def test_all_training_latents_can_be_neighbours():
    rng = np.random.default_rng(2)
    latents, codes = clusters(rng, 60, 5)
    ours, expected, asked = both(latents, codes, rng.normal(0, 1, (20, 5)), 60)
    assert np.array_equal(ours, expected)
    assert set(ours.tolist()) == {max(CODES.tolist(), key=lambda code: (np.sum(codes == code), -code))}
    assert not asked


@pytest.mark.parametrize("offset", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("d", [3, 64])
def test_latents_far_from_the_origin_go_as_in_scikit_learn(offset, d):
    rng = np.random.default_rng(int(offset))
    latents, codes = clusters(rng, 700, d)
    queries, _ = clusters(rng, 300, d)
    ours, expected, _ = both(latents + offset, codes, queries + offset, 25)
    assert np.array_equal(ours, expected)


def test_a_neighbour_is_open_where_rounding_can_hide_which_is_nearer():
    # The nearer two differ by 0.02 in their square distances, and rounding at a million from the origin can do 0.04.
    latents, codes = np.float32([[1.0, 0.0], [0.9375, 0.375], [4.0, 4.0]]) + np.float32(1e6), CODES[:3]
    queries = torch.tensor([[0.0, 0.0], [2.0, -0.5], [4.0, 3.0]], device=DEVICE) + 1e6
    _, settled = fitted(latents, codes, 1)._vote(queries)
    assert settled.tolist() == [False, True, True]


@pytest.mark.parametrize("offset", [0, 1000])
def test_rounding_stays_within_its_bound(offset):
    rng = np.random.default_rng(offset)
    latents, queries = np.float32(rng.normal(offset, 1, (2, 20, 64)))
    a, b = queries.astype(np.float64), latents.astype(np.float64)
    rounded = {"sum of three": (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)[None],
               "differences": ((a[:, None] - b) ** 2).sum(2)}
    # The bound is a fourth of the margin.
    bound = fitted(latents, np.arange(20), 1)._margin(torch.from_numpy(queries).to(DEVICE).double()).cpu().numpy() / 4
    for i in range(20):
        for j in range(20):
            exact = sum((Fraction(float(x)) - Fraction(float(y))) ** 2 for x, y in zip(a[i], b[j], strict=True))
            for name, distances in rounded.items():
                assert abs(Fraction(float(distances[i, j])) - exact) < Fraction(float(bound[i, 0])), name


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_latents_that_are_not_finite_are_refused_as_by_scikit_learn(bad):
    latents, codes = clusters(np.random.default_rng(0), 50, 3)
    ours = fitted(latents, codes, 5)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        ours.predict(np.float32([[0, bad, 1]]))
