"""Every metric equals Fairlearn's, to the last bit, wherever Fairlearn has a number that somebody measured.

Where we differ, and why:

- A group that has people but none with a positive label: Fairlearn's true positive rate is 0, as if all positives had
  been missed, so its difference is that of the best group. Nobody knows the rate: ours is undefined, and so is the
  difference. The same holds for no negative label, and for no positive prediction (scikit-learn warns, and has 0).
- Nobody selected in any group: Fairlearn's ratio is NaN. Ours is an error that says why.
- One group: both are 0; ours warns that nothing was compared.
- A combination of attributes that nobody has: both leave it out of the difference; Fairlearn has NaN, ours says why.
"""

import itertools
import warnings
from collections.abc import Iterator

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from tml_helpers import data, fairness

fairlearn = pytest.importorskip("fairlearn.metrics", reason="the extra [peers] is not installed")

DIFFERENCES = ["demographic_parity_difference", "equal_opportunity_difference", "equalized_odds_difference"]
RATES = {
    "selection_rate": fairlearn.selection_rate,
    "true_positive_rate": fairlearn.true_positive_rate,
    "false_positive_rate": fairlearn.false_positive_rate,
    "false_negative_rate": fairlearn.false_negative_rate,
    "true_negative_rate": fairlearn.true_negative_rate,
    "positive_predictive_value": sklearn_metrics.precision_score,
    "accuracy": sklearn_metrics.accuracy_score,
    "count": fairlearn.count,
}
Columns = tuple[np.ndarray, np.ndarray, object]


def frame(y: np.ndarray, y_hat: np.ndarray, groups: object) -> "fairlearn.MetricFrame":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fairlearn.MetricFrame(metrics=RATES, y_true=y, y_pred=y_hat, sensitive_features=groups)


def assert_equal(y: np.ndarray, y_hat: np.ndarray, groups: object) -> None:
    """Rates, overall and differences: equal where ours are defined; ours are undefined where nobody is counted."""
    theirs, ours = frame(y, y_hat, groups), fairness.group_metrics(y, y_hat, sensitive_features=groups)
    assert list(ours.table.index) == list(theirs.by_group.index)
    for name in RATES:
        there = ours.table[name].notna().to_numpy()
        if name == "count":
            assert list(ours.table[name]) == list(theirs.by_group[name].fillna(0))
        else:
            assert list(ours.table[name][there]) == list(theirs.by_group[name][there])
            assert theirs.by_group[name][~there].fillna(0).eq(0).all()  # 0, or NaN of nobody
        assert ours.overall[name] is pandas.NA or ours.overall[name] == theirs.overall[name]
    for name in DIFFERENCES:
        expected = getattr(fairlearn, name)(y, y_hat, sensitive_features=groups)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = getattr(fairness, name)(y, y_hat, sensitive_features=groups)
            except fairness.UndefinedMetricError:
                asked = {"equal": ["true_positive_rate"], "equalized": ["true_positive_rate", "false_positive_rate"]}
                columns = ours.table[asked[name.split("_")[0]]][ours.table["count"] > 0]
                assert columns.isna().any().any()
                continue
        assert found == expected


def random_columns(seed: int, rows: int, groups: int) -> Columns:
    random = np.random.default_rng(seed)
    rate = random.random((2, groups))
    group = random.integers(0, groups, rows)
    return (random.random((2, rows)) < rate[:, group]).astype(int)[0], (random.random(rows) < rate[1, group]) * 1, group


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("rows", "groups"), [(2, 2), (30, 3), (400, 5), (3000, 8)])
def test_random_columns(seed: int, rows: int, groups: int) -> None:
    assert_equal(*random_columns(seed, rows, groups))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from("abc")), min_size=2, max_size=12))
@settings(max_examples=12, deadline=None)
def test_any_small_columns(rows: list[tuple[int, int, str]]) -> None:
    y, y_hat, group = (np.array(column) for column in zip(*rows, strict=True))
    assert_equal(y, y_hat, group)


@pytest.mark.parametrize("seed", range(2))
def test_crossed_attributes_with_combinations_that_nobody_has(seed: int) -> None:
    y, y_hat, group = random_columns(seed, 60, 6)
    crossed = pandas.DataFrame({"sex": np.where(group < 3, "f", "m"), "race": np.array(list("ABCABA"))[group]})
    assert_equal(y, y_hat, crossed)


def test_shuffled_indices_and_categories() -> None:
    y, y_hat, group = random_columns(3, 200, 4)
    index = np.random.default_rng(0).permutation(200)
    words = pandas.Series(np.array(["north", "east", "south", "west"])[group], index=index, name="region")
    assert_equal(pandas.Series(y, index=index[::-1]), pandas.Series(y_hat), words)
    assert_equal(y, y_hat, words.astype("category"))


def missing_classes() -> Iterator[Columns]:
    """All tables in which two groups of two have each labels and predictions of one kind or of both."""
    for labels, predictions in itertools.product(itertools.product((0, 1), repeat=4), repeat=2):
        yield np.array(labels), np.array(predictions), np.array(list("aabb"))


@pytest.mark.parametrize("which", range(0, 256, 11))
def test_missing_classes(which: int) -> None:
    assert_equal(*list(missing_classes())[which])


def test_one_group() -> None:
    y, y_hat, _ = random_columns(0, 50, 2)
    assert_equal(y, y_hat, np.array(["all"] * 50))


def test_where_fairlearn_has_0_for_a_rate_that_nobody_measured() -> None:
    """b has no positive: Fairlearn's difference is the whole rate of a."""
    y, y_hat, groups = [1, 1, 0, 0], [1, 1, 0, 1], list("aabb")
    assert fairlearn.equal_opportunity_difference(y, y_hat, sensitive_features=groups) == 1
    with pytest.raises(fairness.UndefinedMetricError):
        fairness.equal_opportunity_difference(y, y_hat, sensitive_features=groups)


@pytest.mark.parametrize("seed", range(3))
def test_ratio_and_predictive_parity(seed: int) -> None:
    y, y_hat, group = random_columns(seed, 500, 4)
    ratio = fairness.demographic_parity_ratio(y, y_hat, sensitive_features=group)
    assert ratio == fairlearn.demographic_parity_ratio(y, y_hat, sensitive_features=group)
    precision = fairlearn.MetricFrame(
        metrics=sklearn_metrics.precision_score, y_true=y, y_pred=y_hat, sensitive_features=group
    )
    assert fairness.predictive_parity_difference(y, y_hat, sensitive_features=group) == precision.difference()


@pytest.mark.parametrize("name", ["adult", "german_credit", "loan_applications"])
def test_real_people(name: str) -> None:
    """The label against a rule that nobody should use: enough that all cells are filled."""
    people = getattr(data, name)().iloc[:4000]
    sensitive = {"adult": ["race", "sex"], "german_credit": ["foreign_worker"], "loan_applications": ["race"]}[name]
    y = people[people.attrs["label"]].to_numpy()
    y_hat = (np.random.default_rng(0).random(len(y)) < 0.3 + 0.4 * y) * 1
    assert_equal(y, y_hat, people[sensitive])


@pytest.mark.parametrize("bins", [4, 10])
def test_calibration_is_scikit_learns_in_each_group(bins: int) -> None:
    random = np.random.default_rng(bins)
    scores, group = random.random(3000), random.integers(0, 3, 3000)
    y = (random.random(3000) < scores**2) * 1
    table = fairness.calibration_by_group(y, scores, sensitive_features=group, bins=bins).table
    for one in range(3):
        rate, mean = calibration_curve(y[group == one], scores[group == one], n_bins=bins)
        np.testing.assert_allclose(table.loc[one, "observed_rate"], rate)
        np.testing.assert_allclose(table.loc[one, "mean_score"], mean)


def test_wilson_is_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion", reason="the extra [peers] is not installed")
    y, y_hat, group = random_columns(5, 300, 4)
    rates = fairness.audit(y, y_hat, sensitive_features=group, confidence=0.9).rates
    for row in rates[rates["metric"] == "selection_rate"].itertuples():
        low, high = proportion.proportion_confint(round(row.rate * row.count), row.count, alpha=0.1, method="wilson")
        assert (row.low, row.high) == (pytest.approx(low), pytest.approx(high))
