"""The network: one image in, a point cloud, its occupancy, candidates for the pose and the one that is trusted out.

Source: Insafutdinov and Dosovitskiy, "Unsupervised learning of shape and pose with differentiable point clouds" (2018),
layer by layer as in their code. 33,292,309 parameters with 8000 points and images of 128 pixels.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shape_pose.config import Model

SLOPE, POSE_WIDTH, POINT_SPREAD = 0.2, 32, 0.025
# Side of the last feature map, and channels of the first.
LAST, CHANNELS = 4, 16


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding: where a stride of 2 halves even sides, more goes behind than before."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int):
        super().__init__(inputs, outputs, size, stride)
        total = size - stride
        self.around = (total // 2, total - total // 2) * 2

    def forward(self, images: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(F.pad(images, self.around)), SLOPE)


class Dense(nn.Linear):
    """A linear layer with a leaky ReLU."""

    def forward(self, features: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(features), SLOPE)


def _encoder(image_size: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = [SameConv(3, CHANNELS, 5, 2)]
    channels = CHANNELS
    for _ in range(int(math.log2(image_size // LAST)) - 1):
        layers += [SameConv(channels, 2 * channels, 3, 2), SameConv(2 * channels, 2 * channels, 3, 1)]
        channels *= 2
    return nn.Sequential(*layers, nn.Flatten(), Dense(channels * LAST**2, width), Dense(width, width))


def _branch(width: int) -> nn.Sequential:
    return nn.Sequential(Dense(width, POSE_WIDTH), Dense(POSE_WIDTH, POSE_WIDTH), nn.Linear(POSE_WIDTH, 4))


class PointCloudNet(nn.Module):
    """See above; images are float32 (n, 3, H, W) in [0, 1], on white."""

    def __init__(self, section: Model, image_size: int):
        super().__init__()
        width, count = section.width, section.candidates
        self.encoder = _encoder(image_size, width)
        self.shape_feature, self.pose_feature = Dense(width, width), nn.Linear(width, width)
        self.points, self.scale = nn.Linear(width, 3 * section.points), nn.Linear(width, 1)
        if count == 1:
            self.heads, self.student = nn.ModuleList([nn.Linear(width, 4)]), None
        else:
            self.heads, self.student = nn.ModuleList(_branch(width) for _ in range(count)), _branch(width)
        self.apply(_initialise)
        for layer in (self.points, self.scale):
            _truncated(layer.weight, POINT_SPREAD)

    def encode(self, images: Tensor) -> Tensor:
        """Return features (n, width)."""
        return self.encoder(2 * images - 1)

    def shape(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (n, points, 3), within (-0.5, 0.5), and the occupancy (n,) in (0, 1) that each point adds."""
        features = self.shape_feature(features)
        points = torch.tanh(self.points(features)).unflatten(1, (-1, 3)) / 2
        return points, torch.sigmoid(self.scale(features))[:, 0]

    def poses(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return quaternions of any length: candidates (n, candidates, 4), and the student's (n, 4)."""
        features = F.relu(self.pose_feature(features))
        candidates = torch.stack([head(features) for head in self.heads], dim=1)
        return candidates, candidates[:, 0] if self.student is None else self.student(features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return points, occupancies and the student's poses, all that is wanted of a trained network."""
        features = self.encode(images)
        return *self.shape(features), self.poses(features)[1]


def _truncated(weight: Tensor, spread: float) -> None:
    nn.init.trunc_normal_(weight, std=spread, a=-2 * spread, b=2 * spread)


def _initialise(layer: nn.Module) -> None:
    """He's initialisation, cut at two deviations; 1.3 makes up for what is cut off."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        _truncated(layer.weight, math.sqrt(2 * 1.3 / layer.weight[0].numel()))
        nn.init.zeros_(layer.bias)
