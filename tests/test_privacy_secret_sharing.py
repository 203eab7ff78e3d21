"""Shares add up to what was shared, fewer than all are noise, and products are exact."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from tml_helpers import privacy
from tml_helpers.privacy import Share, beaver_triple, multiply, reconstruct, shamir_reconstruct, shamir_share, share
from tml_helpers.privacy.secret_sharing import PRIME

pytestmark = pytest.mark.filterwarnings("ignore::tml_helpers.privacy.TeachingCryptographyWarning")
singles = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**62), max_value=2.0**62)


def looks_uniform(residues: np.ndarray, modulus: int) -> bool:
    """Whether the 16 sixteenths of the residues, and their last 4 bits, are as full as by chance (1 in 10⁹ errs)."""
    for part in (residues * 16 // modulus, residues % 16):
        counts = np.bincount(part.ravel().astype(int), minlength=16)
        expected = residues.size / 16
        if ((counts - expected) ** 2 / expected).sum() > chi2.isf(1e-9, 15):
            return False
    return True


def exactly(array: Any) -> np.ndarray:
    return np.vectorize(Fraction, otypes=[object])(np.asarray(array, dtype=object))


@settings(max_examples=40, deadline=None)
@given(st.lists(singles, min_size=1, max_size=6), st.integers(2, 5))
def test_shares_add_up_to_what_was_shared(values: list[float], parties: int) -> None:
    shares = share(np.float32(values), parties=parties)
    assert [one.party for one in shares] == list(range(parties))
    total = sum(one.values for one in shares) % PRIME
    assert [*total] == [Fraction(value) * 2**149 % PRIME for value in values]
    np.testing.assert_array_equal(reconstruct(shares), values)
    assert [*reconstruct(shares[::-1], exactly=True)] == [Fraction(value) for value in values]


@settings(max_examples=40, deadline=None)
@given(st.lists(singles, min_size=2, max_size=4), st.integers(-9, 9), st.floats(-9, 9, width=32))
def test_sums_and_multiples_need_no_other_party(values: list[float], whole: int, factor: float) -> None:
    a, b = share(values, parties=3), share(values[::-1], parties=3)
    found = [factor * x - y * whole for x, y in zip(a, b, strict=True)]
    expected = [Fraction(factor) * Fraction(x) - whole * Fraction(y) for x, y in zip(values, values[::-1], strict=True)]
    assert [*reconstruct(found, exactly=True)] == expected
    assert [*reconstruct([-x for x in a])] == [-value for value in values]


def test_whole_and_fractional_numbers_meet() -> None:
    a, b = share([1, -2], parties=2), share([0.5, 0.25], parties=2)
    for found in ([x + y for x, y in zip(a, b, strict=True)], [y + x for x, y in zip(a, b, strict=True)]):
        assert reconstruct(found).tolist() == [1.5, -1.75]
    assert reconstruct(a).dtype == np.int64
    assert reconstruct(share(7, parties=2)).item() == 7
    assert reconstruct(share(torch.tensor([[1.5], [2.0]]).T, parties=2)).tolist() == [[1.5, 2.0]]


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(2, 4))
def test_products_are_exact(data: st.DataObject, parties: int) -> None:
    x, y = (np.array(data.draw(st.lists(singles, min_size=3, max_size=3))) for _ in range(2))
    triple = beaver_triple((3,), parties=parties)
    found = multiply(share(x, parties=parties), share(y, parties=parties), triple=triple)
    np.testing.assert_array_equal(reconstruct(found, exactly=True), exactly(x) * exactly(y))
    np.testing.assert_array_equal(reconstruct(found[::-1]), x * y)  # rounded once, as a product of floats is


@pytest.mark.parametrize("parties", [2, 3, 5])
def test_matrix_products_are_exact(parties: int) -> None:
    random = np.random.default_rng(parties)
    x, y = random.normal(size=(4, 3)).astype(np.float32), random.normal(size=(3, 2)).astype(np.float32)
    triple = beaver_triple((4, 3), right=(3, 2), parties=parties)
    shares = share(x, parties=parties), share(y, parties=parties)
    found = multiply(*shares, triple=triple)
    np.testing.assert_array_equal(reconstruct(found, exactly=True), exactly(x) @ exactly(y))
    assert [tuple(s.values.shape) for s in found] == [(4, 2)] * parties


def test_a_matrix_product_at_its_bound() -> None:
    shares = share([[2, -2, 2]], parties=2, bound=2), share([[2], [-2], [2]], parties=2, bound=2)
    found = multiply(*shares, triple=beaver_triple((1, 3), right=(3, 1), parties=2))
    assert reconstruct(found).tolist() == [[12]]
    assert found[0].limit == 12


def test_three_parties_multiply() -> None:
    """PySyft #2706: with more than two workers, truncation after a product of ones gave nonsense, now and then."""
    for _ in range(20):
        ones = [share(torch.ones(4, 1), parties=3) for _ in range(2)]
        found = multiply(*ones, triple=beaver_triple((4, 1), parties=3))
        assert reconstruct(found).tolist() == [[1.0]] * 4


@pytest.mark.parametrize(("x", "y"), [(1e-8, 1e-8), (1e-6, 1e6), (0.004, 0.003), (30_000.0, 70_000.0)])
def test_small_and_large_factors(x: float, y: float) -> None:
    """CrypTen #180: with few places, products of small numbers were 0; with many, large ones wrapped around."""
    x, y = float(np.float32(x)), float(np.float32(y))
    found = multiply(share(x, parties=2), share(y, parties=2), triple=beaver_triple((), parties=2))
    assert reconstruct(found) == x * y


def test_a_product_that_does_not_fit_is_refused_before_anything_is_published() -> None:
    """MP-SPDZ #1718: of two products that did not fit, one was NaN and one a number that looked right."""
    x, y = share(1231234.5, parties=2), share(1231235.5, parties=2)
    z = multiply(x, y, triple=beaver_triple((), parties=2))
    assert reconstruct(z) == 1231234.5 * 1231235.5
    triple = beaver_triple((), parties=2)
    with refuses(ValueError, "521", "smaller bound"):
        multiply(z, z, triple=triple)
    assert not triple.spent
    small = share(1231234.5, parties=2, bound=2**21, fraction_bits=1), share(-0.5, parties=2, bound=2, fraction_bits=1)
    for _ in range(3):
        small = multiply(*small, triple=beaver_triple((), parties=2)), small[1]
    assert reconstruct(small[0]) == 1231234.5 * -(0.5**3)


@pytest.mark.parametrize("secret", [0, -1, 2**62, 0.1])
@pytest.mark.parametrize("parties", [2, 3])
def test_fewer_than_all_shares_are_uniform(secret: float, parties: int) -> None:
    """All but one are shown, whichever it is: each, and their sum, is noise whatever the secret."""
    shares = share([secret] * 3000, parties=parties)
    for some in combinations(shares, parties - 1):
        for one in some:
            assert looks_uniform(one.values, PRIME)
        assert looks_uniform(sum(one.values for one in some) % PRIME, PRIME)


def test_what_is_published_in_a_product_is_uniform() -> None:
    x = share([3] * 3000, parties=2)
    triple = beaver_triple((3000,), parties=2)
    for masks in (triple.a, triple.b):
        d = sum(one.values - mask.values for one, mask in zip(x, masks, strict=True)) % PRIME
        assert looks_uniform(d, PRIME)
    product = multiply(x, share([0] * 3000, parties=2), triple=triple)
    for one in product:
        assert looks_uniform(one.values, PRIME)


def test_the_test_of_uniformity_notices() -> None:
    near = np.array([2**149 + k for k in range(3000)], dtype=object)
    assert not looks_uniform(near, PRIME)
    even = np.array([k * (PRIME // 3000) // 2 * 2 for k in range(3000)], dtype=object)
    assert not looks_uniform(even, PRIME)


def test_a_triple_is_used_once() -> None:
    x, y, triple = share([1.0], parties=2), share([2.0], parties=2), beaver_triple((1,), parties=2)
    multiply(x, y, triple=triple)
    with refuses(ValueError, "has been used", "difference"):
        multiply(x, y, triple=triple)


def test_missing_double_and_foreign_shares_are_refused() -> None:
    a, b, four = share([1.0], parties=3), share([5.0], parties=3), share([1.0], parties=4)
    wrong: list[tuple[Sequence[Any], type[Exception], str]] = [
        (a[:2], ValueError, "each of the 3 parties is needed, got those of [0, 1]"),
        (a[1:], ValueError, "[1, 2]"),
        ((a[0], a[1], a[1]), ValueError, "[0, 1, 1]"),
        ((*a, a[0]), ValueError, "[0, 0, 1, 2]"),
        ((a[0], a[1], b[2]), ValueError, "different values"),
        ((a[0], a[1], four[2]), ValueError, "shapes, places or limits differ"),
        ((a[0], a[1], share([1, 2], parties=3)[2]), ValueError, "differ"),
        ((), ValueError, "no share"),
        ((1.0, 2.0), TypeError, "Share"),
    ]
    for shares, error, words in wrong:
        with refuses(error, words):
            reconstruct(shares)
    changed = Share(2, 3, a[2].values + 2**400, a[2].fraction_bits, a[2].limit)
    with refuses(ValueError, "one was changed"):
        reconstruct([*a[:2], changed])
    with refuses(ValueError, "each of the 3 parties"):
        multiply(a[:2], b, triple=beaver_triple((1,), parties=3))
    for triple in (beaver_triple((2,), parties=3), beaver_triple((1,), parties=2)):
        with refuses(ValueError, "triple's shapes"):
            multiply(a, b, triple=triple)
    with refuses(ValueError, "one order"):
        multiply(a, b[::-1], triple=beaver_triple((1,), parties=3))
    with refuses(ValueError, "adds its own shares"):
        a[0] + a[1]
    with refuses(TypeError, "multiply"):
        a[0] * b[0]
    for number in (True, "2"):
        with refuses(TypeError, "the factor"):
            a[0] * number
    with pytest.raises(TypeError):
        a[0] + 1  # all parties would add it: it must be shared


def test_what_cannot_be_shared() -> None:
    for values, error, words in (
        (float("nan"), ValueError, "finite"),
        ([], ValueError, "at least one"),
        ([True], TypeError, "bool"),
        (["1"], TypeError, "real numbers"),
        (1e-60, ValueError, "more fraction_bits"),
        (2.0**64, ValueError, "larger bound"),
    ):
        with refuses(error, "values", words):
            share(values, parties=2)
    for parties, error in ((1, ValueError), (2.0, TypeError), (True, TypeError)):
        with refuses(error, "parties"):
            share(1, parties=parties)  # type: ignore[arg-type]
        with refuses(error, "parties"):
            beaver_triple((1,), parties=parties)  # type: ignore[arg-type]
    with refuses(ValueError, "521"):
        share(1, parties=2, bound=2**520)
    assert reconstruct(share(1 - 2**519, parties=2, bound=2**519)).item() == 1 - 2**519
    with refuses(ValueError, "matrices"):
        beaver_triple((2, 3), right=(2, 3), parties=2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**256), st.integers(1, 6), st.integers(0, 3), st.randoms())
def test_any_threshold_points_give_the_secret(secret: int, threshold: int, more: int, random: Any) -> None:
    points = shamir_share(secret, threshold=threshold, parties=threshold + more)
    assert sorted(points) == list(range(1, threshold + more + 1))
    some = dict(random.sample(sorted(points.items()), threshold))
    assert shamir_reconstruct(some, threshold=threshold) == secret
    assert shamir_reconstruct(points, threshold=threshold) == secret


def test_fewer_points_are_uniform_and_fit_every_secret() -> None:
    points = [shamir_share(5, threshold=3, parties=3) for _ in range(3000)]
    for x in (1, 2, 3):
        assert looks_uniform(np.array([p[x] for p in points], dtype=object), PRIME)
    second_differences = np.array([(p[1] - 2 * p[2] + p[3]) % PRIME for p in points], dtype=object)
    assert looks_uniform(
        second_differences, PRIME
    )  # of a polynomial of degree 1, which two points give away, they are 0
    two = {1: points[0][1], 2: points[0][2]}
    for other in (0, 7, 2**200):  # some third point makes any secret of them: f(3) = f(0) − 3 f(1) + 3 f(2)
        third = (other - 3 * two[1] + 3 * two[2]) % PRIME
        assert shamir_reconstruct(two | {3: third}, threshold=3) == other


def test_points_that_are_too_few_or_changed() -> None:
    points = shamir_share(99, threshold=3, parties=5)
    with refuses(ValueError, "3 points above 0", "[1, 2]"):
        shamir_reconstruct({1: points[1], 2: points[2]}, threshold=3)
    with refuses(ValueError, "changed"):
        shamir_reconstruct(points | {5: points[5] + 1}, threshold=3)
    with refuses(ValueError, "above 0"):
        shamir_reconstruct({0: 1, 1: 2, 2: 3}, threshold=3)
    for secret, threshold, parties, error in (
        (-1, 2, 3, ValueError),
        (PRIME, 2, 3, ValueError),
        (1, 4, 3, ValueError),
        (1, 0, 3, ValueError),
        (1.0, 2, 3, TypeError),
    ):
        with refuses(error):
            shamir_share(secret, threshold=threshold, parties=parties)  # type: ignore[arg-type]


def test_it_says_what_it_is() -> None:
    with pytest.warns(privacy.TeachingCryptographyWarning, match="for teaching"):
        share(1, parties=2)


def test_arguments_of_another_kind() -> None:
    x, y = share([1.0], parties=2), share([2.0], parties=2)
    with refuses(TypeError, "triple must be a BeaverTriple", "NoneType"):
        multiply(x, y, triple=None)  # type: ignore[arg-type]
    for wrong in (3, None):
        with refuses(TypeError, "shape must be a shape"):
            beaver_triple(wrong, parties=2)  # type: ignore[arg-type]
    for side, kind in ((-1, ValueError), (0, ValueError), (1.5, TypeError)):
        with refuses(kind, "each side of right"):
            beaver_triple((2, 3), parties=2, right=(3, side))  # type: ignore[arg-type]
    for points in ([1, 2], {"1": 1, "2": 2}, {1: None, 2: 3}, {1: 1.0, 2: 3}):
        with refuses(TypeError, "points must be whole numbers"):
            shamir_reconstruct(points, threshold=2)  # type: ignore[arg-type]


def test_no_error_shows_the_secret() -> None:
    secret = 31337.125
    for wrong in ({"bound": 1}, {"fraction_bits": 2}):
        for method in (
            lambda value, **more: share(value, parties=2, **more),
            privacy.generate_keypair(64).public.encrypt,
        ):
            with pytest.raises(ValueError) as caught:
                method(secret, **wrong)
            assert "31337" not in str(caught.value).replace(",", "")
    for number, kind in ((-31337, ValueError), (PRIME + 31337, ValueError), (31337.0, TypeError), ("31337", TypeError)):
        with pytest.raises(kind, match="secret must be a whole number") as refused:
            shamir_share(number, threshold=2, parties=3)  # type: ignore[arg-type]
        assert "31337" not in str(refused.value)
