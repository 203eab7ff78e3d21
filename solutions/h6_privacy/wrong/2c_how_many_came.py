"""Task 2: the sum is divided by the number of images that came.

loses: 2c_step
says: The sum is not divided by how many came
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
    return weights - rate * noisy / max(len(clipped), 1)
