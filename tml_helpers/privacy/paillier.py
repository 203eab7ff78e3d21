"""Paillier's cryptosystem: encrypted numbers that anybody can add and nobody but the owner of the key can read.

A teaching version. It is not constant-time and not audited. What is encrypted is a whole multiple of 2^−f. The places f
and a bound on the size are public and travel with each ciphertext, so that an overflow is an error before it happens.
"""

import math
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tml_helpers.common import check_counts
from tml_helpers.privacy._fixed_point import BOUND, as_fractions, exact, from_whole, read
from tml_helpers.privacy._teaching import warn_of_teaching, warn_once

SHORTEST, RECOMMENDED = 64, 2048  # bits of n
ROUNDS = 40  # of Miller and Rabin: a composite number passes one with probability 1/4 at most
SMALL_PRIMES = [n for n in range(3, 2000) if all(n % d for d in range(2, math.isqrt(n) + 1))]


@dataclass(frozen=True)
class PaillierPublicKey:
    """n = p·q, with g = n + 1: whoever has it can encrypt, add, and multiply by what is not encrypted.

    Args:
        n: the modulus, odd, 64 bits or more.

    Raises:
        TypeError: no whole number.
        ValueError: a number that is even, or too short.

    Source: Paillier, 1999. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """

    n: int

    def __post_init__(self) -> None:
        check_counts(n=self.n)
        if self.n % 2 == 0 or self.bits < SHORTEST:
            raise ValueError(f"n must be odd and have {SHORTEST} bits or more, got {self.bits} bits")
        warn_of_teaching("privacy.paillier", "a maintained library, as TenSEAL")
        if self.bits < RECOMMENDED:
            warn_once(f"a key of {self.bits} bits can be broken: take {RECOMMENDED:,} or more")

    @property
    def bits(self) -> int:
        """The length of n.

        Returns:
            In bits.
        """
        return self.n.bit_length()

    @cached_property
    def n_squared(self) -> int:
        """n², below which ciphertexts lie.

        Returns:
            A whole number.
        """
        return self.n**2

    def encrypt(self, values: Any, *, bound: int = BOUND, fraction_bits: int | None = None) -> Any:
        """c = (1 + m·n) · r^n mod n², with a fresh r for each number and m = value · 2^fraction_bits.

        Args:
            values: a number, or an array, list or tensor of them, finite; every float32 is encrypted exactly.
            bound: what no value exceeds in size. It is public: choose it without looking at the values.
            fraction_bits: places behind the binary point, public as well; None takes 0 for whole numbers, else 149.

        Returns:
            A `PaillierCiphertext`, or an array of them (dtype object) of the values' shape.

        Raises:
            TypeError: what is no real number.
            ValueError: NaN, infinity, a value beyond the bound or with more places, or a key too short for both.
        """
        whole, bits = read("values", values, fraction_bits=fraction_bits, bound=bound)
        made = np.empty(whole.size, dtype=object)
        for index, number in enumerate(whole.flat):
            value = self._plain(number) * self._noise() % self.n_squared
            made[index] = PaillierCiphertext(self, value, bits, bound << bits)
        return made.reshape(whole.shape)[()]

    def _plain(self, whole: int) -> int:
        """g^m = (1 + n)^m = 1 + m·n mod n²: an encryption that hides nothing."""
        return (1 + whole * self.n) % self.n_squared

    def _noise(self) -> int:
        """r^n mod n², an encryption of 0, for an r without a common divisor with n."""
        while True:
            r = 1 + secrets.randbelow(self.n - 1)
            if math.gcd(r, self.n) == 1:
                return pow(r, self.n, self.n_squared)


@dataclass(frozen=True, eq=False)
class PaillierCiphertext:
    """An encrypted number: c + c, c + 3, c − c, and 0.5 · c work; c · c does not.

    What it is added to or multiplied with in the clear counts as public: call `rerandomise` before you publish the
    result, for otherwise whoever knows c can try out what was done to it.

    Args:
        public_key: whose number it is.
        value: c, from 1 to n² − 1, without a common divisor with n.
        fraction_bits: f, the places of the number inside, 0 or more.
        limit: what the number inside · 2^f does not exceed in size.

    Raises:
        TypeError: no whole numbers.
        ValueError: a value outside of its range, or a limit that the key cannot hold.

    Source: Paillier, 1999. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """

    public_key: PaillierPublicKey
    value: int = field(repr=False)
    fraction_bits: int
    limit: int = field(repr=False)

    def __post_init__(self) -> None:
        check_counts(0, value=self.value, fraction_bits=self.fraction_bits, limit=self.limit)
        n = self.public_key.n
        if not 0 < self.value < n**2 or math.gcd(self.value, n) != 1:
            raise ValueError("a ciphertext must lie between 1 and n² − 1, without a divisor of n: this one is damaged")
        if self.limit > n // 2:
            raise ValueError(
                f"the number inside may need {self.limit.bit_length() + 1} bits, but the key holds {n.bit_length()}: "
                "take a longer key, a smaller bound or fewer fraction_bits, or decrypt and encrypt again"
            )

    def __add__(self, other: Any) -> "PaillierCiphertext":
        """E(a) · E(b) = E(a + b), and E(a) · g^b = E(a + b) for a b that is not encrypted."""
        if isinstance(other, np.ndarray) and other.ndim:
            return NotImplemented
        if not isinstance(other, PaillierCiphertext):
            whole, bits = exact("what is added", other)
            other = PaillierCiphertext(self.public_key, self.public_key._plain(whole), bits, abs(whole))
        if other.public_key.n != self.public_key.n:
            raise ValueError("the two numbers are encrypted with different keys: their sum has no meaning")
        bits = max(self.fraction_bits, other.fraction_bits)
        one, two = self._with_places(bits), other._with_places(bits)
        value = one.value * two.value % self.public_key.n_squared
        return PaillierCiphertext(self.public_key, value, bits, one.limit + two.limit)

    def __mul__(self, factor: Any) -> "PaillierCiphertext":
        """E(a)^k = E(k · a)."""
        if isinstance(factor, np.ndarray) and factor.ndim:
            return NotImplemented
        if isinstance(factor, PaillierCiphertext):
            raise TypeError(
                "Paillier's scheme adds encrypted numbers and cannot multiply two: that needs a fully homomorphic "
                "scheme, as CKKS in TenSEAL"
            )
        whole, bits = exact("the factor", factor)
        value = pow(self.value, whole, self.public_key.n_squared)
        return PaillierCiphertext(self.public_key, value, self.fraction_bits + bits, self.limit * abs(whole))

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> "PaillierCiphertext":
        return self.__mul__(-1)

    def __sub__(self, other: Any) -> "PaillierCiphertext":
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> "PaillierCiphertext":
        return self.__neg__().__add__(other)

    def rerandomise(self) -> "PaillierCiphertext":
        """E(a) · E(0) with a fresh r: the same number in a ciphertext that shows nothing of how it was made.

        Returns:
            The new ciphertext.
        """
        value = self.value * self.public_key._noise() % self.public_key.n_squared
        return PaillierCiphertext(self.public_key, value, self.fraction_bits, self.limit)

    def _with_places(self, bits: int) -> "PaillierCiphertext":
        return self if bits == self.fraction_bits else self._shifted(bits - self.fraction_bits)

    def _shifted(self, by: int) -> "PaillierCiphertext":
        value = pow(self.value, 1 << by, self.public_key.n_squared)
        return PaillierCiphertext(self.public_key, value, self.fraction_bits + by, self.limit << by)


@dataclass(frozen=True)
class PaillierPrivateKey:
    """The primes p and q of n: whoever has them can read.

    Args:
        public_key: n.
        p, q: different primes with p·q = n; they are not printed.

    Raises:
        TypeError: no public key, or no whole numbers.
        ValueError: another product, p = q, or a divisor that n and (p − 1)(q − 1) share.

    Source: Paillier, 1999. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """

    public_key: PaillierPublicKey
    p: int = field(repr=False)
    q: int = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.public_key, PaillierPublicKey):
            raise TypeError(f"public_key must be a PaillierPublicKey, got {type(self.public_key).__name__}")
        check_secret(self.p, self.q)
        n = self.public_key.n
        if self.p * self.q != n or self.p == self.q or math.gcd(n, (self.p - 1) * (self.q - 1)) != 1:
            raise ValueError("p and q must be different primes with p·q = n and no divisor of n in p − 1 or q − 1")

    def decrypt(self, values: Any, *, exactly: bool = False) -> Any:
        """m = L(c^φ mod n²) · φ⁻¹ mod n with L(u) = (u − 1) / n, computed for p and q apart and put together.

        Args:
            values: a `PaillierCiphertext`, or an array or list of them, made with this key.
            exactly: whether to return fractions of Python, which are never rounded.

        Returns:
            What `encrypt` was given: a number, int of whole numbers and else a float that is rounded once; or an array
            of the values' shape.

        Raises:
            TypeError: what is no ciphertext.
            ValueError: a ciphertext of another key, one that has been changed, or a number too large for a float.
        """
        array = np.asarray(values, dtype=object)
        wholes = [self._whole(ciphertext) for ciphertext in array.flat]
        places = [ciphertext.fraction_bits for ciphertext in array.flat]
        bits = max(places, default=0)
        found = np.empty(array.size, dtype=object)
        found[:] = [whole << (bits - own) for whole, own in zip(wholes, places, strict=True)]
        numbers = as_fractions(found, bits) if exactly else from_whole(found, bits)
        return numbers.reshape(array.shape) if array.ndim else numbers.item()

    def _whole(self, ciphertext: Any) -> int:
        """The whole number inside, within its limit."""
        if not isinstance(ciphertext, PaillierCiphertext):
            raise TypeError(f"what is decrypted must be a PaillierCiphertext, got {type(ciphertext).__name__}")
        n = self.public_key.n
        if ciphertext.public_key.n != n:
            raise ValueError("the ciphertext was made with another key: this one cannot read it")
        parts = [_residue(ciphertext.value, prime, other) for prime, other in ((self.p, self.q), (self.q, self.p))]
        whole = parts[1] + self.q * ((parts[0] - parts[1]) * pow(self.q, -1, self.p) % self.p)
        whole = whole - n if whole > n // 2 else whole
        if abs(whole) > ciphertext.limit:
            raise ValueError("the number inside exceeds the ciphertext's own limit: one of the two has been changed")
        return whole


@dataclass(frozen=True)
class PaillierKeypair:
    """Two keys that belong together: `public, private = generate_keypair()`.

    Args:
        public: for everybody.
        private: for its owner.
    """

    public: PaillierPublicKey
    private: PaillierPrivateKey

    def __iter__(self) -> Iterator[Any]:
        yield self.public
        yield self.private


def generate_keypair(bits: int = RECOMMENDED) -> PaillierKeypair:
    """n = p·q for two random primes of the same length, with gcd(n, (p − 1)(q − 1)) = 1.

    Args:
        bits: the length of n, even, 64 or more; below 2,048 the key can be broken, and a second warning says so.

    Returns:
        The public and the private key; it unpacks as a pair.

    Raises:
        TypeError: no whole number.
        ValueError: an odd number, or too few bits.

    Source: Paillier, 1999. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    check_counts(SHORTEST, bits=bits)
    if bits % 2:
        raise ValueError(f"bits must be even, for two primes of one length, got {bits}")
    while True:
        p, q = _random_prime(bits // 2), _random_prime(bits // 2)
        far_apart = abs(p - q) >> max(bits // 2 - 100, 0)  # near primes are found from the root of n
        if far_apart and math.gcd(p * q, (p - 1) * (q - 1)) == 1:
            public = PaillierPublicKey(p * q)
            return PaillierKeypair(public, PaillierPrivateKey(public, p, q))


def check_secret(*primes: int) -> None:
    """Raises TypeError for what is no whole number, without showing it."""
    for prime in primes:
        if isinstance(prime, bool) or not isinstance(prime, int):
            raise TypeError(f"p and q must be whole numbers, got {type(prime).__name__}")


def _residue(value: int, prime: int, other: int) -> int:
    """m mod p: c^(p−1) = 1 + (p − 1)·m·n mod p², and (p − 1)·n/p is −q mod p."""
    logarithm = (pow(value, prime - 1, prime**2) - 1) // prime
    return logarithm * pow(-other, -1, prime) % prime


def _random_prime(bits: int) -> int:
    """A prime with this many bits, of which the highest two are 1, so that a product of two has twice as many."""
    while True:
        candidate = secrets.randbits(bits) | (0b11 << (bits - 2)) | 1
        if is_prime(candidate):
            return candidate


def is_prime(number: int) -> bool:
    """Whether a number is prime, by small divisors and by Miller and Rabin; it errs with probability 4^−40 at most."""
    for prime in [2, *SMALL_PRIMES]:
        if number % prime == 0:
            return number == prime
    if number < 2:
        return False
    twos = ((number - 1) & -(number - 1)).bit_length() - 1
    return all(_passes(number, 2 + secrets.randbelow(number - 3), twos) for _ in range(ROUNDS))


def _passes(number: int, base: int, twos: int) -> bool:
    """Whether base^(odd part) is 1, or one of its squares −1, as for every prime."""
    power = pow(base, (number - 1) >> twos, number)
    if power == 1:
        return True
    for _ in range(twos):
        if power == number - 1:
            return True
        power = power**2 % number
    return False
