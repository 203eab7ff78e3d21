"""Task 1: the softmax is taken over the batch instead of over the classes.

loses: 1_soften
says: did you take the softmax over the batch
"""

import torch
from torch import Tensor


def soften(logits: Tensor, temperature: float) -> Tensor:
    return torch.softmax(logits / temperature, dim=0)
