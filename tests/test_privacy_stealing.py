"""Stolen weights, against the models that they were stolen from: scikit-learn's and PyTorch's."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.svm import SVC
from torch import Tensor, nn

from tml_helpers.data import digits
from tml_helpers.privacy import LimitedAPI, QueryLimitError, StealingWarning, steal_linear_model

EXACT = 1e-6


@pytest.fixture(autouse=True)
def silence_is_no_warning() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", StealingWarning)
        yield


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_diabetes(return_X_y=True)
    return x, y


class Counter:
    """Counts the rows that a model is asked about."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer, self.rows = answer, 0

    def __call__(self, rows: Tensor) -> Any:
        self.rows += len(rows)
        return self.answer(rows.numpy())


@pytest.mark.parametrize("model", [LinearRegression(), Ridge(0.1), Lasso(0.1)])
def test_linear_regression_of_scikit_learn(model: Any) -> None:
    model.fit(*diabetes())
    query = Counter(model.predict)
    stolen = steal_linear_model(query, features=10, checks=0)
    assert query.rows == stolen.queries == 11  # d + 1
    np.testing.assert_allclose(stolen.weights, model.coef_, rtol=0, atol=EXACT)
    assert stolen.bias.item() == pytest.approx(model.intercept_, abs=EXACT)
    rows = diabetes()[0][:5]
    np.testing.assert_allclose(stolen(torch.as_tensor(rows)), model.predict(rows), atol=EXACT)


@pytest.mark.parametrize("penalty", [1e-2, 1.0, 100.0])
def test_logistic_regression_of_scikit_learn(penalty: float) -> None:
    x, y = load_iris(return_X_y=True)
    model = LogisticRegression(C=penalty).fit(x, y == 2)
    for answer in (model.predict_proba, model.predict_log_proba):
        stolen = steal_linear_model(Counter(answer), features=4)
        assert stolen.queries == 6
        np.testing.assert_allclose(stolen.weights, model.coef_[0], rtol=0, atol=EXACT)
        assert stolen.bias.item() == pytest.approx(model.intercept_[0], abs=EXACT)
        np.testing.assert_allclose(stolen(torch.as_tensor(x)), answer(x), atol=EXACT)
    one = steal_linear_model(lambda rows: model.predict_proba(rows.numpy())[:, 1], features=4, answers="probabilities")
    np.testing.assert_allclose(one.weights, model.coef_[0], rtol=0, atol=EXACT)
    np.testing.assert_allclose(one(torch.as_tensor(x)), model.predict_proba(x)[:, 1], atol=EXACT)
    logs = steal_linear_model(
        lambda rows: model.predict_log_proba(rows.numpy())[:, 1], features=4, answers="log_probabilities"
    )
    np.testing.assert_allclose(logs.weights, model.coef_[0], rtol=0, atol=EXACT)


def test_softmax_regression_of_scikit_learn() -> None:
    """An L2 penalty leaves weights that add up to 0 over the classes: the same of all shifts."""
    x, y = load_iris(return_X_y=True)
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(x, y)
    stolen = steal_linear_model(Counter(model.predict_proba), features=4)
    np.testing.assert_allclose(stolen.weights, model.coef_, rtol=0, atol=EXACT)
    np.testing.assert_allclose(stolen(torch.as_tensor(x)), model.predict_proba(x), atol=EXACT)
    scores = steal_linear_model(Counter(model.decision_function), features=4)
    np.testing.assert_allclose(scores.bias, model.intercept_, rtol=0, atol=EXACT)


def test_softmax_up_to_a_shift() -> None:
    """Weights with another vector added to each class answer alike, and are stolen as the same."""
    generator = torch.Generator().manual_seed(0)
    weights, bias = torch.randn(3, 5, generator=generator).double(), torch.randn(3, generator=generator).double()
    shift = torch.randn(5, generator=generator).double()
    for added in (torch.zeros(5).double(), shift):
        stolen = steal_linear_model(lambda r, w=weights + added: (r @ w.T + bias).softmax(dim=1), features=5)
        torch.testing.assert_close(stolen.weights, weights - weights.mean(dim=0), rtol=0, atol=1e-10)
        torch.testing.assert_close(stolen.bias, bias - bias.mean(), rtol=0, atol=1e-10)
        logits = steal_linear_model(lambda r, w=weights + added: r @ w.T + bias, features=5)
        torch.testing.assert_close(logits.weights, weights + added, rtol=0, atol=1e-10)


def test_linear_support_vectors() -> None:
    x, y = load_iris(return_X_y=True)
    model = SVC(kernel="linear").fit(x[y > 0], y[y > 0])
    stolen = steal_linear_model(Counter(model.decision_function), features=4)
    np.testing.assert_allclose(stolen.weights, model.coef_[0], rtol=0, atol=EXACT)


def test_a_network_of_pytorch_and_an_interface_to_it() -> None:
    train = digits("train")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    stolen = steal_linear_model(model, features=64)
    torch.testing.assert_close(stolen.weights, model[1].weight.detach(), rtol=0, atol=EXACT)
    api = LimitedAPI(model, max_queries=66)
    behind = steal_linear_model(api, features=64)
    assert api.queries == behind.queries == 66
    assert behind.answers == "log_probabilities"
    images = train.images[:20].double()
    torch.testing.assert_close(behind(images.flatten(1)), model(images).log_softmax(dim=1), rtol=0, atol=EXACT)
    with pytest.raises(QueryLimitError):
        steal_linear_model(LimitedAPI(model, max_queries=65), features=64)
    single = nn.Linear(3, 1)
    near = steal_linear_model(single, features=3)  # float32: as exact as its answers
    torch.testing.assert_close(near.weights, single.weight[0].double(), rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    features=st.integers(1, 30),
    columns=st.sampled_from([0, 1, 2, 5]),
    scale=st.sampled_from([0.1, 1.0, 7.0]),
    probabilities=st.booleans(),
)
def test_whatever_the_model(seed: int, features: int, columns: int, scale: float, probabilities: bool) -> None:
    random = np.random.default_rng(seed)
    weights, bias = random.normal(size=(max(columns, 1), features)) / scale, random.normal(size=max(columns, 1)) + 3

    def query(rows: Tensor) -> np.ndarray:
        values = rows.numpy() @ weights.T + bias
        values = values[:, 0] if columns == 0 else values
        if not (probabilities and columns > 1):
            return values
        likelihood = np.exp(values - values.max(axis=1, keepdims=True))
        return likelihood / likelihood.sum(axis=1, keepdims=True)

    kind = "probabilities" if probabilities and columns > 1 else "values"
    stolen = steal_linear_model(query, features=features, answers=kind, scale=scale)
    fresh = torch.as_tensor(random.normal(size=(4, features)))
    expected = query(fresh)
    np.testing.assert_allclose(stolen(fresh), expected[:, 0] if columns == 1 else expected, atol=EXACT)
    if kind == "values":
        np.testing.assert_allclose(stolen.weights.reshape(-1, features), weights, atol=EXACT)


def test_own_rows_over_determined_and_not_contiguous() -> None:
    x, y = diabetes()
    model = LinearRegression().fit(x, y)
    rows = torch.as_tensor(x[:40].T.copy()).T
    assert not rows.is_contiguous()
    stolen = steal_linear_model(Counter(model.predict), features=10, rows=rows)
    assert stolen.queries == 40
    np.testing.assert_allclose(stolen.weights, model.coef_, rtol=1e-8)
    assert stolen.residual < 1e-9


def test_questions_that_do_not_determine_the_weights() -> None:
    ones = torch.ones(20, 3)
    with refuses(ValueError, "20 questions determine 1 of 4 unknowns"):
        steal_linear_model(lambda rows: rows.sum(dim=1), features=3, rows=ones)
    with refuses(ValueError, "3 questions determine 3 of 4"):
        steal_linear_model(lambda rows: rows.sum(dim=1), features=3, rows=torch.eye(3))
    asked: list[int] = []
    with pytest.raises(ValueError, match="unknowns"):
        steal_linear_model(lambda rows: asked.append(1), features=3, rows=ones)
    assert not asked, "questions that are of no use cost nothing"


def logistic(rows: Tensor, sharpness: float = 1.0) -> Tensor:
    p = torch.sigmoid(sharpness * (rows @ torch.tensor([1.0, -2.0, 0.5]).double()) + 0.3)
    return torch.stack([1 - p, p], dim=1)


def test_probabilities_of_0_and_1_have_no_logit() -> None:
    with refuses(ValueError, "above 0 and below 1", "smaller scale"):
        steal_linear_model(lambda rows: logistic(rows, 500), features=3)
    found = steal_linear_model(lambda rows: logistic(rows, 500), features=3, scale=0.01)
    torch.testing.assert_close(found.weights, 500 * torch.tensor([1.0, -2.0, 0.5]).double(), rtol=1e-6, atol=0)
    with refuses(ValueError, "above 0 and below 1", "only the class is shown"):
        steal_linear_model(lambda rows: logistic(rows).round(), features=3)


def test_answers_that_are_no_linear_model_are_noticed() -> None:
    with pytest.warns(StealingWarning, match="not those of a linear model"):
        steal_linear_model(lambda rows: logistic(rows).round(decimals=3), features=3)
    with pytest.warns(StealingWarning, match="4 decimals"):
        steal_linear_model(lambda rows: logistic(rows).round(decimals=3), features=3, checks=0)
    with pytest.warns(StealingWarning, match="off by"):
        steal_linear_model(lambda rows: (rows @ torch.ones(3).double() + 2).square(), features=3)
    with pytest.warns(StealingWarning):
        steal_linear_model(lambda rows: logistic(rows).clamp(0.2, 0.8), features=3)


@pytest.mark.parametrize("limits", [{"top": 1}, {"decimals": 3}, {"clip": 0.55}, {"top": 2, "decimals": 1}])
def test_a_limited_interface_is_noticed(limits: dict[str, Any]) -> None:
    torch.manual_seed(1)
    model = nn.Linear(6, 4).double()
    model.weight.data *= 5  # sure enough of its answers for every limit to bite
    with pytest.warns(StealingWarning):
        found = steal_linear_model(LimitedAPI(model, **limits), features=6)
    true = model.weight.detach() - model.weight.detach().mean(dim=0)
    assert (found.weights - true).abs().max() > 1e-4


def test_one_column_that_may_be_two_things_has_to_be_named() -> None:
    with refuses(ValueError, "may be probabilities or values", "answers="):
        steal_linear_model(lambda rows: logistic(rows)[:, 1], features=3)
    values = steal_linear_model(lambda rows: 0.5 + 0.01 * rows.sum(dim=1), features=3, answers="values")
    torch.testing.assert_close(values.weights, torch.full((3,), 0.01).double())


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"features": 0}, ValueError, "features"),
        ({"features": 2.0}, TypeError, "features"),
        ({"scale": 0.0}, ValueError, "scale"),
        ({"scale": float("nan")}, ValueError, "scale"),
        ({"checks": -1}, ValueError, "checks"),
        ({"answers": "labels"}, ValueError, "answers must be one of"),
        ({"rows": torch.rand(9, 2)}, ValueError, "[M, 3]"),
        ({"rows": [[1, 2, 3]]}, ValueError, "list"),
        ({"rows": torch.full((9, 3), float("nan"))}, ValueError, "finite"),
        ({"rows": torch.rand(9, 3), "scale": 2.0}, ValueError, "scale has no effect"),
        ({"rows": torch.rand(9, 3), "checks": 0}, ValueError, "checks has no effect"),
    ],
)
def test_arguments(changed: dict[str, Any], kind: type[Exception], words: str) -> None:
    with refuses(kind, words):
        steal_linear_model(**{"query": lambda rows: rows.sum(dim=1), "features": 3} | changed)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda rows: rows.sum(), ValueError, "[5] or [5, K]"),
        (lambda rows: rows.sum(dim=1)[1:], ValueError, "[4]"),
        (lambda rows: rows.sum(dim=1) * float("nan"), ValueError, "NaN"),
        (lambda rows: rows.sum(dim=1) * float("inf"), ValueError, "NaN"),
        (lambda rows: rows.sum(dim=1) / 0 + 1, ValueError, "NaN"),
        (lambda rows: ["yes"] * len(rows), TypeError, "numbers"),
        (lambda rows: rows.exp().sum(dim=1) / 1e-320, ValueError, "finite"),
    ],
)
def test_answers_that_cannot_be_read(answer: Any, kind: type[Exception], words: str) -> None:
    with refuses(kind, words):
        steal_linear_model(answer, features=3)


def test_a_stolen_model_answers_arrays() -> None:
    stolen = steal_linear_model(lambda rows: rows @ torch.ones(3).double(), features=3)
    rows = torch.rand(2, 3)
    assert torch.equal(stolen(rows.numpy()), stolen(rows))  # type: ignore[arg-type]
