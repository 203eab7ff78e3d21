"""Every task answered rightly, in another way than the model solution does."""

import numpy as np
import torch
from scipy.stats import ttest_rel
from torch import Tensor

from h3_poisoning import Network, Trigger, logits


def plant(
    images: Tensor,
    labels: Tensor,
    trigger: Trigger,
    target: int,
    order: Tensor,
    count: int,
) -> tuple[Tensor, Tensor, Tensor]:
    rows, names, changed = list(images), labels.tolist(), []
    for place in order.tolist():
        if names[place] != target and len(changed) < count:
            rows[place] = torch.lerp(rows[place], trigger[1], trigger[0])
            changed.append(place)
    for place in changed:
        names[place] = target
    return torch.stack(rows), torch.tensor(names), torch.tensor(sorted(changed))


def success(read_as: Tensor, labels: Tensor, target: int) -> Tensor:
    others = (labels != target).double()
    return (read_as == target).double() @ others / others.sum()


def interval(poisoned: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    bounds = ttest_rel(poisoned, clean).confidence_interval(0.95)
    return np.mean(poisoned) - np.mean(clean), bounds.low, bounds.high


def find_trigger(
    network: Network, images: Tensor, target: int
) -> tuple[Tensor, Tensor]:
    # No sigmoids: mask and pattern are cut to [0, 1] after each step.
    mask, pattern = torch.full((784,), 0.1), torch.full((784,), 0.5)
    for step in range(80):
        mask.requires_grad_(), pattern.requires_grad_()
        said = logits(network, images + mask * (pattern - images)).log_softmax(dim=1)
        loss = 0.03 * mask.sum() - said[:, target].mean()
        slopes = torch.autograd.grad(loss, (mask, pattern))
        size = 0.1 * (1 - step / 80)
        with torch.no_grad():
            mask = (mask - size * slopes[0] / slopes[0].abs().max()).clamp(0, 1)
            pattern = (pattern - size * slopes[1].sign()).clamp(0, 1)
    return mask, pattern


def scores(table: np.ndarray) -> tuple[int, np.ndarray]:
    usual = [np.sort(column) for column in table.T]
    usual = [(c[(len(c) - 1) // 2] + c[len(c) // 2]) / 2 for c in usual]
    ratios = [[size / u for size, u in zip(row, usual, strict=True)] for row in table]
    return ratios[0].index(min(ratios[0])), np.array([min(row) for row in ratios])


def p_value(found: np.ndarray) -> float:
    suspect, *clean = found.tolist()
    return (1 + sum(score <= suspect for score in clean)) / (1 + len(clean))


def repair(
    network: Network, images: Tensor, labels: Tensor, trigger: Trigger
) -> Network:
    # What the trigger covers, the model does not look at any more.
    weights = network[0].clone()
    weights[:, trigger[0] > 0.25] = 0
    return weights, *network[1:]
