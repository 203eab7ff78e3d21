"""Reweighing against the paper's own table, and against what it is for: labels independent of groups."""

from typing import Any

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_helpers.fairness import UndefinedMetricError, reweighing_weights


def test_the_weights_of_the_papers_applicants() -> None:
    """Kamiran and Calders, 2012, table 1 and section 5.2: ten applicants for a job, six of them accepted."""
    sex = ["m"] * 5 + ["f"] * 5
    accepted = [1, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    weights = reweighing_weights(accepted, sensitive_features=sex)
    by_cell = {"m1": 0.75, "m0": 2.0, "f1": 1.5, "f0": 2 / 3}
    np.testing.assert_allclose(weights, [by_cell[f"{s}{y}"] for s, y in zip(sex, accepted, strict=True)], rtol=1e-15)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=5))
def test_weighted_labels_are_independent_of_groups_and_shares_are_kept(cells: list[tuple[int, int]]) -> None:
    group = np.repeat(range(len(cells)), [sum(cell) for cell in cells])
    label = np.concatenate([np.repeat([0, 1], cell) for cell in cells])
    weights = reweighing_weights(label, sensitive_features=group)
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(len(label))
    for g in range(len(cells)):
        one = group == g
        assert weights[one].sum() == pytest.approx(one.sum())
        assert np.average(label[one], weights=weights[one]) == pytest.approx(label.mean())


def test_each_group_has_its_own_weights() -> None:
    """AIF360 429: of three groups, all but one privileged, only four different weights came back."""
    label = [0] + [1] * 2 + [0] * 3 + [1] + [0] * 2 + [1] * 5
    group = ["a"] * 3 + ["b"] * 4 + ["c"] * 7
    assert len(set(reweighing_weights(label, sensitive_features=group).round(12))) == 6


def test_weights_do_not_make_groups_equally_large() -> None:
    """As "reweighting" by inverse frequency does, which ignores the label: another method, often mistaken for this."""
    weights = reweighing_weights([0, 1] * 4 + [0, 1], sensitive_features=["many"] * 8 + ["few"] * 2)
    np.testing.assert_allclose(weights, 1, rtol=1e-15)


def test_rows_are_read_by_position_and_attributes_are_crossed() -> None:
    label, first, second = [0, 1, 0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0, 1, 1], list("xxxxyyyy")
    label[5], label[7] = 0, 1
    crossed = pandas.DataFrame({"first": first, "second": second}, index=[5, 3, 1, 7, 0, 2, 4, 6])
    joined = [f"{a}{b}" for a, b in zip(first, second, strict=True)]
    mine = reweighing_weights(pandas.Series(label, index=range(8, 0, -1)), sensitive_features=crossed)
    np.testing.assert_array_equal(mine, reweighing_weights(torch.tensor(label), sensitive_features=joined))


@pytest.mark.parametrize(
    ("label", "group", "error", "sentence"),
    [
        ([0, 1, 0, 0], ["a", "a", "b", "b"], UndefinedMetricError, "group b has nobody with label 1"),
        ([0, 1, 2, 1], ["a", "a", "b", "b"], ValueError, "must be 0 or 1, got 2"),
        ([0, 1, np.nan, 1], ["a", "a", "b", "b"], ValueError, "missing in 1 of 4"),
        ([0, 1, 0, 1], ["a", "a", "b", None], ValueError, "missing in 1 of 4"),
        ([0, 1, 0, 1], ["a", "a", "b"], ValueError, "3 rows"),
        (["no", "yes"], ["a", "b"], TypeError, "must be 0 or 1"),
    ],
)
def test_it_refuses(label: Any, group: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        reweighing_weights(label, sensitive_features=group)


def test_a_declared_group_that_nobody_is_in_changes_nothing() -> None:
    """And divides nothing by 0, which NumPy would tell."""
    label, group = [0, 1, 1, 0, 1], ["a", "a", "b", "b", "b"]
    declared = pandas.Categorical(group, categories=["a", "b", "c"])
    with np.errstate(all="raise"):
        found = reweighing_weights(label, sensitive_features=declared)
    np.testing.assert_array_equal(found, reweighing_weights(label, sensitive_features=group))
