"""Axes of clouds turned into those of the data: a known rotation is found."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from shape_views import points_of

from shape_pose.alignment import Fit, fit, icp, kabsch, mean_rotation

RNG = np.random.default_rng(0)


def apart(one, other):
    return np.degrees((one.inv() * other).magnitude())


def test_a_turned_cloud_is_turned_back():
    points, turn = RNG.normal(size=(20, 3)), Rotation.random(rng=0)
    assert apart(kabsch(points, turn.apply(points)), turn) < 1e-6
    # Not mirrored, even where that would be closer.
    assert np.linalg.det(kabsch(points, points * [-1, 1, 1]).as_matrix()) == pytest.approx(1)


def test_icp_ends_at_the_rotation_from_a_start_that_is_near():
    points, turn = points_of(0)[:400], Rotation.random(rng=1)
    near = turn * Rotation.from_rotvec([0.05, -0.04, 0.03])
    found, error = icp(points, turn.apply(points), near)
    assert apart(found, turn) < 1e-5
    assert error < 1e-7
    assert icp(points, points + 10, Rotation.identity())[1] == np.inf


def predicted(model, view, turn, noise=0.0):
    """Return what a network says whose axes are turned: cloud and pose, and the true ones."""
    truth, pose = points_of(model)[:300], Rotation.random(rng=10 * model + view)
    cloud = turn.inv().apply(truth) + noise * RNG.normal(size=truth.shape)
    return cloud, (pose * turn).as_quat(scalar_first=True), truth, pose.as_quat(scalar_first=True)


def test_a_known_rotation_is_found_exactly():
    for seed in range(3):
        turn = Rotation.random(rng=seed)
        fits = [fit(model, *predicted(model, view, turn)) for model in range(4) for view in range(3)]
        assert apart(mean_rotation(fits), turn) < 1e-5


def test_views_that_fit_badly_have_no_say():
    turn = Rotation.random(rng=5)
    fits = [fit(model, *predicted(model, view, turn)) for model in range(16) for view in range(3)]
    wrong = Rotation.from_rotvec([0, np.pi, 0])
    # A third view of a model, and the worst model.
    spoiled = [Fit(each.model, wrong, 0.5) if i % 3 == 2 or each.model == 7 else each for i, each in enumerate(fits)]
    assert apart(mean_rotation(spoiled), turn) < 1e-5


def test_of_rotations_that_disagree_the_many_have_their_way():
    turn = Rotation.random(rng=6)
    half = turn * Rotation.from_rotvec([0, np.pi, 0])
    fits = [Fit(i, half if i % 3 == 0 else turn, 0.1) for i in range(12)]
    assert apart(mean_rotation(fits), turn) < 1e-6


def test_the_mean_knows_no_signs():
    turn = Rotation.from_rotvec([0, 0, 0.99 * np.pi])
    fits = [Fit(i, turn * Rotation.from_rotvec([0, 0, angle]), 0.1) for i, angle in enumerate((-0.1, 0, 0.1))]
    assert apart(mean_rotation(fits), turn) < 1e-6
