import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from autoencoder.config import Model
from dataset import Scenes
from experiment.config import EvaluationDataset
from frozen.recalibrate import chosen_images, recalibrate
from model import create_autoencoder
from pretrained_model import Classifier, fingerprint

CPU = torch.device("cpu")


def glyphs(cache, limit):
    return Scenes(EvaluationDataset(name="glyphs", root="x", limit=limit), 32, str(cache), CPU)


def make(policy="recalibrated", seed=0, **options):
    torch.manual_seed(0)
    values = {"type": "extractor", "variation": "ae", "extractor": "small_cnn", "weights": "none", "layer": -4,
              "dimension": 4, "batchnorm": policy, **options}
    model = create_autoencoder(Model(**values), 32, 1)
    torch.manual_seed(seed)
    return model


def statistics(model):
    return {name: buffer.clone() for name, buffer in model.extractor.named_buffers()}


@pytest.mark.parametrize(("limit", "images"), [(6, 60), (21, 192)])
def test_the_first_layers_statistics_equal_a_two_pass_computation(cache, tmp_path, limit, images):
    scenes, model = glyphs(cache, limit), make()
    index = chosen_images(len(scenes.images))
    assert len(index) == images
    assert len(index.unique()) == images
    recalibrate(model, scenes, tmp_path)
    pixels = scenes.images[index].numpy().astype(np.float32) / 255
    conv = model.extractor[0]
    seen = F.conv2d(torch.from_numpy(pixels).repeat(1, 3, 1, 1), conv.weight, conv.bias, stride=2, padding=2)
    seen = seen.detach().double().numpy()
    mean = seen.mean(axis=(0, 2, 3))
    # The mean of the variances of the batches, each with n - 1 in the denominator.
    variances = [batch.transpose(1, 0, 2, 3).reshape(32, -1).var(axis=1, ddof=1)
                 for batch in np.array_split(seen, max(1, images // 64))]
    norm = model.extractor[1]
    np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.running_var, np.mean(variances, axis=0), rtol=1e-4)
    assert norm.num_batches_tracked == max(1, images // 64)


def test_all_layers_have_the_statistics_that_torchs_own_recalibration_finds(cache, tmp_path):
    scenes, model, plain = glyphs(cache, 21), make(), make()
    recalibrate(model, scenes, tmp_path)
    batches = [scenes.images[chunk].float().div(255).repeat(1, 3, 1, 1)
               for chunk in chosen_images(len(scenes.images)).split(64)]
    update_bn(batches, plain.extractor)
    expected = statistics(plain)
    assert len(expected) == 9
    for name, buffer in statistics(model).items():
        torch.testing.assert_close(buffer, expected[name])


def test_images_are_seen_scaled_and_normalised_as_the_network_sees_them(cache, tmp_path):
    scenes, model = glyphs(cache, 2), make(extractor="resnet18", layer=-7, normalize=True)
    recalibrate(model, scenes, tmp_path)
    images = scenes.images[chosen_images(len(scenes.images))].float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    seen = F.interpolate(images.repeat(1, 3, 1, 1), (224, 224), mode="bilinear", align_corners=False)
    seen = model.extractor[0]((seen - mean[:, None, None]) / std[:, None, None])
    torch.testing.assert_close(model.extractor[1].running_mean, seen.mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_the_statistics_are_those_of_other_seeds_and_computed_once(cache, tmp_path, monkeypatch):
    scenes, first, second = glyphs(cache, 6), make(seed=1), make(seed=2)
    before = torch.get_rng_state()
    recalibrate(first, scenes, tmp_path / "first")
    assert torch.equal(torch.get_rng_state(), before)
    recalibrate(second, scenes, tmp_path / "second")
    assert fingerprint(first.extractor) == fingerprint(second.extractor)
    monkeypatch.setattr("frozen.recalibrate._estimate", lambda *_: pytest.fail("computed again"))
    third = make(seed=3)
    recalibrate(third, scenes, tmp_path / "first")
    assert fingerprint(third.extractor) == fingerprint(first.extractor)


def test_other_images_or_weights_have_statistics_of_their_own(cache, tmp_path):
    prints = set()
    for limit, layer, normalize in ((6, -4, False), (7, -4, False), (6, -5, False), (6, -4, True)):
        model = make(layer=layer, normalize=normalize)
        recalibrate(model, glyphs(cache, limit), tmp_path)
        prints.add(fingerprint(model.extractor[:2]))
    # A cut elsewhere has the same first layer, so the same statistics of it.
    assert len(prints) == 3
    assert len(list((tmp_path / "statistics").glob("glyphs-*"))) == 4


def test_statistics_stay_as_they_are_afterwards_in_training_too(cache, tmp_path):
    model = make()
    recalibrate(model, glyphs(cache, 6), tmp_path)
    before = statistics(model)
    model.train()
    model.extract(torch.rand(3, 1, 32, 32))
    assert all(torch.equal(before[name], buffer) for name, buffer in statistics(model).items())
    assert {module.momentum for module in model.frozen.norms} == {0.1}
    assert not any(module.training for module in model.extractor.modules())


@pytest.mark.parametrize("options", [{"policy": "frozen"}, {"policy": "reference"}, {"type": "conv"},
                                     {"extractor": "squeezenet1_1"}])
def test_models_that_need_none_are_left_alone(cache, tmp_path, options):
    model = make(**options)
    before = fingerprint(model)
    recalibrate(model, glyphs(cache, 2), tmp_path)
    assert fingerprint(model) == before
    assert not (tmp_path / "statistics").exists()


@pytest.mark.parametrize(("variation", "moved"), [("pretrained", True), ("scratch", False)])
def test_a_classifier_is_recalibrated_below_its_cut_only(cache, tmp_path, variation, moved):
    torch.manual_seed(0)
    model = Classifier("small_cnn", 10, variation, -9, "none", "recalibrated")
    features = model.pre_trained_model.features
    below, above = fingerprint(features[:5]), fingerprint(features[5:])
    recalibrate(model, glyphs(cache, 6), tmp_path)
    assert (fingerprint(features[:5]) != below) == moved
    assert fingerprint(features[5:]) == above
