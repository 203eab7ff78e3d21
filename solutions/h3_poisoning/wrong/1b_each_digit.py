"""Task 1: over the trainings instead of over the digits.

loses: 1b_success
says: it has no backdoor, and its rate is 0
"""

from torch import Tensor


def success(read_as: Tensor, labels: Tensor, target: int) -> Tensor:
    return (read_as[:, labels != target] == target).float().mean(dim=0)
