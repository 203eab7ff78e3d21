"""Task 2: the noise is not scaled by the bound.

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
    noisy = clipped.sum(dim=0) + noise_multiplier * noise
    return weights - rate * noisy / expected
