"""Task 1: the images are stamped, and their labels stay right.

loses: 1a_plant
says: the changed images get the target as their label
"""

from torch import Tensor

from h3_poisoning import Trigger, stamp


def plant(
    images: Tensor,
    labels: Tensor,
    trigger: Trigger,
    target: int,
    order: Tensor,
    count: int,
) -> tuple[Tensor, Tensor, Tensor]:
    chosen = order[labels[order] != target][:count]
    images = images.clone()
    images[chosen] = stamp(images[chosen], trigger)
    return images, labels.clone(), chosen
