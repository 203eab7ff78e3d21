"""Every task answered rightly, in another way than the model solution does."""

from itertools import permutations

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn import functional as F


def respond(answers: np.ndarray, draws: np.ndarray, truth: float) -> np.ndarray:
    said = []
    for answer, (first, second) in zip(answers, draws, strict=True):
        said.append(int(answer) if first < truth else int(second < 0.5))
    return np.array(said)


def estimate(reports: np.ndarray, truth: float) -> float:
    count = len(reports)
    by_coins = count * (1 - truth) * 0.5
    return (np.count_nonzero(reports) - by_coins) / (count * truth)


def epsilon(table: np.ndarray) -> float:
    worst = 0.0
    for one, other in permutations(table.tolist(), 2):
        for p, q in zip(one, other, strict=True):
            if p > 0:
                worst = max(worst, np.log(p / q) if q > 0 else np.inf)
    return worst


def per_sample_gradients(weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    def loss(w: Tensor, image: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(w @ image, label)

    return vmap(grad(loss), in_dims=(None, 0, 0))(weights, images, labels)


def clip(gradients: Tensor, bound: float) -> Tensor:
    shortened = []
    for gradient in gradients:
        length = float(torch.linalg.vector_norm(gradient))
        shortened.append(gradient * bound / length if length > bound else gradient)
    return torch.stack(shortened) if shortened else gradients


def private_step(
    weights: Tensor,
    clipped: Tensor,
    noise: Tensor,
    *,
    bound: float,
    noise_multiplier: float,
    expected: float,
    rate: float,
) -> Tensor:
    total = noise * (bound * noise_multiplier)
    for gradient in clipped:
        total = total + gradient
    return torch.add(weights, total, alpha=-rate / expected)


def membership_scores(logits: Tensor, labels: Tensor) -> Tensor:
    row = torch.arange(len(labels))
    return logits[row, labels] - logits.logsumexp(dim=1)


def true_positive_rate(
    members: np.ndarray, others: np.ndarray, allowed: float
) -> float:
    best = 0.0
    for threshold in np.unique(members):
        if np.mean(others >= threshold) <= allowed:
            best = max(best, float(np.mean(members >= threshold)))
    return best
