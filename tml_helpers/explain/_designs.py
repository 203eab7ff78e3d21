"""Which superpixels each sample of LIME hides: designs of experiments with two levels, visible and hidden."""

import math

import torch
from torch import Tensor


def coins(count: int, features: int, generator: torch.Generator | None) -> Tensor:
    """Each feature of each sample by a fair coin: bool `[count, features]`."""
    return _coins((count, features), generator)


def hadamard(count: int, features: int, generator: torch.Generator | None) -> Tensor:
    """Rows of a Hadamard matrix, each followed by its complement: bool `[count, features]`.

    Any two features are then in all four states equally often (almost, where rows are left out), so that no weight
    takes up another's effect, and in a pair of complements no effect of two features together passes for one of a
    single feature. Columns, signs and rows are drawn at random, so that each sample by itself is fair coins.
    """
    half = -(-count // 2)
    order = _prime(max(features, half - 1))
    device = _device(generator)
    columns = torch.randperm(order, generator=generator, device=device)[:features]
    rows = torch.randperm(order + 1, generator=generator, device=device)[:half]
    residues = torch.zeros(order, dtype=torch.bool, device=device)
    residues[torch.arange(1, order, device=device) ** 2 % order] = True
    matrix = residues[(rows[:, None] + columns) % order]
    matrix[rows == order] = True  # Paley's construction: a circulant core, and a row of ones
    matrix = matrix ^ _coins((features,), generator)
    return torch.stack([matrix, ~matrix], dim=1).flatten(0, 1)[:count]


DESIGNS = {"coins": coins, "hadamard": hadamard}


def _coins(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    return torch.randint(2, shape, generator=generator, device=_device(generator)).bool()


def _prime(least: int) -> int:
    """The smallest prime p ≥ `least` with p ≡ 3 (mod 4), for which Paley's matrix of order p + 1 exists."""
    number = max(3, least + (3 - least) % 4)
    while any(number % divisor == 0 for divisor in range(3, math.isqrt(number) + 1, 2)):
        number += 4
    return number


def _device(generator: torch.Generator | None) -> torch.device:
    return torch.device("cpu") if generator is None else generator.device
