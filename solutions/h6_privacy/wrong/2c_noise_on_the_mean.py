"""Task 2: the noise is added after the division.

loses: 2c_step
says: the noise is 3 · 2 = 6
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
    mean = clipped.sum(dim=0) / expected
    return weights - rate * (mean + noise_multiplier * bound * noise)
