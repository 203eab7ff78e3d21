"""The embarrassing question: each person's answer is deniable, and the share of all is not lost."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tml_helpers.common import check_generator
from tml_helpers.privacy._exact import BITS, uniform_bits
from tml_helpers.privacy._numbers import check_between, read_flags


@dataclass(frozen=True)
class ProportionInterval:
    """An estimated share of "yes", and how far it can be trusted.

    Args:
        estimate: unbiased; it may leave [0, 1].
        standard_error: of the estimate, from the reports.
        low, high: a score interval for the true share (Wilson), cut to [0, 1].
        confidence: of the interval.

    Derived in: lectures/60_privacy/differential_privacy.
    """

    estimate: float
    standard_error: float
    low: float
    high: float
    confidence: float


def randomized_response(
    answers: Any, *, truth_probability: float = 0.5, generator: torch.Generator | None = None
) -> Tensor:
    """P(report = truth) = (1 + p) / 2: with probability p the true answer, else the side of a fair coin.

    Args:
        answers: the true answers, True or False, or 1 and 0: a tensor, an array or a list, `[N]`.
        truth_probability: p in (0, 1); the lecture's two coins have ½.
        generator: for a result that can be repeated, which is for teaching and tests; None takes the operating system's
            entropy, as a survey in earnest must.

    Returns:
        The reports, bool `[N]`, on the answers' device.

    Raises:
        TypeError: answers that are no numbers.
        ValueError: another shape, an answer other than 0 and 1, or a probability outside (0, 1).

    Source: Warner, 1965; Greenberg et al., 1969, for the coin that does not look at the answer.
        Derived in: lectures/60_privacy/differential_privacy.
    """
    truth = torch.from_numpy(read_flags("answers", answers))
    check_between(truth_probability=truth_probability)
    check_generator(generator)
    first = uniform_bits(len(truth), generator) < math.floor(truth_probability * 2.0**BITS)
    second = uniform_bits(len(truth), generator) % 2 == 1
    reports = torch.where(first, truth, second)
    return reports.to(answers.device) if isinstance(answers, Tensor) else reports


def response_epsilon(*, truth_probability: float = 0.5) -> float:
    """ε = ln((1 + p) / (1 − p)), the logarithm of P(yes | yes) / P(yes | no): ln 3 for p = ½.

    Args:
        truth_probability: p in (0, 1).

    Returns:
        ε of one randomised response.

    Raises:
        TypeError: what is no number.
        ValueError: a probability outside (0, 1).

    Source: Dwork and Roth, 2014, section 3.2. Derived in: lectures/60_privacy/differential_privacy.
    """
    check_between(truth_probability=truth_probability)
    return 2 * math.atanh(truth_probability)


def estimate_proportion(reports: Any, *, truth_probability: float = 0.5) -> float:
    """P̂ = (N_yes / N − (1 − p) / 2) / p, which solves (1 + p)/2 · P + (1 − p)/2 · (1 − P) = N_yes / N.

    Args:
        reports: randomised responses, True or False, or 1 and 0, `[N]`.
        truth_probability: p in (0, 1), with which they were made.

    Returns:
        The estimated share of "yes". It is unbiased, and so it leaves [0, 1] at times.

    Raises:
        TypeError: reports that are no numbers.
        ValueError: another shape, a report other than 0 and 1, or a probability outside (0, 1).

    Source: Warner, 1965. Derived in: lectures/60_privacy/differential_privacy.
    """
    check_between(truth_probability=truth_probability)
    return _undo(float(read_flags("reports", reports).mean()), truth_probability)


def proportion_interval(
    reports: Any, *, truth_probability: float = 0.5, confidence: float = 0.95
) -> ProportionInterval:
    """P̂ with standard error √(λ(1 − λ) / (N − 1)) / p, for the share λ of "yes" among N reports.

    Args:
        reports: randomised responses, True or False, or 1 and 0, `[N]`, two or more.
        truth_probability: p in (0, 1), with which they were made.
        confidence: of the interval, in (0, 1).

    Returns:
        Estimate, standard error, interval.

    Raises:
        TypeError: reports that are no numbers.
        ValueError: fewer than two reports, one other than 0 and 1, or a number out of range.

    Source: Warner, 1965; Wilson, 1927. Derived in: lectures/60_privacy/differential_privacy.
    """
    check_between(truth_probability=truth_probability, confidence=confidence)
    yes = read_flags("reports", reports)
    n, share = len(yes), float(yes.mean())
    if n < 2:
        raise ValueError("reports must be 2 or more for a standard error, got 1")
    from scipy import stats

    z = float(stats.norm.isf((1 - confidence) / 2))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (min(max(_undo(end, truth_probability), 0.0), 1.0) for end in (centre - reach, centre + reach))
    error = math.sqrt(share * (1 - share) / (n - 1)) / truth_probability
    return ProportionInterval(_undo(share, truth_probability), error, low, high, confidence)


def _undo(share: float, truth_probability: float) -> float:
    """The share of true "yes" that gives this share of reported ones on average."""
    return (share - (1 - truth_probability) / 2) / truth_probability
