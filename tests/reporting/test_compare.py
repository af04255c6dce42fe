import csv
import io
import math
import statistics

import numpy as np
import pytest
from scipy import special
from small_records import row

from errors import UserError
from reporting.compare import comparisons, in_words, paired, render
from reporting.formats import FORMATS

A = [71.2, 68.9, 74.5, 70.1, 72.8, 69.4, 73.3, 70.7, 71.9, 75.0]
B = [69.8, 68.1, 72.0, 70.9, 70.2, 68.8, 70.6, 70.1, 69.7, 71.4]


def record(experiment, seed, value, **changes):
    return row(**{"experiment": experiment, "seed": seed, "value": value, "dataset": "digit_photos", "factor": "",
                  **changes})


def records(a, b, **changes):
    return [record(name, seed, value / 100, **changes) for name, values in (("a", a), ("b", b))
            for seed, value in enumerate(values)]


def test_the_paired_test_equals_its_closed_form():
    found = paired(A, B)
    apart = [a - b for a, b in zip(A, B, strict=True)]
    mean, std, n = statistics.mean(apart), statistics.stdev(apart), len(apart)
    t = mean / (std / math.sqrt(n))
    # Two-sided p of Student's t as a regularised incomplete beta function.
    p = special.betainc((n - 1) / 2, 0.5, (n - 1) / (n - 1 + t * t))
    assert found.difference == pytest.approx(mean)
    assert found.effect == pytest.approx(mean / std)
    assert found.p_t == pytest.approx(p, rel=1e-9)
    # The interval ends where the test against its end gives 5 %.
    t_low = (mean - found.low) / (std / math.sqrt(n))
    assert special.betainc((n - 1) / 2, 0.5, (n - 1) / (n - 1 + t_low**2)) == pytest.approx(0.05)
    assert found.high - mean == pytest.approx(mean - found.low)


def test_wilcoxons_p_equals_a_count_over_all_signs():
    a, b = A[:7], B[:7]
    apart = np.subtract(a, b).round(9)
    # Equal differences share their mean rank.
    ranks = np.array([np.mean(np.flatnonzero(np.sort(np.abs(apart)) == size) + 1) for size in np.abs(apart)])
    observed = ranks[apart > 0].sum()
    sums = np.array([ranks[[bool(signs >> i & 1) for i in range(7)]].sum() for signs in range(2**7)])
    extreme = np.abs(sums - ranks.sum() / 2) >= abs(observed - ranks.sum() / 2)
    assert paired(a, b).p_wilcoxon == pytest.approx(extreme.mean())


def test_few_seeds_have_fewer_tests_and_two_are_said_to_be_too_few():
    found = paired(A[:2], B[:2])
    assert (found.seeds, found.difference) == (2, pytest.approx(1.1))
    assert math.isnan(found.p_t)
    assert in_words(found, "a", "b") == "too few common seeds: 2, at least 3 needed"
    assert in_words(paired([], []), "a", "b").startswith("too few common seeds: 0")
    assert 0 < paired(A[:5], B[:5]).p_t < 1
    assert math.isnan(paired(A[:5], B[:5]).p_wilcoxon)
    assert math.isfinite(paired(A[:6], B[:6]).p_wilcoxon)


def test_differences_without_spread_are_not_tested():
    assert in_words(paired([1, 2, 3], [1, 2, 3]), "a", "b") == "equal for every seed"
    found = paired([0.3, 0.4, 0.5], [0.1, 0.2, 0.3])
    assert math.isnan(found.p_t)
    assert "no spread" in in_words(found, "a", "b")


def test_words_name_the_higher_one_the_points_and_the_size():
    found = paired(A, B)
    assert in_words(found, "a", "b") == f"a {found.difference:.1f} points above b, p = {found.p_t:.2g}, large effect"
    assert in_words(paired(B, A), "b", "a") == in_words(found, "a", "b")
    assert in_words(paired([70, 72, 69], [69, 74, 68]), "a", "b").startswith("not told apart")


def test_only_seeds_that_have_a_number_in_both_are_compared():
    rows = [*records([*A[:4], math.nan], B[:5]), record("b", 99, 0.1)]
    [(*what, found)] = comparisons(rows, "a", "b")
    assert (*what, found.seeds) == ("digit_photos, all", "knn", "last", "accuracy", 4)
    assert found.difference == pytest.approx(np.mean(np.subtract(A[:4], B[:4])))


def test_other_metrics_are_compared_in_their_own_units():
    rows = [*records(A, B, metric="fid", classifier=""), *records(A, B)]
    text = render(rows, "a", "b", False, "markdown")
    assert text.index("| knn |") < text.index("| FID |")
    assert "| last epoch | a 0.0 above b, p" in text
    assert "accuracy in %, FID, means over the seeds that both have" in text


def test_pooling_compares_all_factors_at_once():
    rows = [record(name, seed, value, factor=factor, n=n) for name, shift in (("a", 0.1), ("b", 0))
            for seed in range(3) for factor, value, n in (("x5", 0.5 + shift * (seed + 1), 30), ("i3", 0.4, 10))]
    [(title, *_, found)] = comparisons(rows, "a", "b", pool=True)
    assert "pooled" in title
    assert found.difference == pytest.approx(100 * np.mean([0.1, 0.2, 0.3]) * 30 / 40)
    assert len(comparisons(rows, "a", "b")) == 2


def test_other_test_images_are_not_compared_or_it_is_said():
    tested = (("a", "x5"), ("a", "i3"), ("b", "x5"), ("b", "tesla"))
    rows = [record(name, seed, 0.1 * seed, factor=factor, n=30) for seed in range(3) for name, factor in tested]
    with pytest.raises(UserError, match="no test set"):
        comparisons(rows, "a", "b", pool=True)
    assert [title for title, *_ in comparisons(rows, "a", "b")] == ["digit_photos (x5), all"]
    rows = [record(name, seed, value, n=n) for seed in range(3) for name, value, n in (("a", 0.5, 10), ("b", 0.4, 400))]
    [(*_, found)] = comparisons(rows, "a", "b")
    assert found.samples == "10/400"
    assert in_words(found, "a", "b").endswith("; not the same test images (10/400)")


def test_a_network_is_compared_with_each_classifier_in_a_latent_space():
    rows = [each for each in records(A, B) if each["experiment"] == "a"]
    rows += [{**each, "classifier": "svm", "value": each["value"] / 2} for each in rows]
    rows += [record("b", seed, value / 100, classifier="network") for seed, value in enumerate(B)]
    found = {classifier: each for _, classifier, *_, each in comparisons(rows, "a", "b")}
    assert set(found) == {"knn / network", "svm / network"}
    assert found["knn / network"].p_t == pytest.approx(paired(A, B).p_t)
    assert found["svm / network"].difference == pytest.approx(np.mean(A) / 2 - np.mean(B))


def test_floors_are_compared_with_nothing():
    rows = [record(name, seed, value, classifier=classifier, metric="mask_iou")
            for name, shift in (("a", 0.1), ("b", 0)) for seed in range(3)
            for classifier, value in (("network", 0.5 + shift), ("constant", 0.2))]
    assert [classifier for _, classifier, *_ in comparisons(rows, "a", "b")] == ["network mask IoU"]


@pytest.mark.parametrize("other", [{"dataset": "ticam"}, {"split": "train"}, {"factor": "x5"}, {"checkpoint": "best"},
                                   {"classifier": "svm"}])
def test_nothing_in_common_is_said(other):
    rows = [record("a", 1, 0.5), record("b", 1, 0.5, **other)]
    with pytest.raises(UserError, match="a and b have no test set, classifier and weights in common"):
        comparisons(rows, "a", "b")


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_says_it_in_words(style):
    rows = records(A, B) + records(A[:2], B[:2], classifier="svm")
    text = render(rows, "a", "b", False, style)
    assert "points above b" in text
    assert "too few common seeds: 2" in text
    if style == "csv":
        first, second = csv.DictReader(io.StringIO(text))
        assert float(first["p_t"]) == pytest.approx(paired(A, B).p_t)
        assert second["p_t"] == "nan"
