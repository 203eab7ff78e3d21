"""The penalty that training used, against what scikit-learn was told to use."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from tml_helpers.privacy import StealingWarning, stationarity, steal_hyperparameter

PENALTIES = [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0]
PERCENT = 0.01


@pytest.fixture(autouse=True)
def silence_is_no_warning() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", StealingWarning)
        yield


def scaled(load: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = load(return_X_y=True)
    return StandardScaler().fit_transform(x), y


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_ridge(penalty: float, intercept: bool) -> None:
    x, y = scaled(load_diabetes)
    model = Ridge(alpha=penalty, fit_intercept=intercept, solver="svd").fit(x + 1, y)
    bias = model.intercept_ if intercept else None
    found = steal_hyperparameter(model.coef_, x + 1, y, objective="ridge", bias=bias)
    assert found == pytest.approx(penalty, rel=PERCENT)
    mean = steal_hyperparameter(model.coef_, x + 1, y, objective="ridge", bias=bias, reduction="mean")
    assert mean == pytest.approx(penalty / len(x), rel=PERCENT)
    assert stationarity(model.coef_, x + 1, y, objective="ridge", bias=bias, penalty=found) < 1e-4


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_logistic(penalty: float, intercept: bool) -> None:
    x, y = scaled(load_breast_cancer)
    x = x[:, :8]  # all thirty columns separate the classes: without a penalty there is no minimum
    model = LogisticRegression(C=1 / (2 * penalty), fit_intercept=intercept, solver="newton-cholesky", tol=1e-12)
    model.fit(x, y)
    bias = model.intercept_ if intercept else None
    found = steal_hyperparameter(model.coef_, x, y, objective="logistic", bias=bias)
    assert found == pytest.approx(penalty, rel=PERCENT)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_softmax(penalty: float, intercept: bool) -> None:
    x, y = scaled(load_wine)
    model = LogisticRegression(C=1 / (2 * penalty), fit_intercept=intercept, tol=1e-10, max_iter=50_000)
    model.set_params(solver="newton-cholesky", tol=1e-12).fit(x, y)
    bias = model.intercept_ if intercept else None
    found = steal_hyperparameter(torch.as_tensor(model.coef_), torch.as_tensor(x), y, objective="softmax", bias=bias)
    assert found == pytest.approx(penalty, rel=PERCENT)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("penalty", PENALTIES[:-1])  # at 100 every weight is 0
def test_lasso(penalty: float, intercept: bool) -> None:
    x, y = scaled(load_diabetes)
    model = Lasso(alpha=penalty, fit_intercept=intercept, tol=1e-14, max_iter=10**6).fit(x, y)
    bias = model.intercept_ if intercept else None
    found = steal_hyperparameter(model.coef_, x, y, objective="lasso", bias=bias, reduction="mean")
    assert found / 2 == pytest.approx(penalty, rel=PERCENT)
    total = steal_hyperparameter(model.coef_, x, y, objective="lasso", bias=bias)
    assert total / (2 * len(x)) == pytest.approx(penalty, rel=PERCENT)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    penalty=st.floats(1e-3, 1e2),
    rows=st.integers(5, 60),
    features=st.integers(2, 8),
)
def test_ridge_in_closed_form(seed: int, penalty: float, rows: int, features: int) -> None:
    """w = (XᵀX + λ)⁻¹ Xᵀy, also with more weights than rows."""
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(rows, features)), random.normal(size=rows)
    w = np.linalg.solve(x.T @ x + penalty * np.eye(features), x.T @ y)
    assert steal_hyperparameter(w, x, y, objective="ridge") == pytest.approx(penalty, rel=1e-5)


def test_weights_that_are_no_minimum_are_noticed() -> None:
    x, y = scaled(load_diabetes)
    model = Ridge(alpha=1.0).fit(x, y)
    random = np.random.default_rng(0)
    noisy = model.coef_ + random.normal(size=10)
    with pytest.warns(StealingWarning, match="no minimum"):
        steal_hyperparameter(noisy, x, y, objective="ridge", bias=model.intercept_)
    with pytest.warns(StealingWarning, match="is the bias missing"):
        steal_hyperparameter(model.coef_, x + 1, y, objective="ridge")
    with pytest.warns(StealingWarning):
        steal_hyperparameter(model.coef_, x, y, objective="ridge", bias=model.intercept_ + 3)
    with pytest.warns(StealingWarning):  # half of the people: not what it was trained on
        steal_hyperparameter(model.coef_, x[::2], y[::2], objective="ridge", bias=model.intercept_)
    with pytest.warns(StealingWarning):
        steal_hyperparameter(model.coef_, x, y, objective="lasso", bias=model.intercept_)
    high = (y > 140).astype(int)
    early = LogisticRegression(C=100.0, max_iter=2).fit(x, high)  # after two steps
    with pytest.warns(StealingWarning):
        steal_hyperparameter(early.coef_, x, high, objective="logistic", bias=early.intercept_)


def test_no_penalty_is_noticed() -> None:
    x, y = scaled(load_diabetes)
    w = np.linalg.lstsq(x, y, rcond=None)[0]
    with pytest.warns(StealingWarning, match="no minimum"):
        steal_hyperparameter(w, x, y, objective="ridge")


def test_a_negative_penalty_is_no_penalty() -> None:
    """One weight, one equation: the residual is 0 whatever the weight, but λ is negative."""
    x, y = np.array([[1.0], [2.0]]), np.array([1.0, 2.0])
    with pytest.warns(StealingWarning, match="λ = -"):
        found = steal_hyperparameter([2.0], x, y, objective="ridge")
    assert found < 0
    assert steal_hyperparameter([0.5], x, y, objective="ridge") == pytest.approx(5.0)  # 5 w + λ w = 5


def test_the_share_that_is_left_over_by_hand() -> None:
    """w = (1, 0), x = I, y = (2, 1): ∇L = (−2, −2), ∇R = (2, 0), so λ = 1 leaves (0, −2)."""
    x, y = np.eye(2), np.array([2.0, 1.0])
    assert stationarity([1, 0], x, y, objective="ridge", penalty=1) == pytest.approx(1 / math.sqrt(2))
    assert stationarity([1, 0], x, y, objective="lasso", penalty=2) == 0  # the weight that is 0 is not asked
    assert stationarity([1, 0], x, y, objective="ridge", penalty=0) == 1
    assert stationarity([2, 1], x, y, objective="ridge", penalty=0) == 0
    with_bias = stationarity([1, 0], x, y, objective="ridge", penalty=1, bias=0.0)
    assert with_bias == pytest.approx(math.sqrt(4 + 16) / math.sqrt(8))
    assert stationarity([2, 1], x, y, objective="ridge", penalty=1) == math.inf


def test_a_shape_of_one_row_and_lists() -> None:
    x, y = scaled(load_diabetes)
    model = Ridge(alpha=2.0).fit(x, y[:, None])
    assert model.coef_.shape == (1, 10) or model.coef_.ndim == 1
    found = steal_hyperparameter(
        model.coef_.reshape(1, -1), x.tolist(), y.reshape(-1, 1), objective="ridge", bias=model.intercept_
    )
    assert found == pytest.approx(2.0, rel=1e-6)


GOOD: dict[str, Any] = {
    "weights": [1.0, 2.0],
    "inputs": np.eye(2),
    "outputs": [1.0, 0.0],
    "objective": "ridge",
}


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"objective": "svm"}, ValueError, "objective must be one of ridge"),
        ({"reduction": "none"}, ValueError, "reduction must be one of sum, mean"),
        ({"weights": [0.0, 0.0]}, ValueError, "every weight is 0"),
        ({"weights": [1.0]}, ValueError, "weights must be [2]"),
        ({"weights": np.ones((2, 2))}, ValueError, "weights must be [2]"),
        ({"weights": [1.0, 2.0], "objective": "softmax"}, ValueError, "[K, 2]"),
        ({"weights": [1.0, math.nan]}, ValueError, "weights must be finite"),
        ({"weights": ["a", "b"]}, TypeError, "weights must be numbers"),
        ({"inputs": np.ones(2)}, ValueError, "inputs must be a table"),
        ({"inputs": np.zeros((0, 2))}, ValueError, "at least one"),
        ({"inputs": np.full((2, 2), math.inf)}, ValueError, "inputs must be finite"),
        ({"outputs": [1.0]}, ValueError, "outputs must have 2 values, got 1"),
        ({"outputs": [1.0, math.nan]}, ValueError, "outputs"),
        ({"outputs": [1.0, math.inf]}, ValueError, "outputs must be finite"),
        ({"outputs": [1.0, -1.0], "objective": "logistic"}, ValueError, "classes from 0 to 1, got -1"),
        ({"outputs": [1.0, 0.5], "objective": "logistic"}, ValueError, "got 0.5"),
        ({"outputs": [2, 3], "objective": "softmax", "weights": np.eye(3)[:, :2]}, ValueError, "0 to 2, got 3"),
        ({"bias": [1.0, 2.0]}, ValueError, "bias must have 1 values, got 2"),
        ({"bias": math.nan}, ValueError, "bias"),
        ({"bias": "no"}, TypeError, "bias"),
    ],
)
def test_arguments(changed: dict[str, Any], kind: type[Exception], words: str) -> None:
    with refuses(kind, words):
        steal_hyperparameter(**GOOD | changed)


def test_half_precision_ragged_rows_and_a_penalty_that_is_none() -> None:
    rows, outputs = torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0])
    weights = torch.tensor([0.5])  # 5 w − 5 + λ w = 0 for λ = 5
    for kind in (torch.bfloat16, torch.float16, torch.float32):
        parts = (weights.to(kind), rows.to(kind), outputs.to(kind))
        assert steal_hyperparameter(*parts, objective="ridge") == pytest.approx(5)
    with refuses(ValueError, "inputs must have rows of one length"):
        steal_hyperparameter(weights, [[1.0], [1.0, 2.0]], outputs, objective="ridge")
    for wrong, error in ((None, TypeError), ("5", TypeError), (math.nan, ValueError), (math.inf, ValueError)):
        with refuses(error, "penalty must be"):
            stationarity(weights, rows, outputs, objective="ridge", penalty=wrong)
