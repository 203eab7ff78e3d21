"""Task 3: the biases keep their place.

loses: 3a_disguise
says: a unit's bias moves with it, and is multiplied
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
        hidden_weights[order] * factors[:, None],
        hidden_bias * factors,
        out_weights[:, order] / factors,
    )
