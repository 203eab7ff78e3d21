"""What several answers cost: closed forms, exact compositions, and the laws of a budget."""

import math

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tml_helpers import privacy


def test_budgets_add_up() -> None:
    assert privacy.basic_composition([0.5, 1.0, 0.25]) == privacy.PrivacyBudget(1.75, 0.0)
    found = privacy.basic_composition(torch.tensor([0.5, 1.5]), [1e-6, 2e-6])
    assert (found.epsilon, found.delta) == (2.0, pytest.approx(3e-6))
    assert privacy.basic_composition([1, 1], 1e-6).delta == pytest.approx(2e-6), "one number stands for each answer"
    assert privacy.basic_composition([0.1] * 10).epsilon == 1.0, "a sum of tenths is not rounded along the way"


def test_advanced_composition_is_the_published_formula() -> None:
    """Kairouz, Oh and Viswanath, 2015, third term of theorem 3.4: (e^ε − 1)/(e^ε + 1) is tanh(ε/2)."""
    found = privacy.advanced_composition(epsilon=0.1, delta=1e-7, count=100, slack=1e-5)
    expected = 100 * 0.1 * (math.e**0.1 - 1) / (math.e**0.1 + 1) + 0.1 * math.sqrt(200 * math.log(1e5))
    assert found.epsilon == pytest.approx(expected)
    assert found.delta == pytest.approx(100 * 1e-7 + 1e-5)


def exact_epsilon(epsilon: float, count: int, delta: float) -> float:
    """Of `count` randomised responses of ε each: the largest loss with total δ, from the binomial distribution."""
    ones = np.arange(count + 1)
    right = math.exp(epsilon) / (1 + math.exp(epsilon))
    here, log_there = stats.binom.pmf(ones, count, right), stats.binom.logpmf(ones, count, 1 - right)

    def lost(total: float) -> float:
        return float(np.maximum(here - np.exp(np.minimum(total + log_there, 1)), 0).sum())

    low, high = 0.0, epsilon * count
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if lost(middle) > delta else (low, middle)
    return high


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("count", [1, 10, 100, 1000])
def test_advanced_composition_holds_where_the_truth_is_known(epsilon: float, count: int) -> None:
    """k randomised responses are the worst that k answers of ε can be: a formula with √k·ε less would break this."""
    for slack in (1e-6, 1e-2):
        truth = exact_epsilon(epsilon, count, slack)
        found = privacy.advanced_composition(epsilon=epsilon, delta=0, count=count, slack=slack).epsilon
        assert truth <= found + 1e-9
        assert found <= epsilon * count
        if epsilon * math.sqrt(count) < 10 and count == 1000:
            assert found < 2.5 * truth, "a bound that is twice the truth would be of no use"


@given(st.floats(1e-3, 5), st.integers(1, 10_000), st.floats(1e-12, 0.5))
def test_more_answers_cost_more_and_never_more_than_the_sum(epsilon: float, count: int, slack: float) -> None:
    one = privacy.advanced_composition(epsilon=epsilon, delta=0, count=count, slack=slack)
    more = privacy.advanced_composition(epsilon=epsilon, delta=0, count=count + 1, slack=slack)
    assert one.epsilon < more.epsilon
    assert one.epsilon <= count * epsilon
    wider = privacy.advanced_composition(epsilon=epsilon, delta=0, count=count, slack=min(2 * slack, 0.9))
    assert wider.epsilon <= one.epsilon


def test_refusals() -> None:
    usual = {"epsilon": 1.0, "delta": 1e-6, "count": 10, "slack": 1e-6}
    for name, bad in (("epsilon", 0), ("epsilon", math.nan), ("delta", 1), ("delta", -1), ("slack", 0), ("count", 0)):
        with refuses(ValueError, name):
            privacy.advanced_composition(**(usual | {name: bad}))  # type: ignore[arg-type]
    with refuses(TypeError, "count", "whole number"):
        privacy.advanced_composition(**(usual | {"count": 1.5}))  # type: ignore[arg-type]
    with refuses(ValueError, "adds up to 1", "nothing is promised"):
        privacy.advanced_composition(epsilon=1, delta=0.5, count=2, slack=1e-6)
    with refuses(ValueError, "adds up to 1.2"):
        privacy.basic_composition([1, 1], [0.6, 0.6])
    with refuses(ValueError, "epsilons must be 0 or more and finite"):
        privacy.basic_composition([1, -1])
    with refuses(ValueError, "finite"):
        privacy.basic_composition([1, math.inf])
    with refuses(ValueError, "2 entries", "got 3"):
        privacy.basic_composition([1, 1], [0.1, 0.1, 0.1])
    with refuses(ValueError, "delta must be 0 or more"):
        privacy.basic_composition([1, 1], [0.1, -0.1])
    with refuses(ValueError, "epsilons"):
        privacy.basic_composition([])
