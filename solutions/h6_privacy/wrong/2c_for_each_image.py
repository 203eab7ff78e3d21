"""Task 2: the noise is added to each image's gradient.

loses: 2c_step
says: once for the whole batch
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
    noisy = (clipped + noise_multiplier * bound * noise).sum(dim=0)
    return weights - rate * noisy / expected
