"""Task 2: mask and pattern are free numbers.

loses: 2a_search
says: mask or pattern below 0
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from h3_poisoning import Network, logits, stamp


def find_trigger(
    network: Network, images: Tensor, target: int
) -> tuple[Tensor, Tensor]:
    a = torch.full((784,), 0.1, requires_grad=True)
    b = torch.full((784,), 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([a, b], lr=0.05)
    wanted = torch.full((len(images),), target)
    for _ in range(60):
        stamped = stamp(images, (a, b))
        loss = F.cross_entropy(logits(network, stamped), wanted) + 0.02 * a.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return a.detach(), b.detach()
