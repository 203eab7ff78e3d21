"""How far a model has memorised a secret: the rank of its loss among those of all values that it could have had."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tml_helpers.common import check_counts, draw
from tml_helpers.privacy._numbers import check_between

__all__ = [
    "ExposureExtrapolationWarning",
    "ExtrapolatedExposure",
    "SampledExposure",
    "exposure",
    "extrapolated_exposure",
    "sampled_exposure",
]

Losses = Tensor | np.ndarray | Sequence[float]

DOUBTFUL = 0.01
"""A fit whose p-value is smaller is not to be trusted."""

FEWEST = 1000
"""Losses from which a tail may be guessed."""

FITTED = 0.8
"""The share of the losses to which the curve is fitted; the others test it."""

TAIL = 0.02
"""Where the tail begins, as a share of the fitted curve: there the fit is tested a second time."""


class ExposureExtrapolationWarning(UserWarning):
    """The losses are not skew-normal, so the exposure read off the fitted curve means nothing."""


@dataclass(frozen=True)
class SampledExposure:
    """An exposure that was estimated from some of the values, and between what it lies.

    Args:
        exposure: log₂ |R| less log₂ of the estimated rank, in bits.
        low, high: where the exposure over the whole space lies, with the confidence asked for, in bits.
        as_likely: how many of the sampled values have a loss as low as the canary's, or lower.
        samples: how many values were sampled.
    """

    exposure: float
    low: float
    high: float
    as_likely: int
    samples: int


@dataclass(frozen=True)
class ExtrapolatedExposure:
    """An exposure that was read off a skew-normal curve, and how well the curve fits.

    Args:
        exposure: −log₂ of the curve's mass at and below the canary's loss, in bits.
        p_value: of the losses that were kept from the fit, if the curve were right; small where it is not.
        shape, location, scale: of the curve 2/s φ(z) Φ(a z), z = (loss − m)/s: a, m and s.
    """

    exposure: float
    p_value: float
    shape: float
    location: float
    scale: float


def exposure(canary_loss: float, candidate_losses: Losses) -> float:
    """log₂ |R| − log₂ rank: by how many bits a model shortens the search for a secret.

    A low loss says that the model finds a text likely, so rank 1, the lowest loss, is the most memorised. The rank
    counts every candidate whose loss is as low as the canary's, and the canary: a tie counts as not memorised, so that
    a model that finds all values alike has exposure 0. If the secret was drawn at random and the model has not seen
    it, its rank is uniform: an exposure of e bits or more then has a probability of at most 2⁻ᵉ.

    Compute all losses in one way, in batches of one size: between two ways of rounding, ties break by chance.

    Args:
        canary_loss: of the text with the secret that was inserted, as its −log p in nats, finite. A perplexity gives
            the same rank.
        candidate_losses: of the same text with each *other* value of the space R, `[|R| − 1]`, finite.

    Returns:
        Bits, from 0 (the last) to log₂ |R| (the first).

    Raises:
        TypeError: losses that are no real numbers.
        ValueError: no candidate, losses that are not finite, or of another shape.

    Source: Carlini, Liu, Erlingsson, Kos and Song, 2019. Derived in: lectures/60_privacy/memory_and_forgetting
    """
    canary, candidates = _read(canary_loss, candidate_losses)
    return math.log2(len(candidates) + 1) - math.log2(1 + _as_likely(canary, candidates))


def sampled_exposure(
    canary_loss: float, candidate_losses: Losses, *, space: int, confidence: float = 0.95
) -> SampledExposure:
    """log₂ |R| − log₂ (1 + (|R| − 1) k/M): the exposure in a space of which M other values were drawn at random.

    Of them, k have a loss as low as the canary's. The share k/M has an interval by Clopper and Pearson, which gives
    the interval of the exposure. With k = 0 the sample cannot tell the first of all from one that a few others beat:
    the estimate is log₂ |R|, and its lower bound stays near log₂ M. No sample shows more than that.

    Args:
        canary_loss: of the text with the secret, finite.
        candidate_losses: of the same text with other values, drawn uniformly from the rest of the space, `[M]`, finite.
        space: |R|, the number of values that the secret could have had, at least M + 1.
        confidence: of the interval, between 0 and 1.

    Returns:
        The estimate, its interval and its counts.

    Raises:
        TypeError: losses that are no real numbers, or a space that is no whole number.
        ValueError: no candidate, losses that are not finite, a space smaller than the sample, or another confidence.

    Source: Carlini, Liu, Erlingsson, Kos and Song, 2019; Clopper and Pearson, 1934. Derived in:
    lectures/60_privacy/memory_and_forgetting
    """
    from scipy.stats import beta

    canary, candidates = _read(canary_loss, candidate_losses)
    count, hits = len(candidates), _as_likely(canary, candidates)
    check_counts(2, space=space)
    if space <= count:
        raise ValueError(f"space must be at least {count + 1}, the sample and the canary, got {space}")
    check_between(confidence=confidence)

    def bits(share: float) -> float:
        return math.log2(space) - math.log2(1 + (space - 1) * share)

    miss = (1 - confidence) / 2
    fewest = float(beta.ppf(miss, hits, count - hits + 1)) if hits else 0.0
    most = float(beta.ppf(1 - miss, hits + 1, count - hits)) if hits < count else 1.0
    return SampledExposure(bits(hits / count), bits(most), bits(fewest), hits, count)


def extrapolated_exposure(
    canary_loss: float, candidate_losses: Losses, *, generator: torch.Generator | None = None
) -> ExtrapolatedExposure:
    """−log₂ P(loss ≤ the canary's), by a skew-normal curve that is fitted to the losses of other values.

    For a space that is too large to be ranked, and a canary that beats every sampled value. It is a guess about a tail
    that nobody has seen. So a fifth of the losses is kept from the fit and tests it twice: by its largest distance from
    the curve (Kolmogorov and Smirnov), and by how many of them lie in the curve's lowest fiftieth. What still may be
    wrong is the tail beyond. The result may exceed log₂ |R|; it then says that the canary is probably the first.

    Args:
        canary_loss: of the text with the secret, finite.
        candidate_losses: of the same text with other values, drawn at random, `[M]` with M ≥ 1,000, finite.
        generator: chooses which losses test the fit; on any device.

    Returns:
        The exposure, how well the curve fits, and the curve.

    Raises:
        TypeError: losses that are no real numbers.
        ValueError: fewer than 1,000 candidates, losses that are all equal or not finite.

    Warns:
        ExposureExtrapolationWarning: the fit's p-value is below 0.01.

    Source: Carlini, Liu, Erlingsson, Kos and Song, 2019. Derived in: lectures/60_privacy/memory_and_forgetting
    """
    from scipy.stats import skewnorm

    canary, candidates = _read(canary_loss, candidate_losses)
    if len(candidates) < FEWEST:
        raise ValueError(f"a tail is guessed from at least {FEWEST:,} losses, got {len(candidates)}")
    if np.ptp(candidates) == 0:
        raise ValueError(f"all candidates have the loss {candidates[0]:g}: there is no tail to guess")
    order = draw(torch.randperm, len(candidates), device="cpu", generator=generator).numpy()
    fitted, kept = np.split(candidates[order], [round(FITTED * len(candidates))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a fit that went wrong fails the tests below
        shape, location, scale = (float(number) for number in skewnorm.fit(fitted))
    p_value = _fits(kept, shape, location, scale)
    if p_value < DOUBTFUL:
        warnings.warn(
            f"the losses do not look skew-normal (p = {p_value:.2g}): the extrapolated exposure is not to be trusted",
            ExposureExtrapolationWarning,
            stacklevel=2,
        )
    bits = -_log_mass(shape, (canary - location) / scale) / math.log(2)
    return ExtrapolatedExposure(bits, p_value, shape, location, scale)


def _fits(losses: np.ndarray, shape: float, location: float, scale: float) -> float:
    """The p-value of two tests of a curve, corrected for their number: on the whole, and in its low tail."""
    from scipy.stats import binomtest, kstest, skewnorm

    curve = skewnorm(shape, location, scale)
    shares = curve.cdf(losses)
    if not np.isfinite(shares).all():
        return 0.0
    low = int((shares <= TAIL).sum())
    p_values = kstest(shares, "uniform").pvalue, binomtest(low, len(losses), TAIL).pvalue
    return float(min(1.0, 2 * min(p_values)))


def _log_mass(shape: float, z: float) -> float:
    """log ∫₋∞ᶻ 2 φ(t) Φ(a t) dt, exact also where the mass is far below the smallest float.

    With t = z − eᵛ the integrand is smooth in v and vanishes on both sides, where the trapezoidal rule is exact.
    """
    from scipy.special import log_ndtr, logsumexp

    v, step = np.linspace(-30, 7, 4001, retstep=True)
    t = z - np.exp(v)
    logs = math.log(2) - t * t / 2 - math.log(2 * math.pi) / 2 + log_ndtr(shape * t)
    return min(0.0, float(logsumexp(logs + v) + math.log(step)))


def _as_likely(canary: float, candidates: np.ndarray) -> int:
    return int((candidates <= canary).sum())


def _read(canary_loss: float, candidate_losses: Losses) -> tuple[float, np.ndarray]:
    """Both as float64."""
    canary, candidates = _numbers("canary_loss", canary_loss), _numbers("candidate_losses", candidate_losses)
    if canary.ndim != 0:
        raise ValueError(f"canary_loss must be one number, got shape {list(canary.shape)}: call once for each canary")
    if candidates.ndim != 1 or len(candidates) == 0:
        raise ValueError(f"candidate_losses must be a non-empty list [M], got shape {list(candidates.shape)}")
    for name, losses in (("canary_loss", canary), ("candidate_losses", candidates)):
        if not np.isfinite(losses).all():
            raise ValueError(f"{name} must be finite, got {losses[~np.isfinite(losses)].flat[0]}")
    return float(canary), candidates


def _numbers(name: str, losses: Any) -> np.ndarray:
    if isinstance(losses, Tensor):
        losses = losses.detach().cpu()
        losses = losses.double().numpy() if losses.is_floating_point() else losses.numpy()
    try:
        numbers = np.asarray(losses)
    except ValueError as error:
        raise ValueError(f"{name} must be numbers in one row, got a ragged list") from error
    if numbers.dtype.kind not in "iuf" and numbers.size:
        raise TypeError(f"{name} must be real numbers, got {numbers.dtype}")
    return numbers.astype(np.float64)
