import io
import math

import numpy as np
import pytest
import scipy.linalg
import torch
import torchmetrics.image.fid
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3
from torchmetrics.image.kid import KernelInceptionDistance, poly_mmd

from efficientnet_lite import EfficientNetLite0, weights_file
from errors import UserError
from evaluation.image_distance import EfficientNetFeatures, InceptionFeatures, discrepancy, frechet, kernel
from experiment.checkpoint import load_state_dict


def features(n, d, generator, shift=0.0):
    """Correlated features."""
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ torch.linspace(
        0.1, 1, d * d, dtype=torch.float64).view(d, d).roll(3, 0) + shift


@pytest.mark.parametrize(("n", "m"), [(200, 150), (12, 9), (200, 9)])
def test_the_frechet_distance_is_that_of_scipys_root_and_of_torchmetrics(n, m, generator):
    first, second = features(n, 16, generator), features(m, 16, generator, 0.3)
    means = [each.mean(0).numpy() for each in (first, second)]
    covariances = [np.cov(each.numpy(), rowvar=False) for each in (first, second)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    expected = ((means[0] - means[1])**2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root.real)
    assert frechet(first, second) == pytest.approx(expected, rel=1e-5)
    theirs = torchmetrics.image.fid._compute_fid(
        *(torch.from_numpy(part) for pair in zip(means, covariances, strict=True) for part in pair))
    assert frechet(first, second) == pytest.approx(theirs.item(), rel=1e-5)


def test_frechet_distances_of_equal_shifted_and_constant_features(generator):
    first = features(30, 8, generator)
    assert frechet(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet(first, first.flip(0)) == pytest.approx(0, abs=1e-9)
    assert frechet(first, first + 2) == pytest.approx(8 * 4)
    assert frechet(torch.zeros(5, 3), torch.ones(4, 3)) == pytest.approx(3)
    # Of a constant and a set, only means and the set's variances are left.
    expected = first.mean(0).square().sum() + first.var(0).sum()
    assert frechet(torch.zeros(5, 8), first) == pytest.approx(expected.item())


def naive_discrepancy(x, y):
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1)**3

    n, m = len(x), len(y)
    within = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within += sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_the_discrepancy_is_that_of_loops_and_of_torchmetrics(generator):
    first, second = features(7, 4, generator), features(7, 4, generator, 0.5)
    assert discrepancy(first, second).item() == pytest.approx(naive_discrepancy(first.tolist(), second.tolist()))
    assert discrepancy(first, second[:5]).item() == pytest.approx(
        naive_discrepancy(first.tolist(), second[:5].tolist()))
    assert discrepancy(first, second).item() == pytest.approx(poly_mmd(first, second).item())


class Same(torch.nn.Module):
    """Features that are the images themselves, for torchmetrics."""

    num_features = 6

    def forward(self, images):
        return images


@pytest.mark.filterwarnings("ignore:.*save all extracted features")
def test_kernel_distances_are_those_of_torchmetrics(generator):
    first, second = torch.rand(60, 6, generator=generator), torch.rand(50, 6, generator=generator) + 0.2
    torch.manual_seed(0)
    theirs = KernelInceptionDistance(feature=Same(), subsets=200, subset_size=20)
    theirs.update(first, real=True)
    theirs.update(second, real=False)
    mean, deviation = (value.item() for value in theirs.compute())
    ours = kernel(first, second, 200, 20, seed=0)
    assert ours.shape == (200,)
    # Other subsets: equal up to what their choice does.
    assert abs(ours.mean().item() - mean) < 4 * deviation * math.sqrt(2 / 200)
    assert ours.std().item() == pytest.approx(deviation, rel=0.3)
    assert torch.equal(ours, kernel(first, second, 200, 20, seed=0))
    assert not torch.equal(ours, kernel(first, second, 200, 20, seed=1))


def test_kernel_distances_of_equal_distributions_are_around_zero(generator):
    first, second = torch.rand(400, 6, generator=generator), torch.rand(400, 6, generator=generator)
    values = kernel(first, second, 100, 100, seed=0)
    assert abs(values.mean()) < values.std()
    assert values.min() < 0 < values.max()
    constant = torch.ones(10, 6)
    assert kernel(constant, constant, 5, 4, seed=0).abs().max() < 1e-12


def test_efficientnet_features_are_what_its_classifier_sees(generator):
    network, images = EfficientNetFeatures(), torch.randint(0, 256, (2, 3, 224, 224), generator=generator).byte()
    whole = EfficientNetLite0().eval()
    whole.load_state_dict(load_state_dict(weights_file()))
    with torch.inference_mode():
        found = network(images)
        torch.testing.assert_close(found @ whole._fc.weight.T + whole._fc.bias, whole((images.float() - 127) / 128),
                                   atol=1e-4, rtol=1e-4)
    assert found.shape == (2, 1280)
    assert found.min() >= 0


@pytest.fixture(scope="module")
def inception():
    """The network of FID with random weights."""
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        return FeatureExtractorInceptionV3("inception", ["2048"], nothing)


def test_inception_features_are_those_of_the_file(inception, tmp_path, generator):
    torch.save(inception.state_dict(), tmp_path / "weights.pth")
    network = InceptionFeatures(tmp_path / "weights.pth")
    images = torch.randint(0, 256, (2, 3, 299, 299), generator=generator).byte()
    assert torch.equal(network(images), inception(images)[0])
    assert network(images).shape == (2, 2048)
    assert "weights.pth (sha256 " in network.about
    assert URL_INCEPTION_V3 in InceptionFeatures.missing


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_other_weights_are_one_line_and_nothing_is_executed(inception, tmp_path, capsys):
    state = inception.state_dict()
    torch.save(state | {"more": Evil()}, tmp_path / "evil.pth")
    torch.save({key: value for key, value in state.items() if key != "fc.bias"}, tmp_path / "part.pth")
    for name, reason in (("evil", "refused"), ("part", "another network.*fc.bias"), ("absent", "no such")):
        with pytest.raises(UserError, match=reason):
            InceptionFeatures(tmp_path / f"{name}.pth")
    assert "executed" not in capsys.readouterr().out
