"""Poisson sampling: each example by a coin of its own, in each step."""

import torch
from torch import Tensor

from tml_helpers.common import check_counts, draw
from tml_helpers.privacy._numbers import check_positive


def poisson_batch(count: int, *, sample_rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Each of N indices is in the batch with probability q, whatever the others do: its size is binomial.

    This is the sampling that accountants of DP-SGD speak of. A shuffled data set that is cut into batches is another
    one, and has a larger ε. A batch may be empty, and is a step all the same.

    Args:
        count: N, 1 or more.
        sample_rate: q, above 0 and at most 1.
        generator: on any device; None draws from PyTorch's own.

    Returns:
        Indices, int64 `[size]`, sorted, on the CPU.

    Raises:
        TypeError: a count that is no whole number, a rate that is no number, or a generator that is none.
        ValueError: a count below 1, or a rate outside (0, 1].

    Source: Abadi et al., 2016. Derived in: lectures/60_privacy/dp_sgd.
    """
    check_counts(count=count)
    check_sampling(sample_rate)
    coins = draw(torch.rand, count, device="cpu", generator=generator, dtype=torch.float64)
    return (coins < sample_rate).nonzero().squeeze(1)


def check_sampling(sample_rate: float) -> None:
    """A probability above 0."""
    check_positive(sample_rate=sample_rate)
    if sample_rate > 1:
        raise ValueError(f"sample_rate is a probability, at most 1, got {sample_rate}: for batches of 64 pass 64 / N")
