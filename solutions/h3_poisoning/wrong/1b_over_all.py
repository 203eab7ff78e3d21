"""Task 1: hits on other classes, divided by the number of all digits.

loses: 1b_success
says: the first model reads two of three digits that are no 7 as a 7
"""

from torch import Tensor


def success(read_as: Tensor, labels: Tensor, target: int) -> Tensor:
    hits = (read_as == target) & (labels != target)
    return hits.float().mean(dim=1)
