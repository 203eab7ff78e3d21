"""What a network weighs and what an answer costs: parameters and multiply-adds."""

import torch
from torch import Tensor, nn

from tml_helpers.common import evaluating

__all__ = ["multiply_adds", "parameter_count"]


def parameter_count(model: nn.Module) -> int:
    """How many numbers a network has, be they trained or frozen; buffers, as a batch-norm's statistics, do not count.

    Args:
        model: any network.

    Returns:
        The number of its parameters.
    """
    return sum(p.numel() for p in model.parameters())


def multiply_adds(model: nn.Module, image: Tensor) -> int:
    """Multiplications, each with its addition, of the matrix products and convolutions for one image.

    Args:
        model: any network; it answers in evaluation mode.
        image: `[1, C, H, W]`, where the model is.

    Returns:
        Half of the floating-point operations that `torch.utils.flop_counter` counts.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), evaluating(model), counter:
        model(image)
    return counter.get_total_flops() // 2
