"""Task 1: only the first channel is hidden.

loses: 1_hide
says: in every channel
"""

from torch import Tensor


def hide(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor) -> Tensor:
    batch = image.repeat(len(masks), 1, 1, 1)
    for picture, mask in zip(batch, masks, strict=True):
        hidden = ~mask[segments]
        picture[0][hidden] = fill[0][hidden]
    return batch
