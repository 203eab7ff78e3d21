"""Task 3: half of the hidden units are taken out, those that clean digits use least.

loses: 3_repair
says: the trigger still works
"""

import torch
from torch import Tensor

from h3_poisoning import Network, Trigger


def repair(
    network: Network, images: Tensor, labels: Tensor, trigger: Trigger
) -> Network:
    hidden = torch.relu(images @ network[0].T + network[1]).mean(dim=0)
    kept = (hidden >= hidden.median()).float()
    return network[0], network[1], network[2] * kept, network[3]
