"""Task 2: the mean over no images is no number.

loses: 2c_step
says: an empty batch is a step of noise alone
"""

from torch import Tensor


def private_step(
    weights: Tensor,
    clipped: Tensor,
    noise: Tensor,
    *,
    bound: float,
    noise_multiplier: float,
    expected: float,
    rate: float,
) -> Tensor:
    mean = clipped.mean(dim=0) * (len(clipped) / expected)
    return weights - rate * (mean + noise_multiplier * bound * noise / expected)
