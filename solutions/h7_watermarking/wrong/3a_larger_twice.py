"""Task 3: the logits' weights are multiplied as well.

loses: 3a_disguise
says: is read by a weight a tenth as large
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
        hidden_bias[order] * factors,
        out_weights[:, order] * factors,
    )
