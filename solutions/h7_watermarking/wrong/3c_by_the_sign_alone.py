"""Task 3: the rows of bits that are -1 are turned.

loses: 3c_forgery
says: -2 is wrong for a bit of 1
"""

from torch import Tensor


def forge(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    return carrier * signs[:, None]
