"""Task 3: a new model from the few digits.

loses: 3_repair
says: it should train on from where it is
"""

from torch import Tensor

from h3_poisoning import Network, Trigger, fresh, train


def repair(
    network: Network, images: Tensor, labels: Tensor, trigger: Trigger
) -> Network:
    return train(fresh(0), images, labels, epochs=40)
