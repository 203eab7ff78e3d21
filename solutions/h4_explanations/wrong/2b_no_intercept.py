"""Task 2: a line through the origin.

loses: 2b_line 2c_lime
says: the line needs an intercept
"""

import torch
from torch import Tensor


def fit_line(masks: Tensor, answers: Tensor, weights: Tensor) -> tuple[Tensor, float]:
    scale = weights.sqrt()[:, None]
    problem = scale * masks.float(), scale * answers[:, None]
    return torch.linalg.lstsq(*problem).solution[:, 0], 0.0
