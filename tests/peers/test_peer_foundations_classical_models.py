"""The functions of lecture 0.3 on other data than the page's, against scikit-learn and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_code import page_code
from scipy.optimize import approx_fprime
from scipy.special import log_softmax
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import pairwise
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

page = page_code("00_foundations/classical_models", "LOSSES")
X, Y = load_diabetes(return_X_y=True)
X = X * 50 + 7  # neither centred nor of length one


@pytest.mark.parametrize("penalty", [0.0, 1.0, 1e4])
def test_ridge_is_scikit_learns(penalty: float) -> None:
    w, b = page.ridge(X, Y, penalty)
    theirs = (Ridge(penalty) if penalty else LinearRegression()).fit(X, Y)
    np.testing.assert_allclose(w, theirs.coef_, rtol=1e-6)
    assert b == pytest.approx(theirs.intercept_)


def test_equal_columns_share_their_weight_and_more_columns_than_rows_fit_exactly() -> None:
    """Where the normal equations have no inverse: the shortest of all solutions."""
    twice = np.column_stack([X[:, :2], X[:, 0]])
    w, b = page.ridge(twice, Y)
    np.testing.assert_allclose(w[0], w[2], rtol=1e-6)
    np.testing.assert_allclose(twice @ w + b, LinearRegression().fit(X[:, :2], Y).predict(X[:, :2]), rtol=1e-8)
    w, b = page.ridge(X[:5], Y[:5])
    np.testing.assert_allclose(X[:5] @ w + b, Y[:5], rtol=1e-5)


@pytest.mark.parametrize("penalty", [0.1, 5.0, 30.0])
def test_lasso_is_scikit_learns_also_with_a_constant_column(penalty: float) -> None:
    with_constant = np.column_stack([X, np.full(len(X), 3.0)])
    w, b = page.lasso(with_constant, Y, penalty, rounds=5000)
    theirs = Lasso(penalty, tol=1e-12, max_iter=100_000).fit(with_constant, Y)
    np.testing.assert_allclose(w, theirs.coef_, atol=1e-5)
    assert b == pytest.approx(theirs.intercept_, abs=1e-3)
    assert ((w == 0) == (theirs.coef_ == 0)).all()


@given(st.integers(0, 10**6), st.floats(0.01, 2))
@settings(deadline=None, max_examples=30)
def test_lasso_meets_its_conditions(seed: int, penalty: float) -> None:
    """Every weight that is not 0 has correlation ± penalty with what is left; every other one at most that."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    w, b = page.lasso(x, y, penalty)
    pull = (x - x.mean(0)).T @ (y - x @ w - b) / 30
    assert (np.abs(pull) <= penalty + 1e-6).all()
    np.testing.assert_allclose(pull[w != 0], penalty * np.sign(w[w != 0]), atol=1e-6)
    zero, _ = page.lasso(x, y, np.abs((x - x.mean(0)).T @ (y - y.mean()) / 30).max() + 1e-9)
    assert (zero == 0).all(), "above the largest correlation all weights are 0"


@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_softmax_regression_is_scikit_learns(load) -> None:
    x, labels = load(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    W, bias = page.softmax_regression(x, labels, 0.01)
    theirs = LogisticRegression(C=1 / (0.01 * len(x)), tol=1e-10, max_iter=10_000).fit(x, labels)
    np.testing.assert_allclose(W, theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(bias - bias.mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=1e-3)


def test_the_gradient_of_the_lecture_is_that_of_the_loss() -> None:
    """(p − 1[y = k]) x, by finite differences."""
    rng = np.random.default_rng(0)
    W, x, k = rng.normal(size=(4, 3)), rng.normal(size=3), 2
    p = np.exp(log_softmax(W @ x))
    numeric = approx_fprime(W.ravel(), lambda flat: -log_softmax(flat.reshape(4, 3) @ x)[k], 1e-7)
    np.testing.assert_allclose(np.outer(p - np.eye(4)[k], x).ravel(), numeric, atol=1e-5)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_naive_bayes_is_scikit_learns(load) -> None:
    x, labels = load(return_X_y=True)
    new = x[::3] + 0.1
    expected = GaussianNB().fit(x, labels).predict_log_proba(new)
    np.testing.assert_allclose(page.naive_bayes(x, labels, new), expected, rtol=1e-6, atol=1e-8)


def test_naive_bayes_bears_a_feature_that_never_varies_within_a_class() -> None:
    """The digits' empty corners; without a floor 0 / 0."""
    x = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 5.0], [1.0, 6.0]])
    said = page.naive_bayes(x, np.array([0, 0, 1, 1]), x)
    assert np.isfinite(said).all()
    assert said.argmax(1).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("load", [load_iris, load_wine])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_tree_is_as_good_as_scikit_learns(load, depth: int) -> None:
    """Where two questions gain the same, either may be asked: so the entropy that is left is compared, at depth 1."""
    x, labels = load(return_X_y=True)
    tree = page.grow(x, labels, depth)
    theirs = DecisionTreeClassifier(criterion="entropy", max_depth=depth, random_state=0).fit(x, labels)
    mine = np.array([page.follow(tree, row) for row in x])
    assert np.mean(mine == labels) >= theirs.score(x, labels) - 0.02
    _, _, gain = page.best_question(x, labels)
    impurity, samples = theirs.tree_.impurity, theirs.tree_.weighted_n_node_samples
    left, right = theirs.tree_.children_left[0], theirs.tree_.children_right[0]
    after = (impurity[left] * samples[left] + impurity[right] * samples[right]) / samples[0]
    assert gain == pytest.approx(impurity[0] - after)


def test_entropy_is_in_bits_and_a_pure_set_is_a_leaf() -> None:
    assert page.entropy(np.array([0, 1])) == 1
    assert page.entropy(np.array([0, 1, 2, 3])) == 2
    assert page.entropy(np.array([2, 2, 2])) == 0
    assert page.grow(np.zeros((3, 2)), np.array([1, 1, 0]), 5) == 1, "no question sorts equal rows"
    assert page.grow(np.arange(4.0)[:, None], np.array([0, 0, 0, 0]), 5) == 0
    assert page.grow(np.arange(4.0)[:, None], np.array([0, 0, 1, 1]), 1) == (0, 1.5, 0, 1)


@pytest.mark.parametrize("C", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_the_dual_is_libsvms(C: float, kernel: str) -> None:
    x, labels = load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0))[:200]
    sign = np.where(labels[:200] == 1, 1, -1)
    gram = x @ x.T if kernel == "linear" else pairwise.rbf_kernel(x, gamma=0.02)
    alpha, offset = page.svm(gram, sign, C, rounds=200_000)
    theirs = SVC(C=C, kernel="precomputed", tol=1e-8).fit(gram, sign)
    np.testing.assert_allclose(gram @ (alpha * sign) + offset, theirs.decision_function(gram), atol=1e-3)
    assert alpha.min() >= 0
    assert alpha.max() <= C + 1e-12


def test_the_margin_of_two_points_is_half_their_distance() -> None:
    points, sign = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([-1, 1])
    alpha, offset = page.svm(points @ points.T, sign, 1e6)
    w = (alpha * sign) @ points
    assert 1 / np.linalg.norm(w) == pytest.approx(2.5)
    np.testing.assert_allclose(points @ w + offset, sign, atol=1e-6)


@given(st.floats(-20, 20))
def test_every_loss_lies_above_the_0_1_loss(margin: float) -> None:
    losses = {name: loss(np.array([margin]))[0] for name, loss in page.LOSSES.items()}
    assert min(losses.values()) >= float(margin <= 0) - 1e-12
    assert losses["hinge (SVM)"] == max(0.0, 1 - margin)
    assert losses["logistic"] == pytest.approx(np.log2(1 + np.exp(-margin)))
