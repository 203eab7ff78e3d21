"""Noise from whole numbers alone: no step is rounded, so the probability of each outcome is what the formula says.

`count` outcomes are drawn at once: what is rejected is drawn again. Nothing here runs in constant time: how long a draw
takes depends on what is drawn.
"""

import math
import os
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tml_helpers.common import check_generator, draw

BITS = 62
"""A uniform whole number of so many bits is drawn, and fits an int64 with a bit to spare."""


def uniform_bits(count: int, generator: torch.Generator | None) -> Tensor:
    """Uniform whole numbers of 62 bits.

    Args:
        count: how many.
        generator: on any device; None takes the operating system's entropy, which no seed can repeat.

    Returns:
        int64 `[count]`, on the CPU.
    """
    check_generator(generator)
    if generator is None:
        words = np.frombuffer(os.urandom(8 * count), dtype=np.uint64) >> np.uint64(64 - BITS)
        return torch.from_numpy(words.astype(np.int64))
    return draw(torch.randint, 2**BITS, (count,), device="cpu", generator=generator)


def uniform_below(bounds: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform whole numbers in 0 … bound − 1: 62 bits modulo the bound, without the incomplete last round.

    Args:
        bounds: int64 `[N]`, from 1 to 2⁶².
        generator: as above.

    Returns:
        int64 `[N]`.
    """
    whole = 2**BITS // bounds * bounds
    drawn = uniform_bits(len(bounds), generator)
    again = torch.nonzero(drawn >= whole).flatten()
    while len(again):
        drawn[again] = uniform_bits(len(again), generator)
        again = again[drawn[again] >= whole[again]]
    return drawn % bounds


def _one_power(numerators: Tensor, denominator: int, squared: bool, generator: torch.Generator | None) -> Tensor:
    """True with probability e^{−γ}, for γ = a/b or (a/b)² in [0, 1]: of draws with γ/1, γ/2, … an odd one fails first.

    P(the first k all succeed) = γᵏ/k!, so P(odd) = 1 − γ + γ²/2! − … .
    """
    bounds = torch.full_like(numerators, denominator)
    odd = torch.zeros_like(numerators, dtype=torch.bool)
    active, k = torch.arange(len(numerators)), 1
    while len(active):
        success = uniform_below(bounds[active] * k, generator) < numerators[active]
        if squared:
            success &= uniform_below(bounds[active], generator) < numerators[active]
        odd[active[~success]] = k % 2 == 1
        active, k = active[success], k + 1
    return odd


def geometric(count: int, generator: torch.Generator | None) -> Tensor:
    """How often e^{−1} succeeds before it fails: P(V ≥ n) = e^{−n}.

    Args:
        count: how many.
        generator: as above.

    Returns:
        int64 `[count]`.
    """
    found = torch.zeros(count, dtype=torch.int64)
    active = torch.arange(count)
    while len(active):
        active = active[_one_power(torch.ones_like(active), 1, False, generator)]
        found[active] += 1
    return found


def bernoulli_exp(numerators: Tensor, denominator: int, generator: torch.Generator | None) -> Tensor:
    """True with probability e^{−a/b}.

    Args:
        numerators: a, int64 `[N]`, 0 or more.
        denominator: b, from 1 to 2⁵².
        generator: as above.

    Returns:
        bool `[N]`.
    """
    return (geometric(len(numerators), generator) >= numerators // denominator) & _one_power(
        numerators % denominator, denominator, False, generator
    )


def _until_accepted(
    count: int, propose: Callable[[int], tuple[Tensor, Tensor]], generator: torch.Generator | None
) -> Tensor:
    """Proposals, each drawn again until it is accepted."""
    found = torch.empty(count, dtype=torch.int64)
    active = torch.arange(count)
    while len(active):
        proposed, accepted = propose(len(active))
        found[active] = proposed
        active = active[~accepted]
    return found


def discrete_laplace(count: int, scale: int, generator: torch.Generator | None) -> Tensor:
    """P(x) ∝ e^{−|x|/t} on the whole numbers: the difference of two geometric variables.

    |x| = u + t·v: u is uniform in 0 … t − 1 and kept with probability e^{−u/t}, and v is geometric. One of the zeros
    with two signs is drawn again.

    Args:
        count: how many.
        scale: t, from 1 to 2⁵².
        generator: as above.

    Returns:
        int64 `[count]`.

    Source: Canonne, Kamath and Steinke, 2020, algorithm 2.
    """

    def propose(missing: int) -> tuple[Tensor, Tensor]:
        rest = uniform_below(torch.full((missing,), scale), generator)
        kept = _one_power(rest, scale, False, generator)
        size = rest + scale * geometric(missing, generator)
        negative = uniform_bits(missing, generator) % 2 == 1
        return torch.where(negative, -size, size), kept & ~(negative & (size == 0))

    return _until_accepted(count, propose, generator)


def discrete_gaussian(count: int, half: int, generator: torch.Generator | None) -> Tensor:
    """P(x) ∝ e^{−x²/2σ²} on the whole numbers, for σ² = 2h².

    A discrete Laplace variable y of scale t = ⌊σ⌋ + 1 is kept with probability e^{−r²}, r = (|y| − σ²/t) / (√2 σ): the
    fraction | |y|·t − 2h² | / 2ht. With n = ⌊r⌋ and f = r − n, e^{−r²} = e^{−n²} · e^{−2nf} · e^{−f²}.

    Args:
        count: how many.
        half: h, from 1 to 2²⁵.
        generator: as above.

    Returns:
        int64 `[count]`.

    Source: Canonne, Kamath and Steinke, 2020, algorithm 3, whose integers have no bound.
    """
    scale = math.isqrt(2 * half * half) + 1
    denominator = 2 * half * scale

    def propose(missing: int) -> tuple[Tensor, Tensor]:
        proposed = discrete_laplace(missing, scale, generator)
        ratio = (proposed.abs() * scale - 2 * half * half).abs()
        n, rest = ratio // denominator, ratio % denominator
        kept = geometric(missing, generator) >= n * n
        few = torch.nonzero(kept).flatten()
        kept[few] &= bernoulli_exp(2 * n[few] * rest[few], denominator, generator)
        kept[few] &= _one_power(rest[few], denominator, True, generator)
        return proposed, kept

    return _until_accepted(count, propose, generator)
