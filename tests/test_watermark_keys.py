"""What a key gives: SHAKE-256 by hashlib, normal quantiles by the standard library, and nothing that looks chosen."""

import hashlib
import struct
from collections.abc import Callable
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from tml_helpers.watermark import check_key, keys, normals, signs, stream, uniforms

KEY = bytes(range(32))
NEVER = 1e-6
KEYS = st.binary(min_size=16, max_size=32)
MAKERS: dict[str, Callable[..., Tensor]] = {"uniforms": uniforms, "normals": normals, "signs": signs}
every_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def by_hand(key: bytes, purpose: str, count: int) -> bytes:
    """The published form, from pieces: one byte of length, the key, the purpose in UTF-8."""
    sponge = hashlib.shake_256()
    for piece in (struct.pack("B", len(key)), key, purpose.encode("utf-8")):
        sponge.update(piece)
    return sponge.digest(count)


@given(KEYS, st.text(max_size=20), st.integers(0, 300))
def test_a_stream_is_shake_256_of_key_and_purpose(key: bytes, purpose: str, count: int) -> None:
    assert stream(key, purpose, count) == by_hand(key, purpose, count)


def test_a_stream_never_changes() -> None:
    """A mark that was set today must be found in ten years, on another machine."""
    assert stream(KEY, "test", 16).hex() == "a69cfec37b7221b93fba104f9cc86539"
    assert uniforms(KEY, "test", 2).tolist() == pytest.approx([0.7231666137849921, 0.2242093450177575], abs=1e-15)


def test_a_longer_stream_begins_with_the_shorter() -> None:
    assert stream(KEY, "a", 1000)[:10] == stream(KEY, "a", 10)
    assert stream(KEY, "a", 0) == b""
    torch.testing.assert_close(uniforms(KEY, "a", 100)[:7], uniforms(KEY, "a", 7), rtol=0, atol=0)
    torch.testing.assert_close(uniforms(KEY, "a", 4, 5), uniforms(KEY, "a", 20).view(4, 5), rtol=0, atol=0)


def test_where_the_key_ends_and_the_purpose_begins_is_told_apart() -> None:
    """Key ‖ purpose alone would give two owners one stream: the end of one's key would be the other's purpose."""
    key = b"A" * 16
    assert stream(key, "BC", 32) != stream(key + b"B", "C", 32)
    assert stream(key, "B", 32) != stream(key + b"B", "", 32)


def test_a_uniform_number_is_the_middle_of_its_53_or_fewer_bits() -> None:
    """Little-endian words, high bits first, never 0 and never 1."""
    words = struct.unpack("<50Q", by_hand(KEY, "exact", 400))
    for word, found in zip(words, uniforms(KEY, "exact", 50).tolist(), strict=True):
        assert abs(Fraction(found) - Fraction(word, 2**64)) <= Fraction(1, 2**52)


@pytest.mark.parametrize("word", [0, 1, 2**63, 2**64 - 2, 2**64 - 1])
def test_the_outermost_words_give_finite_normals(word: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """2^53 − 1 + ½ has no float64 of its own and becomes 2^53: the number 1, whose quantile is infinite."""
    monkeypatch.setattr(keys, "stream", lambda key, purpose, count: struct.pack("<Q", word) * (count // 8))
    for found in (uniforms(KEY, "x", 3), normals(KEY, "x", 3)):
        assert found.isfinite().all()
    assert (uniforms(KEY, "x", 3) > 0).all()
    assert (uniforms(KEY, "x", 3) < 1).all()


def test_normals_are_the_quantiles_of_the_uniform_numbers() -> None:
    quantile = NormalDist().inv_cdf
    expected = [quantile(share) for share in uniforms(KEY, "n", 200).tolist()]
    assert normals(KEY, "n", 200).tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_signs_are_the_first_bits() -> None:
    words = struct.unpack("<300Q", by_hand(KEY, "s", 2400))
    assert signs(KEY, "s", 300).tolist() == [-1.0 if word < 2**63 else 1.0 for word in words]


@every_maker
def test_shape_type_and_place(make: Callable[..., Tensor]) -> None:
    for shape in ((), (0,), (3,), (2, 3, 4), (0, 5)):
        found = make(KEY, "shape", *shape)
        assert found.shape == shape
        assert found.dtype == torch.float64
        assert found.device.type == "cpu"
        assert found.isfinite().all()
        assert found.is_contiguous()
    found = make(KEY, "shape", 3)
    found += 1  # what is returned may be written on, and is nobody else's
    assert not torch.equal(found, make(KEY, "shape", 3))


@every_maker
def test_the_default_type_of_tensors_changes_no_mark(make: Callable[..., Tensor]) -> None:
    """A page that works in float64, or in float16, finds the same carriers."""
    expected = make(KEY, "type", 50)
    before = torch.get_default_dtype()
    try:
        for dtype in (torch.float64, torch.float16):
            torch.set_default_dtype(dtype)
            found = make(KEY, "type", 50)
            assert found.dtype == torch.float64
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
    finally:
        torch.set_default_dtype(before)


@every_maker
def test_no_seed_moves_what_a_key_gives_and_nothing_is_drawn(make: Callable[..., Tensor]) -> None:
    torch.manual_seed(1)
    first, state = make(KEY, "seed", 20), torch.get_rng_state()
    torch.manual_seed(2)
    torch.testing.assert_close(make(KEY, "seed", 20), first, rtol=0, atol=0)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


@every_maker
def test_other_keys_and_other_purposes_are_independent(make: Callable[..., Tensor]) -> None:
    """One bit of the key, or one letter of the purpose, and the correlation is that of chance: |r|·√n below 5.5."""
    count = 20_000
    first = make(KEY, "a", count)
    others = [(KEY, "b"), (KEY, "a "), (bytes([1]) + KEY[1:], "a"), (KEY[:-1] + bytes([30]), "a"), (KEY[:16], "a")]
    for key, purpose in others:
        correlation = np.corrcoef(first.numpy(), make(key, purpose, count).numpy())[0, 1]
        assert 0 < abs(correlation) * count**0.5 < 5.5


def test_distributions() -> None:
    count = 100_000
    assert stats.kstest(uniforms(KEY, "ks", count).numpy(), "uniform").pvalue > NEVER
    assert stats.kstest(normals(KEY, "ks", count).numpy(), "norm").pvalue > NEVER
    ups = int((signs(KEY, "ks", count) > 0).sum())
    assert stats.binomtest(ups, count).pvalue > NEVER
    neighbours = uniforms(KEY, "ks", count // 2, 2)
    table = np.histogram2d(*neighbours.T.numpy(), bins=10)[0]
    assert stats.chisquare(table.ravel()).pvalue > NEVER


WRONG: dict[str, tuple[Any, type[Exception], list[str]]] = {
    "hash": (hash("secret"), TypeError, ["bytes", "int", "hash()", "secrets.token_bytes(32)"]),
    "a number": (7, TypeError, ["bytes", "int"]),
    "True": (True, TypeError, ["bytes", "bool"]),
    "NumPy's number": (np.int64(7), TypeError, ["bytes", "int64"]),
    "a text": ("s" * 32, TypeError, ["bytes", "str"]),
    "None": (None, TypeError, ["bytes", "NoneType"]),
    "a tensor": (torch.zeros(32, dtype=torch.uint8), TypeError, ["bytes", "Tensor"]),
    "what can be changed": (bytearray(32), TypeError, ["bytes", "bytearray"]),
    "nothing": (b"", ValueError, ["16 to 32", "got 0"]),
    "15 bytes": (b"k" * 15, ValueError, ["16 to 32", "got 15"]),
    "33 bytes": (b"k" * 33, ValueError, ["16 to 32", "got 33"]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_key(kind: str) -> None:
    wrong, error, words = WRONG[kind]
    with refuses(error, *words):
        check_key(wrong)
    with refuses(error, *words):
        stream(wrong, "purpose", 1)
    for make in MAKERS.values():
        with refuses(error, *words):
            make(wrong, "purpose", 1)


def test_sixteen_and_thirty_two_bytes_are_keys() -> None:
    for length in (16, 24, 32):
        check_key(bytes(length))


def test_counts_and_shapes_that_are_none() -> None:
    with refuses(ValueError, "count", "-1"):
        stream(KEY, "x", -1)
    for make in MAKERS.values():
        with refuses(ValueError, "-2"):
            make(KEY, "x", 3, -2)
        with refuses(ValueError, "-2"):
            make(KEY, "x", -3, -2)
