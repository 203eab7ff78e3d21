"""Weights, errors, t values and intervals equal those of statsmodels, on tables with categories and of any scale."""

import numpy as np
import pytest

from tml_helpers.data import bike_sharing
from tml_helpers.explain.feature_effects import FeatureEffects, feature_effects

pandas = pytest.importorskip("pandas", reason="the extra [peers] is not installed")
formulas = pytest.importorskip("statsmodels.formula.api", reason="the extra [peers] is not installed")


def frame(seed: int, rows: int) -> "pandas.DataFrame":
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3)) * [1, 1e4, 1e-3] + [0, 1e5, 1]
    words = random.choice(["cold", "mild", "warm"], size=rows)
    score = x[:, 0] + (x[:, 1] - 1e5) / 1e4 + (words == "warm") + random.normal(size=rows)
    return pandas.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "w": words, "y": score, "k": (score > 0.5) * 1})


def assert_equal(ours: FeatureEffects, theirs: object, rtol: float) -> None:
    """Ours are in the order intercept, numbers and levels as they came; statsmodels puts categories first."""
    names = {"Intercept": "intercept"}
    theirs_in_order = [
        ours.terms.index(names.get(n) or n.replace("[T.", ": ").rstrip("]")) for n in theirs.params.index
    ]
    for mine, other in (
        (ours.weights, theirs.params),
        (ours.standard_errors, theirs.bse),
        (ours.t_values, theirs.tvalues),
        (ours.intervals, theirs.conf_int(0.1)),
    ):
        np.testing.assert_allclose(mine[theirs_in_order], other.to_numpy(), rtol=rtol)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("model", ["linear", "logistic"])
def test_random_tables(seed: int, model: str) -> None:
    table = frame(seed, 40 * (seed + 2))
    if model == "linear":
        theirs = formulas.ols("y ~ a + b + c + w", table).fit()
    else:
        # on statsmodels' own terms: with b around 100,000 its Newton steps lose digits, ours do not
        table["b"] = (table["b"] - 1e5) / 1e4
        theirs = formulas.logit("k ~ a + b + c + w", table).fit(disp=False, method="newton", maxiter=100, tol=1e-12)
    target = table["y" if model == "linear" else "k"].to_numpy()
    ours = feature_effects(table[["a", "b", "c", "w"]], target, model=model, confidence=0.9)
    assert_equal(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(ours.predict(table[["a", "b", "c", "w"]]), theirs.predict(table), rtol=1e-5)


def test_the_bicycles() -> None:
    table = bike_sharing(source="default")
    chosen = ["season", "holiday", "workingday", "weather", "temperature", "humidity", "windspeed", "days"]
    theirs = formulas.ols("rentals ~ " + " + ".join(chosen), table).fit()
    assert_equal(feature_effects(table[chosen], table["rentals"], confidence=0.9), theirs, rtol=1e-6)
