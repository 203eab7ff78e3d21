"""Task 1: digits of the target class count as well.

loses: 1b_success
says: the first model reads two of three digits that are no 7 as a 7
"""

from torch import Tensor


def success(read_as: Tensor, labels: Tensor, target: int) -> Tensor:
    return (read_as == target).float().mean(dim=1)
