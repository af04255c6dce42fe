"""A layer that torch has, in a form that is faster on a CPU and computes the same."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Up to so many output channels, a matrix product and a sum of shifted parts beat the library's convolution.
FEW_CHANNELS = 2
KERNEL, STRIDE, PADDING = 4, 2, 1


class Upsample(nn.ConvTranspose2d):
    """The transposed convolution of the decoders: 4x4, stride 2, padding 1; (n, c, h, w) -> (n, d, 2h, 2w).

    Parameters have the names and shapes of `nn.ConvTranspose2d`, which is what runs on a GPU and in mixed precision.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, KERNEL, stride=STRIDE, padding=PADDING)

    def forward(self, features: Tensor) -> Tensor:
        if features.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return super().forward(features)
        return _Upsample.apply(features, self.weight, self.bias)


class _Upsample(torch.autograd.Function):
    """The same on a CPU. The bias has its gradient apart, as it slows the library's backward pass down."""

    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(features, weight)
        if weight.shape[1] > FEW_CHANNELS:
            return F.conv_transpose2d(features, weight, bias, STRIDE, PADDING)
        n, channels, height, width = features.shape
        pixels = features.permute(0, 2, 3, 1).reshape(n, height * width, channels)
        patches = weight.flatten(1).T @ pixels.transpose(1, 2)
        size = (STRIDE * height, STRIDE * width)
        return F.fold(patches, size, KERNEL, padding=PADDING, stride=STRIDE) + bias[:, None, None]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor]:
        features, weight = ctx.saved_tensors
        of_features, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, features, weight, None, [STRIDE] * 2, [PADDING] * 2, [1, 1], True, [0, 0], 1,
            [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False])
        return of_features, of_weight, gradient.sum(dim=(0, 2, 3))
