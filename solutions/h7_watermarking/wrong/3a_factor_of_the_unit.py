"""Task 3: the factor is that of the old place.

loses: 3a_disguise
says: first stands the old unit 1 times 2
"""

from torch import Tensor


def disguise(
    hidden_weights: Tensor,
    hidden_bias: Tensor,
    out_weights: Tensor,
    order: Tensor,
    factors: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        (hidden_weights * factors[:, None])[order],
        (hidden_bias * factors)[order],
        (out_weights / factors)[:, order],
    )
