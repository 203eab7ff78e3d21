"""What several private answers cost together."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tml_helpers.common import check_counts
from tml_helpers.privacy._numbers import check_between, check_delta, check_positive, read_array


@dataclass(frozen=True)
class PrivacyBudget:
    """What has been spent: (ε, δ).

    Args:
        epsilon: 0 or more.
        delta: in [0, 1).

    Derived in: lectures/60_privacy/differential_privacy.
    """

    epsilon: float
    delta: float


def basic_composition(epsilons: Any, deltas: Any = 0.0) -> PrivacyBudget:
    """(Σ ε_i, Σ δ_i): what answers cost together, whatever they are and however each was chosen by those before.

    Args:
        epsilons: ε of each answer, `[k]`, 0 or more.
        deltas: δ of each, `[k]`, in [0, 1); or one number for all.

    Returns:
        The sums.

    Raises:
        TypeError: what is no number.
        ValueError: lengths that differ, a number out of range, or a δ that adds up to 1 or more.

    Source: Dwork and Roth, 2014, theorem 3.16. Derived in: lectures/60_privacy/differential_privacy.
    """
    read = read_array("epsilons", epsilons).astype(np.float64)
    if not (read >= 0).all() or not np.isfinite(read).all():
        raise ValueError(f"epsilons must be 0 or more and finite, got {read.min():g} to {read.max():g}")
    if np.ndim(deltas) == 0:
        check_delta(deltas)
        each = np.full(len(read), float(deltas))
    else:
        each = read_array("deltas", deltas).astype(np.float64)
    if len(each) != len(read):
        raise ValueError(f"deltas must have {len(read)} entries, as epsilons has, got {len(each)}")
    for delta in each.tolist():
        check_delta(delta)
    return PrivacyBudget(math.fsum(read), _promised(math.fsum(each)))


def advanced_composition(*, epsilon: float, delta: float, count: int, slack: float) -> PrivacyBudget:
    """ε' = k·ε·tanh(ε/2) + ε·√(2k·ln(1/δ')), or k·ε if that is less; δ = k·δ + δ': k answers of (ε, δ) each.

    For many small ε, the sum of what an attacker learns grows as √k, but for the chance δ' that it doesn't.

    Args:
        epsilon: of each answer, positive.
        delta: of each, in [0, 1).
        count: k, 1 or more.
        slack: δ', in (0, 1).

    Returns:
        The budget.

    Raises:
        TypeError: what is no number.
        ValueError: a number out of range, or a δ that adds up to 1 or more.

    Source: Dwork, Rothblum and Vadhan, 2010; Kairouz, Oh and Viswanath, 2015, theorem 3.4, for the first term.
        Derived in: lectures/60_privacy/differential_privacy.
    """
    check_positive(epsilon=epsilon)
    check_delta(delta)
    check_counts(count=count)
    check_between(slack=slack)
    spread = count * epsilon * math.tanh(epsilon / 2) + epsilon * math.sqrt(2 * count * math.log(1 / slack))
    return PrivacyBudget(min(spread, count * epsilon), _promised(count * delta + slack))


def _promised(delta: float) -> float:
    if delta >= 1:
        raise ValueError(f"the answers' delta adds up to {delta:g}: from 1 on, nothing is promised")
    return delta
