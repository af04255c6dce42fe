"""Backbones: networks by name, the part below a cut, weights, freezing, BatchNorm; and the classifier built on them."""

import copy
import hashlib
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

import efficientnet_lite
from errors import UserError, choice_error, shortened
from experiment.checkpoint import load_state_dict, misfit
from experiment.run import open_run

SMALL_CNN, EFFICIENTNET = "small_cnn", "efficientnet_lite0"
TORCHVISION_SIZE = 224
COUNTER = "num_batches_tracked"
CLASSIFIER_PREFIX = "pre_trained_model."
# Mean and standard deviation of colours in [0, 1].
Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]
IMAGENET: Statistics = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The summariser pools by two and then needs four by four positions.
SMALLEST_FEATURES = 8


class SmallCnn(nn.Module):
    """A small classifier for small images (64x64 and thereabouts), fast on a CPU; input (n, 3, H, W) in [0, 1]."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 96, 3, padding=1), nn.BatchNorm2d(96), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(96, 128, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128 * 4 * 4, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))


class Extractor(NamedTuple):
    """A backbone's part below the cut: (n, 3, H, W) -> (n, channels, size, size)."""

    layers: nn.Sequential
    channels: int
    size: int


class Frozen:
    """Layers of a network that do not train, and what their BatchNorm does meanwhile (`model.batchnorm`).

    `frozen`: stored statistics, in training too. `reference`: batch statistics while training, which move the stored
    ones. Networks without BatchNorm behave alike under both.
    """

    def __init__(self, layers: nn.Sequential, policy: str):
        self.layers, self.policy = layers.requires_grad_(False), policy
        self.train(False)

    @property
    def norms(self) -> list[BatchNorm]:
        """Return the BatchNorm layers."""
        return [module for module in self.layers.modules() if isinstance(module, BatchNorm)]

    @property
    def drifts(self) -> bool:
        """Whether the statistics, and so the features of an image, change while the rest of the network trains."""
        return self.policy == "reference" and bool(self.norms)

    def train(self, mode: bool) -> None:
        """Put the layers into evaluation mode, whatever the mode of the rest, as far as the policy says so."""
        self.layers.eval()
        if self.drifts:
            for norm in self.norms:
                norm.train(mode)


class OnBackbone(nn.Module):
    """A network that sees images through a backbone. frozen: the layers that do not train, or None."""

    frozen: Frozen | None = None

    def look_through(self, name: str, normalize: bool) -> None:
        """Scale images as a backbone takes them."""
        self.input_size, self.normalize, self.colours = input_size(name), normalize, statistics(name)

    def train(self, mode: bool = True) -> "OnBackbone":
        """Switch the mode; frozen layers stay in evaluation mode, as far as their policy says so."""
        super().train(mode)
        if self.frozen:
            self.frozen.train(mode)
        return self

    def scale(self, images: Tensor) -> Tensor:
        """Return what the backbone sees of images (n, 1 or 3, H, W) in [0, 1]."""
        return scale_to_network(images, self.input_size, self.normalize, self.colours)


def build_network(name: str, num_classes: int) -> nn.Module:
    """Return a classification network with random weights; UserError for an unknown name."""
    if name == SMALL_CNN:
        return SmallCnn(num_classes)
    if name == EFFICIENTNET:
        return efficientnet_lite.EfficientNetLite0(num_classes)
    # Here, as it takes a second that own networks, and all that has none, need not wait.
    import torchvision.models as tv

    known = tv.list_models(module=tv)
    if name not in known:
        raise choice_error("model.extractor", name, [SMALL_CNN, EFFICIENTNET, *known])
    options = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    return tv.get_model(name, weights=None, num_classes=num_classes, **options)


def input_size(name: str) -> int | None:
    """Return the side length that a network's images are scaled to, None where it takes them as they are."""
    return None if name == SMALL_CNN else TORCHVISION_SIZE


def statistics(name: str) -> Statistics:
    """Return what `normalize` subtracts from a network's images and divides them by: what its weights expect."""
    return (efficientnet_lite.MEAN, efficientnet_lite.STD) if name == EFFICIENTNET else IMAGENET


def stages(network: nn.Module) -> list[nn.Module]:
    """Return the children that `layer` counts: those of `features` (or `layers`) where there is such, else its own."""
    for name in ("features", "layers"):
        chain = getattr(network, name, None)
        if isinstance(chain, nn.Sequential):
            return list(chain.children())
    return list(network.children())


def build_extractor(name: str, layer: int, weights: str, image_size: int) -> Extractor:
    """Return a backbone cut as `children()[0:layer]`, with weights; UserError where name, cut or weights do not fit."""
    network = build_network(name, num_classes=1000)
    size = input_size(name)
    shapes = feature_shapes(network, size or image_size)
    valid = {cut: shape for cut, shape in shapes.items() if shape[1] == shape[2] >= SMALLEST_FEATURES}
    if layer not in valid:
        named = ", ".join(f"{cut} ({shape[0]}x{shape[1]}x{shape[2]})" for cut, shape in sorted(valid.items()))
        raise UserError(f"model.layer: {name} cannot be cut at {layer} for images of {size or image_size} pixels; "
                        f"allowed: {named or 'none, the images are too small or the network is no chain of layers'}")
    layers = nn.Sequential(*stages(network)[:layer])
    load_weights(network, layers, name, weights)
    return Extractor(layers.eval(), *valid[layer][:2])


@torch.no_grad()
def feature_shapes(network: nn.Module, size: int) -> dict[int, tuple[int, int, int]]:
    """Return cut -> (channels, height, width) for all cuts of a network after which there is still a feature map."""
    shapes: dict[int, tuple[int, int, int]] = {}
    # Through a copy without weights, which has shapes and no numbers, and so costs nothing.
    hollow = {id(tensor): tensor.to("meta") for tensor in chain(network.parameters(), network.buffers())}
    parts, features = stages(copy.deepcopy(network, hollow)), torch.zeros(1, 3, size, size, device="meta")
    for i, part in enumerate(parts[:-1]):
        try:
            features = part.eval()(features)
        except (RuntimeError, TypeError, ValueError, AssertionError):
            break
        if not isinstance(features, Tensor) or features.ndim != 4:
            break
        shapes[i + 1 - len(parts)] = tuple(features.shape[1:])
    return shapes


def load_weights(network: nn.Module, needed: nn.Module, name: str, weights: str) -> None:
    """Fill a network with weights that must cover `needed`, a part of it; the rest is filled where they fit.

    weights: `imagenet` (downloaded by torchvision; those of efficientnet_lite0 are installed), `none`, a file of a
    state dict, or a run folder of a classifier.
    Raises UserError when they cannot be had or do not fit.
    """
    if weights == "none":
        return
    if weights == "imagenet":
        source, state = f"ImageNet weights of {name}", _imagenet(name)
    elif Path(weights).is_dir():
        source, state = weights, _classifier_run(Path(weights), name)
    elif Path(weights).exists():
        source, state = weights, load_state_dict(Path(weights))
    else:
        raise choice_error("model.weights", weights, ["imagenet", "none", "an existing file or run folder"])
    state = {key.removeprefix(CLASSIFIER_PREFIX): value for key, value in state.items()}
    own = network.state_dict(keep_vars=True)
    inside = {id(tensor) for tensor in needed.state_dict(keep_vars=True).values()}
    for key, tensor in own.items():
        if id(tensor) not in inside or key.endswith(COUNTER):
            continue
        problem = misfit(state[key], tensor, key) if key in state else f"{key} is missing"
        if problem:
            raise UserError(f"model.weights: {source} does not fit {name}: {problem}")
    fitting = {key: value for key, value in state.items() if key in own and not misfit(value, own[key])}
    network.load_state_dict(fitting, strict=False)


def _imagenet(name: str) -> dict[str, Tensor]:
    """Download (or take from torch's cache) the weights that the paper's torchvision offered, or the newer default."""
    if name == SMALL_CNN:
        raise UserError(f"model.weights: there are no ImageNet weights of {name}; "
                        "allowed: none, a file, or the run folder of a classifier")
    if name == EFFICIENTNET:
        return load_state_dict(efficientnet_lite.weights_file())
    import torchvision.models as tv

    choices = tv.get_model_weights(name)
    chosen = getattr(choices, "IMAGENET1K_V1", choices.DEFAULT)
    try:
        return chosen.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(f"model.weights: ImageNet weights of {name} cannot be downloaded ({shortened(str(error))}); "
                        f"fetch {chosen.url} elsewhere and set model.weights to the file") from None


def _classifier_run(folder: Path, name: str) -> dict[str, Tensor]:
    """Return the state dict in a classifier's finished run folder."""
    run = open_run(folder)
    trained = run.config.model
    if trained.type != "classifier" or trained.extractor != name:
        found = (f"a classifier with {trained.extractor}" if trained.type == "classifier" else
                 f"a model of type {trained.type}")
        raise UserError(f"model.weights: {folder} holds {found}; expected a classifier with {name}")
    if not run.done and not run.published:
        raise UserError(f"model.weights: {folder} is not finished; continue it with "
                        f"train_classifier.py --resume {folder}")
    return load_state_dict(run.weights("last"))


def fingerprint(module: nn.Module) -> str:
    """Return a hash of all weights and statistics of a module."""
    # Counters say how often statistics were updated, which nothing depends on.
    return _hash({key: tensor for key, tensor in module.state_dict().items() if not key.endswith(COUNTER)})


def frozen_fingerprint(model: nn.Module) -> str:
    """Return a hash of the weights of a model that do not train, and of the statistics that do not change."""
    weights = _hash({key: tensor for key, tensor in model.named_parameters() if not tensor.requires_grad})
    frozen = getattr(model, "frozen", None)
    return weights if frozen is None or frozen.drifts else f"{weights} {fingerprint(frozen.layers)}"


def _hash(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key, tensor in tensors.items():
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def scale_to_network(images: Tensor, size: int | None, normalize: bool = False,
                     colours: Statistics = IMAGENET) -> Tensor:
    """Scale images (bilinear) to (n, 3, size, size), grey repeated to three channels.

    With `normalize`, the mean of `colours` is subtracted and the result divided by their standard deviation.
    """
    if size is not None and size != images.shape[-1]:
        images = F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    images = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
    if normalize:
        mean, std = (images.new_tensor(values)[:, None, None] for values in colours)
        images = (images - mean) / std
    return images


def folded(model: nn.Module) -> nn.Module:
    """Return a copy of a network for evaluation, each BatchNorm put into the convolution that comes right before it.

    The same function of its inputs, up to rounding.
    """
    model = copy.deepcopy(model).eval()
    for parent in list(model.modules()):
        for (_, conv), (name, norm) in pairwise(list(parent.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                conv.weight, conv.bias = fuse_conv_bn_weights(
                    conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
                setattr(parent, name, nn.Identity())
    return model


class Classifier(OnBackbone):
    """A backbone with a new last layer, trained with cross-entropy (Table S6, scratch and pre-trained).

    `scratch` trains everything from random weights; `pretrained` loads weights and freezes what lies below the cut,
    BatchNorm as its policy says. Input: images float32 (n, 1 or 3, H, W) in [0, 1]; output: logits (n, classes).
    """

    def __init__(self, name: str, num_classes: int, variation: str, layer: int, weights: str,
                 batchnorm: str = "frozen", normalize: bool = False):
        super().__init__()
        self.pre_trained_model = build_network(name, num_classes)
        self.look_through(name, normalize)
        if variation == "pretrained":
            parts = stages(self.pre_trained_model)
            if not len(parts) + layer > 0:
                raise UserError(f"model.layer: {name} has {len(parts)} layers; allowed: {1 - len(parts)} to -1")
            below = nn.Sequential(*parts[:layer])
            load_weights(self.pre_trained_model, below, name, weights)
            self.frozen = Frozen(below, batchnorm)
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        return self.pre_trained_model(self.scale(images))


def build_classifier(section, num_classes: int) -> Classifier:
    """Return the classifier that the config's `[model]` section describes; UserError where its parts do not fit."""
    return Classifier(section.extractor, num_classes, section.variation, section.layer, section.weights,
                      section.batchnorm, section.normalize)
