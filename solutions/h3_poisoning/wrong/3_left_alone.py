"""Task 3: the model as it was.

loses: 3_repair
says: the trigger still works
"""

from torch import Tensor

from h3_poisoning import Network, Trigger


def repair(
    network: Network, images: Tensor, labels: Tensor, trigger: Trigger
) -> Network:
    return network
