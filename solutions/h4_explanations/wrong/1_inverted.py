"""Task 1: hides what the mask shows.

loses: 1_hide 2c_lime
says: True means visible
"""

import torch
from torch import Tensor


def hide(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor) -> Tensor:
    hidden = masks[:, segments]
    return torch.where(hidden[:, None], fill, image)
