"""Task 2: exponentials of large logits.

loses: 2a_gradients
says: large logits overflow
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def per_sample_gradients(weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    powers = torch.exp(images @ weights.T)
    excess = powers / powers.sum(dim=1, keepdim=True) - F.one_hot(labels, len(weights))
    return excess[:, :, None] * images[:, None, :]
