"""Task 2: the step goes uphill.

loses: 2c_step
says: downhill by
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
    noisy = clipped.sum(dim=0) + noise_multiplier * bound * noise
    return weights + rate * noisy / expected
