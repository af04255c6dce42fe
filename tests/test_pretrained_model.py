import re

import pytest
import torch
import torchvision
from refusals import refused
from torch.nn import functional as F

from autoencoder.config import Model
from model import create_autoencoder
from pretrained_model import (
    Classifier,
    Frozen,
    build_extractor,
    build_network,
    fingerprint,
    scale_to_network,
    stages,
)


@pytest.fixture(scope="module")
def resnet18():
    return torchvision.models.resnet18(weights=None).eval()


def test_weights_file_needs_to_cover_only_what_lies_below_the_cut(resnet18, tmp_path):
    part = {key: value for key, value in resnet18.state_dict().items() if not key.startswith(("layer4", "fc"))}
    torch.save(part, tmp_path / "part.pth")
    extractor = build_extractor("resnet18", -3, str(tmp_path / "part.pth"), 128)
    images = torch.rand(2, 3, 224, 224)
    x = resnet18.maxpool(resnet18.relu(resnet18.bn1(resnet18.conv1(images))))
    expected = resnet18.layer3(resnet18.layer2(resnet18.layer1(x)))
    torch.testing.assert_close(extractor.layers(images), expected)
    assert (extractor.channels, extractor.size) == tuple(expected.shape[1:3])
    # A classifier's names have a prefix.
    state = {f"pre_trained_model.{key}": value for key, value in resnet18.state_dict().items()}
    torch.save(state, tmp_path / "classifier.pth")
    again = build_extractor("resnet18", -3, str(tmp_path / "classifier.pth"), 128)
    assert fingerprint(again.layers) == fingerprint(extractor.layers)


def refusal(weights, name="resnet18", layer=-3):
    return refused(build_extractor, name, layer, str(weights), 128)


@pytest.mark.parametrize(("odd", "problem"), [
    (lambda tensor: tensor * torch.nan, "not finite"), (lambda tensor: tensor.to_sparse(), "sparse"),
    (lambda tensor: tensor.to("meta"), "without content"), (lambda tensor: tensor.to(torch.complex64), "complex64")])
def test_odd_tensors_are_refused_below_the_cut_and_left_out_above_it(tmp_path, odd, problem):
    state = build_network("small_cnn", 1000).state_dict()
    for key in ("features.0.weight", "classifier.2.weight"):
        torch.save(state | {key: odd(state[key])}, tmp_path / f"{key}.pth")
    assert re.search(f"features.0.weight .*{problem}", refusal(tmp_path / "features.0.weight.pth", "small_cnn"))
    build_extractor("small_cnn", -3, str(tmp_path / "classifier.2.weight.pth"), 128)


@pytest.mark.parametrize(("state", "told"), [
    (lambda state: {key: value for key, value in state.items() if key != "features.3.weight"},
     "features.3.weight is missing"),
    (lambda state: state | {"features.0.weight": torch.zeros(32, 1, 5, 5)}, "(32, 1, 5, 5), expected (32, 3, 5, 5)"),
    (lambda state: [1, 2], "no state dict"), (lambda state: state | {5: torch.ones(1)}, "no state dict")])
def test_weights_that_do_not_fit_below_the_cut_are_refused(tmp_path, state, told):
    torch.save(state(build_network("small_cnn", 1000).state_dict()), tmp_path / "a.pth")
    assert told in refusal(tmp_path / "a.pth", "small_cnn")


@pytest.mark.parametrize(("weights", "name", "layer", "told"), [
    (__file__, "small_cnn", -3, __file__), ("/absent.pth", "small_cnn", -3, "an existing file or run folder"),
    ("imagnet", "small_cnn", -3, "did you mean 'imagenet'"),
    ("none", "resnet_18", -3, "did you mean 'resnet18'"), ("none", "vit_b_16", -3, "model.layer"),
    ("none", "swin_t", -3, "model.layer"),
    *(("none", "resnet18", cut, f"cannot be cut at {cut} for images of 224 pixels; allowed: ") for cut in (-1, -20)),
    ("none", "resnet18", -2, "-3 (256x14x14)")])
def test_a_backbone_a_cut_or_a_file_that_is_none_is_refused(weights, name, layer, told):
    assert told in refusal(weights, name, layer)


@pytest.mark.parametrize(("name", "layer"), [("mobilenet_v2", -6), ("squeezenet1_1", -3), ("shufflenet_v2_x0_5", -3),
                                             ("mnasnet0_5", -6), ("densenet121", -5), ("alexnet", -3),
                                             ("regnet_y_400mf", -3)])
def test_other_backbones_and_cuts_work(name, layer):
    extractor = build_extractor(name, layer, "none", 128)
    features = extractor.layers(torch.rand(1, 3, 224, 224))
    assert features.shape == (1, extractor.channels, extractor.size, extractor.size)


def test_imagenet_weights_that_cannot_be_downloaded_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("no route")))
    message = refusal("imagenet")
    assert "no route" in message
    assert "resnet18-" in message


def test_imagenet_weights_are_those_of_the_papers_torchvision(monkeypatch, tmp_path):
    asked = []

    def download(url, destination, *_, **__):
        asked.append(url)
        torch.save(torchvision.models.resnet50(weights=None).state_dict(), destination)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    build_extractor("resnet50", -3, "imagenet", 128)
    assert asked == [torchvision.models.ResNet50_Weights.IMAGENET1K_V1.url]


def test_fingerprints_differ_by_a_single_weight():
    model = torch.nn.Linear(3, 3)
    before = fingerprint(model)
    with torch.no_grad():
        model.weight[1, 1] += 1e-6
    assert fingerprint(model) != before


def normed(policy, network=torchvision.models.resnet18):
    """The first layers of a network with BatchNorm, under a policy."""
    torch.manual_seed(0)
    return Frozen(torch.nn.Sequential(*stages(network(weights=None))[:5]), policy)


def test_frozen_batchnorm_uses_and_keeps_stored_statistics_in_training(generator):
    frozen, images = normed("frozen"), torch.rand(4, 3, 32, 32, generator=generator)
    before, expected = fingerprint(frozen.layers), frozen.layers(images)
    frozen.train(True)
    assert torch.equal(frozen.layers(images), expected)
    assert fingerprint(frozen.layers) == before
    assert not frozen.drifts


def test_reference_batchnorm_uses_batch_statistics_in_training_and_drifted_ones_in_evaluation(generator):
    frozen, images = normed("reference"), torch.rand(4, 3, 32, 32, generator=generator)
    conv, norm = frozen.layers[0], frozen.layers[1]
    mean, variance = torch.zeros(64), torch.ones(64)
    frozen.train(True)
    for _ in range(3):
        normalised = norm(conv(images))
        expected = F.batch_norm(conv(images), mean, variance, norm.weight, norm.bias, training=True, momentum=0.1)
        torch.testing.assert_close(normalised, expected)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    assert (norm.running_mean != 0).all()
    frozen.train(False)
    before = fingerprint(frozen.layers)
    torch.testing.assert_close(norm(conv(images)), F.batch_norm(conv(images), mean, variance, norm.weight, norm.bias))
    frozen.layers(images)
    assert fingerprint(frozen.layers) == before


def test_under_reference_nothing_but_batchnorm_is_in_training_mode_and_without_it_nothing_changes(generator):
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Dropout(0.5))
    Frozen(layers, "reference").train(True)
    assert [layer.training for layer in layers] == [False, True, False]
    assert not any(parameter.requires_grad for parameter in layers.parameters())
    images, outputs = torch.rand(2, 3, 32, 32, generator=generator), []
    for policy in ("frozen", "reference"):
        frozen = normed(policy, torchvision.models.squeezenet1_1)
        frozen.train(True)
        outputs.append(frozen.layers(images))
        assert not frozen.drifts
    assert torch.equal(outputs[0], outputs[1])


@pytest.mark.parametrize(("policy", "moves"), [("frozen", False), ("reference", True)])
def test_a_pretrained_classifiers_frozen_statistics_follow_the_policy(policy, moves):
    model = Classifier("resnet18", 10, "pretrained", -3, "none", policy).train()
    below, whole = fingerprint(model.frozen.layers), fingerprint(model)
    assert below == fingerprint(torch.nn.Sequential(*stages(model.pre_trained_model)[:-3]))
    model(torch.rand(4, 1, 32, 32))
    assert (fingerprint(model.frozen.layers) != below) == moves
    assert fingerprint(model) != whole
    below = fingerprint(model.frozen.layers)
    model.eval()(torch.rand(4, 1, 32, 32))
    assert fingerprint(model.frozen.layers) == below


def test_no_policy_touches_a_scratch_classifier_which_trains_everything():
    for policy in ("frozen", "reference"):
        model = Classifier("small_cnn", 10, "scratch", -3, "imagenet", policy)
        assert model.frozen is None
        assert all(module.training for module in model.modules())
        assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_classifier_normalises_only_when_it_is_told_to(generator):
    images, outputs = torch.rand(2, 1, 32, 32, generator=generator), []
    for normalize in (False, True):
        torch.manual_seed(0)
        model = Classifier("small_cnn", 10, "scratch", -3, "none", normalize=normalize).eval()
        outputs.append(model(images))
    repeated = images.repeat(1, 3, 1, 1)
    torch.testing.assert_close(outputs[0], model.pre_trained_model(repeated))
    torch.testing.assert_close(outputs[1], model.pre_trained_model(NORMALISE(repeated)))


NORMALISE = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_scaled_repeated_and_normalised_as_torchvision_does(channels, generator):
    images = torch.rand(2, channels, 64, 64, generator=generator)
    repeated = images.repeat(1, 3 // channels, 1, 1)
    assert torch.equal(scale_to_network(images, None), repeated)
    expected = F.interpolate(repeated, size=(224, 224), mode="bilinear", align_corners=False)
    torch.testing.assert_close(scale_to_network(images, 224), expected)
    torch.testing.assert_close(scale_to_network(images, 224, normalize=True), NORMALISE(expected))
    assert NORMALISE(expected).min() < -1


# Cut -> channels and side length at 224 pixels, written down from the papers' tables of the three networks.
VGG11 = {**dict.fromkeys((-20, -19), (64, 224)), -18: (64, 112), **dict.fromkeys((-17, -16), (128, 112)),
         -15: (128, 56), **dict.fromkeys((-14, -13, -12, -11), (256, 56)), -10: (256, 28),
         **dict.fromkeys((-9, -8, -7, -6), (512, 28)), **dict.fromkeys((-5, -4, -3, -2, -1), (512, 14))}
RESNET50 = {**dict.fromkeys((-9, -8, -7), (64, 112)), -6: (64, 56), -5: (256, 56), -4: (512, 28), -3: (1024, 14)}
DENSENET121 = {**dict.fromkeys((-11, -10, -9), (64, 112)), -8: (64, 56), -7: (256, 56), -6: (128, 28), -5: (512, 28),
               -4: (256, 14), -3: (1024, 14)}


@pytest.mark.parametrize(("name", "cut", "shape"), [
    (name, cut, shape) for name, cuts in (("vgg11", VGG11), ("resnet50", RESNET50), ("densenet121", DENSENET121))
    for cut, shape in cuts.items()])
def test_every_valid_cut_of_the_papers_backbones_builds_an_autoencoder(name, cut, shape):
    with torch.device("meta"):
        section = Model(type="extractor", variation="ae", extractor=name, layer=cut, weights="none")
        model = create_autoencoder(section, 128, 1)
        images = torch.zeros(2, 1, 128, 128)
        features = model.extractor(model.scale(images))
        reconstruction, latents = model(images)
    assert features.shape == (2, shape[0], shape[1], shape[1])
    assert latents.shape == (2, 64)
    assert reconstruction.shape == images.shape


@pytest.mark.parametrize(("name", "cuts"), [("vgg11", VGG11), ("resnet50", RESNET50), ("densenet121", DENSENET121)])
def test_no_other_cut_is_valid(name, cuts):
    with torch.device("meta"):
        message = refusal("none", name, -99)
    named = {int(cut): (int(channels), int(side)) for cut, channels, side in
             re.findall(r"(-\d+) \((\d+)x(\d+)x\d+\)", message)}
    assert named == cuts
