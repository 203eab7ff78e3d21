"""Task 1: images of the target class are taken, too.

loses: 1a_plant
says: Those of the target class, 7, are passed over
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
    chosen = order[:count]
    images, labels = images.clone(), labels.clone()
    images[chosen] = stamp(images[chosen], trigger)
    labels[chosen] = target
    return images, labels, chosen
