import numpy as np
import pytest
from scipy.stats import norm

from autoencoder.domain_gap import domain_classifier, domain_gap, knn_overlap
from errors import UserError


def cloud(count, seed, shift=0.0, dimension=8):
    """Standard normal latents, moved by `shift` along the first axis."""
    points = np.random.default_rng(seed).normal(size=(count, dimension))
    points[:, 0] += shift
    return points.astype(np.float32)


def overlap_in_a_loop(synthetic, real, neighbours=10):
    """The definition of the overlap for domains of equal size, all of which is drawn."""
    share = 0.0
    for i, point in enumerate(real):
        others = [(np.linalg.norm(point - each), 1) for each in synthetic]
        others += [(np.linalg.norm(point - each), 0) for j, each in enumerate(real) if j != i]
        share += np.mean([kind for _, kind in sorted(others)[:neighbours]]) / len(real)
    return share / (len(synthetic) / (len(synthetic) + len(real) - 1))


@pytest.mark.parametrize(("synthetic", "real"), [(600, 600), (1500, 200), (200, 1500)])
def test_domains_of_one_distribution_are_mixed_whatever_their_sizes(synthetic, real):
    gap = domain_gap(cloud(synthetic, 1), cloud(real, 2))
    assert gap.domain_classifier == pytest.approx(0.5, abs=0.06)
    assert gap.knn_overlap == pytest.approx(1, abs=0.08)
    assert gap.real == real


@pytest.mark.parametrize(("synthetic", "real"), [(300, 300), (900, 50)])
def test_disjoint_domains_are_separable_and_share_no_neighbours(synthetic, real):
    gap = domain_gap(cloud(synthetic, 1), cloud(real, 2, shift=50))
    assert (gap.domain_classifier, gap.knn_overlap) == (1, 0)


@pytest.mark.parametrize("shift", [0.5, 1, 2])
@pytest.mark.parametrize("real", [4000, 800])
def test_the_domain_classifier_of_shifted_clouds_reaches_the_optimum_in_closed_form(shift, real):
    # Between two normal distributions of unit variance, the best hyperplane lies half-way.
    accuracy = domain_classifier(cloud(4000, 1), cloud(real, 2, shift))
    assert accuracy == pytest.approx(norm.cdf(shift / 2), abs=0.025)


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_the_overlap_equals_a_loop_over_all_pairs_and_falls_with_the_shift(shift):
    synthetic, real = cloud(60, 1), cloud(60, 2, shift)
    assert knn_overlap(synthetic, real) == pytest.approx(overlap_in_a_loop(synthetic, real))
    assert knn_overlap(synthetic, real) > knn_overlap(synthetic, cloud(60, 2, shift + 1))


def test_the_domain_classifier_does_not_depend_on_the_scale_of_a_dimension_and_takes_latents_that_are_all_the_same():
    scale = np.array([1000, *[1] * 7], dtype=np.float32)
    plain = domain_classifier(cloud(500, 1), cloud(500, 2, 1))
    assert domain_classifier(cloud(500, 1) * scale, cloud(500, 2, 1) * scale) == pytest.approx(plain, abs=1e-3)
    points = np.zeros((200, 3), dtype=np.float32)
    assert knn_overlap(points, points) == pytest.approx(1, abs=0.5)
    assert domain_classifier(points, points) == 0.5


def test_copies_count_as_overlap_and_not_as_the_query_itself():
    real = cloud(300, 1)
    # The nearest one is the synthetic copy; the nine after it come as pairs of a real one and its copy.
    assert knn_overlap(real.copy(), real) == pytest.approx((1 + 9 / 2) / 10 / (300 / 599), abs=0.01)


def test_two_latents_per_domain_do_and_one_is_refused():
    gap = domain_gap(cloud(2, 1, dimension=1), cloud(2, 2, 1000, dimension=1))
    # Of the three neighbours of a real latent, two are synthetic, which is the expectation.
    assert (gap.domain_classifier, gap.knn_overlap, gap.real) == (1, pytest.approx(1), 2)
    with pytest.raises(UserError, match="found 1 synthetic and 5 real sceneries"):
        domain_gap(cloud(1, 1), cloud(5, 2))
