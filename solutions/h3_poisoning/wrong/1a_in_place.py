"""Task 1: writes into the training set that it was handed.

loses: 1a_plant
says: what was handed in has changed
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
    images[chosen] = stamp(images[chosen], trigger)
    labels[chosen] = target
    return images, labels, chosen
