"""Paillier's cryptosystem against the textbook's formula, against exact fractions, and against what must not pass."""

import math
import random
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_helpers import privacy
from tml_helpers.privacy import PaillierCiphertext, PaillierPrivateKey, PaillierPublicKey, TeachingCryptographyWarning
from tml_helpers.privacy.paillier import is_prime

pytestmark = pytest.mark.filterwarnings("ignore::tml_helpers.privacy.TeachingCryptographyWarning")

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TeachingCryptographyWarning)
    PUBLIC, PRIVATE = privacy.generate_keypair(512)
    OTHER, OTHER_PRIVATE = privacy.generate_keypair(512)

singles = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**62), max_value=2.0**62)
numbers = st.one_of(singles, st.integers(-(2**62), 2**62))


def textbook(ciphertext: int, key: PaillierPrivateKey) -> int:
    """m = L(c^λ mod n²) / L(g^λ mod n²) mod n with λ = lcm(p − 1, q − 1), from Paillier's paper."""
    n = key.public_key.n
    carmichael = math.lcm(key.p - 1, key.q - 1)

    def logarithm(base: int) -> int:
        return (pow(base, carmichael, n * n) - 1) // n

    return logarithm(ciphertext) * pow(logarithm(n + 1), -1, n) % n


@settings(max_examples=30, deadline=None)
@given(numbers, numbers)
def test_the_product_of_two_ciphertexts_holds_the_sum(a: float, b: float) -> None:
    one, two = PUBLIC.encrypt(a, fraction_bits=149), PUBLIC.encrypt(b, fraction_bits=149)
    product = one.value * two.value % PUBLIC.n**2
    whole = (Fraction(a) + Fraction(b)) * 2**149
    assert textbook(product, PRIVATE) == whole % PUBLIC.n
    assert PRIVATE.decrypt(one + two, exactly=True) == Fraction(a) + Fraction(b)


@settings(max_examples=30, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=5), st.floats(-100, 100, width=32), st.integers(-1000, 1000))
def test_weighted_sums_are_exact_and_rounded_once(values: list[float], factor: float, whole: int) -> None:
    encrypted = [PUBLIC.encrypt(value) for value in values]
    found = factor * sum(encrypted) - whole
    exact = Fraction(factor) * sum(map(Fraction, values)) - whole
    assert PRIVATE.decrypt(found, exactly=True) == exact
    assert PRIVATE.decrypt(found) == float(exact)


def test_a_sum_of_floats_is_fsum() -> None:
    """0.1 + 0.2 + … in floats is off by a rounding at each step; inside the ciphertext by none."""
    values = [0.1] * 10 + [1e16, -1e16, 1e-17]
    total = PRIVATE.decrypt(sum(PUBLIC.encrypt(value) for value in values))
    assert total == math.fsum(values)
    assert total != np.add.accumulate(values)[-1]


def test_signs_and_places() -> None:
    for value in (0, -1, 7, 0.5, -0.5, 2**-149, -1e-20, 2.0**63, -(2.0**63), 2**63):
        found = PRIVATE.decrypt(PUBLIC.encrypt(value))
        assert found == value
        assert type(found) is type(value)
    c = PUBLIC.encrypt(3)
    cases = [(c + 2, 5), (2 + c, 5), (c - 5, -2), (5 - c, 2), (-c, -3), (c * 0, 0), (c * -2, -6), (0.25 * c, 0.75)]
    for found, expected in cases:
        assert PRIVATE.decrypt(found) == expected


def test_the_largest_number_fits_and_the_next_is_refused() -> None:
    half = PUBLIC.n // 2
    for value in (half, -half):
        assert PRIVATE.decrypt(PUBLIC.encrypt(value, bound=half)) == value
    with refuses(ValueError, "512", "longer key"):
        PUBLIC.encrypt(1, bound=half + 1)
    full = PUBLIC.encrypt(half, bound=half)
    for wrong in (lambda: full + 1, lambda: full + full, lambda: full * 2, lambda: full * -2, lambda: full * 0.5 + 0.5):
        with refuses(ValueError, "the key holds 512"):
            wrong()


def test_arrays_keep_their_shape_and_order() -> None:
    values = torch.arange(6.0, requires_grad=True).reshape(2, 3).T
    encrypted = PUBLIC.encrypt(values)
    assert encrypted.shape == (3, 2)
    found = PRIVATE.decrypt(encrypted * 2 + np.arange(6).reshape(3, 2))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, 2 * values.detach().numpy() + np.arange(6).reshape(3, 2))
    whole = PRIVATE.decrypt(PUBLIC.encrypt([1, -2]))
    assert whole.dtype == np.int64
    assert list(whole) == [1, -2]
    assert PRIVATE.decrypt(PUBLIC.encrypt(torch.tensor([1.5, -0.1], dtype=torch.bfloat16))).tolist() == [
        1.5,
        float(torch.tensor(-0.1, dtype=torch.bfloat16)),
    ]
    assert PRIVATE.decrypt([PUBLIC.encrypt(1), PUBLIC.encrypt(0.5)]).tolist() == [1, 0.5]
    large = PRIVATE.decrypt(PUBLIC.encrypt([2**63 + 1, -1], bound=2**64))  # an array of NumPy would make floats of them
    assert [*large] == [2**63 + 1, -1]


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.float64, np.float32, np.float16])
def test_numbers_of_numpy(kind: Any) -> None:
    """phe #116: a zero of the type numpy.int64 ended in an OverflowError."""
    for value in (kind(0), kind(3)):
        assert PRIVATE.decrypt(PUBLIC.encrypt(value)) == value
        assert PRIVATE.decrypt(PUBLIC.encrypt(2) * value + value) == 3 * value
        assert PRIVATE.decrypt(value * PUBLIC.encrypt(2)) == 2 * value


def test_many_products_are_right_or_refused() -> None:
    """phe #110: after some tens of products by a float, decryption failed, or was wrong where nobody noticed."""
    value, factor = 0.7, 0.3
    c, exact = PUBLIC.encrypt(value), Fraction(value)
    with refuses(ValueError, "the key holds 512"):
        for _ in range(100):
            c = c * factor
            exact *= Fraction(factor)
            assert PRIVATE.decrypt(c, exactly=True) == exact
    assert exact < Fraction(value)


@pytest.mark.parametrize(("r", "n"), [(593, 0.1641340916202469), (445, 0.16413409062205825), (462, 2.954413649165506)])
def test_a_whole_number_and_a_float(r: int, n: float) -> None:
    """phe #62: these sums raised "int too large to convert to float"."""
    assert PRIVATE.decrypt(PUBLIC.encrypt(n) + PUBLIC.encrypt(r)) == n + r


def test_a_fraction_times_a_fraction() -> None:
    """PySyft #393: 10.1 encrypted, times 1.1, was an overflow."""
    assert PRIVATE.decrypt(PUBLIC.encrypt(np.array([10.1])) * 1.1) == [float(Fraction(10.1) * Fraction(1.1))]


def test_equal_numbers_have_different_ciphertexts_of_one_form() -> None:
    """A form that depended on the number (its exponent, as in phe) would give away what is encrypted."""
    made = [PUBLIC.encrypt(value) for value in (0.0, 0.5, 0.1, -1e18, 2**-149, 0.0)]
    assert len({c.value for c in made}) == len(made)
    assert len({(c.fraction_bits, c.limit) for c in made}) == 1
    whole = [PUBLIC.encrypt(value) for value in (0, 1, -(2**62))]
    assert len({(c.fraction_bits, c.limit) for c in whole}) == 1


def test_every_ciphertext_is_hidden_by_a_factor_of_its_own() -> None:
    """c · g^−m = r^n: never 1, never the same, and of an r below n without a divisor of n."""
    noises = [c.value * pow(1 + PUBLIC.n, -5, PUBLIC.n**2) % PUBLIC.n**2 for c in PUBLIC.encrypt([5] * 20)]
    assert len(set(noises)) == 20
    assert 1 not in noises
    for noise in noises:
        assert textbook(noise, PRIVATE) == 0


def test_rerandomised_is_the_same_number_in_another_ciphertext() -> None:
    c = PUBLIC.encrypt(-2.5)
    known = (c * 0, c * 1, c + 0)
    assert known[0].value == 1  # anybody can see this zero
    for ciphertext in known:
        fresh = ciphertext.rerandomise()
        assert fresh.value != ciphertext.value
        assert PRIVATE.decrypt(fresh) == PRIVATE.decrypt(ciphertext)
        assert (fresh.fraction_bits, fresh.limit) == (ciphertext.fraction_bits, ciphertext.limit)


def test_nothing_hangs_on_seeds() -> None:
    """Randomness is the operating system's: whoever knows the seeds of a program must not know its keys."""
    drawn = []
    for _ in range(2):
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        drawn.append((privacy.generate_keypair(128).public.n, PUBLIC.encrypt(1).value))
    assert drawn[0][0] != drawn[1][0]
    assert drawn[0][1] != drawn[1][1]


@pytest.mark.parametrize("bits", [64, 66, 128, 256, 1024])
def test_keys_have_their_length_and_two_primes(bits: int) -> None:
    for _ in range(1 if bits > 500 else 5):
        public, private = privacy.generate_keypair(bits)
        assert public.bits == public.n.bit_length() == bits
        assert private.p.bit_length() == private.q.bit_length() == bits // 2
        assert sympy.isprime(private.p)
        assert sympy.isprime(private.q)
        assert private.p != private.q
        assert math.gcd(public.n, (private.p - 1) * (private.q - 1)) == 1
        if bits > 200:
            assert abs(private.p - private.q).bit_length() > bits // 2 - 100
        assert private.decrypt(public.encrypt(-12, bound=100)) == -12


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.integers(-5, 10**4), st.integers(4 * 10**6, 10**12)))
def test_primes_are_those_of_sympy(number: int) -> None:
    assert is_prime(number) == sympy.isprime(number)


@pytest.mark.parametrize("number", [561, 3215031751, 3825123056546413051, 318665857834031151167461, 2003**2, 2**89 - 3])
def test_numbers_that_look_prime_to_some_bases(number: int) -> None:
    """Carmichael's numbers, and strong pseudoprimes to the first 4, 9 and 12 primes."""
    assert is_prime(number) == sympy.isprime(number)
    assert not is_prime(number)


def test_the_private_key_is_not_printed() -> None:
    _, private = pair = privacy.generate_keypair(128)
    for text in (repr(private), str(private), repr(pair), repr(PUBLIC.encrypt(3))):
        assert str(private.p) not in text
        assert str(private.q) not in text
    assert "value" not in repr(PUBLIC.encrypt(3))


def test_it_says_what_it_is() -> None:
    with pytest.warns(TeachingCryptographyWarning, match="not audited, not constant-time"):
        PaillierPublicKey(2**2047 + 1)
    with pytest.warns(TeachingCryptographyWarning, match="a key of 128 bits can be broken"):
        privacy.generate_keypair(128)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            PaillierPublicKey(2**2047 + 1)
    assert len(caught) == 1


def test_other_keys_are_refused() -> None:
    c, theirs = PUBLIC.encrypt(1), OTHER.encrypt(1)
    with refuses(ValueError, "another key"):
        PRIVATE.decrypt(theirs)
    with refuses(ValueError, "another key"):
        OTHER_PRIVATE.decrypt([theirs, c])
    for wrong in (lambda: c + theirs, lambda: theirs - c, lambda: sum([c, theirs])):
        with refuses(ValueError, "different keys"):
            wrong()
    with refuses(ValueError, "p·q = n"):
        PaillierPrivateKey(PUBLIC, OTHER_PRIVATE.p, OTHER_PRIVATE.q)
    with refuses(ValueError, "different primes"):
        PaillierPrivateKey(PaillierPublicKey(PRIVATE.p**2), PRIVATE.p, PRIVATE.p)
    with refuses(ValueError, "divisor"):
        PaillierPrivateKey(PaillierPublicKey((2**31 - 1) * (4 * (2**31 - 1) * 3 + 1)), 2**31 - 1, 12 * (2**31 - 1) + 1)
    forged = PaillierCiphertext(PUBLIC, theirs.value % PUBLIC.n**2, theirs.fraction_bits, theirs.limit)
    with refuses(ValueError, "changed"):
        PRIVATE.decrypt(forged)


def test_products_of_ciphertexts_are_refused_with_the_reason() -> None:
    c = PUBLIC.encrypt(2)
    with refuses(TypeError, "cannot multiply two", "TenSEAL"):
        c * c
    with refuses(TypeError, "cannot multiply two"):
        PUBLIC.encrypt([1, 2]) * PUBLIC.encrypt([3, 4])


def test_damaged_ciphertexts_are_refused() -> None:
    c = PUBLIC.encrypt(2.5)
    for value in (0, PUBLIC.n**2, PUBLIC.n**2 + 5, PRIVATE.p, PUBLIC.n):
        with refuses(ValueError, "damaged"):
            PaillierCiphertext(PUBLIC, value, 0, 1)
    for value in (c.value + 1, c.value ^ 1 << 100):
        with refuses(ValueError, "changed"):
            PRIVATE.decrypt(PaillierCiphertext(PUBLIC, value, c.fraction_bits, c.limit))
    with refuses(TypeError, "value"):
        PaillierCiphertext(PUBLIC, 1.0, 0, 1)  # type: ignore[arg-type]


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "NaN": (math.nan, ValueError, "finite"),
    "infinite": ([1.0, -math.inf], ValueError, "finite"),
    "bool": (True, TypeError, "bool"),
    "bools": (np.array([True]), TypeError, "bool"),
    "a bool among numbers": (np.array([1, True], dtype=object), TypeError, "bool"),
    "words": ("3", TypeError, "real numbers"),
    "complex": (1j, TypeError, "complex"),
    "None": (None, TypeError, "NoneType"),
    "empty": ([], ValueError, "at least one number"),
    "a third": (Fraction(1, 3), ValueError, "2^-149"),
    "tiny": (1e-300, ValueError, "more fraction_bits"),
    "too large": (1e20, ValueError, "larger bound"),
    "masked": (np.ma.masked_array([1, 2], mask=[0, 1]), ValueError, "masked"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_number_is_refused(kind: str) -> None:
    wrong, error, words = WRONG[kind]
    with refuses(error, "values", words):
        PUBLIC.encrypt(wrong)


def test_what_is_added_and_multiplied_is_a_number() -> None:
    c = PUBLIC.encrypt(1)
    for wrong, error, words in (
        (math.nan, ValueError, "finite"),
        (True, TypeError, "bool"),
        ("2", TypeError, "str"),
        (Fraction(1, 3), ValueError, "no end in binary"),
    ):
        with refuses(error, words):
            c + wrong
        with refuses(error, words):
            c * wrong
    assert PRIVATE.decrypt(c * Fraction(3, 4) + Fraction(1, 4)) == 1
    with refuses(TypeError, "PaillierCiphertext", "float"):
        PRIVATE.decrypt(3.0)


def test_sizes_of_keys_and_bounds() -> None:
    for bits, error, words in ((62, ValueError, "64 or more"), (129, ValueError, "even"), (128.0, TypeError, "whole")):
        with refuses(error, "bits", words):
            privacy.generate_keypair(bits)  # type: ignore[arg-type]
    for n, error in ((2**100, ValueError), (2**20 + 1, ValueError), ("5", TypeError)):
        with refuses(error, "n must be"):
            PaillierPublicKey(n)  # type: ignore[arg-type]
    for name, wrong, error in (("bound", 0, ValueError), ("bound", 1.5, TypeError), ("fraction_bits", -1, ValueError)):
        with refuses(error, name):
            PUBLIC.encrypt(1, **{name: wrong})
    short = privacy.generate_keypair(64).public
    with refuses(ValueError, "the key holds 64"):
        short.encrypt(0.5)


def test_a_number_beyond_floats_is_shown_exactly() -> None:
    p, q = 2**607 - 1, 2**1279 - 1
    private = PaillierPrivateKey(PaillierPublicKey(p * q), p, q)
    c = private.public_key.encrypt(2**1100, bound=2**1100, fraction_bits=1)
    with refuses(ValueError, "exactly"):
        private.decrypt(c)
    assert private.decrypt(c, exactly=True) == 2**1100
    assert private.decrypt(private.public_key.encrypt(2**70, bound=2**70)) == 2**70


def test_a_private_key_of_what_is_no_number_shows_nothing_of_it() -> None:
    public, private = privacy.generate_keypair(64)
    for p, q in ((None, private.q), (private.p, str(private.q)), (float(private.p), private.q), (True, public.n)):
        with refuses(TypeError, "p and q must be whole numbers"):
            PaillierPrivateKey(public, p, q)  # type: ignore[arg-type]
    with refuses(TypeError, "public_key must be a PaillierPublicKey"):
        PaillierPrivateKey(public.n, private.p, private.q)  # type: ignore[arg-type]
