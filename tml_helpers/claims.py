"""A sentence with a number in it is an inequality that runs."""

import os

from tml_helpers._console import say

__all__ = ["claim", "seed"]


def claim(sentence: str, holds: bool) -> None:
    """Print a sentence that holds.

    `make claims` runs every lecture under other seeds, so a claim is worded to hold for all of them.

    Args:
        sentence: what is claimed.
        holds: whether it holds here.

    Raises:
        AssertionError: it does not.
    """
    if not holds:
        raise AssertionError(f"This claim does not hold here: {sentence}")
    say(f"✓ {sentence}")


def seed() -> int:
    """The seed from which a lecture starts.

    Returns:
        0, or `TML_SEED` where `make claims` sets it.

    Raises:
        ValueError: `TML_SEED` is no whole number.
    """
    given = os.environ.get("TML_SEED", "0")
    if not given.isdecimal():
        raise ValueError(f"TML_SEED is a whole number, as 3; got {given!r}")
    return int(given)
