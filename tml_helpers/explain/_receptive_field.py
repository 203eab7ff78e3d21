"""Which pixels a cell of a feature map sees."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tml_helpers.models import Normalize

WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
POINTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh),
    *(nn.Identity, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, Normalize),
)


def receptive_boxes(layers: nn.Sequential, grid: tuple[int, ...], size: tuple[int, ...]) -> Tensor:
    """(top, left, bottom, right) of each cell of the `grid`, row by row, `[h·w, 4]`, cut to an image of this `size`.

    Raises ValueError for a layer that is no convolution, pool or element-wise function.
    """
    sides = []
    for axis in range(2):
        first, width, jump = 0, 1, 1  # the first cell's first pixel, how many it sees, and pixels to the next cell
        for layer in _chain(layers):
            kernel, stride, padding, dilation = _window(layer, axis)
            first, width, jump = first - padding * jump, width + (kernel - 1) * dilation * jump, jump * stride
        start = first + jump * torch.arange(grid[axis], device="cpu")
        sides.append((start.clamp_min(0), (start + width).clamp_max(size[axis])))
    (top, bottom), (left, right) = sides
    h, w = grid
    return torch.stack([top.repeat_interleave(w), left.repeat(h), bottom.repeat_interleave(w), right.repeat(h)], dim=1)


def _chain(layers: nn.Sequential) -> Iterator[nn.Module]:
    """The layers that have a window, in order."""
    if not isinstance(layers, nn.Sequential):
        raise ValueError(f"the backbone must be an nn.Sequential, got {type(layers).__name__}")
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            yield from _chain(layer)
        elif isinstance(layer, WINDOWS):
            yield layer
        elif not isinstance(layer, POINTWISE):
            raise ValueError(
                f"the backbone may hold convolutions, max and average pools and element-wise layers, "
                f"not {type(layer).__name__}: which pixels its cells see is not known"
            )


def _window(layer: nn.Module, axis: int) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and dilation along one axis."""

    def along(value: object) -> int:
        return int(value[axis]) if isinstance(value, tuple) else int(str(value))

    kernel, dilation = along(layer.kernel_size), along(getattr(layer, "dilation", 1))
    stride, padding = along(layer.stride), layer.padding
    if padding == "same":
        return kernel, stride, dilation * (kernel - 1) // 2, dilation
    return kernel, stride, 0 if padding == "valid" else along(padding), dilation
