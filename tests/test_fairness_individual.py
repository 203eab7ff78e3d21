"""Pairs that are treated less alike than they are, and rewards that are out of proportion."""

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_helpers import fairness

NEAR = [[0, 0.1, 1.0], [0.1, 0, 0.5], [1.0, 0.5, 0]]


def test_the_pairs_whose_outputs_differ_too_much() -> None:
    """0.9 and 0.5 differ by 0.4, allowed 0.1; 0.9 and 0.1 by 0.8 of 1; 0.5 and 0.1 by 0.4 of 0.5."""
    found = fairness.lipschitz_violations([0.9, 0.5, 0.1], NEAR)
    assert (len(found), found.pairs, found.share) == (1, 3, pytest.approx(1 / 3))
    row = found.table.iloc[0]
    assert (row["first"], row["second"]) == (0, 1)
    assert list(row[["difference", "allowed", "excess"]]) == pytest.approx([0.4, 0.1, 0.3])


def test_distributions_differ_by_half_the_sum_of_their_differences() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.7, 0.1, 0.2]])
    found = fairness.lipschitz_violations(rows, np.zeros((3, 3))).table
    assert list(zip(found["first"], found["second"], strict=True)) == [(0, 1), (1, 2), (0, 2)]
    np.testing.assert_allclose(found["difference"], [0.6, 0.6, 0.1])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_it_is_every_pair_that_a_double_loop_finds(scores: list[float], seed: int) -> None:
    n = len(scores)
    distances = np.abs(np.subtract.outer(*[np.random.default_rng(seed).random(n)] * 2))
    found = fairness.lipschitz_violations(scores, distances).table
    pairs = {(i, j) for i in range(n) for j in range(i + 1, n) if abs(scores[i] - scores[j]) - distances[i, j] > 1e-9}
    assert set(zip(found["first"], found["second"], strict=True)) == pairs
    assert (np.diff(found["excess"]) <= 0).all()


def test_a_difference_that_is_just_allowed_is_none_in_spite_of_rounding() -> None:
    """0.8 − 0.7 is 0.10000000000000009."""
    assert len(fairness.lipschitz_violations([0.7, 0.8], [[0, 0.1], [0.1, 0]])) == 0
    assert len(fairness.lipschitz_violations([0.7, 0.8], [[0, 0.0999], [0.0999, 0]])) == 1
    assert len(fairness.lipschitz_violations([0.7, 0.8], [[0, 0.0999], [0.0999, 0]], tolerance=1e-3)) == 0


def test_the_same_for_all_is_fair_and_any_difference_between_the_same_is_not() -> None:
    assert len(fairness.lipschitz_violations(torch.full((20,), 0.3), np.zeros((20, 20)))) == 0
    assert fairness.lipschitz_violations(np.linspace(0, 1, 20), np.zeros((20, 20))).share == 1
    assert len(fairness.lipschitz_violations(np.linspace(0, 1, 20), np.ones((20, 20)) - np.eye(20))) == 0


def test_outputs_and_distances_that_are_none() -> None:
    good = [0.9, 0.5, 0.1]
    with refuses(ValueError, "symmetric"):
        fairness.lipschitz_violations(good, [[0, 0.1, 1], [0.2, 0, 0.5], [1, 0.5, 0]])
    with refuses(ValueError, "0 from each person"):
        fairness.lipschitz_violations(good, np.ones((3, 3)))
    for wrong in (-1, np.nan):
        with refuses(ValueError, "distances must be 0 or more"):
            fairness.lipschitz_violations(good, np.full((3, 3), wrong))
    with refuses(ValueError, "matrix of numbers [N, N]", "[3, 2]"):
        fairness.lipschitz_violations(good, np.ones((3, 2)))
    with refuses(ValueError, "predictions 3, distances 2"):
        fairness.lipschitz_violations(good, np.zeros((2, 2)))
    with refuses(ValueError, "two people"):
        fairness.lipschitz_violations([0.1], [[0]])
    with refuses(ValueError, "predictions must lie in [0, 1]"):
        fairness.lipschitz_violations([2.0, 0.5, 0.1], NEAR)
    with refuses(ValueError, "predictions is missing"):
        fairness.lipschitz_violations([np.nan, 0.5, 0.1], NEAR)
    for rows in ([[0.9, 0.9]] * 3, [[1.5, -0.5]] * 3, [[np.nan, 1]] * 3):
        with refuses(ValueError, "distributions"):
            fairness.lipschitz_violations(rows, NEAR)


def test_rewards_in_proportion() -> None:
    found = fairness.proportional_fairness([10, 20, 70], [1, 2, 7])
    assert found.ordered
    assert found.largest_gap == pytest.approx(0)
    np.testing.assert_allclose(found.table["ratio"], 1)


def test_rewards_in_order_and_out_of_proportion() -> None:
    """Of 12 in all, contributions of 1, 2 and 3 deserve 2, 4 and 6."""
    found = fairness.proportional_fairness([1, 2, 3], [3, 4, 5])
    assert found.ordered
    np.testing.assert_allclose(found.table["deserved"], [2, 4, 6])
    assert found.largest_gap == pytest.approx(0.5)


def test_pairs_that_are_out_of_order() -> None:
    found = fairness.proportional_fairness([1, 1, 5, 9], [2, 3, 4, 3.5])
    rows = {(row.agent, row.other, row.reason) for row in found.violations.itertuples()}
    assert rows == {(1, 0, "gave the same and got more"), (3, 2, "gave more and did not get more")}
    assert not found.ordered


def test_one_model_for_all_is_out_of_order_unless_all_gave_the_same() -> None:
    """What plain federated averaging does: each agent gets the same, whatever it gave."""
    rounding = fairness.proportional_fairness([1, 2, 3], [1, 1000, 1000 + 5e-7])  # equal, beside the largest
    assert rounding.violations[["agent", "other"]].to_numpy().tolist() == [[2, 1]]
    assert len(fairness.proportional_fairness([1, 2, 3, 4], [0.9] * 4).violations) == 6
    assert fairness.proportional_fairness([2] * 4, [0.9] * 4).ordered


@given(
    st.lists(st.floats(0.1, 100), min_size=2, max_size=8),
    st.floats(0.1, 100),
    st.floats(0.1, 100),
)
@settings(max_examples=40, deadline=None)
def test_units_do_not_matter(contributions: list[float], one: float, other: float) -> None:
    rewards = np.sqrt(contributions)
    usual = fairness.proportional_fairness(contributions, rewards)
    scaled = fairness.proportional_fairness(np.array(contributions) * one, rewards * other)
    np.testing.assert_allclose(scaled.table["ratio"], usual.table["ratio"])
    np.testing.assert_allclose(scaled.largest_gap, usual.largest_gap, atol=1e-9)


def test_contributions_and_rewards_that_cannot_be_shared() -> None:
    with refuses(ValueError, "contributions must be above 0, got 0"):
        fairness.proportional_fairness([0, 1], [1, 1])
    with refuses(ValueError, "rewards must be finite and 0 or more, got -1"):
        fairness.proportional_fairness([1, 1], [-1, 1])
    with refuses(ValueError, "contributions must be finite", "inf"):
        fairness.proportional_fairness([1, np.inf], [1, 1])
    with refuses(ValueError, "rewards must not all be 0"):
        fairness.proportional_fairness([1, 1], [0, 0])
    with refuses(ValueError, "contributions 2, rewards 3"):
        fairness.proportional_fairness([1, 1], [1, 1, 1])
    with refuses(ValueError, "two agents"):
        fairness.proportional_fairness([1], [1])
    with refuses(ValueError, "rewards is missing"):
        fairness.proportional_fairness([1, 1], [1, np.nan])
    with refuses(TypeError, "contributions must be numbers", "strings"):
        fairness.proportional_fairness(["much", "little"], [1, 1])
