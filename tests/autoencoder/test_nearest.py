import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from autoencoder.judge import LatentEvaluation
from autoencoder.nearest import draw_targets, first_rows, nearest, show
from dataset import Scenes
from experiment.config import EvaluationDataset
from readers import READERS
from readers.base import Reader
from readers.labels import label_codes


class Cabins(Reader):
    """Two seats, three variants; a pixel each says scenery, variant and side, and the rest is the label."""

    name = "cabins"
    mirrors = True
    empty = 0
    classes = ("empty", "adult", "child")

    def fill(self, listing):
        for i in range(18):
            listing.add(str(i), (i // 3 % 3, i % 3), [f"{i}/{v}" for v in range(3)], ["x"] * 3)

    def prepare(self, source, size):
        scenery, variant = map(int, source.split("/"))
        image = np.zeros((1, size, size), dtype=np.uint8)
        image[0, 0, :3] = scenery, variant, 255
        image[0, 1:, : size // 2], image[0, 1:, size // 2 :] = scenery // 3 % 3 * 100, scenery % 3 * 100
        return image


class Halves(torch.nn.Module):
    """Encodes an image as the mean brightness of its halves, without the row that says what it is."""

    def encode(self, images):
        return torch.stack([half[:, :, 1:].mean(dim=(1, 2, 3)) for half in images.chunk(2, dim=3)], dim=1)

    def decode(self, latents):
        return latents[:, :, None, None].repeat_interleave(8, dim=1).reshape(-1, 1, 1, 16).expand(-1, 1, 16, 16)


@pytest.fixture
def evaluation(monkeypatch, tmp_path):
    monkeypatch.setitem(READERS, "cabins", Cabins)
    scenes = [Scenes(EvaluationDataset(name="cabins", root="x", split=split), 16, str(tmp_path), torch.device("cpu"))
              for split in ("train", "test")]
    return LatentEvaluation((scenes[0], scenes[0].gather), [(scenes[1], scenes[1].gather)], neighbours=2, seed=5)


def told(images):
    """Scenery, variant and whether mirrored, of images that say so in their corner."""
    marks = np.rint(images[:, 0, 0] * 255).astype(int)
    mirrored = marks[:, 2] != 255
    marks = np.where(mirrored[:, None], marks[:, ::-1], marks)
    return marks[:, 0], marks[:, 1], mirrored


def test_views_know_their_sceneries_and_labels(evaluation):
    for views in (evaluation.train, *evaluation.tests):
        scenery, _, mirrored = told(views.scenes.gather(views.index, views.flip).numpy())
        assert (views.scenery == scenery).all()
        labels = np.stack([scenery // 3 % 3, scenery % 3], axis=1)
        assert (views.labels == np.where(mirrored[:, None], labels[:, ::-1], labels)).all()
        assert (label_codes(views.labels) == views.codes).all()


def test_what_is_packed_says_what_each_latent_came_from(evaluation):
    views = evaluation.train
    packed = views.pack(views.embed(Halves()), {"role": "training"})
    assert len(packed) == 36
    scenery, variant, mirrored = told(views.scenes.gather(views.index, views.flip).numpy())
    assert packed.sources.tolist() == [f"{s}/{v}" for s, v in zip(scenery, variant, strict=True)]
    assert (packed.flip == mirrored).all()
    assert packed.about == {"role": "training", "dataset": "cabins", "factor": "", "split": "train"}
    assert packed.classes.tolist() == ["empty", "adult", "child"]


def test_the_nearest_latents_are_those_of_a_loop_without_forbidden_pairs():
    rng = np.random.default_rng(0)
    latents, others, forbidden = rng.normal(size=(7, 3)), rng.normal(size=(20, 3)), rng.random((7, 20)) < 0.5
    for banned in (None, forbidden):
        found = nearest(latents, others, banned)
        for i, latent in enumerate(latents):
            allowed = [j for j in range(20) if banned is None or not banned[i, j]]
            assert found[i] == min(allowed, key=lambda j: np.sum((others[j] - latent) ** 2))


def test_a_scenery_stands_for_itself_unmirrored(evaluation):
    chosen = torch.tensor([7, 2, 11])
    for views in (evaluation.train, *evaluation.tests):
        rows = first_rows(views, chosen)
        assert views.scenery[rows].tolist() == [7, 2, 11]
        assert not views.flip[rows].any()


@pytest.mark.parametrize("impossible", ["none", "scene", "instance"])
def test_targets_are_those_of_training(evaluation, impossible):
    views = evaluation.tests[0]
    rows = first_rows(views, torch.arange(18))
    scenery, variant, mirrored = told(views.scenes.gather(views.index[rows], views.flip[rows]).numpy())
    target, target_variant, target_mirrored = told(draw_targets(views, rows, impossible, seed=1))
    labels = views.scenes.labels[target]
    labels = np.where(target_mirrored[:, None], labels[:, ::-1], labels)
    assert (labels == views.labels[rows]).all()
    assert ((target == scenery) & (target_mirrored == mirrored)).all() == (impossible != "instance")
    assert (target_variant == variant).all() == (impossible == "none")
    assert (target_variant != variant).all() or impossible == "none"
    assert (target != scenery).any() == (impossible == "instance")


@pytest.mark.parametrize("which", ["train", "target"])
def test_what_is_shown_equals_the_definition_written_out(evaluation, which):
    train = evaluation.train
    views = train if which == "train" else evaluation.tests[0]
    model, chosen = Halves(), torch.tensor([0, 4, 13])
    train_latents, latents = train.embed(model), views.embed(model)
    # Every label but one is learnt wrongly, so that verdicts differ.
    wrong = np.where(train.codes == 0, 0, train.codes + 1)
    classifier = KNeighborsClassifier(1).fit(train_latents, wrong)
    shown = show(model, views, latents, train, train_latents, classifier, chosen, "none", 0)
    assert shown.right.tolist() == [True, False, False]
    assert (label_codes(shown.predicted) == np.where(label_codes(shown.labels) == 0, 0,
                                                     label_codes(shown.labels) + 1)).all()
    assert (shown.inputs == shown.targets).all()
    assert (told(shown.inputs)[0] == chosen.numpy()).all()
    np.testing.assert_allclose(shown.outputs, model.decode(model.encode(torch.from_numpy(shown.inputs))).numpy())
    # There are two sceneries of each label, and four views of symmetric ones, all with the same latents.
    assert (shown.nearest_labels == shown.labels).all()
    scenery, _, _ = told(shown.nearest)
    assert (scenery != chosen.numpy()).all() or which == "target"
