"""Task 1: the logits are multiplied by T, which makes the answer harder.

loses: 1_soften
says: did you multiply by T
"""

import torch
from torch import Tensor


def soften(logits: Tensor, temperature: float) -> Tensor:
    return torch.softmax(logits * temperature, dim=1)
