"""Scores against loops over single images with pytorch-msssim, NumPy and the lpips package."""

import lpips
import numpy as np
import pytest
import pytorch_msssim
import torch
from refusals import refused

from autoencoder.similarity import partners, similarity
from dataset import Scenes
from evaluation.image_metrics import LPIPS_LEAST_PIXELS, create_metrics
from experiment.config import EvaluationDataset
from frozen.inputs import LiveInputs
from model import ConvAE
from standin import write_standin

REAL = 11
# The lpips package asks torchvision for its network in a deprecated way.
pytestmark = pytest.mark.filterwarnings("ignore:.*weight.*:UserWarning:torchvision")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mpi3d")
    write_standin("mpi3d", folder, steps=2, factors=["toy", "real"])
    return folder


@pytest.fixture
def domain(root, cache):
    """Open a domain of the stand-in."""

    def open_domain(factor, limit=None, size=64):
        section = EvaluationDataset(name="mpi3d", factor=[factor], root=str(root), limit=limit)
        return Scenes(section, size, str(cache), torch.device("cpu"))

    return open_domain


@pytest.fixture
def random_alexnet(monkeypatch):
    """LPIPS over an AlexNet of random weights, so that nothing is downloaded; returns the network of the test."""
    package = lpips.LPIPS

    def build(**options):
        torch.manual_seed(0)
        return package(**options, pnet_rand=True)

    monkeypatch.setattr(lpips, "LPIPS", build)
    return build(net="alex", verbose=False)


class Returns(torch.nn.Module):
    """A model whose reconstruction of an image is another image, by index."""

    def __init__(self, images):
        super().__init__()
        self.images = images

    def encode(self, index):
        return index

    def decode(self, index):
        return self.images[index].float() / 255


def by_index(index, flip):
    assert not flip.any()
    return index


def test_every_real_image_finds_the_synthetic_one_with_its_factors(domain):
    real, synthetic = domain("real"), domain("toy")
    where = partners(real, synthetic)
    assert len(where) == len(real) == 4 * 4 * 3 * 3 * 2 * 2
    by_label = {tuple(label): int(first) for label, first in zip(synthetic.labels, synthetic.first, strict=True)}
    assert where.tolist() == [by_label[tuple(label)] for label in real.labels]
    some = domain("real", limit=REAL)
    found = partners(some, synthetic)
    assert found.tolist() == [by_label[tuple(label)] for label in some.labels]
    # By label, and not by place.
    order = np.random.default_rng(0).permutation(len(synthetic))
    synthetic.labels, synthetic.first = synthetic.labels[order], synthetic.first[torch.from_numpy(order)]
    assert partners(some, synthetic).equal(found)


@pytest.mark.parametrize("limit", [1, 100])
def test_a_real_image_without_partner_is_refused(domain, limit):
    real, synthetic = domain("real"), domain("toy", limit=limit)
    message = refused(partners, real, synthetic)
    assert f"{len(real) - limit} of {len(real)} images have no partner in mpi3d (toy)" in message
    first = next(label for label in real.labels.tolist() if label not in synthetic.labels.tolist())
    assert message.endswith("_".join(map(str, first)))


def test_scores_equal_a_loop_over_single_images(domain, random_alexnet):
    real, synthetic = domain("real", limit=REAL), domain("toy")
    torch.manual_seed(1)
    model = ConvAE(64, 3, 10, "relu").eval()
    partner, metrics = partners(real, synthetic), create_metrics(("ssim", "l1", "lpips"))
    # Batches of 4, 4 and 3.
    scores = similarity(model, LiveInputs(model, real), real, synthetic, partner, metrics, batch_size=4)
    expected = {key: [] for key in scores}
    with torch.no_grad():
        for i in range(REAL):
            image = real.pixels(torch.tensor([i])).float() / 255
            output = model(image)[0]
            twin = next(k for k, label in enumerate(synthetic.labels) if (label == real.labels[i]).all())
            other = synthetic.pixels(torch.tensor([twin])).float() / 255
            for against, target in (("synthetic", other), ("real", image)):
                expected[f"ssim/{against}"].append(float(pytorch_msssim.ssim(output, target, data_range=1)))
                expected[f"l1/{against}"].append(float(np.abs(output.numpy() - target.numpy()).mean()))
                expected[f"lpips/{against}"].append(float(random_alexnet(2 * output - 1, 2 * target - 1)))
    assert len(scores) == 6
    for key, values in expected.items():
        assert scores[key] == pytest.approx(np.mean(values), rel=1e-4, abs=1e-6), key
    assert len({round(value, 4) for value in scores.values()}) == 6


@pytest.mark.parametrize("against", ["synthetic", "real"])
def test_a_model_that_returns_the_image_compared_with_is_perfect(domain, random_alexnet, against):
    real, synthetic = domain("real", limit=REAL), domain("toy")
    partner = partners(real, synthetic)
    model = Returns(synthetic.pixels(partner) if against == "synthetic" else real.pixels(torch.arange(len(real))))
    scores = similarity(model, by_index, real, synthetic, partner, create_metrics(("ssim", "l1", "lpips")))
    other = "real" if against == "synthetic" else "synthetic"
    assert scores[f"ssim/{against}"] == pytest.approx(1, abs=1e-6)
    assert scores[f"l1/{against}"] == 0
    assert scores[f"lpips/{against}"] == 0
    assert scores[f"ssim/{other}"] < 0.9
    assert scores[f"l1/{other}"] > 0.01
    assert scores[f"lpips/{other}"] > 0


def test_lpips_takes_images_of_the_least_size_and_no_smaller_one(random_alexnet):
    distance = create_metrics(["lpips"])["lpips"]
    images = torch.rand(2, 3, LPIPS_LEAST_PIXELS, LPIPS_LEAST_PIXELS, generator=torch.Generator().manual_seed(0))
    assert distance(images, 1 - images).shape == (2,)
    with pytest.raises(RuntimeError):
        distance(images[..., ::2, ::2], images[..., ::2, ::2])
