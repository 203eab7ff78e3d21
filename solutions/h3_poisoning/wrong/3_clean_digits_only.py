"""Task 3: trains on with clean digits alone.

loses: 3_repair
says: the trigger still works
"""

from torch import Tensor

from h3_poisoning import Network, Trigger, train


def repair(
    network: Network, images: Tensor, labels: Tensor, trigger: Trigger
) -> Network:
    return train(network, images, labels, epochs=20)
