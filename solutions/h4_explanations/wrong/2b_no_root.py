"""Task 2: rows are scaled by the weight instead of its square root.

loses: 2b_line 2c_lime
says: scale rows and answers by the square root
"""

import torch
from torch import Tensor


def fit_line(masks: Tensor, answers: Tensor, weights: Tensor) -> tuple[Tensor, float]:
    columns = torch.cat([masks.float(), torch.ones(len(masks), 1)], dim=1)
    scale = weights[:, None]
    found = torch.linalg.lstsq(scale * columns, scale * answers[:, None]).solution[:, 0]
    return found[:-1], float(found[-1])
