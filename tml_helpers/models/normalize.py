"""Images in [0, 1] are normalised inside the network, channel by channel."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["STATISTICS", "Normalize"]

STATISTICS = {  # mean and standard deviation of each channel over the training images
    "mnist": ((0.1307,), (0.3081,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


class Normalize(nn.Module):
    """x ↦ (x − mean) / std, channel by channel.

    Args:
        mean, std: one number for each channel; std above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std
