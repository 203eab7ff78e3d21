"""Numbers as whole multiples of 2^−f: exactly, or refused in a sentence."""

import math
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

FRACTION_BITS = 149
"""Every float32 is a multiple of 2^−149, and every float64 of 2^−96 or more in size."""

BOUND = 2**63
"""What the numbers of an int64 do not exceed."""


def check_fixed_point(bound: int, fraction_bits: int | None) -> None:
    """A bound of 1 or more, and 0 or more places, both whole."""
    for name, number, least in (("bound", bound, 1), ("fraction_bits", fraction_bits, 0)):
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"{name} must be a whole number of {least} or more, got {number!r}")
        if number < least:
            raise ValueError(f"{name} must be a whole number of {least} or more, got {number}")


def ratio(name: str, number: Any) -> tuple[int, int]:
    """A real number as numerator and denominator, exactly."""
    if isinstance(number, torch.Tensor | np.ndarray) and number.ndim == 0:
        number = number.item()
    if isinstance(number, bool) or not isinstance(number, Real):
        raise TypeError(f"{name} must be real numbers, got {type(number).__name__}")
    if isinstance(number, Integral):
        return int(number), 1
    if isinstance(number, Fraction):
        return number.numerator, number.denominator
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {float(number)}")
    numerator, denominator = number.as_integer_ratio()  # type: ignore[attr-defined]  # floats have it, NumPy's too
    return int(numerator), int(denominator)


def exact(name: str, number: Any) -> tuple[int, int]:
    """A number as whole · 2^−bits, with as few bits as it needs."""
    numerator, denominator = ratio(name, number)
    bits = denominator.bit_length() - 1
    if denominator != 2**bits:
        raise ValueError(f"{name} {number} has no end in binary: round it first, as float({number})")
    return numerator, bits


def to_whole(name: str, number: Any, *, fraction_bits: int, bound: int) -> int:
    """number · 2^fraction_bits, if that is whole and the number within ±bound; it is secret, so no error shows it."""
    numerator, denominator = ratio(name, number)
    if abs(numerator) > bound * denominator:
        raise ValueError(f"{name} must lie within ±{bound:g}, and one does not: pass a larger bound")
    whole, rest = divmod(numerator << fraction_bits, denominator)
    if rest:
        raise ValueError(
            f"{name} must be multiples of 2^-{fraction_bits}, and one is not: pass more fraction_bits, or round"
        )
    return whole


def read(name: str, values: Any, *, fraction_bits: int | None, bound: int) -> tuple[np.ndarray, int]:
    """Whole numbers of Python in an array of the values' shape, and the bits behind the point: None takes 0 or 149."""
    check_fixed_point(bound, fraction_bits)
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    if np.ma.is_masked(values):
        raise ValueError(f"{name} must not be masked: fill or leave out what is missing")
    array = values if isinstance(values, np.ndarray) else np.asarray(values, dtype=object)  # else 2^63 + 1 is a float
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one number, got shape {list(array.shape)}")
    if array.dtype.kind not in "iufO":
        raise TypeError(f"{name} must be real numbers, got {array.dtype}")
    numbers = array.astype(object).ravel() if array.dtype.kind in "iu" else array.ravel()
    if fraction_bits is None:
        whole = all(isinstance(number, Integral) for number in numbers)
        fraction_bits = 0 if whole else FRACTION_BITS
    found = np.empty(array.size, dtype=object)
    found[:] = [to_whole(name, number, fraction_bits=fraction_bits, bound=bound) for number in numbers]
    return found.reshape(array.shape), fraction_bits


def signed(values: np.ndarray, modulus: int) -> np.ndarray:
    """Residues as the numbers nearest to 0 that they stand for."""
    found = np.empty(values.size, dtype=object)
    found[:] = [(value + modulus // 2) % modulus - modulus // 2 for value in values.flat]
    return found.reshape(values.shape)


def from_whole(whole: np.ndarray, fraction_bits: int) -> np.ndarray:
    """whole · 2^−fraction_bits, rounded once to float64; whole numbers as int64, or Python's where one is larger."""
    if fraction_bits == 0:
        fits = all(-BOUND <= number < BOUND for number in whole.flat)
        return whole.astype(np.int64) if fits else whole
    one = 1 << fraction_bits
    try:
        return np.array([number / one for number in whole.flat], dtype=np.float64).reshape(whole.shape)
    except OverflowError:
        raise ValueError("a result is larger than a float64 can hold: ask for it exactly") from None


def as_fractions(whole: np.ndarray, fraction_bits: int) -> np.ndarray:
    """whole · 2^−fraction_bits, as fractions of Python."""
    found = np.empty(whole.size, dtype=object)
    found[:] = [Fraction(number, 1 << fraction_bits) for number in whole.flat]
    return found.reshape(whole.shape)
