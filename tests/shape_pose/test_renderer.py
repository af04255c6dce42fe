"""Silhouettes: published figures, a naive renderer, dense convolutions, finite differences, what must not matter."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.nn import functional as F

from shape_pose.camera import conjugate, matrix_of, multiply, project
from shape_pose.renderer import FIRST, LEAST, kernel, silhouettes

F64 = torch.float64
GENERATOR = torch.Generator().manual_seed(0)
FLOOR = 6.397985e-4


def render(points, poses, scale, sigma, size=64, taps=21):
    return silhouettes(project(points, poses, 1.875, 2.0), scale, sigma, size, taps)


def uniform(*shape, spread=0.7):
    return (torch.rand(*shape, generator=GENERATOR, dtype=F64) - 0.5) * spread


def turns(count):
    return torch.randn(count, 4, generator=GENERATOR, dtype=F64)


def scales(*values):
    return torch.tensor(values, dtype=F64)


def test_the_kernel_has_the_published_weights():
    for sigma, wanted in ((3, (.13303901, .12584951, .10652931, .08069224, .05469397)),
                          (1, (.39894228, .24197072, .05399097, .00443185, .00013383)), (.2, (.99999255, 3.7266e-6))):
        assert kernel(sigma, 21)[10 : 10 + len(wanted)].tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-8)
        assert kernel(sigma, 21).sum().item() == pytest.approx(1)
    assert kernel(3, 21)[0].item() == pytest.approx(5.1432e-4, rel=1e-4)


@pytest.mark.parametrize(("sigma", "most"), [(3, .00878139), (1, .05089249), (.2, .12163720)])
def test_a_point_in_the_middle_shows_what_it_did_when_published(sigma, most):
    found = render(torch.zeros(1, 1, 3, dtype=F64), scales(1, 0, 0, 0)[None], scales(.5), sigma)
    assert found.max().item() == pytest.approx(most, abs=1e-8)
    assert found.min().item() == pytest.approx(FLOOR, abs=1e-9)


@pytest.mark.parametrize(("sigma", "scale", "taps", "wanted"), [
    (3, .5, 21, (62.602303, .093164, .092594, .033521)), (1.3, .7, 21, (86.102819, .154852, .152003, .038176)),
    (.2, 1, 21, (116.209130, .899109, .234847, .000640)), (1, 1, 11, (119.777221, .257162, .230143, .042497))])
def test_a_lattice_shows_what_it_did_when_published(sigma, scale, taps, wanted):
    side = torch.linspace(-.2, .2, 5, dtype=F64)
    [found] = render(torch.cartesian_prod(side, side, side)[None], scales(1, .2, -.3, .4)[None], scales(scale), sigma,
                     taps=taps)
    assert (found.sum().item(), found.max().item(), found[31, 31].item(), found[20, 40].item()) == pytest.approx(
        wanted, abs=2e-6)


def naive(places, scale, sigma, size, taps):
    """Render one cloud point by point and ray by ray, with the probabilities along rays that the source has."""
    grid = np.zeros((size,) * 3)
    for place in places.tolist():
        if max(map(abs, place)) > 0.5:
            continue
        position = [(value + 0.5) * (size - 1) for value in place]
        for corner in np.ndindex(2, 2, 2):
            index = [min(math.floor(p), size - 2) + c for p, c in zip(position, corner, strict=True)]
            grid[tuple(index)] += math.prod(1 - abs(p - i) for p, i in zip(position, index, strict=True))
    grid = torch.from_numpy(grid).clamp(max=1)[None, None]
    weights = kernel(sigma, taps)
    dense = weights[:, None, None] * weights[:, None] * weights
    blurred = F.conv3d(grid, dense[None, None], padding=taps // 2)[0, 0]
    found = np.zeros((size, size))
    for i, j in np.ndindex(size, size):
        left, total = math.exp(LEAST), 0.0
        for k in range(size):
            occupied = min(max(scale * blurred[k, i, j].item(), LEAST), 1 - LEAST)
            total += occupied * (left if k == 0 else left / math.exp(LEAST))
            left *= 1 - occupied
        found[size - 1 - i, j] = total
    return found


@pytest.mark.parametrize(("sigma", "spread", "points"), [(1.5, 1.2, 40), (0.2, 0.3, 300), (3.0, 0.2, 20)])
def test_a_naive_loop_renders_the_same(sigma, spread, points):
    places = uniform(2, points, 3, spread=spread)
    found = silhouettes(places, scales(.4, .95), sigma, 12, 7)
    for each, one, scale in zip(found, places, (.4, .95), strict=True):
        assert np.allclose(each, naive(one, scale, sigma, 12, 7), atol=1e-9)


def test_a_first_occupancy_counts_as_in_the_source():
    assert pytest.approx(math.exp(LEAST) - 1) == FIRST
    # A cloud that reaches the nearest voxels, and one that does not.
    for depth in (-0.5, 0.0):
        places = torch.tensor([[[depth, 0.0, 0.0]]], dtype=F64)
        assert np.allclose(silhouettes(places, scales(.9), 0.5, 8, 3)[0], naive(places[0], .9, 0.5, 8, 3), atol=1e-12)


@pytest.mark.parametrize("sigma", [2.0, 0.4])
def test_gradients_are_those_of_finite_differences(sigma):
    points, poses, scale = uniform(2, 20, 3).requires_grad_(), turns(2).requires_grad_(), scales(.5, .9)
    weights = torch.randn(2, 16, 16, generator=GENERATOR, dtype=F64)
    assert torch.autograd.gradcheck(lambda *inputs: render(*inputs, sigma, 16, 11) * weights,
                                    (points, poses, scale.requires_grad_()), eps=1e-7, atol=1e-6, rtol=1e-5)


def by_autograd(places, scale, sigma, size, taps):
    """Render with torch's own operations alone, all of the grid."""
    inside = (places.abs() <= 0.5).all(dim=-1).to(places.dtype)
    position = (places + 0.5) * (size - 1)
    lower = position.detach().floor().clamp(0, size - 2)
    part = position - lower
    grid = places.new_zeros(len(places), size**3)
    for i, j, k in np.ndindex(2, 2, 2):
        weight = inside * math.prod(part[..., axis] if up else 1 - part[..., axis] for axis, up in enumerate((i, j, k)))
        index = ((lower[..., 0] + i) * size + lower[..., 1] + j) * size + lower[..., 2] + k
        grid = grid.scatter_add(1, index.long().clamp(0, size**3 - 1), weight)
    blurred = grid.clamp(0, 1).view(-1, 1, size, size, size)
    for axis in range(3):
        shape = [taps if other == axis else 1 for other in range(3)]
        padding = [taps // 2 if other == axis else 0 for other in range(3)]
        blurred = F.conv3d(blurred, kernel(sigma, taps).to(places.dtype).view(1, 1, *shape), padding=padding)
    occupied = (scale[:, None, None, None] * blurred[:, 0]).clamp(LEAST, 1 - LEAST)
    return (1 - (1 - occupied).prod(dim=1) + FIRST * occupied[:, 0]).flip(1)


@pytest.mark.parametrize(("spread", "points", "sigma"), [(0.2, 400, 1.0), (1.3, 50, 2.0), (0.6, 200, 0.2)])
def test_gradients_are_those_of_dense_operations_also_where_clamps_are_active(spread, points, sigma):
    places, scale = uniform(3, points, 3, spread=spread), scales(.3, .7, 1.)
    weights = torch.randn(3, 16, 16, generator=GENERATOR, dtype=F64)
    found = []
    for function in (silhouettes, by_autograd):
        inputs = places.clone().requires_grad_(), scale.clone().requires_grad_()
        value = function(*inputs, sigma, 16, 9)
        found.append((value, *torch.autograd.grad((value * weights).sum(), inputs)))
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-9)
    assert found[0][1].abs().sum() > 0


def test_points_outside_show_nothing_and_have_no_gradient():
    places = uniform(1, 30, 3)
    outside = torch.tensor([[[0.6, 0, 0], [0, -0.51, 0], [0, 0, 3.0]]], dtype=F64)
    both = torch.cat([places, outside], dim=1).requires_grad_()
    found = silhouettes(both, scales(.5), 1.0, 16, 11)
    assert torch.allclose(found, silhouettes(places, scales(.5), 1.0, 16, 11))
    found.sum().backward()
    assert not both.grad[:, 30:].any()
    assert both.grad[:, :30].any()
    # On the last node exactly.
    assert silhouettes(torch.full((1, 1, 3), 0.5, dtype=F64), scales(1.), 0.2, 8, 3)[0, 0, 7] > 0.9


def test_order_does_not_matter_more_points_and_more_occupancy_show_more():
    points, pose = uniform(1, 50, 3), turns(1)
    found = render(points, pose, scales(.5), 1.0, 24)
    order = torch.randperm(50, generator=GENERATOR)
    assert torch.allclose(found, render(points[:, order], pose, scales(.5), 1.0, 24))
    assert (render(points, pose, scales(.6), 1.0, 24) >= found).all()
    assert (render(torch.cat([points, uniform(1, 5, 3)], dim=1), pose, scales(.5), 1.0, 24) >= found - 1e-12).all()


def test_up_is_up_and_right_is_right():
    identity = scales(1, 0, 0, 0)[None]
    [up] = render(torch.tensor([[[0, 0.2, 0]]], dtype=F64), identity, scales(1.), 0.2)
    [right] = render(torch.tensor([[[0, 0, 0.2]]], dtype=F64), identity, scales(1.), 0.2)
    assert divmod(int(up.argmax()), 64)[0] < 31.5 < divmod(int(right.argmax()), 64)[1]


def test_what_a_cloud_is_turned_by_can_be_taken_back_by_poses():
    points, poses, turn = uniform(1, 40, 3), turns(3), turns(1)
    turn = turn / turn.norm()
    every = points.expand(3, -1, -1)
    turned = every @ matrix_of(turn).transpose(-1, -2)
    found = render(every, poses, scales(.5, .5, .5), 1.0, 24)
    assert torch.allclose(found, render(turned, multiply(poses, conjugate(turn)), scales(.5, .5, .5), 1.0, 24))
    assert torch.allclose(found, render(every, -3 * poses, scales(.5, .5, .5), 1.0, 24))


def test_quaternions_turn_as_scipys_do():
    p, q = turns(5), turns(5)
    ours = matrix_of(multiply(p, q)).numpy()
    theirs = Rotation.from_quat(p.numpy(), scalar_first=True) * Rotation.from_quat(q.numpy(), scalar_first=True)
    assert np.allclose(ours, theirs.as_matrix())


def test_the_outline_of_a_sphere_is_where_geometry_says():
    points = torch.randn(1, 8000, 3, generator=GENERATOR, dtype=F64)
    points = 0.25 * points / points.norm(dim=2, keepdim=True)
    identity = scales(1, 0, 0, 0)[None]
    assert 770 <= (render(points, identity, scales(.5), 0.2) > 0.5).sum() <= 800
    assert 1020 <= (render(points, identity, scales(.5), 3.0) > 0.5).sum() <= 1070


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_is_lost_of_points_in_the_middle(dtype):
    # Where little is occupied, what is seen is the sum of all.
    places = uniform(1, 30, 3, spread=0.3).to(dtype)
    found = silhouettes(places, torch.tensor([1e-1], dtype=dtype), 2.0, 64, 21)
    assert found.sum().item() == pytest.approx(3.0 + FLOOR * 64 * 64, rel=0.05)
