"""Task 3: trains on fifty times as fast and forgets what it knew.

loses: 3_repair
says: the model lost more than
"""

import torch
from torch import Tensor

from h3_poisoning import Network, Trigger, stamp, train


def repair(
    network: Network, images: Tensor, labels: Tensor, trigger: Trigger
) -> Network:
    both = torch.cat([images, stamp(images, trigger)])
    return train(network, both, torch.cat([labels, labels]), epochs=20, rate=0.1)
