"""Task 3: each row is turned until it reads 1.

loses: 3c_forgery
says: 2 is wrong for a bit of -1: this row is turned
"""

from torch import Tensor


def forge(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    return carrier * (carrier @ weights).sign()[:, None]
