"""The functions of lecture 0.2 on other data than the page's, against scikit-learn and closed forms."""

import numpy as np
import pytest
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from page_code import page_code
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

page = page_code("00_foundations/learning")
TABLES = {"iris": load_iris().data, "wine": load_wine().data / load_wine().data.std(0)}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("K", [1, 2, 3, 7])
def test_k_means_ends_at_scikit_learns_inertia_and_centroids(name: str, K: int) -> None:
    x = TABLES[name]
    start = page.spread_start(x, K, np.random.default_rng(K))
    group, centroids, inertias, ended = page.k_means(x, start)
    assert ended
    theirs = KMeans(K, init=start, n_init=1, tol=0, algorithm="lloyd").fit(x)
    assert inertias[-1] == pytest.approx(theirs.inertia_, rel=1e-9)
    np.testing.assert_allclose(centroids, theirs.cluster_centers_, atol=1e-8)
    assert (group == theirs.labels_).all()
    assert (np.diff(inertias) <= 1e-9).all()


def test_a_group_without_points_keeps_its_centroid_and_nothing_is_nan() -> None:
    """scikit-learn moves such a centroid to a far point; the page says what it does instead."""
    x = np.array([[0.0], [1.0], [10.0]])
    group, centroids, *_ = page.k_means(x, np.array([[0.0], [10.0], [1e6]]))
    assert group.tolist() == [0, 0, 1]
    np.testing.assert_allclose(centroids, [[0.5], [10.0], [1e6]])


def test_a_start_has_different_points_and_prefers_far_ones() -> None:
    """scipy #1605: centroids drawn with replacement may be the same. scikit-learn #10059: more groups than points."""
    x = np.repeat([[0.0, 0.0], [1.0, 0.0], [100.0, 0.0]], 50, axis=0)
    starts = [page.spread_start(x, 2, np.random.default_rng(seed)) for seed in range(200)]
    assert all(len(np.unique(start, axis=0)) == 2 for start in starts)
    far = np.mean([100.0 in start[:, 0] for start in starts])
    assert far > 0.97, "a point at 100 is drawn 10,000 times as often as one at 1"
    for K in (0, 4):
        with refuses(ValueError, "K", "different points"):
            page.spread_start(x, K, np.random.default_rng(0))


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(deadline=None)
def test_a_centroid_that_moves_online_is_the_mean_of_what_it_was_given(seed: int, K: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 3))
    start = x[:K] + 0.0
    moved = page.online_k_means(x, start)
    given_to: dict[int, list[np.ndarray]] = {k: [] for k in range(K)}
    now = start.copy()
    for point in x:
        k = int(np.linalg.norm(now - point, axis=1).argmin())
        given_to[k].append(point)
        now[k] = np.mean(given_to[k], axis=0)
    np.testing.assert_allclose(moved, now, atol=1e-9)
    assert (start == x[:K]).all(), "the start is not written into"


@pytest.mark.parametrize("name", TABLES)
def test_a_mixture_is_scikit_learns_after_each_number_of_steps(name: str) -> None:
    x = TABLES[name][:, :3]
    means = page.spread_start(x, 3, np.random.default_rng(5))
    for steps in (2, 5, 30):
        weights, found, covariances, history = page.mixture(x, means, steps=steps)
        theirs = GaussianMixture(
            3, means_init=means, weights_init=np.full(3, 1 / 3), precisions_init=np.stack([np.eye(3)] * 3),
            max_iter=steps, tol=1e-300, reg_covar=1e-6,
        )  # fmt: skip
        with pytest.warns(match="did not converge"):
            theirs.fit(x)
        np.testing.assert_allclose(found, theirs.means_, rtol=1e-6)
        np.testing.assert_allclose(weights, theirs.weights_, rtol=1e-6)
        np.testing.assert_allclose(covariances, theirs.covariances_, rtol=1e-5, atol=1e-8)
        assert (np.diff(history) > -1e-8).all()


def test_responsibilities_survive_where_all_densities_round_to_zero() -> None:
    """A point a thousand deviations away: without log-sum-exp 0 / 0."""
    r, total = page.e_step(np.array([[1000.0]]), [0.5, 0.5], [np.zeros(1), np.ones(1)], [np.eye(1)] * 2)
    assert r.sum() == pytest.approx(1)
    assert r[0, 1] == pytest.approx(1)
    assert np.isfinite(total)


def test_one_gaussian_is_mean_and_covariance() -> None:
    x = TABLES["iris"]
    weights, means, covariances, _ = page.mixture(x, x[:1], steps=3, floor=0)
    np.testing.assert_allclose(means[0], x.mean(0))
    np.testing.assert_allclose(covariances[0], np.cov(x, rowvar=False, bias=True))
    assert weights.tolist() == [1.0]


@pytest.mark.parametrize("name", TABLES)
def test_principal_components_are_scikit_learns_up_to_their_sign(name: str) -> None:
    x = TABLES[name]
    for m in (1, 2, x.shape[1]):
        mean, directions, variances = page.principal_components(x, m)
        theirs = PCA(m, svd_solver="full").fit(x)
        np.testing.assert_allclose(mean, theirs.mean_)
        np.testing.assert_allclose(variances, theirs.explained_variance_, rtol=1e-8)
        np.testing.assert_allclose(np.abs(np.sum(directions * theirs.components_.T, axis=0)), 1, atol=1e-6)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 9))
@settings(deadline=None)
def test_components_of_any_table_are_orthonormal_also_with_a_constant_column_or_few_rows(
    seed: int, d: int, n: int
) -> None:
    x = np.random.default_rng(seed).normal(size=(n, d))
    x[:, 0] = 3.0
    _, directions, variances = page.principal_components(x, d)
    np.testing.assert_allclose(directions.T @ directions, np.eye(d), atol=1e-9)
    assert variances.sum() == pytest.approx(x.var(0, ddof=1).sum())
    for m in (0, d + 1):
        with refuses(ValueError, "columns"):
            page.principal_components(x, m)


@given(st.integers(2, 50), st.integers(0, 10**6))
def test_folds_are_every_example_once_in_parts_of_equal_size(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, n + 1))
    parts = page.folds(n, k, rng)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for wrong in (1, n + 1):
        with refuses(ValueError, str(n)):
            page.folds(n, wrong, rng)


def test_bias_and_variance_of_a_constant_fit_are_known() -> None:
    """Degree 0 is the mean of n points: variance (σ² + variance of the curve) / n, bias the curve itself."""
    page0 = page_code("00_foundations/learning")
    bias, variance, noise, error = page0.decompose(0, 20, np.random.default_rng(3), sets=4000, noise=0.5)
    places = np.linspace(0.05, 0.95, 50)
    assert bias == pytest.approx(np.mean(np.sin(2 * np.pi * places) ** 2), rel=0.03)
    assert variance == pytest.approx((0.25 + 0.5) / 20, rel=0.1)
    assert noise == 0.25
    assert error == pytest.approx(bias + variance + noise, rel=0.03)


def test_whole_numbers_of_one_byte_do_not_wrap_around() -> None:
    x, start = np.array([[0], [1], [250]], dtype=np.uint8), np.array([[10], [250]], dtype=np.uint8)
    group, centroids, *_ = page.k_means(x, start)
    assert group.tolist() == [0, 0, 1]
    np.testing.assert_allclose(centroids, [[0.5], [250.0]])


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_stopped_before_its_end_it_says_so_and_its_inertia_is_that_of_its_centroids(steps: int) -> None:
    """scipy #24069: the distortion was that of another round than the centroids."""
    x = TABLES["iris"]
    start = x[:3]  # three flowers of one kind: far from the end
    group, centroids, inertias, ended = page.k_means(x, start, steps=steps)
    assert not ended
    distances = ((x[:, None] - centroids) ** 2).sum(2)
    assert inertias[-1] == pytest.approx(distances.min(1).sum())
    assert (group == distances.argmin(1)).all()


def test_features_are_chosen_by_correlation_and_not_by_their_scale() -> None:
    y = np.array([0, 0, 1, 1] * 10)
    rng = np.random.default_rng(0)
    x = np.stack([1e4 * rng.normal(size=40), y + 0.1 * rng.normal(size=40), np.full(40, 7.0)], axis=1)
    assert page.best_features(x, y, 3).tolist()[0] == 1
    assert page.best_features(x, y, 3).tolist()[-1] == 2


def test_what_cannot_be_learnt_from_is_refused() -> None:
    with refuses(ValueError, "both classes"):
        page.nearest_mean(np.zeros((3, 2)), np.ones(3, dtype=int), np.zeros((1, 2)))
    with refuses(ValueError, "finite"):
        page.k_means(np.array([[0.0], [np.nan]]), np.array([[0.0]]))
    with refuses(ValueError, "responsible for no point"):
        page.mixture(TABLES["iris"][:, :2], np.array([[5.0, 3.0], [1e3, 1e3]]))
    with refuses(ValueError, "two examples"):
        page.principal_components(np.zeros((1, 3)), 1)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 50), (50, 50), (1, 7), (970, 1000)])
def test_intervals_are_those_of_scipy(k: int, n: int) -> None:
    """The rule of Wilson as SciPy has it; 0 and n of n do not have an empty one."""
    exact = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(page.wilson(k, n), (exact.low, exact.high), atol=2e-5)
    low, high = page.plus_minus(k, n)
    assert (low + high) / 2 == pytest.approx(k / n)
    assert high - low == pytest.approx(2 * 1.96 * stats.binom.std(n, k / n) / n)


def test_coverage_is_a_share_of_all_outcomes() -> None:
    """Of one throw of a fair coin, a rule that says [0, 0.5] of tails and [0.6, 1] of heads is right on half."""
    assert page.coverage(lambda k, n: (0.6 * k, 0.5 + 0.5 * k), 0.5, 1) == pytest.approx(0.5)
    assert page.coverage(lambda k, n: (0 * k, 0 * k + 1), 0.3, 20) == pytest.approx(1)
