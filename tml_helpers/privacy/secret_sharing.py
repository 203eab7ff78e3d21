"""Computing on numbers that nobody holds: additive shares, Beaver's triples for products, and Shamir's shares.

A teaching version, in which all parties live in one process. Numbers are whole multiples of 2^−f in the field of the
prime 2^521 − 1. A product has 2f places, and none are cut off: it is exact, where systems that truncate are off by a
little always and by a lot sometimes. The places and a bound on the size are public, so that an overflow is an error
before it happens.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tml_helpers.common import check_counts
from tml_helpers.privacy._fixed_point import BOUND, as_fractions, exact, from_whole, read, signed
from tml_helpers.privacy._teaching import warn_of_teaching

PRIME = 2**521 - 1
"""Mersenne's thirteenth prime: room for a product of two float32 arrays, and a field for Shamir's polynomials."""


@dataclass(frozen=True, eq=False)
class Share:
    """What one party holds of an array: a + b, a − b and 3 · a need no other party.

    Args:
        party: whose share it is, from 0 to parties − 1.
        parties: how many there are, 2 or more.
        values: residues modulo 2^521 − 1, any shape, dtype object; uniform, whatever was shared.
        fraction_bits: f, the places of the numbers that were shared.
        limit: what these numbers · 2^f do not exceed in size.

    Raises:
        ValueError: a limit beyond what the field can hold.

    Derived in: lectures/60_privacy/computing_on_the_unseen.
    """

    party: int
    parties: int
    values: np.ndarray = field(repr=False)
    fraction_bits: int
    limit: int = field(repr=False)

    def __post_init__(self) -> None:
        if self.limit > PRIME // 2:
            raise ValueError(
                f"the numbers may need {self.limit.bit_length() + 1} bits, but the field holds 521: share them with a "
                "smaller bound or fewer fraction_bits"
            )

    def __add__(self, other: Any) -> "Share":
        """[a] + [b] = [a + b]."""
        if not isinstance(other, Share):
            return NotImplemented
        if (self.party, self.parties) != (other.party, other.parties):
            raise ValueError(
                f"one party adds its own shares: these are of party {self.party} of {self.parties} and party "
                f"{other.party} of {other.parties}"
            )
        bits = max(self.fraction_bits, other.fraction_bits)
        one, two = self._with_places(bits), other._with_places(bits)
        return self._with(one.values + two.values, bits, one.limit + two.limit)

    def __mul__(self, factor: Any) -> "Share":
        """k · [a] = [k · a], for a number k that all parties know."""
        if isinstance(factor, Share | np.ndarray):
            raise TypeError("a share is multiplied by one public number; for a product of two shared arrays: multiply")
        whole, bits = exact("the factor", factor)
        return self._with(self.values * whole, self.fraction_bits + bits, self.limit * abs(whole))

    __rmul__ = __mul__

    def __neg__(self) -> "Share":
        return self.__mul__(-1)

    def __sub__(self, other: Any) -> "Share":
        return self.__add__(-other)

    def _with(self, values: np.ndarray, bits: int, limit: int) -> "Share":
        return Share(self.party, self.parties, np.asarray(values % PRIME, dtype=object), bits, limit)

    def _with_places(self, bits: int) -> "Share":
        by = bits - self.fraction_bits
        return self._with(self.values << by, bits, self.limit << by) if by else self


@dataclass(frozen=True, eq=False)
class BeaverTriple:
    """Shares of two random arrays and of their product, good for one multiplication.

    Args:
        a, b: shares of uniform arrays, one for each party.
        c: shares of a · b, or of the matrix product a b.
        matrix: whether c is the matrix product.
        spent: whether it has been used: not empty then.

    Derived in: lectures/60_privacy/computing_on_the_unseen.
    """

    a: tuple[Share, ...] = field(repr=False)
    b: tuple[Share, ...] = field(repr=False)
    c: tuple[Share, ...] = field(repr=False)
    matrix: bool
    spent: list[bool] = field(default_factory=list)


def share(values: Any, *, parties: int, bound: int = BOUND, fraction_bits: int | None = None) -> tuple[Share, ...]:
    """x = Σ_p x_p mod 2^521 − 1, with all shares but the last uniform: then any parties − 1 of them are.

    Args:
        values: an array, tensor or number, finite; every float32 is shared exactly.
        parties: 2 or more.
        bound: what no value exceeds in size. It is public: choose it without looking at the values.
        fraction_bits: places behind the binary point, public as well; None takes 0 for whole numbers, else 149.

    Returns:
        One share for each party, in their order.

    Raises:
        TypeError: what is no real number, or a number of parties that is not whole.
        ValueError: NaN, infinity, a value beyond the bound or with more places, or fewer than two parties.

    Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    check_counts(2, parties=parties)
    whole, bits = read("values", values, fraction_bits=fraction_bits, bound=bound)
    warn_of_teaching("privacy.secret_sharing", "a maintained framework, as MP-SPDZ")
    return _split(whole, parties, bits, bound << bits)


def reconstruct(shares: Sequence[Share], *, exactly: bool = False) -> Any:
    """Σ_p x_p mod 2^521 − 1, which needs the share of every party.

    Args:
        shares: one of each party, in any order.
        exactly: whether to return fractions of Python, which are never rounded.

    Returns:
        The array that was shared: float64, each number rounded once; int64 if whole numbers were shared.

    Raises:
        TypeError: what is no share.
        ValueError: a share that is missing or comes twice, or shares of different shapes, places or values.

    Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    found = _open(shares)
    bits, limit = shares[0].fraction_bits, shares[0].limit
    if any(abs(number) > limit for number in found.flat):
        raise ValueError(
            "the sum of these shares exceeds their limit: one was changed, or they are of different values"
        )
    return as_fractions(found, bits) if exactly else from_whole(found, bits)


def beaver_triple(shape: Sequence[int], *, parties: int, right: Sequence[int] | None = None) -> BeaverTriple:
    """Shares of a, b and c = a · b for uniform a and b: what a dealer hands out before anybody has a secret.

    The dealer knows a and b, and must not see what is published later. In earnest the parties make triples among
    themselves.

    Args:
        shape: of a, the left factor.
        parties: 2 or more.
        right: of b, where c is to be the matrix product; None for a product number by number, with b of a's shape.

    Returns:
        A triple for one multiplication.

    Raises:
        TypeError: what is no shape, or a number of parties that is not whole.
        ValueError: fewer than two parties, a side below 1, or matrices that do not fit.

    Source: Beaver, 1991. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    check_counts(2, parties=parties)
    left = _sides("shape", shape)
    other = left if right is None else _sides("right", right)
    if right is not None and (len(left) != 2 or len(other) != 2 or left[1] != other[0]):
        raise ValueError(f"matrices must be [A, B] and [B, C], got shapes {list(left)} and {list(other)}")
    a, b = _uniform(left), _uniform(other)
    c = a * b if right is None else a @ b
    parts = [_split(np.asarray(array, dtype=object), parties, 0, PRIME // 2) for array in (a, b, c)]
    return BeaverTriple(parts[0], parts[1], parts[2], matrix=right is not None)


def multiply(x_shares: Sequence[Share], y_shares: Sequence[Share], *, triple: BeaverTriple) -> tuple[Share, ...]:
    """[x·y] = [c] + d·[b] + [a]·e + d·e, where d = x − a and e = y − b are published.

    Nobody learns x from d: a is uniform, so d is. A triple that is used twice gives away x − x′, and is refused.

    Args:
        x_shares, y_shares: one of each party, in the same order.
        triple: of their shapes, and unused.

    Returns:
        Shares of the product, number by number or of matrices, as the triple is; exact, with the places of both.

    Raises:
        TypeError: what is no share, or no triple.
        ValueError: a share that is missing, shapes that differ from the triple's, a triple that is spent, or a product
            beyond what the field can hold.

    Source: Beaver, 1991. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    for shares in (x_shares, y_shares):
        _check_whole(shares)
    if not isinstance(triple, BeaverTriple):
        raise TypeError(f"triple must be a BeaverTriple, got {type(triple).__name__}")
    shapes = [shares[0].values.shape for shares in (x_shares, y_shares)]
    wanted = [shares[0].values.shape for shares in (triple.a, triple.b)]
    parties = {len(x_shares), len(y_shares), len(triple.a)}
    if shapes != wanted or len(parties) > 1 or [x.party for x in x_shares] != [y.party for y in y_shares]:
        raise ValueError(
            f"the factors must have the triple's shapes {wanted} and its {len(triple.a)} parties in one order, got "
            f"shapes {shapes}"
        )
    if triple.spent:
        raise ValueError("this triple has been used: a second use gives away the difference of the secrets")
    x, y = x_shares[0], y_shares[0]
    terms = x.values.shape[-1] if triple.matrix else 1
    form = {"bits": x.fraction_bits + y.fraction_bits, "limit": x.limit * y.limit * terms}
    x._with(x.values, **form)  # refuses an overflow before anything is published
    triple.spent.append(True)
    d = _opened_difference(x_shares, triple.a)
    e = _opened_difference(y_shares, triple.b)
    product = np.matmul if triple.matrix else np.multiply
    found = []
    for one in x_shares:
        a, b, c = (shares[one.party].values for shares in (triple.a, triple.b, triple.c))
        values = c + product(d, b) + product(a, e)
        found.append(one._with(values + product(d, e) if one.party == 0 else values, **form))
    return tuple(found)


def shamir_share(secret: int, *, threshold: int, parties: int) -> dict[int, int]:
    """f(1), …, f(parties) of a random polynomial of degree threshold − 1 with f(0) = secret, modulo 2^521 − 1.

    Args:
        secret: a whole number from 0 to 2^521 − 2.
        threshold: how many points give the secret; fewer give nothing. From 1 to parties.
        parties: how many points are made, 1 or more.

    Returns:
        The value of each point, by the point.

    Raises:
        TypeError: no whole numbers.
        ValueError: a secret or a threshold outside of its range.

    Source: Shamir, 1979. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    check_counts(parties=parties, threshold=threshold)
    if threshold > parties:
        raise ValueError(f"threshold must be at most {parties}, the number of parties, got {threshold}")
    if isinstance(secret, bool) or not isinstance(secret, int):
        raise TypeError(f"secret must be a whole number, got {type(secret).__name__}")
    if not 0 <= secret < PRIME:
        raise ValueError("secret must be a whole number from 0 to 2^521 − 2, and it is not")
    coefficients = [secret] + [secrets.randbelow(PRIME) for _ in range(threshold - 1)]
    return {x: sum(c * x**power for power, c in enumerate(coefficients)) % PRIME for x in range(1, parties + 1)}


def shamir_reconstruct(points: dict[int, int], *, threshold: int) -> int:
    """f(0) = Σ_i f(x_i) Π_{j≠i} x_j / (x_j − x_i), Lagrange's formula at zero.

    Args:
        points: values of the polynomial, by the point; more than the threshold must agree with it.
        threshold: how many determine it.

    Returns:
        The secret.

    Raises:
        TypeError: points or a threshold that are not whole.
        ValueError: too few points, a point 0, or points that are not on one polynomial.

    Source: Shamir, 1979. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    check_counts(threshold=threshold)
    if not isinstance(points, dict) or not all(type(part) is int for point in points.items() for part in point):
        raise TypeError("points must be whole numbers by whole numbers, as shamir_share makes them")
    if len(points) < threshold or any(not 0 < x < PRIME for x in points):
        raise ValueError(f"{threshold} points above 0 are needed to find the secret, got {sorted(points)}")
    first = dict(list(points.items())[:threshold])
    if any(_at(first, x) != y % PRIME for x, y in points.items()):
        raise ValueError("the points do not lie on one polynomial of this degree: one has been changed")
    return _at(first, 0)


def _at(points: dict[int, int], place: int) -> int:
    """The value at a place of the polynomial through some points."""
    total = 0
    for x, y in points.items():
        above = below = 1
        for other in points:
            if other != x:
                above, below = above * (place - other) % PRIME, below * (x - other) % PRIME
        total += y * above * pow(below, -1, PRIME)
    return total % PRIME


def _sides(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape whose sides are whole numbers of 1 or more."""
    if not isinstance(shape, Sequence):
        raise TypeError(f"{name} must be a shape, as (2, 3), got {shape!r}")
    for side in shape:
        check_counts(**{f"each side of {name}": side})
    return tuple(shape)


def _uniform(shape: Sequence[int]) -> np.ndarray:
    """Uniform residues."""
    found = np.empty(int(np.prod(shape)), dtype=object)
    found[:] = [secrets.randbelow(PRIME) for _ in range(found.size)]
    return found.reshape(shape)


def _split(whole: np.ndarray, parties: int, bits: int, limit: int) -> tuple[Share, ...]:
    free = [_uniform(whole.shape) for _ in range(parties - 1)]
    last = np.asarray((whole - sum(free)) % PRIME, dtype=object)
    return tuple(Share(party, parties, values, bits, limit) for party, values in enumerate([*free, last]))


def _open(shares: Sequence[Share]) -> np.ndarray:
    """The whole numbers that the shares add up to."""
    _check_whole(shares)
    return np.asarray(signed(np.asarray(sum(one.values for one in shares), dtype=object), PRIME), dtype=object)


def _opened_difference(shares: Sequence[Share], masks: tuple[Share, ...]) -> np.ndarray:
    """x − a, of which every party publishes its part."""
    parts = [one.values - masks[one.party].values for one in shares]
    return np.asarray(sum(parts) % PRIME, dtype=object)


def _check_whole(shares: Sequence[Share]) -> None:
    """One share of each party, all of one kind."""
    if not isinstance(shares, Sequence) or not all(isinstance(one, Share) for one in shares):
        raise TypeError("shares must be a list of the parties' Share objects")
    if not shares:
        raise ValueError("there is no share")
    there, parties = sorted(one.party for one in shares), shares[0].parties
    if there != list(range(parties)):
        raise ValueError(
            f"one share of each of the {parties} parties is needed, got those of {there}: fewer than all are noise"
        )
    kinds = {(one.parties, one.values.shape, one.fraction_bits, one.limit) for one in shares}
    if len(kinds) > 1:
        raise ValueError("the shares are of different arrays: their shapes, places or limits differ")
