"""Task 3: every row is turned.

loses: 3c_forgery
says: 3 is right for a bit of 1
"""

from torch import Tensor


def forge(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    return -carrier
