"""Scores against what happened, by group."""

import numpy as np
import pytest

from tml_helpers import data, fairness


def test_a_table_that_is_small_enough_to_count() -> None:
    scores = [0.1, 0.3, 0.3, 0.9, 0.2, 1.0]
    found = fairness.calibration_by_group([0, 1, 0, 0, 0, 0], scores, sensitive_features=list("aaaabb"), bins=2)
    assert list(found.table.index) == ["a", "a", "b", "b"]
    assert list(found.table["bin"]) == [0, 1, 0, 1]
    assert list(found.table["count"]) == [3, 1, 1, 1]
    np.testing.assert_allclose(found.table["mean_score"], [0.7 / 3, 0.9, 0.2, 1.0])
    np.testing.assert_allclose(found.table["observed_rate"], [1 / 3, 0, 0, 0])
    np.testing.assert_allclose(found.summary["base_rate"], [0.25, 0])
    np.testing.assert_allclose(found.summary["gap"], [0.4 - 0.25, 0.6])
    np.testing.assert_allclose(found.summary["expected_calibration_error"], [(0.3 + 0.9) / 4, 1.2 / 2])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("bins", [3, 5, 7, 10, 20, 100])
def test_a_score_of_k_parts_of_the_bins_is_in_bin_k(bins: int, dtype: type) -> None:
    """0.3 is three tenths, and belongs to bin 3, though 3 · 0.1 is a little more than 0.3."""
    scores = (np.arange(bins + 1) / bins).astype(dtype)
    found = fairness.calibration_by_group(
        np.zeros(bins + 1, int), scores, sensitive_features=["a"] * (bins + 1), bins=bins
    )
    assert list(found.table["bin"]) == list(range(bins))
    assert list(found.table["count"]) == [1] * (bins - 1) + [2]


def test_calibrated_scores_are_calibrated_in_each_group_and_shifted_ones_are_not() -> None:
    random = np.random.default_rng(0)
    scores, groups = random.beta(2, 3, 40_000), random.integers(0, 2, 40_000)
    happened = random.random(40_000) < np.where(groups == 1, scores**2, scores)
    found = fairness.calibration_by_group(happened, scores, sensitive_features=groups)
    inside = (found.table["low"] <= found.table["mean_score"]) & (found.table["mean_score"] <= found.table["high"])
    assert inside[0].mean() >= 0.6
    assert inside[1].mean() <= 0.4
    assert abs(found.summary.loc[0, "gap"]) < 0.02 < found.summary.loc[1, "gap"]


def test_compas_deciles_mean_much_the_same_for_both_groups() -> None:
    """Northpointe's answer to ProPublica: of each decile, about as many were rearrested in both groups."""
    people = data.expand_counts(data.compas())
    two = people[people["race"].isin(["African-American", "Caucasian"])]
    table = fairness.calibration_by_group(
        two["rearrested"], two["decile"] / 10 - 0.05, sensitive_features=two["race"]
    ).table
    rates = table.reset_index().pivot(index="bin", columns="race", values="observed_rate")
    assert rates.shape == (10, 2)
    assert (rates["African-American"] - rates["Caucasian"]).abs().max() < 0.15


def test_a_group_that_is_declared_and_empty_has_no_row() -> None:
    import pandas

    groups = pandas.Categorical(["a", "a"], categories=["a", "b"])
    found = fairness.calibration_by_group([0, 1], [0.5, 0.5], sensitive_features=groups)
    assert list(found.summary.index) == ["a"]
    assert not found.summary.isna().any().any()
