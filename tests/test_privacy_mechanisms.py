"""Mechanisms against the definition on neighbours, with draws enough to see a scale 5 % off."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from tml_helpers import privacy
from tml_helpers.privacy import _exact, mechanisms

N = 200_000
AWAY = 5.5  # standard errors: one test in twenty million strays so far


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def laplace(value: float, sensitivity: float, epsilon: float, seed: int, count: int = N) -> np.ndarray:
    values = torch.full((count,), value, dtype=torch.float64)
    return privacy.laplace_mechanism(
        values, sensitivity=sensitivity, epsilon=epsilon, generator=generator(seed)
    ).numpy()


def gaussian(value: float, sensitivity: float, epsilon: float, delta: float, seed: int, count: int = N) -> np.ndarray:
    values = torch.full((count,), value, dtype=torch.float64)
    return privacy.gaussian_mechanism(
        values, sensitivity=sensitivity, epsilon=epsilon, delta=delta, generator=generator(seed)
    ).numpy()


def log_ratio(one: float, other: float) -> tuple[float, float]:
    """ln(P/P') from two shares of N draws, and its standard error."""
    return math.log(one / other), math.sqrt((1 / one - 1 + 1 / other - 1) / N)


@pytest.mark.parametrize(("epsilon", "sensitivity", "value"), [(1.0, 1.0, 0.0), (0.5, 3.0, 41.7), (2.0, 0.01, -5.0)])
def test_laplace_reaches_epsilon_and_never_more(epsilon: float, sensitivity: float, value: float) -> None:
    """The ratio of tails beyond both answers is e^ε exactly: with 5 % less or more noise it would be 5 % off."""
    here, there = laplace(value, sensitivity, epsilon, 1), laplace(value + sensitivity, sensitivity, epsilon, 2)
    for cut, sign in ((value + sensitivity, 1), (value, -1)):
        shares = [float((sign * draws >= sign * cut).mean()) for draws in (here, there)][::sign]
        ratio, error = log_ratio(shares[1], shares[0])
        assert abs(ratio - epsilon) < AWAY * error
        assert AWAY * error < 0.05 * epsilon, "the test would not see a scale that is 5 % off"
    bins = np.quantile(here, np.linspace(0.02, 0.98, 25))
    for low, high in itertools.pairwise(bins):
        ratio, error = log_ratio(*[float(((d >= low) & (d < high)).mean()) for d in (here, there)])
        assert abs(ratio) < epsilon + AWAY * error


@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 0.1), (0.25, 0.2)])
def test_gaussian_reaches_delta_and_never_more(epsilon: float, delta: float) -> None:
    """max over S of P[M(D) ∈ S] − e^ε P[M(D') ∈ S] is δ; the best S is where the density's ratio exceeds e^ε."""
    sensitivity = 2.0
    here, there = (gaussian(v, sensitivity, epsilon, delta, seed) for seed, v in enumerate((0.0, sensitivity)))
    sigma = privacy.gaussian_noise_multiplier(epsilon=epsilon, delta=delta)
    for cut in sensitivity * (0.5 + sigma**2 * epsilon) + np.array([-1.0, -0.5, 0.0, 0.5, 1.0]):
        more, less = float((there >= cut).mean()), float((here >= cut).mean())
        error = math.sqrt((more * (1 - more) + math.exp(2 * epsilon) * less * (1 - less)) / N)
        lost = more - math.exp(epsilon) * less
        assert lost < delta + AWAY * error
        if cut == sensitivity * (0.5 + sigma**2 * epsilon):
            assert lost > delta - AWAY * error


@pytest.mark.parametrize("seed", range(3))
def test_scales_are_neither_too_small_nor_too_large(seed: int) -> None:
    count = 60_000
    noise = laplace(7.0, 3.0, 0.5, seed, count) - 7.0
    assert np.abs(noise).mean() == pytest.approx(6.0, rel=AWAY / math.sqrt(count))
    assert stats.kstest(noise / 6.0, "laplace").pvalue > 1e-6
    sigma = 3.0 * privacy.gaussian_noise_multiplier(epsilon=0.5, delta=1e-5)
    noise = gaussian(7.0, 3.0, 0.5, 1e-5, seed, count) - 7.0
    assert noise.std() == pytest.approx(sigma, rel=AWAY / math.sqrt(2 * count))
    assert stats.kstest(noise / sigma, "norm").pvalue > 1e-6
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < AWAY / math.sqrt(count), "entries have noise of their own"


@pytest.mark.parametrize("seed", range(3))
def test_exponential_has_its_probabilities(seed: int) -> None:
    scores = torch.tensor([3.0, 1.0, 2.5, -4.0, 3.0])
    chosen = privacy.exponential_mechanism(scores.expand(N, 5), sensitivity=2.0, epsilon=1.5, generator=generator(seed))
    expected = torch.softmax(1.5 * scores.double() / 4, 0)
    assert stats.chisquare(chosen.bincount(minlength=5).numpy(), N * expected.numpy()).pvalue > 1e-7


def test_exponential_keeps_the_definition() -> None:
    """A record that raises one score by Δ and lowers all others by Δ moves the odds by nearly e^ε, and by no more."""
    shares = []
    for seed, scores in enumerate(([0.0] * 10, [1.0] + [-1.0] * 9)):
        rows = torch.tensor(scores).expand(N, 10)
        chosen = privacy.exponential_mechanism(rows, sensitivity=1.0, epsilon=1.0, generator=generator(seed))
        shares.append(chosen.bincount(minlength=10).double() / N)
    ratio, error = log_ratio(float(shares[1][0]), float(shares[0][0]))
    assert ratio < 1 + AWAY * error
    assert abs(ratio - math.log(10 * math.e / (math.e + 9))) < AWAY * error


def test_exponential_finds_one_of_very_many() -> None:
    scores = torch.zeros(100_000, dtype=torch.float64)
    scores[77_777] = 1e6
    assert privacy.exponential_mechanism(scores, sensitivity=1, epsilon=1) == 77_777
    assert privacy.exponential_mechanism([5], sensitivity=1, epsilon=1) == 0
    both = privacy.exponential_mechanism(scores[77_775:77_779].reshape(2, 2), sensitivity=1, epsilon=1)
    assert both.shape == (2,)
    assert int(both[1]) == 0


@pytest.mark.parametrize("scale", [1, 3, 10])
def test_discrete_laplace_has_its_probabilities(scale: int) -> None:
    drawn = _exact.discrete_laplace(N, scale, generator()).numpy()
    x = np.arange(-200, 201)
    exact = np.exp(-np.abs(x) / scale)
    few = np.abs(x) <= 6 * scale
    expected = np.append(exact[few], exact[~few].sum()) / exact.sum() * N
    counted = [(drawn == k).sum() for k in x[few]]
    assert stats.chisquare([*counted, N - sum(counted)], expected).pvalue > 1e-7


@pytest.mark.parametrize("half", [1, 2, 9])
def test_discrete_gaussian_has_its_probabilities(half: int) -> None:
    drawn = _exact.discrete_gaussian(N, half, generator()).numpy()
    x = np.arange(-200, 201)
    exact = np.exp(-(x**2) / (4 * half**2))
    few = np.abs(x) <= 4 * half
    expected = np.append(exact[few], exact[~few].sum()) / exact.sum() * N
    counted = [(drawn == k).sum() for k in x[few]]
    assert stats.chisquare([*counted, N - sum(counted)], expected).pvalue > 1e-7


@pytest.mark.parametrize(("a", "b"), [(0, 5), (1, 3), (5, 5), (7, 3), (2**40 + 1, 2**41)])
def test_the_coin_of_e_to_the_minus_a_over_b(a: int, b: int) -> None:
    heads = _exact.bernoulli_exp(torch.full((N,), a), b, generator()).double().mean()
    expected = math.exp(-a / b)
    assert abs(heads - expected) <= AWAY * math.sqrt(expected * (1 - expected) / N)


def test_uniform_numbers_below_a_bound_that_divides_nothing() -> None:
    bound = 2**62 // 3 * 2 + 1  # a third of all draws is drawn again; modulo alone would favour small numbers
    drawn = _exact.uniform_below(torch.full((N,), bound), generator()).double() / bound
    assert stats.kstest(drawn.numpy(), "uniform").pvalue > 1e-7
    assert sorted(set(_exact.uniform_below(torch.full((200,), 3), None).tolist())) == [0, 1, 2]


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e6 + 0.7, -12.0])
def test_low_bits_say_nothing(value: float) -> None:
    """diffprivlib #19, OpenDP SmartNoise #242: which outputs are possible told the answers 0 and 1 apart.

    Here all outputs, for every answer, are multiples of one power of two.
    """
    for draws, scale, bits in (
        (laplace(value, 1.0, 1.0, 5, 2000), 1.0, mechanisms.LAPLACE_BITS),
        (
            gaussian(value, 1.0, 1.0, 1e-5, 5, 2000),
            privacy.gaussian_noise_multiplier(epsilon=1, delta=1e-5),
            mechanisms.GAUSSIAN_BITS,
        ),
    ):
        step = 2.0 ** (math.floor(math.log2(scale)) - bits)
        assert (draws / step == np.round(draws / step)).all()
        assert (np.round(draws / step) % 2 == 1).mean() > 0.3 or abs(value) > 1e5, "and not of a coarser one"


def test_naive_noise_would_fail_the_same_test() -> None:
    """Which shows that the test above can fail."""
    u = np.random.default_rng(0).random(10_000) - 0.5
    naive = 0.1 - np.sign(u) * np.log1p(-2 * np.abs(u))
    step = 2.0**-mechanisms.LAPLACE_BITS
    assert (naive / step != np.round(naive / step)).mean() > 0.5


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12), st.integers(-30, 5))
def test_rounding_moves_neighbours_apart_by_less_than_a_step(a: float, b: float, power: int) -> None:
    """Google's library #10 rounded towards 0; #126: rounding had been left out of the sensitivity."""
    step = Fraction(2) ** power
    on_a, on_b = mechanisms._on_grid(torch.tensor([a, b], dtype=torch.float64), step).tolist()
    assert abs(Fraction(on_a) - Fraction(a)) <= step / 2
    assert Fraction(on_a) % step == 0
    apart = abs(Fraction(a) - Fraction(b)) / step
    assert abs(Fraction(on_a) - Fraction(on_b)) / step <= math.floor(apart) + 1
    if apart.denominator == 1:
        assert abs(Fraction(on_a) - Fraction(on_b)) / step == apart, "whole steps stay whole, halves on both sides too"


def test_halves_are_rounded_upwards_on_both_sides_of_0() -> None:
    """To even, 0.5 and 1.5 would be two steps apart; away from 0, −0.5 and 0.5 would be."""
    halves = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5], dtype=torch.float64)
    assert mechanisms._on_grid(halves, Fraction(1)).tolist() == [-1, 0, 1, 2, 3]


def captured(monkeypatch: pytest.MonkeyPatch, name: str, call: Callable[[], Any]) -> int:
    """The scale, in grid steps, with which a mechanism draws."""
    seen = []

    def spy(count: int, scale: int, generator: torch.Generator | None) -> torch.Tensor:
        seen.append(scale)
        return torch.zeros(count, dtype=torch.int64)

    monkeypatch.setattr(mechanisms, name, spy)
    call()
    return seen[0]


@pytest.mark.parametrize("entries", [1, 7, 1000])
@pytest.mark.parametrize(("sensitivity", "epsilon"), [(1.0, 1.0), (0.3, 1e-6), (1e9, 50.0), (5e-7, 1e4)])
def test_the_scale_covers_what_rounding_adds(
    monkeypatch: pytest.MonkeyPatch, entries: int, sensitivity: float, epsilon: float
) -> None:
    """Δ/step, and one step more for each entry, over ε: exactly, in fractions, and no larger than that."""
    value = torch.zeros(entries, dtype=torch.float64)
    scale = captured(
        monkeypatch,
        "discrete_laplace",
        lambda: privacy.laplace_mechanism(value, sensitivity=sensitivity, epsilon=epsilon),
    )
    step = mechanisms._grid(sensitivity / epsilon, mechanisms.LAPLACE_BITS)
    steps = Fraction(sensitivity) / step
    assert math.floor(steps) + entries <= scale * Fraction(epsilon)
    assert scale == pytest.approx(float(steps / Fraction(epsilon)), rel=1e-3)
    half = captured(
        monkeypatch,
        "discrete_gaussian",
        lambda: privacy.gaussian_mechanism(value, sensitivity=sensitivity, epsilon=epsilon, delta=1e-6),
    )
    sigma = privacy.gaussian_noise_multiplier(epsilon=epsilon, delta=1e-6)
    step = mechanisms._grid(sigma * sensitivity, mechanisms.GAUSSIAN_BITS)
    steps = float(Fraction(sensitivity) / step)
    assert sigma * (steps + math.sqrt(entries)) <= half * math.sqrt(2) * (1 + 1e-15)
    assert half == pytest.approx(sigma * (steps + math.sqrt(entries)) / math.sqrt(2), rel=1e-6)


def test_gaussian_noise_multiplier_is_published() -> None:
    """δ at ε by the definition, integrated; and values known from the analytic mechanism."""
    for epsilon, delta in [(0.1, 1e-5), (1.0, 1e-5), (4.0, 1e-8), (30.0, 1e-3), (1e-3, 0.3)]:
        sigma = privacy.gaussian_noise_multiplier(epsilon=epsilon, delta=delta)
        x = np.linspace(-12 * sigma, 12 * sigma + 1, 2_000_001)
        gain = stats.norm.pdf(x, 1, sigma) - np.exp(epsilon + stats.norm.logpdf(x, 0, sigma))
        assert np.trapezoid(np.maximum(gain, 0), x) == pytest.approx(delta, rel=3e-5)
    assert privacy.gaussian_noise_multiplier(epsilon=1, delta=1e-5) == pytest.approx(3.730631, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-4, 1e4), st.floats(1e-12, 0.5), st.floats(1.01, 3))
def test_less_budget_needs_more_noise(epsilon: float, delta: float, factor: float) -> None:
    sigma = privacy.gaussian_noise_multiplier(epsilon=epsilon, delta=delta)
    assert privacy.gaussian_noise_multiplier(epsilon=epsilon / factor, delta=delta) > sigma
    assume(delta * factor < 1)
    assert privacy.gaussian_noise_multiplier(epsilon=epsilon, delta=delta * factor) < sigma


def test_the_textbook_gaussian_fails_where_epsilon_exceeds_1() -> None:
    """SmartNoise #462, programming-dp #45: √(2 ln(1.25/δ))/ε was used at every ε, and is too little from some ε on."""
    delta = 1e-5
    textbook = math.sqrt(2 * math.log(1.25 / delta))
    assert privacy.gaussian_noise_multiplier(epsilon=0.9, delta=delta) < textbook / 0.9
    assert privacy.gaussian_noise_multiplier(epsilon=50, delta=delta) > textbook / 50


def test_what_comes_back_is_what_went_in() -> None:
    for value in (3, True, 0.25):
        assert type(privacy.laplace_mechanism(value, sensitivity=1, epsilon=1)) is float
        assert type(privacy.gaussian_mechanism(value, sensitivity=1, epsilon=1, delta=1e-5)) is float
    for kind, back in (
        (torch.float32, torch.float32),
        (torch.float16, torch.float16),
        (torch.int64, torch.float64),
        (torch.bool, torch.float64),
    ):
        value = torch.ones(2, 3, 4, dtype=kind).transpose(0, 2)
        noisy = privacy.laplace_mechanism(value, sensitivity=1, epsilon=1)
        assert (noisy.shape, noisy.dtype) == (value.shape, back)
        noisy = privacy.gaussian_mechanism(value, sensitivity=1, epsilon=1, delta=1e-5)
        assert (noisy.shape, noisy.dtype) == (value.shape, back)
    assert privacy.laplace_mechanism(torch.tensor(2.0), sensitivity=1, epsilon=1).shape == ()
    exact = privacy.laplace_mechanism([1 / 3, 2.0], sensitivity=1e-9, epsilon=1)
    assert float(exact[0]) == pytest.approx(1 / 3, abs=1e-7), "Python's floats are not cut to float32"


def test_order_of_entries_is_kept() -> None:
    value = torch.arange(12.0).reshape(3, 4).T
    for noisy in (
        privacy.laplace_mechanism(value, sensitivity=1e-4, epsilon=1),
        privacy.gaussian_mechanism(value, sensitivity=1e-4, epsilon=1, delta=1e-5),
    ):
        assert torch.equal(noisy.round(), value)


def test_a_generator_repeats_and_its_absence_does_not() -> None:
    calls: list[Callable[[torch.Generator | None], Any]] = [
        lambda g: privacy.laplace_mechanism(0.0, sensitivity=1, epsilon=1, generator=g),
        lambda g: privacy.gaussian_mechanism(0.0, sensitivity=1, epsilon=1, delta=1e-5, generator=g),
        lambda g: privacy.exponential_mechanism([0.0] * 10**6, sensitivity=1, epsilon=1, generator=g),
    ]
    for call in calls:
        assert call(generator(1)) == call(generator(1)) != call(generator(2))
        fresh = []
        for _ in range(2):
            torch.manual_seed(0)
            before = torch.get_rng_state()
            fresh.append(call(None))
            assert torch.equal(before, torch.get_rng_state())
        assert fresh[0] != fresh[1], "noise that a seed repeats can be subtracted"


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, None, "1", True])
@pytest.mark.parametrize("name", ["epsilon", "sensitivity"])
def test_budget_and_sensitivity_are_positive(name: str, bad: Any) -> None:
    """privcount #400: a sensitivity of 0 meant no noise at all; OpenDP #429: an ε of 0 never came back."""
    settings = {"epsilon": 1.0, "sensitivity": 1.0, name: bad}
    kind = ValueError if isinstance(bad, int | float) and bad is not True else TypeError
    with refuses(kind, name):
        privacy.laplace_mechanism(1.0, **settings)
    with refuses(kind, name):
        privacy.gaussian_mechanism(1.0, delta=1e-5, **settings)
    with refuses(kind, name):
        privacy.exponential_mechanism([1.0, 2.0], **settings)


@pytest.mark.parametrize("delta", [0, 1, -1e-5, 1.5, math.nan])
def test_gaussian_noise_needs_a_delta(delta: float) -> None:
    for call in (
        lambda: privacy.gaussian_mechanism(1.0, sensitivity=1, epsilon=1, delta=delta),
        lambda: privacy.gaussian_noise_multiplier(epsilon=1, delta=delta),
    ):
        with refuses(ValueError, "delta must lie between 0 and 1"):
            call()


VALUES = {
    "NaN": (math.nan, ValueError, "finite"),
    "infinity": (torch.tensor([1.0, math.inf]), ValueError, "finite"),
    "nothing": (torch.zeros(0), ValueError, "at least one"),
    "words": ("12", TypeError, "number"),
    "None": (None, TypeError, "number"),
    "complex": (torch.ones(2, dtype=torch.complex64), TypeError, "real"),
    "too whole": (torch.tensor([2**60 + 1]), ValueError, "2⁵³"),
}


@pytest.mark.parametrize("kind", VALUES)
def test_what_is_no_answer(kind: str) -> None:
    wrong, error, words = VALUES[kind]
    with refuses(error, words):
        privacy.laplace_mechanism(wrong, sensitivity=1, epsilon=1)
    with refuses(error, words):
        privacy.gaussian_mechanism(wrong, sensitivity=1, epsilon=1, delta=1e-5)
    with refuses(error, words):
        privacy.exponential_mechanism(wrong, sensitivity=1, epsilon=1)


def test_other_refusals() -> None:
    with refuses(ValueError, "[K] or [N, K]", "[1, 2, 3]"):
        privacy.exponential_mechanism(torch.zeros(1, 2, 3), sensitivity=1, epsilon=1)
    with refuses(ValueError, "[K] or [N, K]"):
        privacy.exponential_mechanism(1.0, sensitivity=1, epsilon=1)
    with refuses(ValueError, "unit"):
        privacy.laplace_mechanism(1.0, sensitivity=1e-300, epsilon=1)
    with refuses(ValueError, "too small for 1000 entries"):
        privacy.laplace_mechanism(torch.zeros(1000), sensitivity=1, epsilon=1e-18)
    with refuses(ValueError, "too small for"):
        privacy.exponential_mechanism(torch.zeros(10), sensitivity=1, epsilon=1e-18)
    with refuses(ValueError, "billion"):
        privacy.gaussian_noise_multiplier(epsilon=1e-12, delta=1e-12)
    for call in (privacy.laplace_mechanism, privacy.exponential_mechanism):
        with refuses(TypeError, "generator"):
            call(torch.zeros(2), sensitivity=1, epsilon=1, generator=0)  # type: ignore[operator]


def test_an_error_names_what_was_given() -> None:
    for wrong, kind, words in (
        ([math.inf, 1.0], ValueError, "finite"),
        ("a", TypeError, "number"),
        ([], ValueError, "one"),
    ):
        with refuses(kind, "scores must", words):
            privacy.exponential_mechanism(wrong, sensitivity=1, epsilon=1)


def test_numbers_beyond_every_float() -> None:
    with refuses(ValueError, "sensitivity must be positive and finite"):
        privacy.laplace_mechanism(1.0, sensitivity=10**400, epsilon=1)
    with refuses(ValueError, "epsilon must be positive and finite"):
        privacy.gaussian_mechanism(1.0, sensitivity=1, epsilon=10**400, delta=1e-5)
