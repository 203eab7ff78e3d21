"""A sentence with a number in it is an inequality that runs."""

import os

from tml_helpers._console import say


def claim(sentence: str, holds: bool) -> None:
    """Print the sentence; raise AssertionError where it does not hold.

    `make claims` runs every lecture under other seeds, so a claim is worded to hold for all of them.
    """
    if not holds:
        raise AssertionError(f"This claim does not hold here: {sentence}")
    say(f"✓ {sentence}")


def seed() -> int:
    """The seed from which a lecture starts: 0, or `TML_SEED` where `make claims` sets it."""
    given = os.environ.get("TML_SEED", "0")
    if not given.isdecimal():
        raise ValueError(f"TML_SEED is a whole number, as 3; got {given!r}")
    return int(given)
