"""Paillier's scheme as in phe: one key, and each reads what the other encrypted.

Where we differ, and why:

- phe's ciphertext carries an exponent that depends on the number: 0.5 and 1e-6 can be told apart. Ours has one form.
- phe keeps a third of the residues as a guard against overflows, and can miss one; ours keeps account, and refuses.
- phe's numbers have as many places as their exponent; ours are refused where they have more than 2^−149.

phe is under the GPL: it is used in these tests alone.
"""

import warnings
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_helpers import privacy
from tml_helpers.privacy import PaillierCiphertext

phe = pytest.importorskip("phe", reason="the extra [peers] is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::tml_helpers.privacy.TeachingCryptographyWarning")

with warnings.catch_warnings():
    warnings.simplefilter("ignore", privacy.TeachingCryptographyWarning)
    PUBLIC, PRIVATE = privacy.generate_keypair(512)
THEIR_PUBLIC = phe.PaillierPublicKey(PUBLIC.n)
THEIR_PRIVATE = phe.PaillierPrivateKey(THEIR_PUBLIC, PRIVATE.p, PRIVATE.q)


@settings(max_examples=25, deadline=None)
@given(st.integers(-(2**62), 2**62), st.floats(-1e6, 1e6, width=32))
def test_phe_reads_ours(whole: int, fraction: float) -> None:
    assert THEIR_PRIVATE.raw_decrypt(PUBLIC.encrypt(whole).value) == whole % PUBLIC.n
    c = PUBLIC.encrypt(fraction) * 3 + whole
    exact = (3 * Fraction(fraction) + whole) * 2**c.fraction_bits
    assert THEIR_PRIVATE.raw_decrypt(c.value) == exact % PUBLIC.n


@settings(max_examples=25, deadline=None)
@given(st.integers(-(2**62), 2**62), st.integers(1, 2**200))
def test_we_read_phe(whole: int, r: int) -> None:
    theirs = THEIR_PUBLIC.raw_encrypt(whole % PUBLIC.n, r_value=r)
    assert PRIVATE.decrypt(PaillierCiphertext(PUBLIC, theirs, 0, 2**62)) == whole
    by_formula = (1 + whole * PUBLIC.n) * pow(r, PUBLIC.n, PUBLIC.n**2) % PUBLIC.n**2
    assert theirs == by_formula


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=4), st.integers(-50, 50))
def test_both_compute_the_same(values: list[float], factor: int) -> None:
    ours = PRIVATE.decrypt(sum(PUBLIC.encrypt(value) for value in values) * factor + 0.25)
    theirs = THEIR_PRIVATE.decrypt(sum(THEIR_PUBLIC.encrypt(value) for value in values) * factor + 0.25)
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)


def test_phe_shows_the_form_of_a_number_and_ours_does_not() -> None:
    theirs = {THEIR_PUBLIC.encrypt(value).exponent for value in (0.5, 1e-6, 1e-12)}
    ours = {PUBLIC.encrypt(value).fraction_bits for value in (0.5, 1e-6, 1e-12)}
    assert len(theirs) == 3
    assert len(ours) == 1


def test_phe_misses_an_overflow_that_ours_refuses() -> None:
    """phe #110: of products beyond n, phe finds those that fall into its guard, a third of all."""
    wrong = 0
    for k in range(40):
        factor, value = 2**170 + 7 * k, 2**170 + k
        c = THEIR_PUBLIC.encrypt(value) * factor * factor  # about 2^510, twice or so beyond what fits
        try:
            wrong += THEIR_PRIVATE.decrypt(c * (3 + k)) != value * factor**2 * (3 + k)
        except OverflowError:
            continue
    assert wrong > 0
    with pytest.raises(ValueError, match="longer key"):
        PUBLIC.encrypt(2**170, bound=2**171) * 2**170 * 2**170 * 5
