import numpy as np
import pytest

from autoencoder.projection import project
from errors import UserError


def clusters(count=40, dimension=6):
    rng = np.random.default_rng(0)
    number = np.repeat(np.arange(3), count)
    return (rng.normal(size=(3, dimension)) * 20)[number] + rng.normal(size=(3 * count, dimension)), number


@pytest.mark.parametrize("dimension", [6, 300])
def test_the_principal_components_are_those_of_a_singular_value_decomposition(dimension):
    latents, _ = clusters(dimension=dimension)
    points, axes = project(latents, "pca", 0)
    centred = latents - latents.mean(axis=0)
    _, values, rows = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs(centred @ rows[:2].T), atol=1e-6)
    shares = 100 * values**2 / np.sum(values**2)
    assert axes == tuple(f"principal component {i + 1} ({shares[i]:.0f} % of variance)" for i in (0, 1))


@pytest.mark.parametrize("dimension", [6, 300])
def test_neighbours_in_a_t_sne_are_of_the_same_cluster(dimension):
    latents, number = clusters(dimension=dimension)
    points, axes = project(latents.astype(np.float32), "tsne", 0)
    assert points.shape == (120, 2)
    assert axes == ("t-SNE 1", "t-SNE 2")
    distances = np.linalg.norm(points[:, None] - points, axis=2) + np.diag([np.inf] * 120)
    assert (number[distances.argmin(axis=1)] == number).all()


def test_a_projection_repeats_with_its_seed():
    latents, _ = clusters(15)
    assert np.array_equal(project(latents, "tsne", 3)[0], project(latents, "tsne", 3)[0])


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_four_latents_are_enough_and_less_is_refused(method):
    assert project(np.eye(4), method, 0)[0].shape == (4, 2)
    for latents in (np.eye(3), np.zeros((9, 1))):
        with pytest.raises(UserError, match="needed: at least 4 of at least 2"):
            project(latents, method, 0)
