"""The numbers that privacy is counted in: an error is one sentence that says which one is impossible."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from tml_helpers.common import check_numbers

LARGEST = sys.float_info.max


def check_positive(**numbers: float) -> None:
    """Finite numbers above 0.

    Args:
        numbers: by name, as `epsilon=…`.

    Raises:
        TypeError: what is no number.
        ValueError: 0, a negative number, NaN or infinity.
    """
    _check(numbers, lambda number: 0 < number <= LARGEST, "be positive and finite")


def check_not_negative(**numbers: float) -> None:
    """Finite numbers of 0 or more.

    Args:
        numbers: by name, as `noise_multiplier=…`.

    Raises:
        TypeError: what is no number.
        ValueError: a negative number, NaN or infinity.
    """
    _check(numbers, lambda number: 0 <= number <= LARGEST, "be 0 or more and finite")


def check_finite(**numbers: float) -> None:
    """Finite numbers of any sign.

    Args:
        numbers: by name, as `penalty=…`.

    Raises:
        TypeError: what is no number.
        ValueError: NaN or infinity.
    """
    _check(numbers, lambda number: abs(number) <= LARGEST, "be finite")


def check_between(**numbers: float) -> None:
    """Numbers strictly between 0 and 1.

    Args:
        numbers: by name, as `delta=…`.

    Raises:
        TypeError: what is no number.
        ValueError: a number outside (0, 1).
    """
    _check(numbers, lambda number: 0 < number < 1, "lie between 0 and 1, both excluded")


def check_delta(delta: float) -> None:
    """A δ of 0 or more, and less than 1.

    Args:
        delta: 0 for pure ε-DP.

    Raises:
        TypeError: what is no number.
        ValueError: a number outside [0, 1).
    """
    _check({"delta": delta}, lambda number: 0 <= number < 1, "be 0 or more and less than 1")


def check_rate(**numbers: float) -> None:
    """Numbers from 0 to 1, both allowed.

    Args:
        numbers: by name, as `sample_rate=…`.

    Raises:
        TypeError: what is no number.
        ValueError: a number outside [0, 1].
    """
    _check(numbers, lambda number: 0 <= number <= 1, "lie in [0, 1]")


def _check(numbers: dict[str, float], fits: Callable[[float], bool], wanted: str) -> None:
    check_numbers(**numbers)
    for name, number in numbers.items():
        if not fits(number):
            raise ValueError(f"{name} must {wanted}, got {number}")


def kind(thing: object) -> str:
    """What a thing is, for an error.

    Args:
        thing: anything.

    Returns:
        A tensor's type of number, else the name of the class.
    """
    return str(thing.dtype) if isinstance(thing, Tensor) else type(thing).__name__


def as_array(name: str, values: Any) -> np.ndarray:
    """Numbers as NumPy has them.

    Args:
        name: what the caller calls them.
        values: a tensor on any device, an array or a list.

    Returns:
        An array of any shape and type; of bfloat16, float64.

    Raises:
        ValueError: rows of different lengths.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()  # NumPy has no bfloat16
    try:
        return np.asarray(values)
    except ValueError as problem:
        raise ValueError(f"{name} must have rows of one length, got a ragged list") from problem


def read_array(name: str, values: Any) -> np.ndarray:
    """A column of numbers or of truth values, as NumPy has it.

    Args:
        name: what the caller calls them.
        values: a tensor on any device, an array or a list, `[N]`, at least one.

    Returns:
        The column, in its own type.

    Raises:
        TypeError: words, or anything else that is no number.
        ValueError: another shape, nothing, or NaN.
    """
    array = as_array(name, values)
    if array.size == 0 or array.ndim != 1:
        raise ValueError(f"{name} must be a column [N] of at least one number, got shape {list(array.shape)}")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be numbers, got {array.dtype}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name} must not be NaN, but {int(np.isnan(array).sum())} of {len(array)} are")
    return array


def read_flags(name: str, values: Any) -> np.ndarray:
    """A column of truth values.

    Args:
        name: what the caller calls them.
        values: True or False, or 1 and 0: a tensor on any device, an array or a list, `[N]`, at least one.

    Returns:
        The column, bool.

    Raises:
        TypeError: words, or anything else that is no number.
        ValueError: another shape, nothing, or a value other than 0 and 1.
    """
    array = read_array(name, values)
    wrong = array[(array != 0) & (array != 1)]
    if len(wrong):
        raise ValueError(f"{name} must be True or False, or 1 and 0, got {wrong[0]}")
    return array.astype(bool)
