"""How bad input is tested: one line that names the remedy, and a disk that is full."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def refuses(kind: type[Exception] | tuple[type[Exception], ...], *words: str) -> Iterator[None]:
    """`with refuses(ValueError, "word", ...)`: the block raises this error, with one line that has all of the words."""
    with pytest.raises(kind) as caught:
        yield
    sentence = str(caught.value)
    assert "\n" not in sentence, f"an error is one line, not {sentence!r}"
    for word in words:
        assert word in sentence, f"{word!r} is missing in {sentence!r}"


@contextmanager
def full_disk(after: int) -> Iterator[None]:
    """`with full_disk(after=n)`: no file can grow beyond n bytes, the nearest to a full disk that needs no root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
