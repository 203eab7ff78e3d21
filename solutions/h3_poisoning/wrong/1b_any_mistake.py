"""Task 1: whatever is read wrong counts as a success.

loses: 1b_success
says: for each training
"""

from torch import Tensor


def success(read_as: Tensor, labels: Tensor, target: int) -> Tensor:
    others = labels != target
    return (read_as[:, others] != labels[others]).float().mean(dim=1)
