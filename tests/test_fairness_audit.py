"""Intervals that hold, differences that are found and those that are not, and the report that a committee reads."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest
from bad_input import refuses
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from tml_helpers import data, fairness
from tml_helpers.fairness.intervals import normal_quantile, simultaneous_differences, wilson
from tml_helpers.fairness.metrics import tallies


def people(counts: dict[str, list[int]]) -> dict[str, list]:
    """Rows of groups with so many true negatives, false positives, false negatives, true positives."""
    cells = list(itertools.product((0, 1), (0, 1)))
    rows = [(*cell, g) for g, sizes in counts.items() for cell, n in zip(cells, sizes, strict=True) for _ in range(n)]
    y, y_hat, groups = (list(column) for column in zip(*rows, strict=True))
    return {"y_true": y, "y_pred": y_hat, "sensitive_features": groups}


def test_a_bootstrap_of_counts_is_multinomial() -> None:
    """Every sample has as many rows; means are the counts, covariances n (diag(p) − p pᵀ)."""
    counts = np.array([[[5, 15], [30, 0]], [[10, 20], [15, 5]]])
    drawn = fairness.bootstrap_counts(counts, draws=40_000, seed=3)
    assert drawn.shape == (40_000, 2, 2, 2)
    assert (drawn.sum(axis=(1, 2, 3)) == 100).all()
    assert (drawn[:, 0, 1, 1] == 0).all()
    p = counts.ravel() / 100
    np.testing.assert_allclose(drawn.reshape(-1, 8).mean(axis=0), counts.ravel(), atol=0.2)
    expected = 100 * (np.diag(p) - np.outer(p, p))
    np.testing.assert_allclose(np.cov(drawn.reshape(-1, 8).T), expected, atol=0.8)


def test_a_bootstrap_of_counts_is_the_bootstrap_of_rows() -> None:
    """A difference of selection rates has one distribution, whether rows are drawn and counted or counts are drawn."""
    random = np.random.default_rng(0)
    rows = people({"a": [20, 10, 5, 15], "b": [30, 5, 10, 5]})
    y, y_hat, group = np.array(rows["y_true"]), np.array(rows["y_pred"]), np.array(rows["sensitive_features"]) == "b"
    by_rows = []
    for _ in range(4000):
        chosen = random.integers(0, len(y), len(y))
        by_rows.append(y_hat[chosen][group[chosen]].mean() - y_hat[chosen][~group[chosen]].mean())
    counts = fairness.group_metrics(**rows).counts
    drawn = fairness.bootstrap_counts(counts, draws=4000, seed=1)
    hits, trials = tallies(drawn)
    by_counts = hits[:, 1, 1] / trials[:, 1, 1] - hits[:, 0, 1] / trials[:, 0, 1]
    assert stats.ks_2samp(by_rows, by_counts).pvalue > 1e-4


def test_counts_that_cannot_be_drawn() -> None:
    with refuses(ValueError, "counts has masked entries"):
        fairness.bootstrap_counts(np.ma.masked_array([3, 4], mask=[0, 1]))
    with refuses(TypeError, "whole numbers", "float64"):
        fairness.bootstrap_counts(np.array([1.0, 2.0]))
    with refuses(ValueError, "0 or more"):
        fairness.bootstrap_counts(np.array([1, -1]))
    with refuses(ValueError, "not all 0"):
        fairness.bootstrap_counts(np.zeros(4, dtype=int))
    with refuses(ValueError, "draws"):
        fairness.bootstrap_counts(np.array([1, 2]), draws=0)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(hits: int, trials: int, low: float, high: float) -> None:
    """The four rows of table I of Newcombe, 1998, method 3."""
    found = wilson(np.array([hits]), np.array([trials]), 0.95)
    np.testing.assert_allclose(np.ravel(found), [low, high], atol=5e-5)


@given(trials=st.integers(1, 10**6), share=st.floats(0, 1), confidence=st.floats(0.01, 0.999))
@example(trials=7, share=1.0, confidence=0.9)
def test_wilson_holds_the_rate_itself(trials: int, share: float, confidence: float) -> None:
    """Also of nobody and of all, where rounding would leave it outside, and a bar of negative length."""
    hits = round(share * trials)
    low, high = wilson(np.array([hits]), np.array([trials]), confidence)
    assert 0 <= low[0] <= hits / trials <= high[0] <= 1


def test_with_one_pair_and_one_metric_it_is_agresti_and_caffos_interval_or_wider() -> None:
    """p̃ = (x + 1) / (n + 2): 7 of 10 and 2 of 20 give 0.53 ± 1.96 · 0.153."""
    hits, trials = np.array([[7], [2]]), np.array([[10], [20]])
    none = (np.repeat(hits[None], 50, axis=0), np.repeat(trials[None], 50, axis=0))  # samples without any error
    found = simultaneous_differences(hits, trials, none, trials > 0, 0.95)
    one, other = 8 / 12, 3 / 22
    reach = normal_quantile(0.95) * np.sqrt(one * (1 - one) / 12 + other * (1 - other) / 22)
    assert found.difference == pytest.approx([7 / 10 - 2 / 20])
    assert found.low == pytest.approx([one - other - reach])
    assert found.high == pytest.approx([one - other + reach])


def test_all_intervals_hold_at_once() -> None:
    """Eight groups, 112 differences: all intervals are true in 92 to 99 % of 400 samples, where each alone has 95 %."""
    random = np.random.default_rng(5)
    sizes = np.array([0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05])
    base, tpr, fpr = np.linspace(0.3, 0.6, 8), np.linspace(0.6, 0.8, 8), np.linspace(0.1, 0.3, 8)
    positive, negative = base[:, None], 1 - base[:, None]
    cells = np.hstack([negative * (1 - fpr)[:, None], negative * fpr[:, None], positive * (1 - tpr)[:, None]])
    cells = np.hstack([cells, positive * tpr[:, None]]) * sizes[:, None]
    true_hits, true_trials = (part[:, [1, 2, 3, 6]] for part in tallies((cells * 1e9).reshape(8, 2, 2)))
    truth = true_hits / true_trials
    at_once = alone = 0
    for seed in range(400):
        counts = random.multinomial(2000, cells.ravel()).reshape(8, 2, 2)
        hits, trials = (part[:, [1, 2, 3, 6]] for part in tallies(counts))
        drawn = tuple(
            part[..., [1, 2, 3, 6]] for part in tallies(fairness.bootstrap_counts(counts, draws=200, seed=seed))
        )
        found = simultaneous_differences(hits, trials, drawn, trials >= 10, 0.95)
        right = truth[found.first, found.metric] - truth[found.second, found.metric]
        at_once += bool(((found.low <= right) & (right <= found.high)).all())
        middle, reach = (found.low + found.high) / 2, (found.high - found.low) / 2
        alone += bool((np.abs(right - middle) <= reach * 1.96 / 3.4).all())  # as wide as intervals one at a time are
    assert 0.92 <= at_once / 400 <= 0.99
    assert alone / 400 < 0.5


FAIR = {"a": [300, 100, 60, 140], "b": [150, 50, 30, 70], "c": [76, 25, 14, 36]}
UNFAIR = {"a": [300, 100, 60, 140], "b": [200, 0, 60, 40], "c": [76, 25, 14, 36]}


def test_a_fair_system_is_not_told_from_chance() -> None:
    found = fairness.audit(**people(FAIR))
    assert set(found.differences["verdict"]) == {"cannot be told from chance"}
    assert (found.differences["low"] == 0).all()
    assert not found.pairs["differ"].any()


def test_an_unfair_system_is_found_and_the_pair_is_named() -> None:
    found = fairness.audit(**people(UNFAIR))
    parity = found.differences.loc["demographic parity"]
    assert parity["verdict"] == "the groups differ"
    assert (parity["lowest"], parity["difference"]) == ("b", pytest.approx(61 / 151 - 40 / 300))
    assert 0 < parity["low"] < parity["difference"] < parity["high"] < 1
    pair = found.pairs.query("metric == 'false_positive_rate' and group == 'a' and other == 'b'").iloc[0]
    assert pair["difference"] == pytest.approx(100 / 400)
    assert pair["differ"]
    turned = found.pairs.query("metric == 'false_positive_rate' and group == 'c' and other == 'b'").iloc[0]
    assert turned["difference"] == pytest.approx(25 / 101)
    assert 0 < turned["low"] < turned["difference"] < turned["high"]
    same = found.pairs.query("metric == 'true_positive_rate' and group != 'b' and other != 'b'").iloc[0]
    assert not same["differ"]


def test_the_largest_difference_lies_between_the_largest_ends_of_all_pairs() -> None:
    found = fairness.audit(**people(UNFAIR))
    for criterion, metrics in {
        "equal opportunity": ["true_positive_rate"],
        "equalized odds": ["true_positive_rate", "false_positive_rate"],
    }.items():
        pairs = found.pairs[found.pairs["metric"].isin(metrics)]
        row = found.differences.loc[criterion]
        assert row["low"] == max(0, pairs["low"].max())
        assert row["high"] == max(pairs["high"].max(), -pairs["low"].min())
        assert row["difference"] == pairs["difference"].max()


def test_differences_are_those_of_the_metrics_where_all_groups_are_large() -> None:
    rows = people(UNFAIR)
    found = fairness.audit(**rows).differences["difference"]
    assert found["demographic parity"] == fairness.demographic_parity_difference(**rows)
    assert found["equal opportunity"] == fairness.equal_opportunity_difference(**rows)
    assert found["equalized odds"] == fairness.equalized_odds_difference(**rows)
    assert found["predictive parity"] == fairness.predictive_parity_difference(**rows)


def test_small_and_undefined_groups_are_named_and_not_compared() -> None:
    """Two groups of 30 without a selection and one person of a third, who is selected, were a difference of 0."""
    found = fairness.audit(**people({"a": [30, 0, 0, 0], "b": [30, 0, 0, 0], "c": [0, 1, 0, 0]}))
    small = found.too_small.set_index(["group", "metric"])
    assert small.loc[("c", "selection_rate"), "reason"] == "people: 1"
    assert small.loc[("a", "true_positive_rate"), "reason"] == "positive labels: 0"
    odds = found.differences.loc["equalized odds"]
    assert odds["verdict"].startswith("not compared")
    assert odds[["difference", "low", "high"]].isna().all()
    assert found.differences.loc["demographic parity", "difference"] == 0  # of a and b
    assert "c" not in set(found.pairs["group"]) | set(found.pairs["other"])
    assert "c, people: 1" in str(found)
    assert "equal opportunity: not compared" in str(found)


def test_as_many_as_the_minimum_are_enough() -> None:
    rows = people({"a": [40, 10, 10, 40], "b": [5, 5, 5, 5]})
    assert len(fairness.audit(**rows, minimum=10).too_small) == 0
    assert set(fairness.audit(**rows, minimum=11).too_small["group"]) == {"b"}
    assert list(fairness.audit(**rows, minimum=11).pairs["metric"]) == ["selection_rate"]


def test_what_a_group_lacks_takes_nothing_from_the_others() -> None:
    """A group without positives emptied a whole comparison, and the count of the other side was given as 0."""
    found = fairness.audit(**people({"a": [40, 10, 10, 40], "b": [20, 30, 20, 30], "c": [15, 15, 0, 0]}))
    opportunity = found.differences.loc["equal opportunity"]
    assert opportunity["difference"] == pytest.approx(40 / 50 - 30 / 50)
    rates = found.rates.set_index(["group", "metric"])
    assert rates.loc[("a", "true_positive_rate"), "count"] == 50
    assert rates.loc[("c", "true_positive_rate"), "rate"] is pandas.NA
    assert rates.loc[("c", "true_positive_rate"), "low"] is pandas.NA


def test_a_group_that_a_sample_misses_breaks_nothing() -> None:
    """A bootstrap of eleven rows leaves a group out now and then, and broke the table."""
    y = [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    for seed in range(5):
        found = fairness.audit(y, y, sensitive_features=list("abcabcabcab"), minimum=1, seed=seed)
        assert np.isfinite(found.pairs[["low", "high"]].to_numpy()).all()


def test_a_rate_of_0_has_an_interval_that_is_not_empty() -> None:
    found = fairness.audit(**people({"a": [20, 0, 0, 20], "b": [20, 0, 0, 20]}))
    row = found.rates.set_index(["group", "metric"]).loc[("a", "false_positive_rate")]
    assert (row["rate"], row["low"]) == (0, 0)
    assert 0.1 < row["high"] < 0.2
    assert (found.pairs["high"] > 0.05).all()


def test_overall_is_everybody_with_an_interval() -> None:
    found = fairness.audit(**people(FAIR)).overall
    assert found.loc["accuracy", "count"] == 1051
    assert found.loc["accuracy", "rate"] == (300 + 140 + 150 + 70 + 76 + 36) / 1051
    low, high = wilson(np.array([772]), np.array([1051]), 0.95)
    assert (found.loc["accuracy", "low"], found.loc["accuracy", "high"]) == (low[0], high[0])


def test_less_confidence_is_a_narrower_interval_and_the_same_seed_the_same_one() -> None:
    rows = people(UNFAIR)
    wide, narrow = fairness.audit(**rows), fairness.audit(**rows, confidence=0.8)
    assert (narrow.pairs["high"] - narrow.pairs["low"] < wide.pairs["high"] - wide.pairs["low"]).all()
    pandas.testing.assert_frame_equal(fairness.audit(**rows).pairs, wide.pairs)


def test_the_report_says_what_a_committee_asks() -> None:
    table = data.expand_counts(data.compas())
    found = fairness.audit(
        table["rearrested"], table["score_text"] != "Low", sensitive_features=table[["race", "sex"]].rename(columns=str)
    )
    report = str(found)
    assert report.startswith("7,214 people in 12 groups.")
    assert "predictive equality: the groups differ; largest difference" in report
    assert "African-American × Male against" in report
    assert "Asian × Female, people: 2" in report
    assert "nan" not in report.lower()
    assert "NA" not in report


def test_the_picture_shows_each_rate_with_its_interval_and_the_verdict() -> None:
    found = fairness.audit(**people(UNFAIR | {"d": [3, 2, 0, 0]}))
    figure = found.plot()
    axes = figure.axes
    assert [axis.get_title() for axis in axes] == [
        "demographic\nparity:\ngroups differ",
        "equal\nopportunity:\ngroups differ",
        "predictive\nequality:\ngroups differ",
        "predictive\nparity:\ngroups differ",
    ]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["a", "b", "c", "d"]
    dots = [line for line in axes[0].lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in dots] == pytest.approx([240 / 600, 40 / 300, 61 / 151, 2 / 5])
    assert [line.get_markerfacecolor() == "white" for line in dots] == [False, False, False, True]
    assert len([line for line in axes[1].lines if line.get_marker() == "o"]) == 3  # d has no positives
    plt.close(figure)


@pytest.mark.parametrize(("confidence", "said"), [(0.95, "95%"), (0.999, "99.9%"), (0.975, "97.5%"), (0.57, "57%")])
def test_no_confidence_is_rounded_to_certainty(confidence: float, said: str) -> None:
    """0.999 was printed as 100%."""
    found = fairness.audit(**people(UNFAIR), confidence=confidence)
    assert f"confidence of {said}." in str(found)
    figure = found.plot()
    assert figure.legends[0].get_texts()[0].get_text() == f"rate, {said} interval"
    plt.close(figure)


def test_a_group_is_drawn_as_it_is_called() -> None:
    """Two dollar signs were taken for a formula: "$25k to $50k" lost them."""
    figure = fairness.audit(**people({"$25k to $50k": [40, 20, 10, 30], r"above $50k_{\x$": [30, 30, 20, 20]})).plot()
    figure.draw_without_rendering()
    assert not any(label.get_parse_math() for label in figure.axes[0].get_yticklabels())
    plt.close(figure)
