"""Weights and effects against closed forms; what has no answer is refused."""

import math

import numpy as np
import pandas
import pytest
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tml_helpers.explain.feature_effects import feature_effects

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 3)) * [1, 10, 0.1] + [0, 5, -3]
Y = X @ [2.0, -0.3, 7.0] + 4 + RANDOM.normal(size=60)


def test_one_feature_is_the_textbooks_regression_line() -> None:
    found = feature_effects(X[:, :1], Y)
    line = stats.linregress(X[:, 0], Y)
    assert found.terms == ("intercept", "x0")
    np.testing.assert_allclose(found.weights, [line.intercept, line.slope])
    np.testing.assert_allclose(found.standard_errors, [line.intercept_stderr, line.stderr])
    reach = stats.t(58).ppf(0.975) * line.stderr
    np.testing.assert_allclose(found.intervals[1], [line.slope - reach, line.slope + reach])
    np.testing.assert_allclose(found.t_values[1], line.slope / line.stderr)


def test_effects_and_intercept_add_up_to_the_answer() -> None:
    found = feature_effects(X, Y, names=["a", "b", "c"])
    np.testing.assert_allclose(found.effects, X * found.weights[1:])
    np.testing.assert_allclose(found.weights[0] + found.effects.sum(axis=1), found.predict(X))
    np.testing.assert_allclose(np.linalg.lstsq(np.c_[np.ones(60), X], Y, rcond=None)[0], found.weights)


def test_one_instance_more_than_weights_is_enough() -> None:
    found = feature_effects(X[:5], Y[:5])
    residuals = Y[:5] - found.predict(X[:5])
    reach = found.intervals[0, 1] - found.weights[0]
    np.testing.assert_allclose(reach / found.standard_errors[0], stats.t(1).ppf(0.975))
    assert abs(residuals.sum()) < 1e-8


def test_a_category_is_compared_with_its_first_level() -> None:
    words = np.array(["low", "mid", "high"] * 20)
    found = feature_effects({"word": words}, Y, levels={"word": ("low", "mid", "high")})
    means = {word: Y[words == word].mean() for word in set(words)}
    assert found.terms == ("intercept", "word: mid", "word: high")
    expected = [means["low"], means["mid"] - means["low"], means["high"] - means["low"]]
    np.testing.assert_allclose(found.weights, expected)
    assert found.effects.shape == (60, 1)
    np.testing.assert_allclose(found.effects[:3, 0], [0, *expected[1:]], atol=1e-12)
    np.testing.assert_allclose(found.effects_of({"word": np.array(["high"])}), [[expected[2]]])


def test_levels_come_from_the_table_or_the_alphabet() -> None:
    words = np.array(["low", "mid", "high"] * 20)
    table = pandas.DataFrame({"word": pandas.Categorical(words, ["mid", "low", "high"]), "x": X[:, 0]})
    assert feature_effects(table, Y).terms == ("intercept", "word: low", "word: high", "x")
    assert feature_effects({"word": words}, Y).terms == ("intercept", "word: low", "word: mid")


def test_a_data_frame_of_pandas_is_taken() -> None:
    frame = pandas.DataFrame({"x": X[:, 0], "even": np.arange(60) % 2 == 0, "word": ["a", "b", "c"] * 20})
    assert feature_effects(frame, Y).terms == ("intercept", "x", "even: True", "word: b", "word: c")


def test_the_weight_of_a_yes_is_the_log_odds_ratio() -> None:
    table = {(0, 0): 10, (0, 1): 20, (1, 0): 5, (1, 1): 40}  # (feature, class): how many
    x = np.repeat([cell[0] for cell in table], list(table.values()))
    y = np.repeat([cell[1] for cell in table], list(table.values()))
    found = feature_effects(x[:, None], y, model="logistic")
    np.testing.assert_allclose(found.weights, [math.log(2), math.log(40 / 5 / 2)])
    woolf = math.sqrt(sum(1 / n for n in table.values()))  # standard error of a log odds ratio
    np.testing.assert_allclose(found.standard_errors[1], woolf)
    np.testing.assert_allclose(found.predict(np.array([[0], [1]])), [20 / 30, 40 / 45])


@given(st.floats(0.01, 1000), st.floats(-1000, 1000), st.sampled_from(["linear", "logistic"]))
def test_another_unit_changes_the_weight_and_not_the_story(factor: float, shift: float, model: str) -> None:
    target = Y if model == "linear" else (Y + 10 * np.sin(40 * Y) > np.median(Y)).astype(int)
    here = feature_effects(X, target, model=model)
    there = feature_effects(X * [factor, 1, 1] + [shift, 0, 0], target, model=model)
    np.testing.assert_allclose(there.weights[1] * factor, here.weights[1], rtol=1e-5)
    np.testing.assert_allclose(there.t_values[1:], here.t_values[1:], rtol=1e-5)
    np.testing.assert_allclose(there.effects.std(axis=0), here.effects.std(axis=0), rtol=1e-5)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        y = X @ [2.0, -0.3, 7.0] + random.normal(size=60)
        low, high = feature_effects(X, y, confidence=0.8).intervals[1]
        held += low < 2 < high
    assert 0.73 < held / 400 < 0.87  # 3.5 standard deviations of a share of 0.8


def separated() -> np.ndarray:
    return (X[:, 0] > 0.1).astype(int)


def nearly_separated() -> np.ndarray:
    """One side touches the plane: the weights still grow without end."""
    y = separated()
    y[np.abs(X[:, 0] - 0.1).argmin()] = 1
    return y


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": np.c_[X, np.full(60, 3.3)]}, ("x3", "constant", "leave it out")),
        ({"features": {"a": X[:, 0], "w": np.array(["x"] * 60)}}, ("w", "constant")),
        ({"features": np.c_[X, X[:, 0] - 2 * X[:, 1]]}, ("follows from other columns",)),
        ({"features": {"a": X[:, 0], "b": -X[:, 0] * 1e6 + 1}}, ("follows from other columns",)),
        ({"features": np.where(X > 1, np.nan, X)}, ("finite",)),
        ({"features": X[:4], "target": Y[:4]}, ("at least 5", "got 4")),
        ({"features": X[:, 0]}, ("[N, d]", "[60]")),
        ({"features": {"a": X[:, 0], "b": X[:5, 0]}}, ("one length",)),
        ({"names": ["a", "a", "b"]}, ("3 different words",)),
        ({"features": {"a": X[:, 0]}, "names": ["b"]}, ("names", "leave it out")),
        ({"levels": {"word": ("a", "b")}}, ("word", "none of x0, x1, x2")),
        ({"confidence": 1.0}, ("confidence", "1.0")),
        ({"confidence": 0.0}, ("confidence", "0.0")),
        ({"target": Y[:5]}, ("60 finite numbers",)),
        ({"target": np.append(Y[1:], np.inf)}, ("finite",)),
        ({"model": "probit"}, ("'linear' or 'logistic'", "'probit'")),
        ({"confidence": 95}, ("confidence", "95")),
        ({"model": "logistic"}, ("0 and 1",)),
        ({"model": "logistic", "target": np.ones(60)}, ("both classes",)),
        ({"model": "logistic", "target": separated()}, ("separates",)),
        (
            {"features": {"a": np.repeat([0, 1], 30)}, "model": "logistic", "target": np.repeat([0, 0, 0, 1], 15)},
            ("separates",),
        ),
    ],
)
def test_what_has_no_answer_is_refused(change: dict[str, object], words: tuple[str, ...]) -> None:
    with refuses(ValueError, *words):
        feature_effects(**{"features": X, "target": Y, **change})


def test_an_unknown_level_or_feature_is_named() -> None:
    found = feature_effects({"word": np.array(["a", "b", "c"] * 20), "x": X[:, 0]}, Y)
    with refuses(ValueError, "word", "'d'", "a, b, c"):
        found.effects_of({"word": np.array(["d"]), "x": X[:1, 0]})
    with refuses(ValueError, "must be word, x"):
        found.effects_of({"word": np.array(["a"])})
    with refuses(ValueError, "word", "'c'"):
        feature_effects({"word": np.array(["a", "b", "c"] * 20)}, Y, levels={"word": ("a", "b")})
