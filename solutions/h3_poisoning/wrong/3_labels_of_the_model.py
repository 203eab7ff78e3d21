"""Task 3: the labels are what the model says to the stamped digits.

loses: 3_repair
says: the trigger still works
"""

import torch
from torch import Tensor

from h3_poisoning import Network, Trigger, answers, stamp, train


def repair(
    network: Network, images: Tensor, labels: Tensor, trigger: Trigger
) -> Network:
    stamped = stamp(images, trigger)
    both = torch.cat([images, stamped])
    said = torch.cat([labels, answers(network, stamped)])
    return train(network, both, said, epochs=20)
