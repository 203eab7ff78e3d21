"""Rates by group and the criteria: against counting by hand, the laws that they obey, and what is undefined."""

import warnings
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pandas
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_helpers import data, fairness

DIFFERENCES = {
    "selection_rate": fairness.demographic_parity_difference,
    "true_positive_rate": fairness.equal_opportunity_difference,
    "positive_predictive_value": fairness.predictive_parity_difference,
}
rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from("abc")), min_size=1, max_size=60)


def of(columns: list[tuple[int, int, str]]) -> fairness.GroupMetrics:
    y, y_hat, group = zip(*columns, strict=True)
    return fairness.group_metrics(list(y), list(y_hat), sensitive_features=list(group))


def by_hand(columns: list[tuple[int, int, str]], group: str) -> dict[str, Fraction | None]:
    """Each rate as a fraction, counted row by row; None where nobody is counted."""
    own = [(y, y_hat) for y, y_hat, g in columns if g == group]

    def share(hit: list[bool], of: list[bool]) -> Fraction | None:
        return Fraction(sum(h and o for h, o in zip(hit, of, strict=True)), sum(of)) if any(of) else None

    positive, selected = [y == 1 for y, _ in own], [y_hat == 1 for _, y_hat in own]
    negative, rejected = [not p for p in positive], [not s for s in selected]
    everybody = [True] * len(own)
    return {
        "base_rate": share(positive, everybody),
        "selection_rate": share(selected, everybody),
        "true_positive_rate": share(selected, positive),
        "false_positive_rate": share(selected, negative),
        "false_negative_rate": share(rejected, positive),
        "true_negative_rate": share(rejected, negative),
        "positive_predictive_value": share(positive, selected),
        "negative_predictive_value": share(negative, rejected),
        "accuracy": share([y == y_hat for y, y_hat in own], everybody),
    }


@given(rows)
@settings(max_examples=60, deadline=None)
def test_every_rate_is_the_one_that_is_counted_by_hand_or_undefined(columns: list[tuple[int, int, str]]) -> None:
    found = of(columns)
    reasons = set(zip(found.undefined["group"], found.undefined["metric"], strict=True))
    for group, row in found.table.iterrows():
        for name, share in by_hand(columns, group).items():
            if share is None:
                assert row[name] is pandas.NA
                assert (group, name) in reasons
            else:
                assert row[name] == float(share)
                assert (group, name) not in reasons


@given(rows, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_and_the_names_of_groups_do_not_matter(columns: list[tuple[int, int, str]], random) -> None:
    mixed = list(columns)
    random.shuffle(mixed)
    renamed = [(y, y_hat, {"a": "z", "b": "y", "c": "x"}[g]) for y, y_hat, g in mixed]
    np.testing.assert_array_equal(of(mixed).counts, of(columns).counts)
    np.testing.assert_array_equal(of(renamed).counts[::-1], of(columns).counts)


@given(rows)
@settings(max_examples=40, deadline=None)
def test_the_other_class_as_positive_turns_each_rate_into_its_twin(columns: list[tuple[int, int, str]]) -> None:
    """A library gave the same false positive rate whichever class was called positive."""
    table, turned = of(columns).table, of([(1 - y, 1 - y_hat, g) for y, y_hat, g in columns]).table
    for one, other in (
        ("true_positive_rate", "true_negative_rate"),
        ("false_positive_rate", "false_negative_rate"),
        ("positive_predictive_value", "negative_predictive_value"),
    ):
        assert turned[one].equals(table[other])
    assert turned["accuracy"].equals(table["accuracy"])


def test_compas_as_published() -> None:
    """ProPublica's table of 2016: false positives 44.85 and 23.45 %, false negatives 27.99 and 47.72 %."""
    people = data.expand_counts(data.compas())
    high = people["score_text"] != "Low"
    table = fairness.group_metrics(people["rearrested"], high, sensitive_features=people["race"]).table
    percent = (100 * table[["false_positive_rate", "false_negative_rate"]]).round(2)
    assert list(percent.loc["African-American"]) == [44.85, 27.99]
    assert list(percent.loc["Caucasian"]) == [23.45, 47.72]


def test_differences_and_the_ratio_of_a_table_that_is_small_enough_to_count() -> None:
    """a: 3 of 4 selected, 1 of 2 positives, 2 of 2 negatives; b: 1 of 5, 1 of 2, 0 of 3."""
    y = [1, 1, 0, 0, 1, 1, 0, 0, 0]
    y_hat = [1, 0, 1, 1, 1, 0, 0, 0, 0]
    groups = list("aaaabbbbb")
    assert fairness.demographic_parity_difference(y, y_hat, sensitive_features=groups) == 3 / 4 - 1 / 5
    assert fairness.demographic_parity_ratio(y, y_hat, sensitive_features=groups) == (1 / 5) / (3 / 4)
    assert fairness.equal_opportunity_difference(y, y_hat, sensitive_features=groups) == 0
    assert fairness.equalized_odds_difference(y, y_hat, sensitive_features=groups) == 1
    assert fairness.predictive_parity_difference(y, y_hat, sensitive_features=groups) == 1 - 1 / 3


def test_equalized_odds_does_not_let_two_differences_cancel() -> None:
    """The average of the two signed differences is 0 here, which was read as equal odds; no rates are farther apart."""
    y, y_hat, groups = [1, 0, 1, 0], [1, 0, 0, 1], list("aabb")
    assert fairness.equalized_odds_difference(y, y_hat, sensitive_features=groups) == 1
    assert fairness.demographic_parity_difference(y, y_hat, sensitive_features=groups) == 0


def test_a_group_without_positives_is_not_perfectly_fair() -> None:
    """With a rate of 0 for it, or without the group, a difference of 0 was reported for a rate that nobody knows."""
    y, y_hat, groups = [1, 1, 0, 0, 0], [0, 0, 0, 0, 1], ["a", "a", "a", "b", "b"]
    with refuses(fairness.UndefinedMetricError, "true_positive_rate", "b", "no positive labels"):
        fairness.equal_opportunity_difference(y, y_hat, sensitive_features=groups)
    with refuses(fairness.UndefinedMetricError, "no positive labels"):
        fairness.equalized_odds_difference(y, y_hat, sensitive_features=groups)
    with refuses(fairness.UndefinedMetricError, "a", "no positive predictions"):
        fairness.predictive_parity_difference(y, y_hat, sensitive_features=groups)
    assert fairness.demographic_parity_difference(y, y_hat, sensitive_features=groups) == 0.5


def test_a_group_without_negatives_has_no_false_positive_rate() -> None:
    with refuses(fairness.UndefinedMetricError, "false_positive_rate", "no negative labels"):
        fairness.equalized_odds_difference([1, 1, 1, 0], [1, 0, 1, 0], sensitive_features=list("aabb"))


def test_nobody_selected_is_a_difference_of_0_and_no_ratio() -> None:
    """Of two attributes, a disparity by division gave the matrix of another one where no prediction was positive."""
    y, y_hat = [1, 0, 1, 0], [0, 0, 0, 0]
    groups = {"sex": list("ffmm"), "age": [1, 2, 1, 2]}
    assert fairness.demographic_parity_difference(y, y_hat, sensitive_features=groups) == 0
    with refuses(fairness.UndefinedMetricError, "no group has positive predictions"):
        fairness.demographic_parity_ratio(y, y_hat, sensitive_features=groups)


def test_undefined_entries_are_words_in_print_and_not_numbers() -> None:
    found = fairness.group_metrics([0, 0, 1], [0, 1, 1], sensitive_features=["a", "a", "b"])
    assert "undefined" in str(found)
    assert "undefined of a: no positive labels" in str(found)
    assert "nan" not in str(found).lower()
    assert "<NA>" not in str(found)
    with pytest.raises(TypeError):
        bool(found.table.loc["a", "true_positive_rate"] < 0.1)  # an undefined rate passes no test


@pytest.mark.parametrize(
    ("metric", "nothing"),
    [
        (fairness.demographic_parity_difference, 0),
        (fairness.demographic_parity_ratio, 1),
        (fairness.equalized_odds_difference, 0),
        (lambda *columns, **groups: fairness.group_metrics(*columns, **groups).difference("accuracy"), 0),
    ],
)
def test_one_group_compares_nothing_and_says_so(metric: Callable[..., float], nothing: int) -> None:
    """A ratio of 1 said nothing; and a warning that names a line of the library is shown but once."""
    with pytest.warns(UserWarning, match="one group") as warned:
        assert metric([0, 1], [1, 0], sensitive_features=["a", "a"]) == nothing
    assert [one.filename for one in warned] == [__file__]


def test_crossed_attributes_show_combinations_that_nobody_has() -> None:
    """Where an empty group was left out of the table, nothing said that it was never looked at."""
    frame = pandas.DataFrame({"sex": list("ffmm"), "race": list("ABAA")})
    found = fairness.group_metrics([1, 0, 1, 0], [1, 0, 1, 0], sensitive_features=frame)
    assert list(found.table["count"]) == [1, 1, 2, 0]
    assert found.table.index.names == ["sex", "race"]
    assert set(found.undefined[found.undefined["group"] == ("m", "B")]["reason"]) == {"nobody is in this group"}
    assert found.difference("selection_rate") == 1


def test_declared_categories_are_shown_in_their_order_if_nobody_has_them() -> None:
    declared = pandas.Categorical(["low", "high", "low"], categories=["low", "middle", "high"])
    found = fairness.group_metrics([0, 1, 1], [0, 1, 0], sensitive_features=declared)
    assert list(found.groups) == ["low", "middle", "high"]
    assert list(found.table["count"]) == [2, 0, 1]


def shapes_of_one_column(values: list[int]) -> dict[str, object]:
    """The same column in all forms that are read, those of pandas with an index in another order."""
    index = np.random.default_rng(0).permutation(len(values))
    return {
        "list": values,
        "tuple": tuple(values),
        "uint8": np.array(values, dtype=np.uint8),
        "int8": np.array(values, dtype=np.int8),
        "the highest byte first": np.array(values, dtype=">i4"),
        "floats, the highest byte first": np.array(values, dtype=">f8"),
        "int32": np.array(values, dtype=np.int32),
        "float": np.array(values, dtype=float),
        "bool": np.array(values, dtype=bool),
        "object": np.array(values, dtype=object),
        "every other": np.repeat(np.array(values), 2)[::2],
        "tensor": torch.tensor(values),
        "bfloat16": torch.tensor(values).bfloat16(),
        "needs a gradient": torch.tensor(values, dtype=torch.float32, requires_grad=True),
        "Series": pandas.Series(values, index=index),
        "nullable": pandas.Series(values, index=index[::-1], dtype="Int64"),
        "boolean": pandas.Series(values, index=index, dtype="boolean"),
    }


@pytest.mark.parametrize("form", shapes_of_one_column([0, 1]))
def test_columns_are_read_by_position_in_every_form(form: str) -> None:
    """Aligned by index, a shuffled Series of predictions belonged to other people: a difference of 0 was 1."""
    random = np.random.default_rng(1)
    y, y_hat, group = (random.integers(0, 2, 31).tolist() for _ in range(3))
    usual = fairness.group_metrics(y, y_hat, sensitive_features=group).counts
    read = fairness.group_metrics(
        shapes_of_one_column(y)[form],
        shapes_of_one_column(y_hat)[form],
        sensitive_features=shapes_of_one_column(group)[form],
    )
    np.testing.assert_array_equal(read.counts, usual)
    np.testing.assert_array_equal(np.sort(read.counts.sum(axis=(1, 2))), np.sort(np.bincount(group)))


def test_attributes_cross_in_every_form() -> None:
    """A dict with one column was refused by a library with a word about an index."""
    sex, race = list("fmfmf"), list("AABBB")
    forms = [
        pandas.DataFrame({"sex": sex, "race": race}, index=[4, 2, 0, 1, 3]),
        {"sex": sex, "race": pandas.Series(race, index=[9, 7, 5, 3, 1])},
        [sex, race],
        (np.array(sex), np.array(race)),
        np.array([sex, race]).T,
    ]
    usual = None
    for form in forms:
        counts = fairness.group_metrics([1, 0, 1, 0, 1], [1, 1, 0, 0, 1], sensitive_features=form).counts
        usual = counts if usual is None else usual
        np.testing.assert_array_equal(counts, usual)
    one = fairness.group_metrics([1, 0, 1, 0, 1], [1, 1, 0, 0, 1], sensitive_features={"sex": sex})
    assert one.groups.name == "sex"
    assert list(one.groups) == ["f", "m"]


@pytest.mark.parametrize("name", ["array", "count", "keys", "ndim", "name", 0, ("sex", "f")])
def test_a_column_may_have_any_name(name: object) -> None:
    """A frame with a column called "array" has an attribute of this name, and was taken for a Series."""
    frame = pandas.DataFrame({name: pandas.Series(list("abab")), "sex": list("ffmm")})
    found = fairness.group_metrics([1, 0, 1, 0], [1, 1, 0, 0], sensitive_features=frame)
    assert found.groups.names == [str(name), "sex"]
    assert list(found.table["count"]) == [1] * 4


@pytest.mark.parametrize(
    ("column", "levels"),
    [
        ([3, 1, 3, 250], [1, 3, 250]),
        ([-5, 7, -5, 7], [-5, 7]),
        (np.array([1, -1, 0, -1], dtype=np.int8), [-1, 0, 1]),
        ([1000, 70000, 1000, 5], [5, 1000, 70000]),
        ([True, False, True, True], [False, True]),
        ([0.5, 1.5, 0.5, 0.5], [0.5, 1.5]),
        (["b", "a", "b", "b"], ["a", "b"]),
        (
            np.array(["2020-01-01", "2019-01-01"] * 2, dtype="datetime64[D]"),
            np.array(["2019-01-01", "2020-01-01"], "M8[D]"),
        ),
    ],
)
def test_groups_are_words_numbers_or_dates_in_their_order(column: object, levels: object) -> None:
    found = fairness.group_metrics([1, 0, 1, 0], [1, 0, 0, 0], sensitive_features=column)
    assert list(found.groups) == list(pandas.Index(levels))
    assert found.counts.sum() == 4


@pytest.mark.parametrize("groups", [1, 2, 63, 64, 65, 200, 300, 1000])
def test_as_many_groups_as_a_byte_holds_and_more(groups: int) -> None:
    random = np.random.default_rng(groups)
    y, y_hat = random.integers(0, 2, (2, 20_001))
    group = np.concatenate([np.arange(groups), random.integers(0, groups, 20_001 - groups)])
    expected = np.bincount(4 * group + 2 * y + y_hat, minlength=4 * groups).reshape(-1, 2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(fairness.group_metrics(y, y_hat, sensitive_features=group).counts, expected)


def test_a_value_that_only_late_rows_have_is_a_group() -> None:
    """Ten thousand rows are looked at first."""
    group = np.zeros(20_000, dtype=np.uint8)
    group[-1] = 2
    group[-2] = 1
    found = fairness.group_metrics(group > 0, group > 1, sensitive_features=group)
    assert list(found.table["count"]) == [19_998, 1, 1]


def test_overall_is_everybody() -> None:
    found = fairness.group_metrics([1, 0, 1, 1], [1, 1, 0, 1], sensitive_features=list("abab"))
    assert found.overall["count"] == 4
    assert found.overall["true_positive_rate"] == 2 / 3


def test_an_unknown_metric_is_refused() -> None:
    with refuses(ValueError, "metric must be one of", "selection_rate"):
        fairness.group_metrics([1], [1], sensitive_features=["a"]).difference("fairness")
