"""ε of many noisy steps: integrals, exact Gaussians, and the laws that every accountant must keep."""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bad_input import refuses
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from tml_helpers import privacy
from tml_helpers.privacy import accounting


@pytest.fixture(autouse=True)
def without_advice() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", privacy.RenyiOrderWarning)
        yield


def rdp(noise: float, rate: float, steps: int, delta: float = 1e-5, **more: Any) -> float:
    return privacy.rdp_epsilon(noise_multiplier=noise, sample_rate=rate, steps=steps, delta=delta, **more)


def integrated(rate: float, sigma: float, order: float) -> float:
    """ln E[((1 − q) + q e^{(2z − 1)/2σ²})^α] by quadrature, around the peak of the integrand."""

    def log_integrand(z: np.ndarray) -> np.ndarray:
        ratio = np.logaddexp(math.log1p(-rate), math.log(rate) + (2 * z - 1) / (2 * sigma**2))
        return order * ratio + stats.norm.logpdf(z, 0, sigma)

    z = np.linspace(-15 * sigma, order + 15 * sigma, 400_001)
    logs = log_integrand(z)
    return float(logs.max() + math.log(integrate.trapezoid(np.exp(logs - logs.max()), z)))


@pytest.mark.parametrize("rate", [1e-3, 0.05, 0.5])
@pytest.mark.parametrize("sigma", [0.6, 1.0, 4.0])
@pytest.mark.parametrize("order", [2, 3, 17, 64])
def test_whole_orders_are_the_integral(rate: float, sigma: float, order: int) -> None:
    found = accounting._log_moment(rate, sigma, order)
    assert found == pytest.approx(integrated(rate, sigma, order), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("rate", [1e-3, 0.05, 0.5])
@pytest.mark.parametrize("sigma", [0.8, 1.5, 4.0])
@pytest.mark.parametrize("order", [1.5, 2.3, 4.7, 9.9])
def test_orders_between_are_the_integral_or_a_little_more(rate: float, sigma: float, order: float) -> None:
    found = float(accounting._log_moments_between(rate, sigma, np.array([order]))[0])
    exact = integrated(rate, sigma, order)
    assert found >= exact - 1e-11
    if rate < 0.1:
        assert found == pytest.approx(exact, rel=0.05 if order > 2 else 0.4, abs=1e-9)


def test_small_rates_are_not_rounded_away() -> None:
    """R₂ = ln(1 + q²(e^{1/σ²} − 1)), where 1 + q² is 1 in floating point."""
    for rate in (1e-3, 1e-9, 1e-14):
        exact = math.log1p(rate**2 * math.expm1(1.0))
        assert accounting._log_moment(rate, 1.0, 2) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 5.0])
@pytest.mark.parametrize("steps", [1, 100])
@pytest.mark.parametrize("delta", [1e-5, 1e-9])
def test_with_all_records_in_each_step_it_is_the_gaussian_mechanism(sigma: float, steps: int, delta: float) -> None:
    """R_α = Tα/2σ²; and T releases are one with the noise σ/√T, whose exact ε is less, but not by much."""
    orders = np.array(accounting.ORDERS)
    each = steps * orders / (2 * sigma**2) + np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1)
    found = rdp(sigma, 1.0, steps, delta)
    assert found == pytest.approx(each.min(), rel=1e-12)
    s = math.sqrt(steps) / sigma
    lost = special.ndtr(s / 2 - found / s) - math.exp(found + special.log_ndtr(-s / 2 - found / s))
    assert lost < delta
    assert lost > delta / 200


def test_published_example() -> None:
    """Opacus's tutorial setting, known from several accountants: 14,040 steps at 1.1 and 256/60,000 cost 2.594."""
    assert rdp(1.1, 256 / 60_000, 14_040) == pytest.approx(2.594, abs=5e-4)


numbers = {
    "noise": st.floats(0.8, 30),
    "rate": st.floats(1e-4, 0.5),
    "steps": st.integers(1, 10_000),
    "delta": st.floats(1e-10, 0.1),
}


@settings(max_examples=15, deadline=None)
@given(**numbers)
def test_less_noise_more_data_more_steps_cost_more(noise: float, rate: float, steps: int, delta: float) -> None:
    """PySyft #6914: a query with less noise was charged less."""
    usual = rdp(noise, rate, steps, delta)
    assume(usual < 20)  # beyond, orders near 1 would be needed, whose series converge too slowly to be used
    slack = usual * (1 + 1e-9) + 1e-9
    assert rdp(noise * 1.1, rate, steps, delta) <= slack
    assert rdp(noise, rate * 0.9, steps, delta) <= slack
    assert rdp(noise, rate, max(steps - 1, 0), delta) <= slack
    assert rdp(noise, rate, steps, min(2 * delta, 0.9)) <= slack
    assert usual >= 0


def test_no_step_no_record_no_cost_and_no_noise_no_bound() -> None:
    assert rdp(1.0, 0.1, 0) == 0
    assert rdp(1.0, 0.0, 100) == 0
    assert rdp(0.0, 0.1, 1) == math.inf
    assert rdp(0.0, 0.1, 0) == 0
    assert rdp(0.0, 0.0, 5) == 0


@pytest.mark.parametrize("rate", [1e-12, 0.01, 0.999, 1.0])
def test_extremes_neither_overflow_nor_vanish(rate: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", privacy.RenyiOrderWarning)
        found = [rdp(noise, rate, 1000) for noise in (1e-200, 1e-100, 1e-8, 1e-2, 1, 1e2, 1e8, 1e200)]
    assert not np.isnan(found).any()
    assert found == sorted(found, reverse=True)
    assert found[0] == math.inf
    assert found[-1] == 0


def test_epsilon_is_never_negative_nor_zero_too_early() -> None:
    """Opacus #585: ε below 0. TensorFlow Privacy #166: 0 from an order of 1 + 1e-8, where δ did not allow it."""
    assert rdp(100.0, 0.01, 1, delta=0.9) == 0
    one = rdp(1.0, 105 / 100_000, 1, delta=1e-4)
    shift = 105 / 100_000 * (2 * stats.norm.cdf(0.5) - 1)  # total variation: the δ at which ε = 0 is true
    assert shift > 1e-4
    assert one > 0
    with refuses(ValueError, "orders", "above 1.01"):
        rdp(1.0, 0.001, 1, delta=1e-3, orders=[1 + 1e-8, 2, 3])


@pytest.mark.parametrize("delta", [1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_zero_only_where_the_outputs_are_closer_than_delta(noise: float, delta: float) -> None:
    for rate in (1e-7, 1e-5, 1e-3, 0.1, 1.0):
        if rdp(noise, rate, 1, delta) == 0:
            assert rate * (2 * stats.norm.cdf(0.5 / noise) - 1) <= delta


def test_it_says_when_other_orders_might_be_better() -> None:
    """Opacus #670: the optimal order was the largest. Here too one is told, and can pass more."""
    with pytest.warns(privacy.RenyiOrderWarning, match="largest order of use, α = 1024"):
        far = rdp(1e4, 1.0, 100)
    more = rdp(1e4, 1.0, 100, orders=[64, 1024, 2048, 4096, 10_000, 100_000])
    assert more < far
    with pytest.warns(privacy.RenyiOrderWarning, match="smallest order of use"):
        rdp(0.05, 1.0, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rdp(1.0, 0.01, 1000)
    with pytest.warns(privacy.RenyiOrderWarning):
        privacy.noise_multiplier_for(epsilon=5e-3, sample_rate=1.0, steps=100, delta=1e-5)


@settings(max_examples=4, deadline=None)
@given(st.floats(0.02, 30), st.floats(1e-3, 1), st.integers(1, 2000), st.floats(1e-8, 1e-3))
def test_noise_multiplier_for_is_the_least_that_is_enough(
    epsilon: float, rate: float, steps: int, delta: float
) -> None:
    sigma = privacy.noise_multiplier_for(epsilon=epsilon, sample_rate=rate, steps=steps, delta=delta)
    assert rdp(sigma, rate, steps, delta) <= epsilon
    assert rdp(sigma * (1 - 1e-5), rate, steps, delta) > epsilon


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"noise_multiplier": -1}, ValueError, "noise_multiplier must be 0 or more"),
    ({"noise_multiplier": math.nan}, ValueError, "noise_multiplier"),
    ({"noise_multiplier": math.inf}, ValueError, "finite"),
    ({"noise_multiplier": "1"}, TypeError, "noise_multiplier must be a number"),
    ({"sample_rate": 1.5}, ValueError, "sample_rate must lie in [0, 1]"),
    ({"sample_rate": -0.1}, ValueError, "sample_rate"),
    ({"sample_rate": math.nan}, ValueError, "sample_rate"),
    ({"steps": -1}, ValueError, "steps"),
    ({"steps": 1.5}, TypeError, "whole number"),
    ({"delta": 0}, ValueError, "delta must lie between 0 and 1"),
    ({"delta": 1}, ValueError, "delta"),
    ({"delta": True}, TypeError, "delta"),
    ({"orders": []}, ValueError, "at least one"),
    ({"orders": [1.0, 2.0]}, ValueError, "above 1.01"),
    ({"orders": [math.inf]}, ValueError, "finite"),
    ({"orders": [math.nan]}, ValueError, "finite"),
]


@pytest.mark.parametrize(("wrong", "error", "words"), BAD)
def test_what_is_no_number_of_an_accountant(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    """Opacus #49: an order of 1 divided by zero."""
    usual = {"noise_multiplier": 1.0, "sample_rate": 0.01, "steps": 10, "delta": 1e-5}
    with refuses(error, words):
        privacy.rdp_epsilon(**(usual | wrong))


@pytest.mark.parametrize("name", ["epsilon", "sample_rate", "steps", "delta"])
def test_what_needs_no_noise_is_no_question(name: str) -> None:
    usual = {"epsilon": 1.0, "sample_rate": 0.01, "steps": 10, "delta": 1e-5}
    with refuses(ValueError, name):
        privacy.noise_multiplier_for(**(usual | {name: 0}))  # type: ignore[arg-type]
    with refuses(ValueError, "sample_rate"):
        privacy.noise_multiplier_for(**(usual | {"sample_rate": 1.1}))  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_a_budget_for_which_no_float_is_large_enough(rate: float) -> None:
    """It ends: at σ = 1e144, its square is no number any more."""
    with refuses(ValueError, "too small for any noise", "1e-200"):
        privacy.noise_multiplier_for(epsilon=0.1, sample_rate=rate, steps=1, delta=1e-200)
