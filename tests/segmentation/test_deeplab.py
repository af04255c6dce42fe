"""DeepLabV3+ against a forward pass written from its description with torch's functions alone."""

import collections
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from torch.nn import functional as F

from efficientnet_lite import weights_file
from errors import UserError
from evaluation.trained import restore
from experiment.checkpoint import load_state_dict
from experiment.run import open_run
from pretrained_model import IMAGENET, folded
from segmentation.backbones import BACKBONES, create_backbone, spatial
from segmentation.deeplab import Atrous, convolve_resized, create_deeplab

MOBILENET = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
LITE = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320)]


def network_of(backbone, classes, stride=16, weights="none", layout="torchvision"):
    section = SimpleNamespace(backbone=backbone, output_stride=stride, weights=weights, layout=layout)
    return create_deeplab(section, classes)


class Functional:
    """Layers by their names in a state dict."""

    def __init__(self, state, eps=1e-5):
        self.state, self.eps = state, eps

    def conv(self, x, name, **options):
        return F.conv2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), **options)

    def bn(self, x, name, eps=None):
        values = [self.state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *values, eps=eps or self.eps)

    def layer(self, x, name, **options):
        return F.relu(self.bn(self.conv(x, f"{name}.0", **options), f"{name}.1"))


def up(x, like):
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


def head(net, low, high, factor):
    low = net.layer(low, "classifier.project")
    seen = [net.layer(high, "classifier.aspp.convs.0")]
    for i, rate in enumerate((6, 12, 18), start=1):
        options = {"dilation": rate * factor, "padding": rate * factor}
        seen.append(net.layer(high, f"classifier.aspp.convs.{i}", **options))
    pooled = net.conv(high.mean((2, 3), keepdim=True), "classifier.aspp.convs.4.1")
    seen.append(F.relu(net.bn(pooled, "classifier.aspp.convs.4.2")).expand(-1, -1, *high.shape[2:]))
    high = up(net.layer(torch.cat(seen, 1), "classifier.aspp.project"), low)
    hidden = net.layer(torch.cat([low, high], 1), "classifier.classifier", padding=1)
    return net.conv(hidden, "classifier.classifier.3")


def mobilenet(net, x, stride, published):
    def name(k):
        return f"backbone.{'low' if k < 4 else 'high'}_level_features.{k}"

    x = F.relu6(net.bn(net.conv(x, f"{name(0)}.0", stride=2, padding=0 if published else 1), f"{name(0)}.1"))
    k, reached, dilation, low = 1, 2, 1, None
    for t, c, n, s in MOBILENET:
        previous = dilation
        if reached == stride:
            dilation, s = dilation * s, 1
        reached *= s
        for i in range(n):
            step, rate = (s, previous) if i == 0 else (1, dilation)
            y, conv, inner = x, f"{name(k)}.conv", 0
            if published:
                y = F.pad(y, [rate] * 4)
            if t != 1:
                y, inner = F.relu6(net.bn(net.conv(y, f"{conv}.0.0"), f"{conv}.0.1")), 1
            y = net.conv(y, f"{conv}.{inner}.0", stride=step, dilation=rate, padding=0 if published else rate,
                         groups=y.shape[1])
            y = F.relu6(net.bn(y, f"{conv}.{inner}.1"))
            y = net.bn(net.conv(y, f"{conv}.{inner + 1}"), f"{conv}.{inner + 2}")
            x = x + y if step == 1 and x.shape[1] == c else y
            low, k = x if k == 3 else low, k + 1
    return low, x


def resnet(net, x, stride, _):
    x = F.relu(net.bn(net.conv(x, "backbone.conv1", stride=2, padding=3), "backbone.bn1"))
    x, low, dilation = F.max_pool2d(x, 3, 2, 1), None, 1
    for number, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)):
        step, previous = (1 if number == 1 else 2), dilation
        if (number == 4) or (number == 3 and stride == 8):
            step, dilation = 1, dilation * 2
        for i in range(blocks):
            name, s, rate = f"backbone.layer{number}.{i}", (1 if i else step), (dilation if i else previous)
            y = F.relu(net.bn(net.conv(x, f"{name}.conv1"), f"{name}.bn1"))
            y = net.conv(y, f"{name}.conv2", stride=s, dilation=rate, padding=rate)
            y = net.conv(F.relu(net.bn(y, f"{name}.bn2")), f"{name}.conv3")
            y = net.bn(y, f"{name}.bn3")
            if i == 0:
                x = net.bn(net.conv(x, f"{name}.downsample.0", stride=s), f"{name}.downsample.1")
            x = F.relu(x + y)
        low = x if number == 1 else low
    return low, x


def efficientnet(net, x, stride, _):
    def conv(x, name, step=1, rate=1, groups=1):
        reach = (net.state[f"{name}.weight"].shape[-1] - 1) * rate + 1
        total = [max((-(-side // step) - 1) * step + reach - side, 0) for side in x.shape[2:]]
        pads = [total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2]
        return net.conv(F.pad(x, pads), name, stride=step, dilation=rate, groups=groups)

    x = F.relu6(net.bn(conv(x, "backbone._conv_stem", 2), "backbone._bn0", 1e-3))
    k, reached, dilation, low = 0, 2, 1, None
    for n, _, s, t, c in LITE:
        previous = dilation
        if reached == stride:
            dilation, s = dilation * s, 1
        reached *= s
        for i in range(n):
            step, rate = (s, previous) if i == 0 else (1, dilation)
            y, name = x, f"backbone._blocks.{k}"
            if t != 1:
                y = F.relu6(net.bn(conv(y, f"{name}._expand_conv"), f"{name}._bn0", 1e-3))
            y = F.relu6(net.bn(conv(y, f"{name}._depthwise_conv", step, rate, y.shape[1]), f"{name}._bn1", 1e-3))
            y = net.bn(conv(y, f"{name}._project_conv"), f"{name}._bn2", 1e-3)
            x = x + y if step == 1 and x.shape[1] == c else y
            low, k = x if k == 2 else low, k + 1
    return low, x


def randomise(model, generator):
    """Give BatchNorm statistics and weights that are not those of the start."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith(("running_mean", "bias")):
                tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
            elif name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return model.eval()


REFERENCES = {"mobilenet_v2": mobilenet, "resnet50": resnet, "efficientnet_lite0": efficientnet}
NETWORKS = [(name, "torchvision") for name in BACKBONES] + [("mobilenet_v2", "published"), ("resnet50", "published")]


@pytest.mark.parametrize("stride", [16, 8])
@pytest.mark.parametrize(("name", "layout"), NETWORKS)
def test_predictions_are_those_of_the_description(name, layout, stride, generator):
    model = randomise(network_of(name, 5, stride, layout=layout), generator)
    images = torch.rand(2, 3, 96, 130, generator=generator)
    half = ((127 / 255,) * 3, (128 / 255,) * 3)
    mean, std = (torch.tensor(values)[:, None, None] for values in (half if name == "efficientnet_lite0" else IMAGENET))
    with torch.no_grad():
        net = Functional(model.state_dict())
        low, high = REFERENCES[name](net, (images - mean) / std, stride, layout == "published")
        expected = up(head(net, low, high, 16 // stride), images)
        found = model(images)
    assert found.shape == (2, 5, 96, 130)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    assert expected.std() > 1e-3


@pytest.mark.parametrize("layout", ["torchvision", "published"])
@pytest.mark.parametrize(("name", "million", "backbone", "entries"), [
    ("mobilenet_v2", 5.224, 1.812, 356), ("resnet50", 39.761, 23.508, 368)])
def test_numbers_of_parameters_and_entries_are_the_published_ones(name, million, backbone, entries, layout):
    model = network_of(name, 16, layout=layout)
    sizes = [sum(parameter.numel() for parameter in part.parameters()) / 1e6 for part in (model, model.backbone)]
    assert sizes == pytest.approx([million, backbone], abs=5e-4)
    assert len(model.state_dict()) == entries


@pytest.mark.parametrize(("name", "layout"), NETWORKS)
def test_feature_maps_have_the_described_sizes(name, layout):
    for stride in (16, 8):
        backbone = create_backbone(name, stride, "none", layout).eval()
        low, high = backbone(torch.zeros(1, 3, 256, 256))
        assert low.shape == (1, backbone.channels[0], 64, 64)
        assert high.shape == (1, backbone.channels[1], 256 // stride, 256 // stride)


def test_published_sizes_begin_with_an_odd_one():
    backbone = create_backbone("mobilenet_v2", 16, "none", "published").eval()
    x, sides = torch.zeros(1, 3, 256, 256), []
    for part in (*backbone.low_level_features, *backbone.high_level_features):
        x = part(x)
        sides.append(x.shape[-1])
    assert list(dict.fromkeys(sides)) == [127, 64, 32, 16]


@pytest.mark.parametrize(("stride", "expected"), [
    (16, {14: (1, 1), 15: (1, 2), 16: (1, 2), 17: (1, 2)}),
    (8, {7: (1, 1), 8: (1, 2), 13: (1, 2), 14: (1, 2), 15: (1, 4), 17: (1, 4)})])
def test_strides_become_dilation(stride, expected):
    for layout in ("torchvision", "published"):
        blocks = create_backbone("mobilenet_v2", stride, "none", layout).high_level_features
        found = {i: (spatial(blocks[i - 4]).stride[0], spatial(blocks[i - 4]).dilation[0]) for i in expected}
        assert found == expected
        assert next(iter(dict(blocks.named_children()))) == "4"


def test_strides_change_no_weights():
    for name in BACKBONES:
        torch.manual_seed(0)
        first = network_of(name, 3, 16).state_dict()
        torch.manual_seed(0)
        second = network_of(name, 3, 8).state_dict()
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_published_padding_makes_a_difference(generator):
    plain, padded = (randomise(network_of("mobilenet_v2", 3, layout=layout), generator)
                     for layout in ("torchvision", "published"))
    plain.load_state_dict(padded.state_dict())
    images = torch.rand(1, 3, 65, 65, generator=generator)
    with torch.no_grad():
        assert (plain(images) - padded(images)).abs().max() > 1e-3


@pytest.mark.parametrize(("name", "layout"), [network for network in NETWORKS if network[0] != "efficientnet_lite0"])
def test_weights_are_those_of_torchvisions_network(name, layout, tmp_path):
    network = getattr(torchvision.models, name)(weights=None)
    torch.save(network.state_dict(), tmp_path / "imagenet.pth")
    backbone = create_backbone(name, 16, str(tmp_path / "imagenet.pth"), layout)
    found, wanted = (collections.Counter(float(value.double().sum()) for value in module.state_dict().values()
                                         if value.ndim == 4) for module in (backbone, network))
    assert found <= wanted
    assert wanted.total() - found.total() == (0 if name == "resnet50" else 1)


def test_low_level_features_of_the_plain_mobilenet_are_torchvisions(generator):
    network = torchvision.models.mobilenet_v2(weights=None).eval()
    model = create_backbone("mobilenet_v2", 16, "none").eval()
    model.low_level_features.load_state_dict(network.features[:4].state_dict())
    images = torch.rand(1, 3, 64, 64, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(model(images)[0], network.features[:4](images))


def test_efficientnet_weights_are_the_installed_ones():
    state, own = load_state_dict(weights_file()), create_backbone("efficientnet_lite0", 16, "imagenet").state_dict()
    assert own.keys() == {key for key in state if not key.startswith(("_conv_head", "_bn1", "_fc"))}
    assert all(torch.equal(own[key], state[key]) for key in own)


CONFIG = """
dataset = {name = "cityscapes"}
model = {type = "deeplab", layout = "published"}
training = {epochs = 1}
"""


def take_over(model, folder, content):
    """Lay a checkpoint into a folder as for published runs, and fill a network from it as an evaluation does."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "cfg.toml").write_text(CONFIG)
    torch.save(content, folder / "checkpoints" / "last_model.pth")
    assert restore(model, open_run(folder), "last") is None


def published(model, **more):
    return {"cur_itrs": 30000, "model_state": model.state_dict(), "optimizer_state": {"state": {}, "param_groups": []},
            "scheduler_state": {"last_epoch": 3}, "best_score": np.float64(0.7), **more}


def test_published_checkpoints_are_taken_over_without_unpickling_their_numbers(tmp_path, generator):
    source = randomise(network_of("mobilenet_v2", 19, layout="published"), generator)
    images = torch.rand(1, 3, 64, 64, generator=generator)
    for name, content in {"whole": published(source), "plain": source.state_dict()}.items():
        model = network_of("mobilenet_v2", 19, layout="published").eval()
        take_over(model, tmp_path / name, content)
        with torch.no_grad():
            assert torch.equal(model(images), source(images))


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_other_checkpoints_are_one_line(tmp_path, capsys):
    model = network_of("mobilenet_v2", 16, layout="published")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    other = network_of("mobilenet_v2", 19, layout="published")
    contents = {"classes": published(other), "evil": published(model, more=Evil()), "list": [1, 2], "empty": {},
                "odd": {"model_state": 3}}
    reasons = {"classes": "classifier.classifier.3.*\\(19, 256, 1, 1\\), expected \\(16, 256, 1, 1\\)",
               "evil": "refused", "list": "no state dict", "empty": "is missing", "odd": "no state dict"}
    for name, content in contents.items():
        with pytest.raises(UserError, match=reasons[name]):
            take_over(model, tmp_path / name, content)
    assert "executed" not in capsys.readouterr().out
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_training_needs_two_images_and_evaluation_does_not(generator):
    model = network_of("efficientnet_lite0", 3)
    images = torch.rand(2, 1, 64, 64, generator=generator)
    assert model(images).shape == (2, 3, 64, 64)
    with pytest.raises(UserError, match=r"training\.batch_size: a batch of one image"):
        model(images[:1])
    assert model.eval()(images[:1]).shape == (1, 3, 64, 64)


def test_what_is_not_published_has_no_published_layout():
    with pytest.raises(UserError, match=r"model\.layout: 'published' is not known; allowed: torchvision"):
        network_of("efficientnet_lite0", 3, layout="published")


def test_batchnorm_of_the_backbone_moves_slowly():
    model = network_of("efficientnet_lite0", 3)
    momenta = {part: {module.momentum for module in getattr(model, part).modules()
                      if isinstance(module, torch.nn.BatchNorm2d)} for part in ("backbone", "classifier")}
    assert momenta == {"backbone": {0.01}, "classifier": {0.1}}


SIZES = [((4, 5), (16, 20)), ((3, 8), (13, 31)), ((1, 1), (5, 7)), ((6, 6), (6, 6))]


@pytest.mark.parametrize(("small", "large"), SIZES)
def test_convolving_before_scaling_is_scaling_before_convolving(small, large, generator):
    features = torch.randn(2, 5, *small, generator=generator, requires_grad=True)
    weight = torch.randn(3, 5, 3, 3, generator=generator, requires_grad=True)
    wanted = F.conv2d(up(features, torch.empty(1, 1, *large)), weight, padding=1)
    found = convolve_resized(features.to(memory_format=torch.channels_last), weight, large)
    assert torch.allclose(found, wanted, atol=1e-4)
    toward = torch.randn(wanted.shape, generator=generator)
    for ours, theirs in zip(*(torch.autograd.grad(value, (features, weight), toward) for value in (found, wanted)),
                            strict=True):
        assert torch.allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("dilation", [1, 3, 4, 5, 6, 9])
def test_what_of_a_kernel_sees_padding_alone_can_be_left_out(dilation, generator):
    ours, features = Atrous(2, 3, 3, padding=dilation, dilation=dilation), torch.randn(2, 2, 4, 6, generator=generator)
    weight = ours.weight.detach().clone().requires_grad_()
    wanted, found = F.conv2d(features, weight, ours.bias, 1, dilation, dilation), ours(features)
    assert torch.allclose(found, wanted, atol=1e-6)
    (found**2).sum().backward()
    (wanted**2).sum().backward()
    assert torch.allclose(ours.weight.grad, weight.grad, atol=1e-4)


@pytest.mark.parametrize(("backbone", "layout"), [("mobilenet_v2", "torchvision"), ("mobilenet_v2", "published"),
                                                  ("resnet50", "torchvision"), ("efficientnet_lite0", "torchvision")])
def test_batchnorm_in_the_convolutions_changes_nothing_but_rounding(backbone, layout, generator):
    model = network_of(backbone, 4, layout=layout)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                values.data.uniform_(0.5, 1.5, generator=generator)
            for values in (module.bias, module.running_mean):
                values.data.uniform_(-0.5, 0.5, generator=generator)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.rand(2, 3, 64, 64, generator=generator)
    with torch.inference_mode():
        fast, wanted = folded(model), model.eval()(images)
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fast.modules())
        assert torch.allclose(fast(images), wanted, atol=1e-4 * wanted.abs().max().item())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
