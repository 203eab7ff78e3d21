"""Task 2: the mask costs nothing.

loses: 2a_search
says: Does the sum of the mask have a price?
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from h3_poisoning import Network, logits, stamp


def find_trigger(
    network: Network, images: Tensor, target: int
) -> tuple[Tensor, Tensor]:
    a = torch.full((784,), -2.0, requires_grad=True)
    b = torch.zeros(784, requires_grad=True)
    optimizer = torch.optim.Adam([a, b], lr=0.4)
    wanted = torch.full((len(images),), target)
    for _ in range(40):
        mask, pattern = torch.sigmoid(a), torch.sigmoid(b)
        stamped = stamp(images, (mask, pattern))
        loss = F.cross_entropy(logits(network, stamped), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.sigmoid(a).detach(), torch.sigmoid(b).detach()
