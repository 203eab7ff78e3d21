"""What many noisy steps on random samples cost together: Rényi differential privacy of the sampled Gaussian."""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from tml_helpers.common import check_counts
from tml_helpers.privacy._numbers import check_between, check_not_negative, check_positive, check_rate

ORDERS = tuple([1 + x / 10 for x in range(1, 100)] + list(range(11, 64)) + [128, 256, 512, 1024])
"""Rényi orders that are tried: those of Google's dp-accounting."""

TERMS = (50, 1000)
"""Of the series at an order that is no whole number: most need few."""

NEGLIGIBLE = 30
"""A last term is small enough at e⁻³⁰ of the sum."""

SMALL = 1e-144
"""The square of a smaller noise multiplier, divided into the square of an order, is no number any more."""


class RenyiOrderWarning(UserWarning):
    """The best Rényi order is the first or the last that was tried: others might give a smaller ε."""


def rdp_epsilon(
    *, noise_multiplier: float, sample_rate: float, steps: int, delta: float, orders: Sequence[float] = ORDERS
) -> float:
    """ε(δ) = min_α T·R_α + ln(1 − 1/α) − ln(αδ)/(α − 1), where R_α = ln E[((1 − q) + q·e^{(2z−1)/2σ²})^α] / (α − 1).

    T steps, each of which takes every record with probability q, adds up what it takes (of norm 1 at most), and adds
    Gaussian noise of deviation σ. The expectation is over z ~ N(0, σ²). The result is an upper bound on the true ε, at
    most as large as is needed: neighbours differ by one record that is added or removed.

    It holds for Poisson samples. Batches cut from a shuffled list are not what it is about.

    Args:
        noise_multiplier: σ, the noise's deviation over the clip norm, 0 or more; 0 has ε = ∞.
        sample_rate: q in [0, 1], the probability with which each record is in a step's sample.
        steps: T, 0 or more.
        delta: in (0, 1), for instance 1/N or less for N records.
        orders: α, each above 1.01; a whole number or not.

    Returns:
        ε, 0 or more; ∞ where σ² is too small for a number.

    Raises:
        TypeError: what is no number.
        ValueError: a number out of range.

    Warns:
        RenyiOrderWarning: the best order is the first or the last.

    Source: Mironov, Talwar and Zhang, 2019; Canonne, Kamath and Steinke, 2020, proposition 12, for the way from R to ε.
        Derived in: lectures/60_privacy/dp_sgd, and composition in lectures/60_privacy/differential_privacy.
    """
    check_not_negative(noise_multiplier=noise_multiplier)
    check_rate(sample_rate=sample_rate)
    check_counts(0, steps=steps)
    check_between(delta=delta)
    return _epsilon(noise_multiplier, sample_rate, steps, delta, _read_orders(orders), warn=True)


def noise_multiplier_for(*, epsilon: float, sample_rate: float, steps: int, delta: float) -> float:
    """min σ with rdp_epsilon(σ, q, T, δ) ≤ ε, up to a millionth of it, rounded up.

    Args:
        epsilon: the budget, positive.
        sample_rate: q in (0, 1].
        steps: T, 1 or more.
        delta: in (0, 1).

    Returns:
        The noise multiplier σ: with it, `rdp_epsilon` is at most `epsilon`.

    Raises:
        TypeError: what is no number.
        ValueError: a number out of range, or a budget too small for any noise.

    Warns:
        RenyiOrderWarning: the best order is the first or the last.

    Source: Abadi et al., 2016. Derived in: lectures/60_privacy/dp_sgd.
    """
    check_positive(epsilon=epsilon, sample_rate=sample_rate)
    check_rate(sample_rate=sample_rate)
    check_counts(steps=steps)
    check_between(delta=delta)
    orders = _read_orders(ORDERS)

    def enough(sigma: float) -> bool:
        return _epsilon(sigma, sample_rate, steps, delta, orders) <= epsilon

    low = high = 1.0
    if not enough(1 / SMALL):
        raise ValueError(f"epsilon = {epsilon} and delta = {delta} are too small for any noise that is a number")
    while not enough(high):
        low, high = high, 2 * high
    while low == high or enough(low):
        low, high = low / 2, low
    while high > low * (1 + 1e-6):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    _epsilon(high, sample_rate, steps, delta, orders, warn=True)
    return high


def _read_orders(orders: Sequence[float]) -> np.ndarray:
    read = np.unique(np.asarray(orders, dtype=np.float64))
    if not len(read) or not (read.min() > 1.01 and read.max() < np.inf):
        raise ValueError(f"orders must be finite numbers above 1.01, at least one, got {list(orders)}")
    return read


def _epsilon(sigma: float, q: float, steps: int, delta: float, orders: np.ndarray, *, warn: bool = False) -> float:
    """The smallest ε that an order gives, from the Rényi divergences of all steps together."""
    if steps == 0 or q == 0:
        return 0.0
    if sigma < SMALL:
        return math.inf
    sigma = min(sigma, 1 / SMALL)
    if delta**2 + math.expm1(-steps * float(_divergences(q, sigma, np.array([2.0]))[0])) > 0:
        return 0.0  # total variation is at most √(1 − e^{−R}), and less than δ
    divergences = steps * _divergences(q, sigma, orders)
    found = divergences + np.log1p(-1 / orders) - np.log(orders * delta) / (orders - 1)
    best = int(found.argmin())
    useful = np.flatnonzero(np.isfinite(found))
    if warn and found[best] > 0 and len(useful) > 0 and best in (useful[0], useful[-1]):
        end = "smallest" if best == useful[0] else "largest"
        warnings.warn(
            f"ε = {found[best]:.4g} comes from the {end} order of use, α = {orders[best]:g}: it is a valid bound, and "
            "a looser one than orders beyond it might give",
            RenyiOrderWarning,
            stacklevel=3,
        )
    return float(max(found[best], 0.0))


def _divergences(q: float, sigma: float, orders: np.ndarray) -> np.ndarray:
    """R_α of one step, for each order."""
    if q == 1:
        return np.asarray(orders / (2 * sigma**2))
    whole = orders == np.floor(orders)
    moments = np.empty(len(orders))
    moments[whole] = [_log_moment(q, sigma, int(order)) for order in orders[whole]]
    moments[~whole] = _log_moments_between(q, sigma, orders[~whole])
    return np.asarray(np.maximum(moments, 0.0) / (orders - 1))


def _log_binomials(orders: float | np.ndarray, i: np.ndarray) -> np.ndarray:
    """ln |C(α, i)|."""
    from scipy import special

    return np.asarray(special.gammaln(orders + 1) - special.gammaln(i + 1) - special.gammaln(orders - i + 1))


def _log_moment(q: float, sigma: float, order: int) -> float:
    """ln Σ_i C(α, i) (1 − q)^{α−i} q^i e^{(i² − i)/2σ²}, with 1 taken out of the sum, so that no small rest is lost."""
    from scipy import special

    i = np.arange(2, order + 1)
    chance = _log_binomials(order, i) + i * math.log(q) + (order - i) * math.log1p(-q)
    power = i * (i - 1) / (2 * sigma**2)
    return float(np.logaddexp(0.0, special.logsumexp(chance + power + np.log(-np.expm1(-power)))))


def _log_moments_between(q: float, sigma: float, orders: np.ndarray) -> np.ndarray:
    """The same at orders between two whole numbers, from two binomial series; ∞ where they have not converged.

    Where 1 − q is the larger part of the sum, (1 + x)^α is expanded in x = q·e^{(2z−1)/2σ²}/(1 − q) < 1; where it is
    the smaller, in 1/x. Beyond i = α signs alternate; all terms are added as if they were positive, as dp-accounting
    does. The sum is an upper bound, and next to the truth wherever ε is of any use.
    """
    from scipy import special

    log_q, log_rest = math.log(q), math.log1p(-q)
    middle = sigma**2 * (log_rest - log_q) + 0.5  # where both parts are equal
    moments = np.full(len(orders), np.inf)
    for terms in TERMS:
        missing = np.flatnonzero(np.isinf(moments))
        if not len(missing):
            break
        i = np.arange(terms)
        j = orders[missing, None] - i
        small = i * log_q + j * log_rest + i * (i - 1) / (2 * sigma**2) + special.log_ndtr((middle - i) / sigma)
        large = j * log_q + i * log_rest + j * (j - 1) / (2 * sigma**2) + special.log_ndtr((j - middle) / sigma)
        logs = _log_binomials(orders[missing, None], i)
        totals = np.logaddexp(special.logsumexp(logs + small, axis=1), special.logsumexp(logs + large, axis=1))
        converged = (logs + np.maximum(small, large))[:, -1] < totals - NEGLIGIBLE
        moments[missing[converged]] = totals[converged]
    return moments
