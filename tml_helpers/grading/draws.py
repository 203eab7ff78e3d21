"""What tests draw without a seed of their own: from the course's secret key, anew for each test.

So no submission knows the draws, all submissions meet the same, and neither a seed that a locked cell sets nor the
order of the tests changes them.
"""

import hashlib
import hmac
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def seed(key: str, test: str = "") -> None:
    """Seed all generators that need none of their own with what this key gives for this test."""
    number = int.from_bytes(hmac.digest(key.encode(), test.encode(), hashlib.sha256)[:4])
    random.seed(number)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(number)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(number)


def state() -> tuple[Any, Any, Any]:
    """Where all generators stand; None for those of a package that nobody has imported."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    return random.getstate(), numpy and numpy.random.get_state(), torch and torch.get_rng_state()


def restore(former: tuple[Any, Any, Any]) -> None:
    """Put all generators where they stood."""
    pythons, numpys, torchs = former
    random.setstate(pythons)
    if numpys is not None:
        sys.modules["numpy"].random.set_state(numpys)
    if torchs is not None:
        sys.modules["torch"].set_rng_state(torchs)


@contextmanager
def of_test(key: str, test: str) -> Iterator[None]:
    """Inside, draws are those of this test; what runs afterwards draws as if it had not run."""
    before = state()
    seed(key, test)
    try:
        yield
    finally:
        restore(before)
