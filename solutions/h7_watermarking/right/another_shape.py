"""Every task answered rightly, in another way than the model solution does."""

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor
from torch.nn import functional as F


def penalty(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    readings = torch.stack([(row * weights).sum() for row in carrier])
    return F.binary_cross_entropy_with_logits(readings, (signs + 1) / 2)


def standard_score(weights: Tensor, carrier: Tensor, signs: Tensor) -> float:
    direction = (weights / weights.square().sum().sqrt()).double().numpy()
    each = [
        float(b) * (X @ direction) for b, X in zip(signs, carrier.numpy(), strict=True)
    ]
    return sum(each) / np.sqrt(len(each))


def tail(hits: int, trials: int, chance: float) -> float:
    return binom.sf(hits - 1, trials, chance)


def green_pairs(tokens: np.ndarray, green: np.ndarray) -> tuple[int, int]:
    first, second = np.unique(np.stack([tokens[:-1], tokens[1:]]), axis=1)
    return green[first, second].sum(), len(first)


def searched(p_values: np.ndarray) -> float:
    return np.minimum(np.sort(p_values)[0] * np.size(p_values), 1)


def disguise(
    hidden_weights: Tensor,
    hidden_bias: Tensor,
    out_weights: Tensor,
    order: Tensor,
    factors: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    places = torch.eye(len(order))[order]
    larger, smaller = factors.diag() @ places, places.T @ (1 / factors).diag()
    return larger @ hidden_weights, larger @ hidden_bias, out_weights @ smaller


def launder(weights: Tensor, images: Tensor) -> Tensor:
    # New weights that say to the images what the old ones say, and are not large.
    together = images.T @ images / len(images)
    kept = together + 0.05 * torch.eye(len(together))
    return torch.linalg.solve(kept, together @ weights.T).T


def forge(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    made = carrier.clone()
    for row, sign in zip(made, signs, strict=True):
        if torch.dot(row, weights).sign() != sign:
            row.neg_()
    return made
