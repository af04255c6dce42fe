import pytest
import torch
import torchvision
from torch.nn import functional as F

from errors import UserError
from pretrained_model import Classifier, build_extractor, fingerprint, scale_to_network, stages


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


def refused(weights, name="resnet18", layer=-3):
    with pytest.raises(UserError) as error:
        build_extractor(name, layer, str(weights), 128)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_weights_that_lack_a_layer_below_the_cut_are_refused(resnet18, tmp_path):
    part = {key: value for key, value in resnet18.state_dict().items() if key != "layer3.1.conv2.weight"}
    torch.save(part, tmp_path / "part.pth")
    assert "layer3.1.conv2.weight is missing" in refused(tmp_path / "part.pth")


def test_weights_of_another_shape_are_refused(resnet18, tmp_path):
    state = resnet18.state_dict()
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    torch.save(state, tmp_path / "grey.pth")
    assert "(64, 1, 7, 7), expected (64, 3, 7, 7)" in refused(tmp_path / "grey.pth")


def test_a_classifiers_state_dict_fits_with_and_without_its_prefix(resnet18, tmp_path):
    state = resnet18.state_dict()
    torch.save({f"pre_trained_model.{key}": value for key, value in state.items()}, tmp_path / "classifier.pth")
    torch.save(state, tmp_path / "plain.pth")
    prints = {fingerprint(build_extractor("resnet18", -3, str(tmp_path / name), 128).layers)
              for name in ("classifier.pth", "plain.pth")}
    assert len(prints) == 1


def test_a_file_that_is_no_state_dict_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    assert "no state dict" in refused(tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("hello")
    assert "text.pth" in refused(tmp_path / "text.pth")
    assert "an existing file or run folder" in refused(tmp_path / "absent.pth")


def test_an_unknown_extractor_names_the_nearest(tmp_path):
    assert "did you mean 'resnet18'" in refused("none", name="resnet_18")


@pytest.mark.parametrize("layer", [-1, -2, -20])
def test_a_cut_without_a_usable_feature_map_names_those_that_have_one(layer):
    message = refused("none", layer=layer)
    assert f"cannot be cut at {layer}" in message
    assert "-3 (256x14x14)" in message


@pytest.mark.parametrize("name", ["vit_b_16", "swin_t"])
def test_a_network_that_is_no_chain_of_feature_maps_is_refused(name):
    assert "model.layer" in refused("none", name=name)


@pytest.mark.parametrize(("name", "layer"), [("mobilenet_v2", -6), ("squeezenet1_1", -3), ("shufflenet_v2_x0_5", -3),
                                             ("mnasnet0_5", -6), ("densenet121", -5), ("alexnet", -3)])
def test_other_backbones_and_cuts_work(name, layer):
    extractor = build_extractor(name, layer, "none", 128)
    features = extractor.layers(torch.rand(1, 3, 224, 224))
    assert features.shape == (1, extractor.channels, extractor.size, extractor.size)


def test_imagenet_weights_that_cannot_be_downloaded_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("no route")))
    message = refused("imagenet")
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


def test_grey_images_are_scaled_and_repeated(generator):
    images = torch.rand(2, 1, 64, 64, generator=generator)
    expected = F.interpolate(images, size=(224, 224), mode="bilinear", align_corners=False).repeat(1, 3, 1, 1)
    torch.testing.assert_close(scale_to_network(images, 224), expected)
    assert torch.equal(scale_to_network(images, None), images.repeat(1, 3, 1, 1))


@pytest.mark.parametrize(("name", "tensors"), [("resnet50", 129), ("vgg11", 14), ("densenet121", 261)])
def test_a_pretrained_classifier_freezes_the_published_number_of_tensors(name, tensors):
    model = Classifier(name, 64, "pretrained", -3, "none")
    frozen = [not parameter.requires_grad for parameter in model.parameters()]
    assert sum(frozen) == tensors
    assert all(frozen[:tensors])
    assert model(torch.rand(2, 1, 32, 32)).shape == (2, 64)


def test_frozen_layers_of_a_classifier_keep_their_statistics_in_training():
    model = Classifier("resnet18", 10, "pretrained", -3, "none").train()
    below = torch.nn.Sequential(*stages(model.pre_trained_model)[:-3])
    frozen, whole = fingerprint(below), fingerprint(model)
    model(torch.rand(4, 1, 32, 32))
    assert fingerprint(below) == frozen
    assert fingerprint(model) != whole


def test_a_scratch_classifier_trains_everything():
    model = Classifier("small_cnn", 10, "scratch", -3, "imagenet")
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_fingerprints_differ_by_a_single_weight():
    model = torch.nn.Linear(3, 3)
    before = fingerprint(model)
    with torch.no_grad():
        model.weight[1, 1] += 1e-6
    assert fingerprint(model) != before
