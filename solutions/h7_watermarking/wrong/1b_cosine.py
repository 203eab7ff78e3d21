"""Task 1: the cosine of weights and carrier, times the root of how many weights there are.

loses: 1b_score
says: together 3. The weights' length is 5
"""

from torch import Tensor
from torch.nn import functional as F


def standard_score(weights: Tensor, carrier: Tensor, signs: Tensor) -> float:
    cosine = F.cosine_similarity(signs @ carrier, weights, dim=0)
    return float(cosine * len(weights) ** 0.5)
