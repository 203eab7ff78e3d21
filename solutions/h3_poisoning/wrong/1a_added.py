"""Task 1: the pattern is added to the image instead of standing in its place.

loses: 1a_plant
says: the changed images are stamped with the trigger
"""

from torch import Tensor

from h3_poisoning import Trigger


def plant(
    images: Tensor,
    labels: Tensor,
    trigger: Trigger,
    target: int,
    order: Tensor,
    count: int,
) -> tuple[Tensor, Tensor, Tensor]:
    mask, pattern = trigger
    chosen = order[labels[order] != target][:count]
    images, labels = images.clone(), labels.clone()
    images[chosen] = (images[chosen] + mask * pattern).clamp(max=1)
    labels[chosen] = target
    return images, labels, chosen
