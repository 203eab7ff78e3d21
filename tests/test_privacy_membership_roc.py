"""The curve of a membership attack: counted by hand, with exact intervals, and never better than was measured."""

import itertools
import math

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tml_helpers.privacy import membership_roc

few_scores = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@given(members=few_scores, non_members=few_scores)
@settings(max_examples=200, deadline=None)
def test_curve_area_and_advantage_are_counted_by_hand(members: list[int], non_members: list[int]) -> None:
    roc = membership_roc(members, non_members)
    cuts = [math.inf, *sorted({*members, *non_members}, reverse=True)]
    expected = [[sum(score >= cut for score in group) / len(group) for group in (non_members, members)] for cut in cuts]
    found = torch.stack([roc.false_positive_rates, roc.true_positive_rates], dim=1).tolist()
    assert roc.thresholds.tolist() == cuts
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    pairs = [(m > n) + (m == n) / 2 for m, n in itertools.product(members, non_members)]
    assert roc.auc == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    assert roc.advantage == pytest.approx(max(t - f for f, t in expected), abs=1e-12)
    assert (roc.members, roc.non_members) == (len(members), len(non_members))
    assert roc.auc_low <= roc.auc + 1e-12
    assert roc.auc_high >= roc.auc - 1e-12


@given(members=few_scores, non_members=few_scores, allowed=st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_the_best_point_at_a_rate_is_that_of_a_search_over_thresholds(
    members: list[int], non_members: list[int], allowed: int
) -> None:
    allowed = min(allowed, len(non_members))
    point = membership_roc(members, non_members).tpr_at(allowed / len(non_members))
    best = max(
        sum(m >= cut for m in members)
        for cut in [math.inf, *members, *non_members]
        if sum(n >= cut for n in non_members) <= allowed
    )
    assert round(point.true_positive_rate * len(members)) == best
    assert sum(m >= point.threshold for m in members) == best
    assert point.false_positive_rate * len(non_members) <= allowed + 1e-9


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (3, 40), (12, 100)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_intervals_of_rates_are_exact(hits: int, trials: int, confidence: float) -> None:
    members = [2.0] * hits + [0.0] * (trials - hits)
    point = membership_roc(members, [1.0, 1.5, 0.5, 0.2], confidence=confidence).tpr_at(0.25)
    expected = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    assert (point.low, point.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    expected = stats.binomtest(1, 4).proportion_ci(confidence, method="exact")
    turned = membership_roc([0.0] * 7, [1.0, -1.5, -0.5, -0.2], confidence=confidence).tpr_at(0.3)
    found = (turned.false_positive_low, turned.false_positive_high)
    assert found == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_tie_of_all_scores_is_a_guess() -> None:
    """ML Privacy Meter 25: an attack that gave everybody the same answer was drawn with an area of 1."""
    roc = membership_roc([0.9] * 30, [0.9] * 20)
    assert (roc.auc, roc.advantage) == (0.5, 0)
    assert roc.true_positive_rates.tolist() == [0, 1]
    assert roc.tpr_at(0.5).true_positive_rate == 0
    assert roc.tpr_at(1).true_positive_rate == 1


def test_right_or_wrong_alone_resolves_no_small_rate() -> None:
    """A model that shows its first answer only: 98 % of members right, 90 % of others. No line is drawn to (0, 0)."""
    roc = membership_roc([1] * 98 + [0] * 2, [1] * 90 + [0] * 10)
    assert roc.tpr_at(0.01).true_positive_rate == 0
    assert roc.tpr_at(0.89).true_positive_rate == 0
    assert roc.tpr_at(0.9).true_positive_rate == 0.98
    assert roc.advantage == pytest.approx(0.08)


@pytest.mark.parametrize("fpr", [0.07, 0.29, 0.57, 0.58, 1.0])
def test_a_rate_that_is_a_whole_number_of_people_allows_that_number(fpr: float) -> None:
    """0.29 · 100 is 28.999999999999996 in a computer."""
    others = np.arange(100.0)
    point = membership_roc([-1.0], others).tpr_at(fpr)
    assert round(100 * point.false_positive_rate) == round(100 * fpr)


def test_a_rate_that_so_few_cannot_resolve_is_refused() -> None:
    roc = membership_roc(np.arange(500.0), np.arange(500.0))
    with refuses(ValueError, "0.001 cannot be measured with 500 non-members", "at least 1000"):
        roc.tpr_at(0.001)
    assert roc.tpr_at(1 / 500).false_positive_rate == 1 / 500
    assert membership_roc([1.0], np.arange(1000.0)).tpr_at(0.001).false_positive_rate == 0.001
    for fpr in (0, -0.1, 1.1, math.nan):
        with refuses(ValueError, "fpr must lie above 0"):
            roc.tpr_at(fpr)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
def test_the_interval_of_the_area_holds_what_it_promises(shift: float) -> None:
    """Of 300 samples from two normals of known area, 95 % intervals miss it in 0.5 % to 11 %: ±5 standard errors."""
    truth = stats.norm.cdf(shift / math.sqrt(2))
    misses = 0
    for seed in range(300):
        g = torch.Generator().manual_seed(seed)
        roc = membership_roc(
            torch.randn(80, generator=g, dtype=torch.float64) + shift,
            torch.randn(120, generator=g, dtype=torch.float64),
        )
        misses += not roc.auc_low <= truth <= roc.auc_high
    assert 0.005 * 300 <= misses <= 0.11 * 300


def test_the_interval_of_the_area_at_a_half_is_that_of_the_mann_whitney_test() -> None:
    roc = membership_roc([1, 4, 5, 8], [2, 3, 6, 7])
    assert roc.auc == 0.5
    edge = roc.auc_high
    shape = (1 - edge) / (2 - edge) + edge / (1 + edge)
    variance = edge * (1 - edge) * (1 + (4 - 1) * shape) / 16
    assert edge - 0.5 == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(variance), rel=1e-9)
    assert roc.auc_low == pytest.approx(1 - edge)


def test_full_separation_is_not_certainty() -> None:
    roc = membership_roc([3.0, 4.0], [1.0, 2.0])
    assert (roc.auc, roc.auc_high) == (1, 1)
    assert roc.auc_low < 0.6
    roc = membership_roc([1.0, 2.0], [3.0, 4.0])
    assert (roc.auc, roc.auc_low) == (0, 0)
    assert roc.auc_high > 0.4


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64])
def test_scores_of_any_number_type_and_of_any_kind_of_sequence(kind: torch.dtype) -> None:
    members = torch.tensor([3, 1, 2], dtype=kind)
    expected = membership_roc([3.0, 1.0, 2.0], [0.0, 2.0]).auc
    for scores in (members, members.numpy(), members.tolist(), torch.stack([members, members], 1)[:, 0]):
        roc = membership_roc(scores, [0, 2])
        assert roc.auc == expected
        assert roc.true_positive_rates.dtype == torch.float64


def test_scores_of_half_precision_and_with_a_gradient() -> None:
    for kind in (torch.bfloat16, torch.float16):
        assert membership_roc(torch.tensor([3.0, 1.0], dtype=kind, requires_grad=True), [2.0]).auc == 0.5


def test_neighbouring_scores_of_double_precision_are_no_tie() -> None:
    assert membership_roc([1 + 1e-15], [1.0]).auc == 1


def test_what_is_no_score_is_refused() -> None:
    mask = torch.tensor([True, False, True])
    for wrong, kind, words in (
        (mask, TypeError, "scores[mask]"),
        (["a", "b"], TypeError, "must be numbers"),
        ([1 + 2j], TypeError, "must be numbers"),
        ([], ValueError, "one score or more"),
        ([[1.0, 2.0]], ValueError, "shape [1, 2]"),
        (1.0, ValueError, "shape []"),
        ([1.0, math.nan], ValueError, "finite"),
        ([1.0, -math.inf], ValueError, "finite"),
    ):
        with refuses(kind, "non_members", words):
            membership_roc([1.0, 2.0], wrong)
        with refuses(kind, "members", words):
            membership_roc(wrong, [1.0, 2.0])
    for confidence in (0, 1, 95, math.nan):
        with refuses(ValueError, "confidence must lie between 0 and 1"):
            membership_roc([1.0], [2.0], confidence=confidence)


@pytest.mark.parametrize("wrong", [None, "0.1", True])
def test_a_rate_or_a_confidence_that_is_no_number(wrong: object) -> None:
    curve = membership_roc([1.0, 2.0], [0.0, 1.0])
    with refuses(TypeError, "fpr must be a number"):
        curve.tpr_at(wrong)  # type: ignore[arg-type]
    with refuses(TypeError, "confidence must be a number"):
        membership_roc([1.0], [0.0], confidence=wrong)  # type: ignore[arg-type]


def test_ragged_scores_are_named() -> None:
    with refuses(ValueError, "non_members must have rows of one length"):
        membership_roc([1.0], [[1.0], [1.0, 2.0]])
