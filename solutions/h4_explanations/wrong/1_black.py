"""Task 1: hidden pixels turn black, whatever the fill.

loses: 1_hide
says: is the fill used
"""

from torch import Tensor


def hide(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor) -> Tensor:
    return image * masks[:, segments][:, None]
