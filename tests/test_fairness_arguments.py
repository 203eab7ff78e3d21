"""Columns that cannot be read are refused in one sentence: nothing is dropped, guessed or aligned."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from bad_input import refuses

from tml_helpers import fairness

Y, Y_HAT, GROUPS = [1, 0, 1, 0], [1, 1, 0, 0], ["a", "a", "b", "b"]
METRICS: dict[str, Callable[..., Any]] = {
    "group_metrics": fairness.group_metrics,
    "audit": fairness.audit,
    "demographic_parity_difference": fairness.demographic_parity_difference,
    "demographic_parity_ratio": fairness.demographic_parity_ratio,
    "equal_opportunity_difference": fairness.equal_opportunity_difference,
    "equalized_odds_difference": fairness.equalized_odds_difference,
    "predictive_parity_difference": fairness.predictive_parity_difference,
    "calibration_by_group": fairness.calibration_by_group,
}
BINARY = {  # what is no column of 0 and 1: the error, and words of its sentence
    "another class": ([0, 1, 2, 0], ValueError, "must be 0 or 1, got 2"),
    "minus one": ([1, -1, 1, -1], ValueError, "must be 0 or 1, got -1"),
    "minus one in a byte": (np.array([1, -1, 1, -1], dtype=np.int8), ValueError, "got -1"),
    "NaN": ([1, 0, np.nan, 0], ValueError, "missing in 1 of 4 rows"),
    "None": ([1, 0, None, 0], ValueError, "missing in 1 of 4 rows"),
    "NA": (pandas.Series([1, 0, None, 0], dtype="Int64"), ValueError, "missing in 1 of 4 rows"),
    "masked": (np.ma.masked_array([1, 0, 1, 0], mask=[0, 1, 0, 0]), ValueError, "masked"),
    "infinite": ([1, 0, np.inf, 0], ValueError, "got inf"),
    "words": (["0", "1", "0", "1"], TypeError, "strings"),
    "words of NumPy": (np.array(["yes", "no", "no", "no"]), TypeError, "strings"),
    "complex": (np.array([1, 0, 1j, 0]), TypeError, "complex"),
    "dates": (np.array(["2020-01-01"] * 4, dtype="datetime64[D]"), TypeError, "dates"),
    "two columns": ([[1, 0], [1, 0], [0, 1], [0, 1]], ValueError, "shape [4, 2]"),
    "a frame": (pandas.DataFrame({"y": [1, 0, 1, 0]}), ValueError, "shape [4, 1]"),
    "a number": (1, ValueError, "shape []"),
    "nothing": ([], ValueError, "at least one row"),
}


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize("name", METRICS)
def test_labels_are_0_or_1_and_none_is_missing(name: str, kind: str) -> None:
    wrong, error, words = BINARY[kind]
    with refuses(error, "y_true", words):
        METRICS[name](wrong, Y_HAT, sensitive_features=GROUPS)


@pytest.mark.parametrize("kind", BINARY)
def test_predictions_are_0_or_1_and_none_is_missing(kind: str) -> None:
    wrong, error, words = BINARY[kind]
    with refuses(error, "y_pred", words):
        fairness.group_metrics(Y, wrong, sensitive_features=GROUPS)


def test_scores_in_place_of_predictions_are_refused_with_the_remedy() -> None:
    with refuses(ValueError, "y_pred must be 0 or 1, got 0.7", "scores >= 0.5"):
        fairness.group_metrics(Y, [0.7, 0.2, 0.9, 0.1], sensitive_features=GROUPS)
    with refuses(ValueError, "y_pred", "0.25"):
        fairness.group_metrics(Y, torch.tensor([0.25, 1, 0, 1]), sensitive_features=GROUPS)


@pytest.mark.parametrize("scores", [[0.1, 0.2, 1.5, 0.3], [-0.1, 0.2, 0.5, 0.3], torch.tensor([3.0, -2.0, 0.0, 1.0])])
def test_scores_lie_between_0_and_1(scores: Any) -> None:
    with refuses(ValueError, "y_score must lie in [0, 1]", "sigmoid"):
        fairness.calibration_by_group(Y, scores, sensitive_features=GROUPS)


def test_scores_that_are_missing() -> None:
    with refuses(ValueError, "y_score is missing in 2 of 4 rows"):
        fairness.calibration_by_group(Y, [0.1, np.nan, np.nan, 0.3], sensitive_features=GROUPS)


@pytest.mark.parametrize("name", METRICS)
def test_lengths_that_differ(name: str) -> None:
    with refuses(ValueError, "4", "3"):
        METRICS[name](Y, Y_HAT[:3], sensitive_features=GROUPS)
    with refuses(ValueError, "group has 3 rows, but y_true has 4"):
        METRICS[name](Y, Y_HAT, sensitive_features=GROUPS[:3])
    with refuses(ValueError, "race has 3 rows"):
        METRICS[name](Y, Y_HAT, sensitive_features={"sex": GROUPS, "race": GROUPS[:3]})


MISSING = {
    "a list of words": ["a", "a", np.nan, "b"],
    "None in a list": ["a", "a", None, "b"],
    "an array": np.array(["a", "a", np.nan, "b"], dtype=object),
    "a Series": pandas.Series(["a", "a", None, "b"]),
    "a category": pandas.Series(["a", "a", None, "b"], dtype="category"),
    "numbers": [1.0, 2.0, np.nan, 2.0],
    "nullable": pandas.Series([1, 1, None, 2], dtype="Int64"),
    "dates": pandas.to_datetime(["2020-01-01", "2020-01-01", None, "2021-01-01"]),
    "crossed": {"group": ["a", "a", None, "b"], "sex": list("fmfm")},
    "a frame": pandas.DataFrame({"group": ["a", "a", None, "b"], "sex": list("fmfm")}),
}


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("name", ["group_metrics", "audit", "calibration_by_group"])
def test_a_missing_attribute_is_no_group_and_no_row_that_is_dropped(name: str, kind: str) -> None:
    """One form of it made a group called nan, another left its row out of the groups and kept it in the total."""
    with refuses(ValueError, "group is missing in 1 of 4 rows", "not stated"):
        METRICS[name](Y, Y_HAT, sensitive_features=MISSING[kind])


NO_GROUPS = {
    "a word": ("sex", TypeError, "one value a row"),
    "None": (None, TypeError, "NoneType"),
    "a dict of words": ({"sex": "f"}, ValueError, "sex must be one column"),
    "no column": ({}, ValueError, "at least one column"),
    "an empty frame": (pandas.DataFrame(index=range(4)), ValueError, "at least one column"),
    "a name twice": (pandas.DataFrame([list("ab")] * 4, columns=["A", "A"]), ValueError, "different names"),
    "a column twice": ([pandas.Series(GROUPS, name="A"), pandas.Series(GROUPS, name="A")], ValueError, "twice"),
}


@pytest.mark.parametrize("kind", NO_GROUPS)
def test_what_is_no_attribute(kind: str) -> None:
    wrong, error, words = NO_GROUPS[kind]
    with refuses(error, words):
        fairness.group_metrics(Y, Y_HAT, sensitive_features=wrong)


def test_a_name_or_a_measurement_is_no_group() -> None:
    """A thousand values of an attribute were a thousand groups of one, each perfectly fair."""
    y = np.arange(1000) % 2
    for column in (np.arange(1000), np.random.default_rng(0).random(1000), [f"person {n}" for n in range(1000)]):
        with refuses(ValueError, "1000 values in 1000 rows", "cut it into classes"):
            fairness.group_metrics(y, y, sensitive_features=column)


def test_crossing_too_much_is_refused() -> None:
    columns = [np.arange(60_000) % 300, np.arange(60_000) % 299]
    with refuses(ValueError, "300 × 299 groups are too many"):
        fairness.group_metrics(np.arange(60_000) % 2, np.arange(60_000) % 2, sensitive_features=columns)


def test_numbers_of_an_audit_and_of_calibration() -> None:
    usual = {"y_true": Y, "y_pred": Y_HAT, "sensitive_features": GROUPS}
    for confidence in (0, 1, 95, np.nan):
        with refuses(ValueError, "confidence must lie between 0 and 1"):
            fairness.audit(**usual, confidence=confidence)
        with refuses(ValueError, "confidence must lie between 0 and 1"):
            fairness.calibration_by_group(Y, Y_HAT, sensitive_features=GROUPS, confidence=confidence)
    for name in ("minimum", "draws"):
        with refuses(ValueError, name, "1 or more"):
            fairness.audit(**usual, **{name: 0})
        with refuses(TypeError, name, "whole number"):
            fairness.audit(**usual, **{name: 1.5})
    with refuses(ValueError, "bins"):
        fairness.calibration_by_group(Y, Y_HAT, sensitive_features=GROUPS, bins=0)
    with refuses(ValueError, "one group only"):
        fairness.audit(Y, Y_HAT, sensitive_features=["a"] * 4)
    with refuses(ValueError, "at most 100 groups, got 101"):
        fairness.audit([0, 1] * 202, [0, 1] * 202, sensitive_features=np.repeat(np.arange(101), 4))


VALUES = {  # what pandas cannot put in order, or cannot look up
    "words and pairs": pandas.Series(["a", ("b", 1), "a", 2]),
    "lists": pandas.Series([["a"], ["b"], ["a"], ["b"]]),
    "sets": pandas.Series([{"a"}, {"b"}, {"a", "b"}, {"b"}]),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_that_are_no_groups_are_refused_in_words(kind: str) -> None:
    """Fairlearn 1550: a column of lists ended in an error about shapes."""
    with refuses(TypeError, "group must hold words, numbers or dates"):
        fairness.group_metrics(Y, Y_HAT, sensitive_features=VALUES[kind])


def test_a_batch_may_have_few_people_of_many_groups() -> None:
    """A policy for three hundred districts refused each batch of a hundred people: most had one of their own."""
    random = np.random.default_rng(0)
    y, scores, district = random.integers(0, 2, 6000), random.random(6000), np.arange(6000) % 300
    policy = fairness.group_thresholds(y, scores, sensitive_features=district, constraint="demographic_parity")
    all_at_once = policy.probabilities(scores, sensitive_features=district)
    for form in (district, pandas.Categorical(district)):
        few = policy.probabilities(scores[:100], sensitive_features=form[:100])
        np.testing.assert_array_equal(few, all_at_once[:100])
    with refuses(ValueError, "group has 3 rows, but y_score has 4"):
        policy.probabilities(scores[:4], sensitive_features=district[:3])


def test_a_group_of_number_256_is_not_that_of_number_0() -> None:
    """Numbers that fit in a byte are taken as they are: the first that does not must not be cut."""
    numbers = np.repeat(np.arange(257), 3)
    y = numbers == 256
    found = fairness.group_metrics(y, y, sensitive_features=numbers)
    assert list(found.groups) == [*range(257)]
    assert found.table.loc[256, "base_rate"] == 1
    assert found.table.loc[0, "base_rate"] == 0


def test_declared_categories_that_few_rows_have_are_no_measurement() -> None:
    """The states of a country as categories were taken for names where an audit had fewer than a hundred people."""
    state = pandas.Categorical(np.arange(600) % 52, categories=range(52))
    y = np.arange(600) // 52 % 2
    some = np.flatnonzero(state.codes < 5)
    assert len(fairness.group_metrics(y[some], y[some], sensitive_features=state[some]).groups) == 52
    with refuses(ValueError, "52 values in 60 rows"):
        fairness.group_metrics(y[:60], y[:60], sensitive_features=state[:60])
