"""The embarrassing question: two coins against their probabilities, and the estimator against all that can happen."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tml_helpers import privacy

N = 200_000
AWAY = 5.5  # standard errors: one test in twenty million strays so far


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("truth", [False, True])
def test_a_report_is_true_with_probability_half_of_one_plus_p(p: float, truth: bool) -> None:
    reports = privacy.randomized_response(torch.full((N,), truth), truth_probability=p, generator=generator())
    expected = (1 + p) / 2 if truth else (1 - p) / 2
    assert reports.dtype == torch.bool
    assert abs(reports.double().mean() - expected) < AWAY * math.sqrt(expected * (1 - expected) / N)


def test_each_person_has_own_coins() -> None:
    reports = privacy.randomized_response(torch.zeros(N), generator=generator()).double()
    neighbours = (reports[1:] * reports[:-1]).mean()
    assert abs(neighbours - 1 / 16) < AWAY * math.sqrt(1 / 16 / N) * 1.5


def test_epsilon_is_ln_3_and_is_the_ratio_of_what_is_reported() -> None:
    assert privacy.response_epsilon() == pytest.approx(math.log(3), abs=1e-15)
    for p in (0.01, 0.5, 0.99):
        assert privacy.response_epsilon(truth_probability=p) == pytest.approx(math.log((1 + p) / (1 - p)))


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_the_estimator_is_unbiased_over_all_that_can_be_reported(p: float) -> None:
    answers = [1, 0, 0, 1]
    mean = 0.0
    for reports in itertools.product((0, 1), repeat=4):
        chances = [(1 + p) / 2 if said == true else (1 - p) / 2 for said, true in zip(reports, answers, strict=True)]
        mean += math.prod(chances) * privacy.estimate_proportion(reports, truth_probability=p)
    assert mean == pytest.approx(0.5, abs=1e-12)


def test_the_lecture_notes_equation() -> None:
    """¾ P + ¼ (1 − P) = N_yes / N."""
    for yes in range(9):
        share = privacy.estimate_proportion([1] * yes + [0] * (8 - yes))
        assert 0.75 * share + 0.25 * (1 - share) == pytest.approx(yes / 8)
    assert privacy.estimate_proportion([0, 0]) == -0.5, "an unbiased estimate leaves [0, 1]"


@pytest.mark.parametrize("p", [0.3, 0.5, 0.8])
def test_the_standard_error_is_that_of_many_surveys(p: float) -> None:
    answers = torch.arange(400) < 120
    found = [
        privacy.proportion_interval(
            privacy.randomized_response(answers, truth_probability=p, generator=generator(seed)), truth_probability=p
        )
        for seed in range(400)
    ]
    # answers are fixed here: reports of "yes" and of "no" vary alike, by λ(1 − λ) of each one's own
    exact = math.sqrt((1 + p) / 2 * (1 - p) / 2 / 400) / p
    spread = np.std([one.estimate for one in found])
    assert spread == pytest.approx(exact, rel=AWAY / math.sqrt(800))
    assert np.mean([one.standard_error for one in found]) >= exact
    assert np.mean([one.low <= 0.3 <= one.high for one in found]) > 0.9


def test_the_interval_is_wilsons_undone() -> None:
    found = privacy.proportion_interval([1] * 60 + [0] * 40, truth_probability=0.5, confidence=0.9)
    wilson = stats.binomtest(60, 100).proportion_ci(0.9, method="wilson")
    assert found.estimate == pytest.approx(0.7)
    assert (found.low, found.high) == pytest.approx(((wilson.low - 0.25) / 0.5, (wilson.high - 0.25) / 0.5))
    assert found.standard_error == pytest.approx(np.std([1] * 60 + [0] * 40, ddof=1) / 10 / 0.5)
    assert privacy.proportion_interval([1] * 50).high == 1
    assert privacy.proportion_interval([0] * 50).low == 0


@given(st.lists(st.booleans(), min_size=1, max_size=50), st.floats(0.01, 0.99))
def test_reports_of_any_form_count_alike(reports: list[bool], p: float) -> None:
    forms: list[Any] = [reports, np.array(reports), torch.tensor(reports), torch.tensor(reports).float()]
    found = {privacy.estimate_proportion(form, truth_probability=p) for form in forms}
    assert len(found) == 1


def test_a_generator_repeats_and_its_absence_does_not() -> None:
    answers = torch.zeros(200)
    same = [privacy.randomized_response(answers, generator=generator(3)) for _ in range(2)]
    assert torch.equal(*same)
    assert not torch.equal(same[0], privacy.randomized_response(answers, generator=generator(4)))
    fresh = []
    for _ in range(2):
        torch.manual_seed(0)
        fresh.append(privacy.randomized_response(answers))
    assert not torch.equal(*fresh), "a survey in earnest must not hang on a seed that anybody can guess"


ANSWERS = {
    "another number": ([0, 1, 2], ValueError, "got 2"),
    "NaN": ([0, 1, math.nan], ValueError, "NaN"),
    "words": (["yes", "no"], TypeError, "numbers"),
    "None": ([None, 1], TypeError, "numbers"),
    "nobody": ([], ValueError, "at least one"),
    "a table": ([[0, 1], [1, 0]], ValueError, "[2, 2]"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_is_no_answer(kind: str) -> None:
    wrong, error, words = ANSWERS[kind]
    with refuses(error, "answers", words):
        privacy.randomized_response(wrong)
    with refuses(error, "reports", words):
        privacy.estimate_proportion(wrong)
    with refuses(error, "reports", words):
        privacy.proportion_interval(wrong)


@pytest.mark.parametrize("p", [0, 1, -0.1, 1.5, math.nan])
def test_what_is_no_probability(p: float) -> None:
    for call in (
        lambda: privacy.randomized_response([1], truth_probability=p),
        lambda: privacy.estimate_proportion([1], truth_probability=p),
        lambda: privacy.response_epsilon(truth_probability=p),
        lambda: privacy.proportion_interval([1, 0], truth_probability=p),
    ):
        with refuses(ValueError, "truth_probability must lie between 0 and 1"):
            call()
    with refuses(TypeError, "truth_probability must be a number, got '0.5'"):
        privacy.randomized_response([1], truth_probability="0.5")  # type: ignore[arg-type]
    with refuses(ValueError, "confidence"):
        privacy.proportion_interval([1, 0], confidence=1)
    with refuses(ValueError, "2 or more"):
        privacy.proportion_interval([1])
    with refuses(TypeError, "generator"):
        privacy.randomized_response([1], generator=0)  # type: ignore[arg-type]
