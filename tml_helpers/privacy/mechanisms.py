"""Noise that buys privacy: Laplace, Gaussian and exponential mechanisms, whose outputs give no low-order bits away.

Noise that is computed by the textbook's formula in floating point, as b · ln(u), is not private: between neighbouring
numbers of its output lie gaps that the true answer moves, so that many an output is possible for one data set and
impossible for its neighbour (Mironov, 2012). Here answers are rounded to a grid whose width is a power of two and has
nothing to do with the data; what is added is a whole number of grid steps, drawn exactly; and the sensitivity is raised
by what the rounding can add to it.
"""

import math
from fractions import Fraction
from typing import Any, overload

import torch
from torch import Tensor

from tml_helpers.common import check_generator
from tml_helpers.privacy._exact import bernoulli_exp, discrete_gaussian, discrete_laplace, uniform_below
from tml_helpers.privacy._numbers import check_between, check_positive

LAPLACE_BITS = 45
"""The Laplace scale is between 2⁴⁵ and 2⁴⁶ grid steps."""

GAUSSIAN_BITS = 24
"""The standard deviation is between 2²⁴ and 2²⁵ grid steps, but for a factor of √2."""

MARGIN = 1e-5
"""Of δ: kept for rounding, and for the difference between a Gaussian and one on a grid so fine."""

NOISIEST = 1e9
"""Beyond so many sensitivities of noise, δ cannot be computed to this margin."""


@overload
def laplace_mechanism(
    value: float, *, sensitivity: float, epsilon: float, generator: torch.Generator | None = None
) -> float: ...
@overload
def laplace_mechanism(
    value: Tensor, *, sensitivity: float, epsilon: float, generator: torch.Generator | None = None
) -> Tensor: ...
def laplace_mechanism(
    value: Any, *, sensitivity: float, epsilon: float, generator: torch.Generator | None = None
) -> Any:
    """value + noise, with density ∝ exp(−|noise| · ε / Δ): ε-DP for an answer that one record moves by Δ at most.

    The noise is a discrete Laplace variable on a grid of steps between Δ/ε · 2⁻⁴⁶ and Δ/ε · 2⁻⁴⁵.

    Args:
        value: the true answer: a number, or a tensor of any shape and kind of number, on any device.
        sensitivity: Δ, the largest change of the answer when one record is added or removed, in L1 over all entries.
        epsilon: the budget, positive.
        generator: for a result that can be repeated, which is for teaching and tests; None takes the operating system's
            entropy, as every release in earnest must.

    Returns:
        The noisy answer: a float for a number, else a tensor of the same shape and device, in float64 for whole numbers
        and truth values.

    Raises:
        TypeError: what is no number.
        ValueError: a sensitivity or ε that is not positive, or an answer that is not finite.

    Source: Dwork, McSherry, Nissim and Smith, 2006; Mironov, 2012; Canonne, Kamath and Steinke, 2020.
        Derived in: lectures/60_privacy/differential_privacy.
    """
    answer = _read("the answer", value)
    check_positive(sensitivity=sensitivity, epsilon=epsilon)
    check_generator(generator)
    step = _grid(sensitivity / epsilon, LAPLACE_BITS)
    # rounding adds less than a step to the change of each entry
    moved = math.floor(Fraction(float(sensitivity)) / step) + answer.numel()
    noise = discrete_laplace(answer.numel(), _steps(moved, epsilon, answer.numel()), generator)
    return _release(value, answer, noise, step)


@overload
def gaussian_mechanism(
    value: float, *, sensitivity: float, epsilon: float, delta: float, generator: torch.Generator | None = None
) -> float: ...
@overload
def gaussian_mechanism(
    value: Tensor, *, sensitivity: float, epsilon: float, delta: float, generator: torch.Generator | None = None
) -> Tensor: ...
def gaussian_mechanism(
    value: Any, *, sensitivity: float, epsilon: float, delta: float, generator: torch.Generator | None = None
) -> Any:
    """value + N(0, (σΔ)²) with the smallest σ that is (ε, δ)-DP, for an answer that one record moves by at most Δ.

    σ is `gaussian_noise_multiplier(ε, δ)`, which holds for every ε. (The textbook's √(2 ln(1.25/δ)) / ε holds for ε < 1
    only, and is larger.) The noise is a discrete Gaussian variable on a grid of less than σΔ · 2⁻²⁴.

    Args:
        value: the true answer: a number, or a tensor of any shape and kind of number, on any device.
        sensitivity: Δ, the largest change of the answer when one record is added or removed, in L2 over all entries.
        epsilon: the budget, positive.
        delta: in (0, 1).
        generator: for a result that can be repeated, which is for teaching and tests; None takes the operating system's
            entropy, as every release in earnest must.

    Returns:
        The noisy answer, as `laplace_mechanism`.

    Raises:
        TypeError: what is no number.
        ValueError: a sensitivity or ε that is not positive, a δ outside (0, 1), an answer that is not finite, or a
            budget too small for so many entries.

    Source: Balle and Wang, 2018; Canonne, Kamath and Steinke, 2020.
        Derived in: lectures/60_privacy/differential_privacy.
    """
    answer = _read("the answer", value)
    check_positive(sensitivity=sensitivity, epsilon=epsilon)
    check_between(delta=delta)
    check_generator(generator)
    sigma = gaussian_noise_multiplier(epsilon=epsilon, delta=delta)
    step = _grid(sigma * sensitivity, GAUSSIAN_BITS)
    moved = float(Fraction(float(sensitivity)) / step) + math.sqrt(answer.numel())
    half = math.ceil(sigma * moved / math.sqrt(2))
    if half > 2 ** (GAUSSIAN_BITS + 1):
        raise ValueError(f"epsilon is too small for {answer.numel()} entries: their rounding alone would exceed it")
    return _release(value, answer, discrete_gaussian(answer.numel(), half, generator), step)


def gaussian_noise_multiplier(*, epsilon: float, delta: float) -> float:
    """min σ with Φ(1/2σ − εσ) − e^ε Φ(−1/2σ − εσ) ≤ δ: how much Gaussian noise one release needs, in sensitivities.

    Args:
        epsilon: the budget, positive.
        delta: in (0, 1).

    Returns:
        σ, rounded up: the noise's standard deviation over the L2 sensitivity.

    Raises:
        TypeError: what is no number.
        ValueError: an ε that is not positive, a δ outside (0, 1), or both so small that σ would exceed a billion.

    Source: Balle and Wang, 2018, theorem 8. Derived in: lectures/60_privacy/differential_privacy.
    """
    check_positive(epsilon=epsilon)
    check_between(delta=delta)
    from scipy import special

    log_delta = math.log(delta) + math.log1p(-MARGIN)

    def enough(sigma: float) -> bool:
        inside = float(special.log_ndtr(0.5 / sigma - epsilon * sigma))
        outside = epsilon + float(special.log_ndtr(-0.5 / sigma - epsilon * sigma))
        return outside >= inside or inside + math.log(-math.expm1(outside - inside)) <= log_delta

    if not enough(NOISIEST):
        raise ValueError(f"ε = {epsilon} and δ = {delta} together would need noise of a billion sensitivities")
    low, high = 0.0, NOISIEST
    while high > low * (1 + 1e-12) and high > 1e-150:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def exponential_mechanism(
    scores: Any, *, sensitivity: float, epsilon: float, generator: torch.Generator | None = None
) -> Any:
    """P(i) ∝ exp(ε · score_i / 2Δ): ε-DP where one record moves no candidate's score by more than Δ.

    Scores are rounded to a grid; a candidate that is proposed at random is kept with probability
    exp(−ε (max − score) / 2Δ), by a draw in whole numbers.

    Args:
        scores: `[K]`, or `[N, K]` for N choices, higher is better. Each of N costs ε of its own.
        sensitivity: Δ, the largest change of any one score when one record is added or removed.
        epsilon: the budget of one choice, positive.
        generator: for a result that can be repeated; None takes the operating system's entropy.

    Returns:
        The candidate's index, an int; or int64 `[N]`, on the scores' device.

    Raises:
        TypeError: what is no number.
        ValueError: another shape, a score that is not finite, or a sensitivity or ε that is not positive.

    Source: McSherry and Talwar, 2007; Ilvento, 2020, for why not in floating point.
        Derived in: lectures/60_privacy/differential_privacy.
    """
    read = _read("scores", scores)
    if read.ndim not in (1, 2):
        raise ValueError(f"scores must have shape [K] or [N, K], got {list(read.shape)}")
    check_positive(sensitivity=sensitivity, epsilon=epsilon)
    check_generator(generator)
    step = _grid(2 * sensitivity / epsilon, LAPLACE_BITS)
    moved = math.floor(Fraction(float(sensitivity)) / step) + 1
    rows = _on_grid(read, step).reshape(-1, read.shape[-1])
    behind = ((rows.amax(dim=1, keepdim=True) - rows) / float(step)).clamp(max=2.0**61).to(torch.int64)
    chosen = _keep_proposed(behind, _steps(2 * moved, epsilon, read.numel()), generator)
    return int(chosen) if read.ndim == 1 else chosen.to(scores.device if isinstance(scores, Tensor) else "cpu")


def _keep_proposed(behind: Tensor, scale: int, generator: torch.Generator | None) -> Tensor:
    """For each row, the first uniform proposal that is kept with probability e^{−behind / scale}."""
    chosen = torch.empty(len(behind), dtype=torch.int64)
    active = torch.arange(len(behind))
    candidates = behind.shape[1]
    while len(active):
        tries = max(1, min(candidates, 4096 // len(active)))
        proposed = uniform_below(torch.full((len(active) * tries,), candidates), generator).reshape(-1, tries)
        distance = behind[active].gather(1, proposed)
        kept = bernoulli_exp(distance.flatten(), scale, generator).reshape(-1, tries)
        first = kept.to(torch.int8).argmax(dim=1, keepdim=True)
        done = kept.any(dim=1)
        chosen[active[done]] = proposed.gather(1, first)[done, 0]
        active = active[~done]
    return chosen


def _steps(moved: int, epsilon: float, entries: int) -> int:
    """The scale in grid steps, rounded up, for a rounded answer that one record moves by so many."""
    scale = math.ceil(moved / Fraction(float(epsilon)))
    if scale > 2**52:
        raise ValueError(f"epsilon is too small for {entries} entries: their rounding alone would exceed it")
    return scale


def _read(name: str, value: Any) -> Tensor:
    """Numbers in float64, on the CPU, exactly."""
    try:
        read = torch.as_tensor(value).detach().cpu()
        if read.dtype == torch.float32 and not isinstance(value, Tensor):  # PyTorch rounds Python's floats
            read = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise TypeError(f"{name} must be a number or a tensor of numbers, got {type(value).__name__}") from problem
    if read.is_complex():
        raise TypeError(f"{name} must be real, got {read.dtype}")
    if read.numel() == 0:
        raise ValueError(f"{name} must hold at least one number, got shape {list(read.shape)}")
    answer = read.to(torch.float64)
    if not bool(torch.isfinite(answer).all()):
        raise ValueError(f"{name} must be finite, but there is NaN or infinity")
    if not read.is_floating_point() and float(answer.abs().max()) > 2.0**53:
        raise ValueError("whole numbers beyond 2⁵³ are rounded in float64, which the sensitivity does not cover")
    return answer


def _grid(scale: float, bits: int) -> Fraction:
    """The power of two of which the scale holds between 2^bits and 2^(bits + 1)."""
    if not 1e-250 < scale < 1e250:
        raise ValueError(f"the noise would have a scale of {scale:g}: choose another unit for the answer")
    return Fraction(2) ** (math.frexp(scale)[1] - 1 - bits)


def _on_grid(answer: Tensor, step: Fraction) -> Tensor:
    """The nearest multiple of the step, halves upwards: two answers are moved apart by less than one step."""
    units = answer / float(step)
    whole = units.floor()
    whole += units - whole >= 0.5
    return torch.where(units.abs() < 2.0**52, whole * float(step), answer)  # larger ones are multiples already


def _release(value: Any, answer: Tensor, noise: Tensor, step: Fraction) -> Any:
    """Answer and noise are multiples of the step: their sum in float64 depends on their exact sum, and on no more."""
    noisy = _on_grid(answer, step) + noise.reshape(answer.shape).to(torch.float64) * float(step)
    if isinstance(value, Tensor):
        return noisy.to(value.device, value.dtype if value.is_floating_point() else torch.float64)
    return float(noisy) if noisy.ndim == 0 else noisy
