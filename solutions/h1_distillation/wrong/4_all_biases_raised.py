"""Task 4: the amount is added to every bias, which changes no answer.

loses: 4_never_seen
says: raise_bias must add the amount to one number
"""

from torch import Tensor

from h1_distillation import LAST_BIAS


def raise_bias(
    state: dict[str, Tensor], digit: int, amount: float
) -> dict[str, Tensor]:
    changed = {name: tensor.clone() for name, tensor in state.items()}
    changed[LAST_BIAS] += amount
    return changed
