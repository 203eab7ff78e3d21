"""Task 1: one rate over all trainings together.

loses: 1b_success
says: it has no backdoor, and its rate is 0
"""

from torch import Tensor


def success(read_as: Tensor, labels: Tensor, target: int) -> Tensor:
    return (read_as[:, labels != target] == target).float().mean()
