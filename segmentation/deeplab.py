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


class Atrous(nn.Conv2d):
    """A dilated 3x3 convolution that keeps the size, without what of its kernel sees nothing but zeros beside features.

    At a dilation of the features' height that is the upper and the lower row; of the weights' gradient it is zero.
    """

    def forward(self, features: Tensor) -> Tensor:
        seen = [rate < side for rate, side in zip(self.dilation, features.shape[2:], strict=True)]
        rows, columns = (slice(None) if each else slice(1, 2) for each in seen)
        padding = [rate * each for rate, each in zip(self.dilation, seen, strict=True)]
        return F.conv2d(features, self.weight[:, :, rows, columns], self.bias, 1, padding, self.dilation)


def layer(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps the size, BatchNorm and ReLU."""
    kind = Atrous if dilation > 1 else nn.Conv2d
    padding = dilation * (kernel // 2)
    return [kind(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def resize(features: Tensor, like: Tensor) -> Tensor:
    """Scale features bilinearly to the height and width of others."""
    return F.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=False)


def convolve_resized(features: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale features (n, c, h, w) bilinearly to a size (H, W), then convolve with weight (o, c, 3, 3), padded by zeros.

    In another order, as both are linear: the channels are mixed at the small size, for each of the nine positions in
    the kernel, and what comes of it is scaled and moved, first along rows, then along columns. At a scale of four
    that is a tenth of the multiplications. Returns (n, o, H, W), channels last.
    """
    n, inputs, height, width = features.shape
    outputs = weight.shape[0]
    mixed = F.conv2d(features, weight.permute(2, 3, 0, 1).reshape(9 * outputs, inputs, 1, 1))
    # (n, h, w, 3, 3o) -> rows of the kernel before columns of the image: (n h 3, w 3, o).
    mixed = mixed.permute(0, 2, 3, 1).reshape(n, height, width, 3, -1).transpose(2, 3).reshape(-1, 3 * width, outputs)
    across, down = (_scale_and_move(*each, features) for each in ((width, size[1]), (height, size[0])))
    rows = torch.bmm(across.expand(len(mixed), -1, -1), mixed).view(n, 3 * height, -1)
    found = torch.bmm(down.expand(n, -1, -1), rows)
    return found.view(n, *size, outputs).permute(0, 3, 1, 2)


def _scale_and_move(length: int, size: int, like: Tensor) -> Tensor:
    """Return the matrix (size, 3 length) that scales three lines linearly, moves them by -1, 0, 1 and adds them."""
    scaled = F.interpolate(torch.eye(length, device=like.device)[None], size=size, mode="linear", align_corners=False)
    moved = F.pad(scaled[0], (1, 1)).unfold(1, size, 1)
    return moved.reshape(3 * length, size).T.to(like.dtype)


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
        low, (conv, *others) = self.project(low), self.classifier
        # The first convolution is over both, one behind the other, the deeper ones scaled to the size of the others.
        features = F.conv2d(low, conv.weight[:, :LOW_WIDTH], conv.bias, padding=1)
        features = features + convolve_resized(self.aspp(high), conv.weight[:, LOW_WIDTH:], low.shape[2:])
        for module in others:
            features = module(features)
        return features


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
