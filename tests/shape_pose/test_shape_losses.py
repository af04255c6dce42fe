"""Losses and schedules of shape and pose against closed forms."""

import math

import pytest
import torch

from shape_pose.losses import mask_error, scheduled, student_loss, subsets


@pytest.mark.parametrize(("angle", "wanted"), [(10, .00759612), (30, .0669873), (90, .5), (180, 1.)])
def test_the_students_loss_is_that_of_the_angle_whatever_signs_and_lengths(angle, wanted):
    half = math.radians(angle) / 2
    teacher = torch.tensor([[math.cos(half), 0, math.sin(half), 0]], dtype=torch.float64)
    student = torch.tensor([[1., 0, 0, 0]], dtype=torch.float64)
    for factor in (1, -1, 3):
        assert student_loss(factor * student, teacher).item() == pytest.approx(wanted, rel=1e-5)
        assert student_loss(student, 2 * factor * teacher).item() == pytest.approx(wanted, rel=1e-5)


def test_only_the_student_learns_from_it():
    teacher, student = (torch.randn(4, 4, requires_grad=True) for _ in range(2))
    student_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_schedules_go_from_first_to_last():
    assert [scheduled((3.0, 0.2), t, 600) for t in (0, 300, 600)] == pytest.approx([3.0, 1.6, 0.2])
    assert [int(8000 * scheduled((0.07, 1.0), t, 600) + 1e-6) for t in (0, 300, 600)] == [560, 4280, 8000]


def test_subsets_are_drawn_without_replacement_anew_for_each():
    found = subsets(50, 20, 7, torch.device("cpu"))
    assert found.shape == (50, 7)
    assert all(len(set(row)) == 7 for row in found.tolist())
    assert len({tuple(sorted(row)) for row in found.tolist()}) > 40
    # Each as often as another: 50 rows of 7 in 20.
    assert found.flatten().bincount(minlength=20).min() > 5
    assert subsets(3, 20, 20, torch.device("cpu")).tolist() == [list(range(20))] * 3


def test_errors_of_masks_are_half_the_sum_of_squares():
    masks, found = torch.rand(2, 3, 5, 5), torch.rand(2, 3, 5, 5)
    assert torch.allclose(mask_error(masks, found), 0.5 * ((masks - found) ** 2).sum(dim=(2, 3)))
