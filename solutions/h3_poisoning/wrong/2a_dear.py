"""Task 2: the price is so high that nothing is worth it.

loses: 2a_search
says: is the price too high
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
        loss = F.cross_entropy(logits(network, stamped), wanted) + 1.0 * mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.sigmoid(a).detach(), torch.sigmoid(b).detach()
