import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from autoencoder.config import CLASSIFIERS
from autoencoder.judge import LatentEvaluation
from autoencoder.latent_classifiers import NearestNeighbours, fit
from classifier.judge import NetworkEvaluation
from dataset import Scenes
from errors import UserError
from evaluation.embedding import embed
from experiment.config import EvaluationDataset
from readers import READERS
from readers.base import Reader
from readers.labels import label_codes


class Seats(Reader):
    """Two seats, one bright where it is taken; the second split is the same cabin with other noise."""

    name = "seats"
    mirrors = True
    empty = 0
    classes = ("empty", "adult")

    def fill(self, listing):
        for i in range(24):
            listing.add(str(i), (i // 2 % 2, i % 2), [f"{self.split}/{i}/{v}" for v in range(2)], ["x", "x"])

    def prepare(self, source, size):
        split, i, variant = source.split("/")
        rng = np.random.default_rng([len(split), int(i), int(variant)])
        image = rng.integers(0, 60, (1, size, size), dtype=np.uint8)
        image[:, :, : size // 2] += np.uint8(120 * (int(i) // 2 % 2))
        image[:, :, size // 2 :] += np.uint8(120 * (int(i) % 2))
        return image


class Halves(torch.nn.Module):
    """Encodes an image as the mean brightness of its halves."""

    def encode(self, images):
        return torch.stack([half.mean(dim=(1, 2, 3)) for half in images.chunk(2, dim=3)], dim=1)


@pytest.fixture
def cabins(monkeypatch, tmp_path):
    monkeypatch.setitem(READERS, "seats", Seats)
    return [Scenes(EvaluationDataset(name="seats", root="x", split=split), 16, str(tmp_path), torch.device("cpu"))
            for split in ("train", "test")]


def test_embedding_in_chunks_equals_embedding_at_once(cabins, monkeypatch):
    index, flip, _ = cabins[0].views(mirrored=True)
    whole = embed(Halves().encode, cabins[0].gather, index, flip)
    monkeypatch.setattr("evaluation.embedding.CHUNK", 7)
    assert np.array_equal(embed(Halves().encode, cabins[0].gather, index, flip), whole)
    assert whole.shape == (48, 2)


def test_accuracies_equal_the_evaluation_written_out(cabins):
    train, test = cabins
    evaluation = LatentEvaluation((train, train.gather), [(test, test.gather)], neighbours=3, seed=5)
    rows = [row for found in evaluation.outcomes(Halves(), ["knn", "forest", "svm"]) for row in found.rows]
    latents, codes = [], []
    index, _, _ = train.views(mirrored=False, seed=5)
    for scenery, image in enumerate(index.tolist()):
        pixels = train.pixels(torch.tensor([image]))[0, 0].numpy() / np.float32(255)
        for view, label in ((pixels, train.labels[scenery]), (pixels[:, ::-1], train.labels[scenery][::-1])):
            latents.append([view[:, :8].mean(), view[:, 8:].mean()])
            codes.append(int(label_codes(label[None])[0]))
    knn = KNeighborsClassifier(3).fit(np.array(latents), codes)
    right = 0
    for image in range(48):
        pixels = test.pixels(torch.tensor([image]))[0, 0].numpy() / np.float32(255)
        predicted = knn.predict([[pixels[:, :8].mean(), pixels[:, 8:].mean()]])[0]
        right += predicted == label_codes(test.labels[image // 2][None])[0]
    assert [row["classifier"] for row in rows] == ["knn", "forest", "svm"]
    assert rows[0]["value"] == pytest.approx(right / 48)
    assert rows[0]["n"] == 48
    assert rows[0]["split"] == "test"


def accuracy(classifier, latents, codes):
    return (classifier.predict(latents) == codes).mean()


def blobs(distance, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.repeat([3, 8], 50)
    return rng.normal(0, 1, (100, 4)) + distance * (codes == 8)[:, None], codes


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_separable_latents_score_one_and_shuffled_labels_about_chance(name):
    latents, codes = blobs(10)
    # The class around zero has no direction in common.
    least = 0.9 if name == "knn_cosine" else 1
    assert accuracy(fit(name, latents, codes, 5, 0), *blobs(10, seed=1)) >= least
    useless, _ = blobs(0)
    assert 0.3 < accuracy(fit(name, useless, codes, 5, 0), *blobs(0, seed=1)) < 0.7


def test_the_forest_repeats_with_its_seed():
    latents, codes = blobs(1)
    unseen, _ = blobs(1, seed=1)
    first, again, other = (fit("forest", latents, codes, 5, seed).predict_proba(unseen) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_training_latents_that_do_not_suffice_are_refused(cabins):
    train, test = cabins
    evaluation = LatentEvaluation((train, train.gather), [(test, test.gather)], neighbours=49, seed=5)
    with pytest.raises(UserError, match=r"found 49, but there are only 48 training latents .* allowed: 1 to 48"):
        evaluation.rehearse(Halves(), ["knn"])
    for name in ("svm", "logistic"):
        with pytest.raises(UserError, match=f"'{name}' needs at least two classes"):
            fit(name, np.zeros((5, 2)), np.zeros(5), 1, 0)


@pytest.mark.parametrize("factor", [1e30, float("nan")])
def test_what_diverged_weights_make_of_images_is_refused(cabins, factor):
    class Diverged(Halves):
        def encode(self, images):
            return super().encode(images) * factor

        forward = encode

    train, test = cabins
    evaluation = LatentEvaluation((train, train.gather), [(test, test.gather)], neighbours=3, seed=5)
    with pytest.raises(UserError, match=r"seats: latents are not finite, or beyond 1e\+15"):
        evaluation.outcomes(Diverged(), ["knn"])
    network = NetworkEvaluation(Diverged(), np.array([[0, 0], [1, 1]]), [test])
    if factor != factor:
        with pytest.raises(UserError, match="seats: outputs are not finite"):
            network.outcomes()
    else:
        assert len(network.outcomes()) == 1


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_cosine_distance_is_that_of_scikit_learn(device, monkeypatch):
    # The search of a GPU, on a CPU.
    monkeypatch.setattr("autoencoder.latent_classifiers.NearestNeighbours",
                        lambda *arguments: NearestNeighbours(*arguments[:3], torch.device("cpu")))
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 400)
    directions = np.eye(4, 12)[codes] + rng.normal(0, 0.7, (400, 12))
    # Lengths that say nothing, over three orders of magnitude.
    latents = np.float32(directions * 10 ** rng.uniform(-2, 1, (400, 1)))
    expected = KNeighborsClassifier(9, metric="cosine").fit(latents[:300], codes[:300]).predict(latents[300:])
    found, euclidean = (fit(name, latents[:300], codes[:300], 9, 0, torch.device(device)).predict(latents[300:])
                        for name in ("knn_cosine", "knn"))
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, euclidean)


def test_the_logistic_regression_takes_all_dimensions_at_one_scale():
    latents, codes = blobs(1)
    latents, unseen = (np.float32(each * [1, 1, 1, 1e-4]) for each in (latents, blobs(1, seed=1)[0]))
    variance = sum(np.mean((each - np.mean(each)) ** 2) for each in latents.T.astype(np.float64)) / 4
    reference = LogisticRegression(max_iter=1000).fit(latents / variance**0.5, codes)
    expected = reference.predict(unseen / variance**0.5)
    for scale in (1, 1e-5, 1e5):
        assert np.array_equal(fit("logistic", scale * latents, codes, 5, 0).predict(scale * unseen), expected)
    # Latents that are all the same have no scale, and say nothing.
    alike = fit("logistic", np.ones((4, 4), np.float32), np.array([0, 0, 0, 1]), 5, 0)
    assert set(alike.predict(latents)) == {0}


def test_a_gpu_looks_for_neighbours_and_for_nothing_else(monkeypatch):
    latents, codes = blobs(1)
    unseen, _ = blobs(1, seed=1)
    devices, gpu = [], torch.device("cuda", 1)

    def search(latents, codes, k, device):
        devices.append(device)
        return NearestNeighbours(latents, codes, k, torch.device("cpu"))

    monkeypatch.setattr("autoencoder.latent_classifiers.NearestNeighbours", search)
    for name in CLASSIFIERS:
        there, here = fit(name, latents, codes, 5, 0, gpu), fit(name, latents, codes, 5, 0)
        assert np.array_equal(there.predict(unseen), here.predict(unseen))
    assert devices == [gpu, gpu]
