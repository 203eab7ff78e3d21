"""Task 3: place and unit are exchanged.

loses: 3a_disguise
says: first stands the old unit 1 times 2
"""

import torch
from torch import Tensor


def disguise(
    hidden_weights: Tensor,
    hidden_bias: Tensor,
    out_weights: Tensor,
    order: Tensor,
    factors: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    back = torch.argsort(order)
    return (
        hidden_weights[back] * factors[:, None],
        hidden_bias[back] * factors,
        out_weights[:, back] / factors,
    )
