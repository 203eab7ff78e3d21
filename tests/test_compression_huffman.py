"""Huffman's code: as short as any code of whole bits, within a bit of the entropy, and the same symbols back."""

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tml_helpers.compression import HuffmanCode, PrefixCode, huffman

SYMBOLS = st.lists(st.integers(-4, 300) | st.integers(0, 3), min_size=1, max_size=200)
COUNTS = st.lists(st.integers(1, 60), min_size=2, max_size=6)


def of_counts(counts: list[int]) -> HuffmanCode:
    """The code of symbols 0, 1, …, each as often as its count says."""
    return huffman(torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)))


def words(code: PrefixCode) -> dict[int, str]:
    """Each symbol's code word, in letters 0 and 1."""
    rows = zip(code.symbols.tolist(), code.lengths.tolist(), code.codewords.tolist(), strict=True)
    return {symbol: f"{word:0{length}b}" if length else "" for symbol, length, word in rows}


def decoded_by_hand(code: PrefixCode, data: bytes, count: int) -> list[int]:
    """Bit by bit, through the code words as letters: as somebody would who reads the documentation alone."""
    meaning = {word: symbol for symbol, word in words(code).items()}
    bits, found, read = iter("".join(f"{byte:08b}" for byte in data)), [], ""
    while len(found) < count:
        if read in meaning:
            found.append(meaning[read])
            read = ""
        else:
            read += next(bits)
    return found


@given(SYMBOLS)
def test_what_is_encoded_comes_back(symbols: list[int]) -> None:
    code = huffman(torch.tensor(symbols))
    data = code.encode(torch.tensor(symbols))
    assert len(data) == math.ceil(sum(len(words(code)[symbol]) for symbol in symbols) / 8)
    assert code.decode(data, len(symbols)).tolist() == symbols == decoded_by_hand(code, data, len(symbols))


@given(SYMBOLS)
def test_no_word_begins_another_and_none_is_missing(symbols: list[int]) -> None:
    code = huffman(torch.tensor(symbols))
    assert code.symbols.tolist() == sorted(set(symbols))
    assert not any(b.startswith(a) for a, b in itertools.permutations(words(code).values(), 2))
    assert sum(Fraction(1, 2**length) for length in code.lengths.tolist()) == 1


@given(SYMBOLS)
def test_the_mean_length_is_within_a_bit_of_the_entropy(symbols: list[int]) -> None:
    code, counts = huffman(torch.tensor(symbols)), Counter(symbols)
    entropy = -sum(n / len(symbols) * math.log2(n / len(symbols)) for n in counts.values())
    assert code.counts.tolist() == [counts[symbol] for symbol in sorted(counts)]
    assert code.entropy == pytest.approx(entropy, abs=1e-12)
    assert code.mean_length == pytest.approx(sum(len(words(code)[symbol]) for symbol in symbols) / len(symbols))
    assert code.entropy - 1e-12 <= code.mean_length < code.entropy + 1


def complete_lengths(number: int, deepest: int) -> Iterator[tuple[int, ...]]:
    """All lengths in descending order that so many words of a complete code can have."""
    for lengths in itertools.combinations_with_replacement(range(deepest, 0, -1), number):
        if sum(Fraction(1, 2**length) for length in lengths) == 1:
            yield lengths


@given(COUNTS)
def test_no_other_code_is_shorter(counts: list[int]) -> None:
    """All complete codes of up to six symbols, the longest words for the rarest of them."""
    shortest = min(
        sum(n * length for n, length in zip(sorted(counts), lengths, strict=True))
        for lengths in complete_lengths(len(counts), len(counts) - 1)
    )
    code = of_counts(counts)
    assert int((code.counts * code.lengths).sum()) == shortest


@given(st.lists(st.integers(1, 10**4), min_size=2, max_size=80))
def test_the_length_is_the_sum_of_all_that_was_joined(counts: list[int]) -> None:
    """Each joining of the two rarest adds a bit to all of their members."""
    code, heap, bits = of_counts(counts), sorted(counts), 0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        bits += joined
        heapq.heappush(heap, joined)
    assert int((code.counts * code.lengths).sum()) == bits


def test_huffmans_own_example() -> None:
    """Table I of the paper of 1952: thirteen messages, 3.42 bits on average."""
    percent = [20, 18, 10, 10, 10, 6, 6, 4, 4, 4, 4, 3, 1]
    assert of_counts(percent).mean_length == pytest.approx(3.42, abs=1e-12)


def test_the_canonical_words_of_rfc_1951() -> None:
    """Section 3.2.2: the letters A to H with lengths (3, 3, 3, 3, 3, 2, 4, 4)."""
    code = PrefixCode(torch.arange(8), torch.tensor([3, 3, 3, 3, 3, 2, 4, 4]))
    assert list(words(code).values()) == ["010", "011", "100", "101", "110", "00", "1110", "1111"]


def test_bits_fill_bytes_from_the_top_and_zeros_fill_the_last() -> None:
    code = huffman(torch.tensor([7, 7, 7, 7, 5, 5, 9]))
    assert words(code) == {7: "0", 5: "10", 9: "11"}
    assert code.encode(torch.tensor([5, 7, 9, 7, 7, 5])) == bytes([0b10011001, 0b00000000])
    assert code.encode(torch.tensor([9, 5, 9, 5, 9])) == bytes([0b11101110, 0b11000000])


def test_a_symbol_that_is_alone_takes_no_bit() -> None:
    """FiniteStateEntropy #120: a text of one letter must come back, though its code has nothing to say."""
    code = huffman(torch.full((1000,), -3))
    assert (code.mean_length, code.entropy, code.encode(torch.tensor([-3, -3]))) == (0, 0, b"")
    assert math.copysign(1, code.entropy) == 1
    assert code.decode(b"", 1000).tolist() == [-3] * 1000
    assert code.decode(b"", 0).tolist() == []
    with refuses(ValueError, "1 bytes do not hold exactly 5 symbols"):
        code.decode(b"\0", 5)


@pytest.mark.parametrize("text", ["this is a test", "e", "de", "mississippi"])
def test_the_filling_is_not_read_as_symbols(text: str) -> None:
    """StefanKarpinski/huffman #3: the zeros that fill the last byte came back as further letters."""
    letters = torch.tensor([ord(letter) for letter in text])
    code = huffman(letters)
    assert "".join(map(chr, code.decode(code.encode(letters), len(text)).tolist())) == text


def test_words_of_many_bits() -> None:
    """Fibonacci's numbers as counts make the deepest tree: as many bits as symbols, less one."""
    counts = [1, 1]
    while len(counts) < 24:
        counts.append(counts[-1] + counts[-2])
    code = of_counts(counts)
    assert code.lengths.max() == 23
    rare = torch.arange(24).repeat(50)
    assert torch.equal(code.decode(code.encode(rare), len(rare)), rare)


def test_many_symbols_are_read_across_blocks() -> None:
    """65,536 bits are looked up at a time: words begin in one block and end in the next."""
    generator = torch.Generator().manual_seed(0)
    symbols = (torch.randn(100_000, generator=generator) * 9).round().long()
    code = huffman(symbols)
    data = code.encode(symbols)
    assert len(data) > 3 * 65_536 / 8
    assert code.entropy * 100_000 / 8 <= len(data) < (code.entropy + 1) * 100_000 / 8
    assert torch.equal(code.decode(data, 100_000), symbols)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_every_type_of_integer_and_every_shape(dtype: torch.dtype) -> None:
    symbols = torch.tensor([[3, 100, 3], [7, 3, 100]], dtype=dtype)
    code = huffman(symbols)
    assert code.decode(code.encode(symbols), 6).tolist() == [3, 100, 3, 7, 3, 100]
    turned = code.encode(symbols.T)  # not contiguous
    assert code.decode(turned, 6).tolist() == [3, 7, 100, 3, 3, 100]


def test_equal_counts_make_a_flat_tree() -> None:
    assert of_counts([5] * 16).lengths.tolist() == [4] * 16
    assert of_counts([1, 1, 1, 1, 2, 2]).lengths.max() == 3  # joining the newest first would make it deeper


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ([1, 2], TypeError, "got list"),
        ("abc", TypeError, "got str"),
        (torch.rand(4), TypeError, "got torch.float32"),
        (torch.tensor([1j]), TypeError, "got torch.complex64"),
        (torch.tensor([True, False]), TypeError, "got torch.bool"),
        (torch.tensor([2**63], dtype=torch.uint64), TypeError, "got torch.uint64"),
        (torch.zeros(0, dtype=torch.int64), ValueError, "at least one"),
    ],
)
def test_what_is_no_symbol(wrong: Any, error: type[Exception], words: str) -> None:
    with refuses(error, "symbols", words):
        huffman(wrong)


@pytest.mark.parametrize("unknown", [-1, 1, 4, 99])
def test_a_symbol_without_a_word(unknown: int) -> None:
    with refuses(ValueError, f"the symbol {unknown} has no code word"):
        huffman(torch.tensor([0, 2, 3])).encode(torch.tensor([2, unknown]))


LETTERS = torch.tensor([0, 0, 0, 0, 1, 1, 2, 3])


def damaged(data: bytes) -> dict[str, tuple[bytes, int]]:
    return {
        "cut": (data[:-1], 8),
        "longer": (data + b"\0", 8),
        "filled with ones": (data[:-1] + bytes([data[-1] | 1]), 8),
        "fewer": (data, 2),
        "more": (data, 30),
        "absurdly many": (data, 10**15),
        "nothing": (b"", 8),
    }


@pytest.mark.parametrize("kind", damaged(b"\0\0"))
def test_bytes_that_do_not_hold_so_many_symbols(kind: str) -> None:
    code = huffman(LETTERS)
    data, count = damaged(code.encode(LETTERS))[kind]
    with refuses(ValueError, f"{len(data)} bytes", f"{count} symbols"):
        code.decode(data, count)


def test_arguments_of_decode() -> None:
    code = huffman(LETTERS)
    with refuses(TypeError, "data must be bytes, got str"):
        code.decode("01", 2)  # type: ignore[arg-type]
    for count in (1.0, True):
        with refuses(TypeError, "count"):
            code.decode(b"\0", count)  # type: ignore[arg-type]
    with refuses(ValueError, "count"):
        code.decode(b"\0", -1)
    assert code.decode(b"", 0).tolist() == []


@pytest.mark.parametrize(
    ("symbols", "lengths", "error", "words"),
    [
        ([0, 1, 2], [1, 1, 1], ValueError, "no code has these lengths"),
        ([0, 1, 2], [1, 2, 3], ValueError, "no code has these lengths"),
        ([0], [1], ValueError, "no code has these lengths"),
        ([0, 1], [0, 1], ValueError, "no code has these lengths"),
        ([0, 1], [1, -1], ValueError, "0 to 60 bits, got -1"),
        ([0, 1], [1, 61], ValueError, "0 to 60 bits, got 61"),
        ([1, 0], [1, 1], ValueError, "ascend"),
        ([1, 1], [1, 1], ValueError, "ascend"),
        ([], [], ValueError, "one size"),
        ([0, 1], [1], ValueError, "one size"),
        ([[0, 1]], [[1, 1]], ValueError, "one size"),
    ],
)
def test_lengths_that_no_code_has(symbols: Any, lengths: Any, error: type[Exception], words: str) -> None:
    with refuses(error, words):
        PrefixCode(torch.tensor(symbols, dtype=torch.int64), torch.tensor(lengths, dtype=torch.int64))


@pytest.mark.parametrize("wrong", [[0, 1], torch.tensor([0.0, 1.0]), torch.tensor([0, 1], dtype=torch.int32)])
def test_columns_of_another_type(wrong: Tensor) -> None:
    right = torch.tensor([1, 1])
    with refuses(TypeError, "symbols must be an int64 tensor"):
        PrefixCode(wrong, right)
    with refuses(TypeError, "lengths must be an int64 tensor"):
        PrefixCode(right, wrong)
