"""Linear classifiers as plain arrays, against the ones of scikit-learn that they come from."""

import dataclasses

import numpy as np
import pytest

from autoencoder.latent_classifiers import fit
from autoencoder.linear import LINEAR, Logistic

CODES = np.array([7, 2**40 + 3, 0, 5 * 2**32, 2**56])


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("name", LINEAR)
def test_what_is_kept_as_arrays_says_what_scikit_learn_says(name, classes):
    rng = np.random.default_rng(classes)
    numbers, others = rng.integers(0, classes, (2, 200))
    latents, queries = (np.float32(5 + np.eye(classes, 6)[each] + rng.normal(0, 0.8, (200, 6)))
                        for each in (numbers, others))
    fitted = fit(name, latents, CODES[numbers], 1, 0)
    kept = LINEAR[name].of(fitted)
    assert kept.coefficients.shape == (kept.rows(classes), 6)
    assert len(set(kept.predict(queries).tolist())) == classes
    assert np.array_equal(kept.predict(queries), fitted.predict(queries))
    if isinstance(kept, Logistic):
        assert np.allclose(kept.predict_proba(queries), fitted.predict_proba(queries), atol=1e-5)


def test_a_tied_vote_goes_to_the_smallest_code():
    # Each of three classes wins against one other.
    kept = LINEAR["svm"](np.array([4, 9, 11]), np.zeros((3, 1)), np.array([1.0, -1.0, 1.0]), np.zeros(1), np.float64(1))
    assert kept.predict(np.zeros((1, 1))).tolist() == [4]
    turned = dataclasses.replace(kept, intercepts=-kept.intercepts)
    assert turned.predict(np.zeros((1, 1))).tolist() == [4]
