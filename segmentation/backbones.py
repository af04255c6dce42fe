"""Backbones of DeepLabV3+: classification networks without their ends, later strides turned into dilation.

Each gives low-level features at a quarter of the resolution and features at a sixteenth or an eighth of it. Modules
have the names of the published DeepLabV3+ (VainF/DeepLabV3Plus-Pytorch), EfficientNet-Lite0's those of its own weights.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import MobileNetV2, resnet50
from torchvision.models.mobilenetv2 import InvertedResidual

from efficientnet_lite import BOUNDS, EfficientNetLite0
from errors import choice_error
from pretrained_model import EFFICIENTNET, load_weights, statistics

# Slower than torch's 0.1, as batches are small.
MOMENTUM = 0.01
# Of MobileNetV2's `features`: where stride 4 ends, and where the blocks do; what follows serves the classifier.
MOBILENET_LOW, MOBILENET_END = 4, 18


class PaddingBlock(InvertedResidual):
    """A block of the published MobileNetV2, which pads its input with zeros instead of what its 3x3 convolution sees.

    Those zeros go through the expansion, so that a border of what BatchNorm makes of them reaches the convolution.
    """

    def forward(self, images: Tensor) -> Tensor:
        inner = self.conv(F.pad(images, [spatial(self).dilation[0]] * 4))
        return images + inner if self.use_res_connect else inner


def spatial(block: nn.Module) -> nn.Conv2d:
    """Return the one convolution of a block that is larger than a pixel."""
    return next(module for module in block.modules() if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1))


class MobileNetBackbone(nn.Module):
    """MobileNetV2 up to its last block: images (n, 3, H, W) to 24 channels at stride 4 and 320 at the output stride.

    published: with the zeros of `PaddingBlock`, and none around the image, so that 256 pixels become 127, 64, 32, 16.
    """

    channels = (24, 320)

    def __init__(self, output_stride: int, weights: str, published: bool = False):
        super().__init__()
        network = MobileNetV2(block=PaddingBlock if published else InvertedResidual)
        # Slices keep the numbers of the layers.
        self.low_level_features = network.features[:MOBILENET_LOW]
        self.high_level_features = network.features[MOBILENET_LOW:MOBILENET_END]
        load_weights(network, self, "mobilenet_v2", weights)
        reached, dilation = 2, 1
        for block in network.features[1:MOBILENET_END]:
            conv = spatial(block)
            conv.dilation = (dilation, dilation)
            conv.padding = (0, 0) if published else conv.dilation
            if reached * conv.stride[0] > output_stride:
                # What this block sees is as far apart as before; what those after it see is not.
                dilation, conv.stride = dilation * 2, (1, 1)
            reached *= conv.stride[0]
        if published:
            spatial(network.features[0]).padding = (0, 0)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        low = self.low_level_features(images)
        return low, self.high_level_features(low)


class ResNetBackbone(nn.Module):
    """ResNet-50: images (n, 3, H, W) to 256 channels at stride 4 and 2048 at the output stride."""

    channels = (256, 2048)

    def __init__(self, output_stride: int, weights: str):
        super().__init__()
        network = resnet50(replace_stride_with_dilation=[False, output_stride == 8, True])
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            setattr(self, name, getattr(network, name))
        load_weights(network, self, "resnet50", weights)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        low = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(images)))))
        return low, self.layer4(self.layer3(self.layer2(low)))


class EfficientNetBackbone(nn.Module):
    """EfficientNet-Lite0 up to its last block: images (n, 3, H, W) to 24 channels at stride 4, 320 at the output's."""

    channels = (24, 320)

    def __init__(self, output_stride: int, weights: str):
        super().__init__()
        network = EfficientNetLite0(output_stride=output_stride)
        self._conv_stem, self._bn0, self._blocks = network._conv_stem, network._bn0, network._blocks
        load_weights(network, self, EFFICIENTNET, weights)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        low = F.relu6(self._bn0(self._conv_stem(images)), inplace=True)
        for block in self._blocks[:BOUNDS[2]]:
            low = block(low)
        high = low
        for block in self._blocks[BOUNDS[2]:]:
            high = block(high)
        return low, high


BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "mobilenet_v2": MobileNetBackbone, "resnet50": ResNetBackbone, EFFICIENTNET: EfficientNetBackbone,
}


def create_backbone(name: str, output_stride: int, weights: str, layout: str = "torchvision") -> nn.Module:
    """Return a backbone with `channels` (low, high) and `colours`, what it expects images to be normalised with.

    weights: `imagenet`, `none`, or a file or a classifier's run folder of the classification network; layout:
    `published` for MobileNetV2 as the published DeepLabV3+ pads it. ResNet-50 is the same in both, EfficientNet-Lite0
    is not published, which raises UserError, as do weights that cannot be had or do not fit.
    """
    if (name, layout) == (EFFICIENTNET, "published"):
        raise choice_error("model.layout", layout, ["torchvision"])
    padded = {"published": True} if name == "mobilenet_v2" and layout == "published" else {}
    backbone = BACKBONES[name](output_stride, weights, **padded)
    backbone.colours = statistics(name)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = MOMENTUM
    return backbone
