"""Task 3: the weights are added to rows that read wrong.

loses: 3c_forgery
says: 2 is wrong for a bit of -1: this row is turned
"""

from torch import Tensor


def forge(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    wrong = (signs * (carrier @ weights)).clamp(max=0)
    change = (0.01 - 2 * wrong) * signs / (weights @ weights)
    return carrier + (wrong < 0)[:, None] * change[:, None] * weights
