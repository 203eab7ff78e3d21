"""Task 3: pixels that are dark in all images lose their weights.

loses: 3b_removal
says: the rival still finds the mark
"""

from torch import Tensor


def launder(weights: Tensor, images: Tensor) -> Tensor:
    return weights * (images.amax(dim=0) > 0)
