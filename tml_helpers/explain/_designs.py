"""Which superpixels each sample of LIME hides: designs of experiments with two levels, visible and hidden."""

import math

import torch
from torch import Tensor

from tml_helpers.common import draw


def coins(count: int, features: int, generator: torch.Generator | None) -> Tensor:
    """Each feature of each sample by a fair coin: bool `[count, features]`."""
    return draw(torch.randint, 2, (count, features), device="cpu", generator=generator).bool()


def hadamard(count: int, features: int, generator: torch.Generator | None) -> Tensor:
    """Rows of a Hadamard matrix, each followed by its complement: bool `[count, features]`.

    Any two features are then in all four states equally often (almost, where rows are left out), so that no weight
    takes up another's effect, and in a pair of complements no effect of two features together passes for one of a
    single feature. Columns, signs and rows are drawn at random, so that each sample by itself is fair coins.
    """
    half = -(-count // 2)
    order = _prime(max(features, half - 1))
    columns = draw(torch.randperm, order, device="cpu", generator=generator)[:features]
    rows = draw(torch.randperm, order + 1, device="cpu", generator=generator)[:half]
    residues = torch.zeros(order, dtype=torch.bool, device="cpu")
    residues[torch.arange(1, order, device="cpu") ** 2 % order] = True
    matrix = residues[(rows[:, None] + columns) % order]
    matrix[rows == order] = True  # Paley's construction: a circulant core, and a row of ones
    matrix = matrix ^ coins(1, features, generator)
    return torch.stack([matrix, ~matrix], dim=1).flatten(0, 1)[:count]


DESIGNS = {"coins": coins, "hadamard": hadamard}


def _prime(least: int) -> int:
    """The smallest prime p ≥ `least` with p ≡ 3 (mod 4), for which Paley's matrix of order p + 1 exists."""
    number = max(3, least + (3 - least) % 4)
    while any(number % divisor == 0 for divisor in range(3, math.isqrt(number) + 1, 2)):
        number += 4
    return number
