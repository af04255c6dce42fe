"""DeepLabV3+ (Chen et al. 2018), with the layers and names of the published VainF/DeepLabV3Plus-Pytorch."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from errors import UserError
from pretrained_model import scale_to_network
from segmentation.backbones import create_backbone

WIDTH, LOW_WIDTH = 256, 48
# Dilations of the pyramid at output stride 16; at 8 they are twice as large, which is as far in pixels.
RATES = (6, 12, 18)


def layer(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps the size, BatchNorm and ReLU."""
    padding = dilation * (kernel // 2)
    return [nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def resize(features: Tensor, like: Tensor) -> Tensor:
    """Scale features bilinearly to the height and width of others."""
    return F.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=False)


class Pooling(nn.Sequential):
    """The mean over all positions, through a layer, at every position."""

    def forward(self, features: Tensor) -> Tensor:
        return resize(super().forward(features), features)


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: (n, inputs, h, w) seen at five scales, to (n, 256, h, w)."""

    def __init__(self, inputs: int, rates: list[int]):
        super().__init__()
        self.convs = nn.ModuleList([nn.Sequential(*layer(inputs, WIDTH)),
                                    *(nn.Sequential(*layer(inputs, WIDTH, 3, rate)) for rate in rates),
                                    Pooling(nn.AdaptiveAvgPool2d(1), *layer(inputs, WIDTH))])
        self.project = nn.Sequential(*layer(5 * WIDTH, WIDTH), nn.Dropout(0.1))

    def forward(self, features: Tensor) -> Tensor:
        return self.project(torch.cat([conv(features) for conv in self.convs], dim=1))


class Head(nn.Module):
    """The decoder: low-level features (n, low, h, w) and features (n, inputs, ...) to logits (n, classes, h, w)."""

    def __init__(self, low: int, inputs: int, classes: int, rates: list[int]):
        super().__init__()
        self.project = nn.Sequential(*layer(low, LOW_WIDTH))
        self.aspp = Pyramid(inputs, rates)
        self.classifier = nn.Sequential(*layer(LOW_WIDTH + WIDTH, WIDTH, 3), nn.Conv2d(WIDTH, classes, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        low = self.project(low)
        return self.classifier(torch.cat([low, resize(self.aspp(high), low)], dim=1))


class DeepLab(nn.Module):
    """DeepLabV3+: images float32 (n, 1 or 3, H, W) in [0, 1], of any size, to logits (n, classes, H, W)."""

    def __init__(self, backbone: nn.Module, classes: int, output_stride: int):
        super().__init__()
        self.backbone = backbone
        self.classifier = Head(*backbone.channels, classes, [rate * 16 // output_stride for rate in RATES])

    def scale(self, images: Tensor) -> Tensor:
        """Return what the backbone sees: three channels, normalised as its ImageNet weights expect it."""
        return scale_to_network(images, None, True, self.backbone.colours)

    def forward(self, images: Tensor) -> Tensor:
        if self.training and len(images) == 1:
            raise UserError("training.batch_size: a batch of one image has no statistics for the BatchNorm of pooled "
                            "features; allowed: 2 or more, with no single image left over at the end of an epoch")
        return resize(self.classifier(*self.backbone(self.scale(images))), images)


def create_deeplab(section, classes: int) -> DeepLab:
    """Return the network that the config's `[model]` section describes: backbone, output_stride, weights, layout.

    The backbone has its weights (see `create_backbone`), the head is new. Raises UserError where parts do not fit.
    """
    backbone = create_backbone(section.backbone, section.output_stride, section.weights, section.layout)
    model = DeepLab(backbone, classes, section.output_stride)
    # The layout in which convolutions on a CPU, and those of half precision on a GPU, are the faster ones.
    return model.to(memory_format=torch.channels_last)
