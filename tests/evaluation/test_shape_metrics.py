"""Distances of clouds, angles of poses, errors of masks: closed forms and other implementations."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from evaluation.shape_metrics import (
    chamfer,
    mask_errors,
    median,
    pose_errors,
    pose_errors_up_to_half_turns,
    smooth_cumulative,
)

RNG = np.random.default_rng(0)
STEP = 0.1
LATTICE = STEP * np.stack(np.meshgrid(*[np.arange(6)] * 3), axis=-1).reshape(-1, 3)


def test_distances_of_clouds_have_their_closed_forms():
    assert chamfer(LATTICE, LATTICE) == (0, 0)
    assert chamfer(LATTICE + np.array([0.03, 0, 0]), LATTICE) == pytest.approx((0.03, 0.03))
    assert chamfer(LATTICE + np.array([STEP, 0, 0]), LATTICE) == pytest.approx((STEP / 6, STEP / 6))
    precision, coverage = chamfer(LATTICE[:10], LATTICE)
    assert precision == 0
    assert coverage > 0.1


def test_distances_of_clouds_are_those_of_all_pairs_and_do_not_turn():
    points, truth = RNG.normal(size=(40, 3)), RNG.normal(size=(60, 3))
    pairs = cdist(points, truth)
    wanted = pairs.min(axis=1).mean(), pairs.min(axis=0).mean()
    assert chamfer(points, truth) == pytest.approx(wanted)
    turn = Rotation.random(rng=1)
    assert chamfer(turn.apply(points), turn.apply(truth)) == pytest.approx(wanted)


def test_angles_are_those_turned_by_whatever_signs():
    truth = Rotation.random(5, rng=2)
    for angle in (0, 10, 90, 179, 180):
        axis = np.radians(angle) * np.array([0.6, 0, 0.8])
        poses = (truth * Rotation.from_rotvec(axis)).as_quat(scalar_first=True)
        for sign in (1, -1):
            assert pose_errors(sign * poses, truth.as_quat(scalar_first=True)) == pytest.approx(angle, abs=1e-5)


def test_half_turns_about_the_up_axis_are_forgiven_and_others_are_not():
    truth = Rotation.random(5, rng=3)
    true = truth.as_quat(scalar_first=True)
    for axis, forgiven in (([0, 1, 0], True), ([1, 0, 0], False), ([0, 0, 1], False)):
        poses = (truth * Rotation.from_rotvec(np.pi * np.array(axis))).as_quat(scalar_first=True)
        assert pose_errors(poses, true) == pytest.approx(180)
        assert pose_errors_up_to_half_turns(poses, true) == pytest.approx(0 if forgiven else 180, abs=1e-5)


def test_the_median_is_an_element():
    assert median(np.array([4., 1, 3, 2])) == 3
    assert median(np.array([3., 1, 2])) == 2


def test_errors_of_masks_have_their_closed_forms():
    truth = np.zeros((4, 6, 6), bool)
    truth[:, 1:3, 1:5] = True
    found = truth.copy()
    found[1] = False
    found[2, 1, 1] = False
    found[3, 1, 1], found[3, 5, 5] = False, True
    xor, iou = mask_errors(found, truth)
    assert xor == pytest.approx([0, 1, 1 / 8, 2 / 8])
    assert iou == pytest.approx([1, 0, 7 / 8, 7 / 9])


def test_cumulative_curves_are_scipys_density_summed_up():
    values = RNG.gamma(2, size=30)
    at = np.linspace(-3, 12, 7)
    density = stats.gaussian_kde(values)
    wanted = [density.integrate_box_1d(-np.inf, x) for x in at]
    assert smooth_cumulative(values, at) == pytest.approx(wanted)
    assert smooth_cumulative(np.array([-1., 0, 1]), np.zeros(1)) == pytest.approx([0.5])
    curve = smooth_cumulative(values, np.linspace(-20, 40, 50))
    assert (np.diff(curve) >= 0).all()
    assert curve[[0, -1]] == pytest.approx([0, 1])
    assert smooth_cumulative(np.full(3, 2.0), np.array([1., 3])) == pytest.approx([0, 1])
