"""Lower bounds on ε: the published bound, mechanisms whose ε is known, and what an auditor must not be able to do."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from scipy import stats

from tml_helpers import privacy
from tml_helpers.privacy import audit

LN3 = math.log(3)
ODDLY_MANY = 34  # of 300 audits with at most 5 % too high: more than so many happen once in a million times


def responses(seed: int, epsilon: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Fair coins, and randomised responses about them: exactly ε-DP, and guesses are right as often as that allows."""
    random = np.random.default_rng(seed)
    coins = random.random(count) < 0.5
    truthful = random.random(count) < 1 / (1 + math.exp(-epsilon))
    return (coins == truthful).astype(float), coins


def sums(seed: int, epsilon: float, delta: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """One Gaussian sum for each canary, which is in it or not: (ε, δ)-DP, and no less."""
    random = np.random.default_rng(seed)
    coins = random.random(count) < 0.5
    sigma = privacy.gaussian_noise_multiplier(epsilon=epsilon, delta=delta)
    return coins + sigma * random.normal(size=count), coins


@pytest.mark.parametrize("guesses", [1, 2, 7, 50])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_all_right_has_a_closed_form(guesses: int, confidence: float) -> None:
    """P[r of r right] = (e^ε/(1 + e^ε))^r."""
    coins = np.arange(60) % 2 == 1
    found = privacy.audit_epsilon(coins * 1.0, coins, delta=0, confidence=confidence, guesses=guesses)
    chance = (1 - confidence) ** (1 / guesses)
    assert (found.correct, found.guesses, found.canaries) == (guesses, guesses, 60)
    assert found.lower_bound == pytest.approx(max(math.log(chance / (1 - chance)), 0), abs=1e-5)
    assert found.ceiling == found.lower_bound


def published(m: int, r: int, v: int, epsilon: float, delta: float) -> float:
    """Theorem 5.2 of Steinke, Nasr and Jagielski, by loops over probabilities."""
    right = 1 / (1 + math.exp(-epsilon))
    chance = [math.comb(r, k) * right**k * (1 - right) ** (r - k) for k in range(r + 1)]
    extra = max(sum(chance[v - i : v]) / i for i in range(1, v + 1)) if v else 0
    return sum(chance[v:]) + 2 * m * delta * extra


@pytest.mark.parametrize("delta", [0.0, 1e-5, 1e-3])
@pytest.mark.parametrize(
    ("m", "r", "v"), [(100, 40, 33), (100, 40, 40), (30, 30, 22), (500, 10, 1), (50, 3, 0), (900, 900, 820)]
)
def test_the_bound_is_the_published_one(m: int, r: int, v: int, delta: float) -> None:
    for epsilon in (0.0, 0.5, 2.0, 6.0):
        assert audit._p_value(m, r, v, epsilon, delta) == pytest.approx(published(m, r, v, epsilon, delta), rel=1e-9)
    found = audit._largest_refuted(m, r, v, delta, 0.05)
    if found > 0:
        assert published(m, r, v, found, delta) < 0.05
        assert published(m, r, v, found + 1e-5, delta) >= 0.05
    else:
        assert published(m, r, v, 1e-5, delta) >= 0.05


def test_a_choice_of_guesses_is_paid_for() -> None:
    """The best of five numbers of guesses, each at a fifth of the error: without that, 1 audit in 5 could be wrong."""
    scores, coins = sums(0, 4.0, 1e-5, 400)
    found = privacy.audit_epsilon(scores, coins, delta=1e-5)
    each = [
        privacy.audit_epsilon(scores, coins, delta=1e-5, confidence=0.99, guesses=r).lower_bound
        for r in (400, 200, 80, 40, 20)
    ]
    assert found.lower_bound == pytest.approx(max(each), abs=1e-5)
    assert found.confidence == 0.95
    alone = privacy.audit_epsilon(scores, coins, delta=1e-5, guesses=found.guesses)
    assert alone.lower_bound > found.lower_bound


@pytest.mark.parametrize("guesses", [None, 200])
def test_never_above_epsilon_of_randomised_response(guesses: int | None) -> None:
    above = [
        privacy.audit_epsilon(*responses(seed, LN3, 200), delta=0, guesses=guesses).lower_bound > LN3
        for seed in range(300)
    ]
    assert sum(above) <= ODDLY_MANY


@pytest.mark.parametrize(("epsilon", "delta"), [(0.3, 1e-3), (2.0, 1e-5)])
def test_never_above_epsilon_of_gaussian_sums(epsilon: float, delta: float) -> None:
    above = [
        privacy.audit_epsilon(*sums(seed, epsilon, delta, 200), delta=delta).lower_bound > epsilon
        for seed in range(100)
    ]
    assert sum(above) <= 22


def test_one_run_is_tight_for_randomised_response() -> None:
    scores, coins = responses(0, LN3, 100_000)
    found = privacy.audit_epsilon(scores, coins, delta=0, guesses=100_000)
    assert LN3 - 0.05 < found.lower_bound < LN3 + 0.02


@pytest.mark.parametrize("seed", range(5))
def test_epsilon_8_is_seen(seed: int) -> None:
    """The floor of the book: 1 or more at ε = 8, with 1,000 canaries in one run."""
    found = privacy.audit_epsilon(*sums(seed, 8.0, 1e-5, 1000), delta=1e-5)
    assert 1.5 < found.lower_bound < 8
    assert found.lower_bound <= found.ceiling


@pytest.mark.parametrize("seed", range(5))
def test_epsilon_8_of_sampled_steps_is_seen(seed: int) -> None:
    """Canaries in a quarter of 100 steps: white-box scores of DP-SGD, without its network."""
    random = np.random.default_rng(seed)
    noise = privacy.noise_multiplier_for(epsilon=8, sample_rate=0.25, steps=100, delta=1e-5)
    coins = random.random(1000) < 0.5
    scores = coins * random.binomial(100, 0.25, 1000) + 10 * noise * random.normal(size=1000)
    assert 1 < privacy.audit_epsilon(scores, coins, delta=1e-5).lower_bound < 8


def test_delta_that_is_granted_lowers_the_bound() -> None:
    scores, coins = sums(1, 8.0, 1e-5, 1000)
    bounds = [
        privacy.audit_epsilon(scores, coins, delta=delta, guesses=200).lower_bound
        for delta in (0, 1e-6, 1e-4, 1e-3, 0.1)
    ]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > bounds[2] > bounds[-1] == 0


def test_order_and_unit_of_scores_do_not_matter() -> None:
    scores, coins = sums(2, 3.0, 1e-5, 300)
    usual = privacy.audit_epsilon(scores, coins, delta=1e-5)
    order = np.random.default_rng(0).permutation(300)
    assert privacy.audit_epsilon(scores[order], coins[order], delta=1e-5) == usual
    assert privacy.audit_epsilon(np.exp(scores), coins, delta=1e-5) == usual
    wide = torch.tensor(np.stack([scores, scores]))
    for given in (torch.tensor(scores, requires_grad=True), wide.T[:, 0], scores.tolist()):
        assert privacy.audit_epsilon(given, torch.tensor(coins), delta=1e-5) == usual
    assert privacy.audit_epsilon(scores, coins * 1, delta=1e-5) == usual
    short = torch.tensor(scores).bfloat16()
    assert privacy.audit_epsilon(short, coins, delta=1e-5) == privacy.audit_epsilon(short.float(), coins, delta=1e-5)
    infinite = np.where(scores == scores.max(), np.inf, scores)
    assert privacy.audit_epsilon(infinite, coins, delta=1e-5) == usual


def test_low_scores_are_guessed_out_and_high_ones_in() -> None:
    scores, coins = np.arange(8.0), np.array([0, 0, 1, 1, 0, 0, 0, 1])
    for guesses, correct in ((2, 2), (4, 3), (1, 1), (3, 2), (8, 3)):
        found = privacy.audit_epsilon(scores, coins, delta=0, guesses=guesses)
        assert found.correct == correct


@pytest.mark.parametrize("ties", ["all", "halves by order"])
def test_the_order_of_equal_scores_gives_nothing_away(ties: str) -> None:
    """Sorted by whether they were in, and with scores that say nothing, all guesses were right."""
    coins = np.arange(1000) < 500
    scores = np.zeros(1000) if ties == "all" else (np.arange(1000) % 2) * 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", privacy.DegenerateScoresWarning)
        for guesses in (None, 1000, 100):
            found = privacy.audit_epsilon(scores, coins, delta=0, guesses=guesses)
            assert found.lower_bound < 0.3
    with pytest.warns(privacy.DegenerateScoresWarning, match=r"all 1000 scores are 0\.0") as caught:
        privacy.audit_epsilon(np.zeros(1000), coins, delta=0)
    assert caught[0].filename == __file__


def test_coins_that_are_not_fair_are_refused() -> None:
    """With 90 % in, "in" is right nine times in ten, of any mechanism whatever."""
    coins = np.arange(1000) < 900
    with refuses(ValueError, "fair coins", "900 of 1000"):
        privacy.audit_epsilon(np.random.default_rng(0).random(1000), coins, delta=0)
    with refuses(ValueError, "fair coins"):
        privacy.audit_epsilon(np.arange(40.0), np.ones(40), delta=0)
    privacy.audit_epsilon(np.arange(1000.0), np.arange(1000) < 560, delta=0)


@pytest.mark.parametrize("seed", range(3))
def test_two_models_come_near_epsilon(seed: int) -> None:
    random = np.random.default_rng(seed)
    yes, no = (random.random(20_000) < share for share in (0.75, 0.25))
    found = privacy.audit_epsilon_by_two_models(yes, no, delta=0)
    assert LN3 - 0.15 < found.lower_bound < LN3 + 0.02
    assert found.guesses == 20_000
    assert found.correct == pytest.approx(15_000, abs=400)
    half = privacy.audit_epsilon_by_two_models(yes, no, delta=0.2)
    assert half.lower_bound == pytest.approx(math.log(0.55 / 0.25), abs=0.15)


def test_two_models_see_what_only_one_side_shows() -> None:
    """Never a low score with the record, often without: FPR is large, and the false negatives tell."""
    random = np.random.default_rng(0)
    with_it, without = random.random(4000) * 0.5 + 0.5, random.random(4000)
    found = privacy.audit_epsilon_by_two_models(with_it, without, delta=0)
    assert found.lower_bound > 3
    turned = privacy.audit_epsilon_by_two_models(-without, -with_it, delta=0)
    assert turned.lower_bound > 3


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_two_models_are_never_above_epsilon(epsilon: float) -> None:
    """Laplace noise; a threshold chosen on the runs that measure it would find something in every third audit."""
    above = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        scores = epsilon + random.laplace(size=60), random.laplace(size=60)
        above.append(privacy.audit_epsilon_by_two_models(*scores, delta=0).lower_bound > epsilon)
    assert sum(above) <= ODDLY_MANY


def test_runs_that_choose_the_threshold_do_not_measure() -> None:
    """The record shows in all runs of the half that chooses, and in none of the half that measures."""
    shown = np.zeros(40)
    shown[audit._lot(40)[:20]] = 1
    assert privacy.audit_epsilon_by_two_models(shown, np.zeros(40), delta=0).lower_bound == 0
    assert privacy.audit_epsilon_by_two_models(np.ones(40), 1 - shown, delta=0).lower_bound == 0
    assert privacy.audit_epsilon_by_two_models(np.ones(40), np.zeros(40), delta=0).lower_bound > 1


def test_rates_have_the_bounds_of_clopper_and_pearson() -> None:
    for k, n in ((0, 10), (3, 10), (10, 10), (57, 400)):
        exact = stats.binomtest(k, n).proportion_ci(0.9, method="exact")
        hits = audit._Hits(np.array([k]), n)
        assert hits.at_least(0.05)[0] == pytest.approx(exact.low)
        assert hits.at_most(0.05)[0] == pytest.approx(exact.high)


def test_two_models_with_few_runs_say_how_little_they_can() -> None:
    found = privacy.audit_epsilon_by_two_models([1.0] * 20, [0.0] * 20, delta=0)
    least = 0.025 ** (1 / 10)  # all of ten are right
    assert found.lower_bound == found.ceiling == pytest.approx(math.log(least / (1 - least)))
    with pytest.warns(privacy.DegenerateScoresWarning) as caught:
        assert privacy.audit_epsilon_by_two_models([1.0, 1.0], [1.0, 1.0], delta=0).lower_bound == 0
    assert caught[0].filename == __file__


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"scores": [1.0, 2.0]}, ValueError, "one coin for each of the 2 scores, got 4"),
    ({"scores": [1, math.nan, 2, 3]}, ValueError, "scores must not be NaN"),
    ({"scores": []}, ValueError, "scores"),
    ({"scores": [[1, 2], [3, 4]]}, ValueError, "[2, 2]"),
    ({"scores": ["a", "b", "c", "d"]}, TypeError, "scores"),
    ({"included": [0, 1, 2, 1]}, ValueError, "included must be True or False"),
    ({"included": [0, 1, math.nan, 1]}, ValueError, "included"),
    ({"delta": 1}, ValueError, "delta"),
    ({"delta": -1e-9}, ValueError, "delta"),
    ({"delta": math.nan}, ValueError, "delta"),
    ({"delta": "0"}, TypeError, "delta"),
    ({"confidence": 1}, ValueError, "confidence"),
    ({"confidence": 95}, ValueError, "confidence"),
    ({"guesses": 0}, ValueError, "guesses"),
    ({"guesses": 5}, ValueError, "at most the 4 canaries"),
    ({"guesses": 2.0}, TypeError, "guesses"),
]


@pytest.mark.parametrize(("wrong", "error", "words"), BAD)
def test_what_cannot_be_audited(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    usual = {"scores": [1.0, 2.0, 3.0, 4.0], "included": [0, 1, 0, 1], "delta": 1e-5}
    with refuses(error, words):
        privacy.audit_epsilon(**(usual | wrong))


def test_what_two_models_cannot_be_audited_by() -> None:
    for bad in ([1.0], [], [1.0, math.nan]):
        with refuses(ValueError, "scores_in"):
            privacy.audit_epsilon_by_two_models(bad, [1.0, 2.0], delta=0)
        with refuses(ValueError, "scores_out"):
            privacy.audit_epsilon_by_two_models([1.0, 2.0], bad, delta=0)
    with refuses(ValueError, "delta"):
        privacy.audit_epsilon_by_two_models([1.0, 2.0], [1.0, 2.0], delta=1)
    with refuses(ValueError, "confidence"):
        privacy.audit_epsilon_by_two_models([1.0, 2.0], [1.0, 2.0], delta=0, confidence=0)


def test_a_ragged_list_of_scores_is_named() -> None:
    with refuses(ValueError, "scores must have rows of one length"):
        privacy.audit_epsilon([[1.0], [1.0, 2.0]], [True, False], delta=0)
