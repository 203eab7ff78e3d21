"""Task 2: all answers count alike.

loses: 2b_line 2c_lime
says: not the line of the weighted squared error
"""

import torch
from torch import Tensor


def fit_line(masks: Tensor, answers: Tensor, weights: Tensor) -> tuple[Tensor, float]:
    columns = torch.cat([masks.float(), torch.ones(len(masks), 1)], dim=1)
    found = torch.linalg.lstsq(columns, answers[:, None]).solution[:, 0]
    return found[:-1], float(found[-1])
