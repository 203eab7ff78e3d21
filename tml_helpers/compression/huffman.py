"""Huffman coding: frequent symbols get short code words, and no code of whole bits is shorter on average."""

import heapq
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tml_helpers.common import check_counts

__all__ = ["HuffmanCode", "PrefixCode", "huffman", "pack_bits"]

LONGEST = 60
"""Bits of a code word. A code of counted symbols has a longer one from 10¹² symbols on."""
BLOCK = 1 << 16
"""Bits of which all code words that may begin there are looked up at a time."""


@dataclass(frozen=True, eq=False)
class PrefixCode:
    """Σ 2^−ℓ = 1: code words of ℓ bits each, of which none begins another; the lengths alone say which they are.

    The code is canonical. Symbols are put in order by length, and by value where lengths are equal. The first code word
    is all zeros; each further one is the one before plus 1, with zeros appended up to its own length. So the word
    of a symbol is the first ℓ binary digits of Σ 2^−ℓ over all symbols before it.

    Args:
        symbols: `[S]`, int64, ascending.
        lengths: ℓ, `[S]`, int64: bits of each code word, 1 to 60; 0 for a symbol that is alone.

    Raises:
        TypeError: columns that are no int64 tensors.
        ValueError: symbols out of order, or lengths that no complete code has.

    Source: Huffman, 1952; Schwartz and Kallick, 1964. Derived in: lectures/10_distillation/the_bill.
    """

    symbols: Tensor
    lengths: Tensor

    def __post_init__(self) -> None:
        symbols, lengths = self.symbols, self.lengths
        for name, column in (("symbols", symbols), ("lengths", lengths)):
            if not isinstance(column, Tensor) or column.dtype != torch.int64:
                raise TypeError(
                    f"{name} must be an int64 tensor, got {getattr(column, 'dtype', type(column).__name__)}"
                )
        if symbols.ndim != 1 or symbols.shape != lengths.shape or len(symbols) == 0:
            raise ValueError(
                f"symbols and lengths must be two columns of one size, got {list(symbols.shape)} and "
                f"{list(lengths.shape)}"
            )
        if not bool((symbols[1:] > symbols[:-1]).all()):
            raise ValueError("symbols must ascend, each once")
        shortest, longest = (int(bound) for bound in lengths.aminmax())
        if shortest < 0 or longest > LONGEST:
            raise ValueError(f"a code word has 0 to {LONGEST} bits, got {shortest if shortest < 0 else longest}")
        words = torch.bincount(lengths).tolist()
        if sum(count << (longest - length) for length, count in enumerate(words)) != 1 << longest:
            raise ValueError("no code has these lengths: Σ 2^−ℓ must be 1")

    @property
    def codewords(self) -> Tensor:
        """The code word of each symbol, `[S]`, int64: its ℓ bits as a number, the first bit worth most."""
        order, starts = _canonical(self)
        words = np.empty_like(starts)
        lengths = self.lengths.numpy()[order]
        words[order] = starts >> (lengths.max() - lengths)
        return torch.from_numpy(words)

    def encode(self, symbols: Tensor) -> bytes:
        """The code words one after the other, eight bits to a byte, the first bit worth most; zeros fill the last byte.

        Args:
            symbols: integers, any shape, read row by row; each has a code word.

        Returns:
            ⌈Σ ℓ / 8⌉ bytes; none for a symbol that is alone.

        Raises:
            TypeError: symbols that are no integers.
            ValueError: a symbol without a code word.
        """
        values, known = _read(symbols), self.symbols.numpy()
        places = np.searchsorted(known, values).clip(max=len(known) - 1)
        unknown = values[known[places] != values]
        if len(unknown):
            raise ValueError(f"the symbol {unknown[0]} has no code word: the code has been made without it")
        return pack_bits(self.codewords.numpy()[places], self.lengths.numpy()[places])

    def decode(self, data: bytes, count: int) -> Tensor:
        """The symbols that `encode` made these bytes of.

        Args:
            data: what `encode` returned.
            count: how many symbols that were: the bytes do not say.

        Returns:
            `[count]`, int64.

        Raises:
            TypeError: data that are no bytes, or a count that is not whole.
            ValueError: a negative count, or bytes that do not hold exactly so many symbols.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"data must be bytes, got {type(data).__name__}")
        check_counts(0, count=count)
        held = 8 * len(data)
        if count * int(self.lengths.min()) > held:
            raise ValueError(f"{len(data)} bytes are too few for {count} symbols: they are cut or of another code")
        ranks, used = _walk(self, np.unpackbits(np.frombuffer(data, np.uint8)), count)
        if not held - 8 < used <= held or (used < held and data[-1] & ((1 << (held - used)) - 1)):
            raise ValueError(
                f"{len(data)} bytes do not hold exactly {count} symbols: they are damaged or of another code"
            )
        return torch.from_numpy(self.symbols.numpy()[_canonical(self)[0]][ranks])


@dataclass(frozen=True, eq=False)
class HuffmanCode(PrefixCode):
    """H ≤ ℓ̄ < H + 1: the mean length ℓ̄ of the best code of whole bits, beside the entropy H of what it was made for.

    Args:
        symbols: `[S]`, int64, ascending.
        lengths: ℓ, `[S]`, int64: bits of each code word.
        counts: n, `[S]`, int64: how often each symbol occurred.

    Source: Huffman, 1952. Derived in: lectures/10_distillation/the_bill.
    """

    counts: Tensor

    @property
    def mean_length(self) -> float:
        """ℓ̄ = Σ n ℓ / Σ n, in bits a symbol."""
        return int((self.counts * self.lengths).sum()) / int(self.counts.sum())

    @property
    def entropy(self) -> float:
        """H = −Σ p log₂ p with p = n / Σ n, in bits a symbol: no code needs less on average."""
        shares = self.counts.double() / self.counts.sum()
        return float(-(shares * shares.log2()).sum()) + 0.0  # no −0


def huffman(symbols: Tensor) -> HuffmanCode:
    """The lengths ℓ that make Σ n ℓ smallest: again and again, the two rarest symbols become one, and grow by a bit.

    A symbol that is alone needs no bit: its code word is empty.

    Args:
        symbols: integers, any shape, at least one: what is to be encoded, or is distributed as that is.

    Returns:
        The code: lengths, code words, mean length and entropy, `encode` and `decode`.

    Raises:
        TypeError: symbols that are no integers.
        ValueError: no symbol.

    Source: Huffman, 1952. Derived in: lectures/10_distillation/the_bill.
    """
    values = _read(symbols)
    if len(values) == 0:
        raise ValueError("symbols must hold at least one, got none")
    known, counts = np.unique(values, return_counts=True)
    lengths = torch.tensor(_depths(counts.tolist()))
    return HuffmanCode(torch.from_numpy(known), lengths, torch.from_numpy(counts))


def pack_bits(words: np.ndarray, lengths: np.ndarray) -> bytes:
    """Numbers of so many bits each, one after the other, the first bit worth most; zeros fill the last byte.

    Args:
        words: `[N]`, int64, 0 or more.
        lengths: `[N]`, int64: bits of each.

    Returns:
        ⌈Σ lengths / 8⌉ bytes.
    """
    ends = np.cumsum(lengths)
    bits = np.zeros(ends[-1] if len(ends) else 0, dtype=np.uint8)
    for place in range(lengths.max(initial=0)):
        has = lengths > place
        bits[ends[has] - 1 - place] = words[has] >> place & 1
    return np.packbits(bits).tobytes()


def _read(symbols: Tensor) -> np.ndarray:
    if not isinstance(symbols, Tensor) or symbols.dtype in (torch.bool, torch.uint64):
        kind = symbols.dtype if isinstance(symbols, Tensor) else type(symbols).__name__
        raise TypeError(f"symbols must be a tensor of integers, got {kind}")
    if symbols.is_floating_point() or symbols.is_complex():
        raise TypeError(f"symbols must be a tensor of integers, got {symbols.dtype}: number the values first")
    return symbols.detach().flatten().to("cpu", torch.int64).numpy()


def _depths(counts: list[int]) -> list[int]:
    """How deep in the tree each leaf lies."""
    heap = [(count, leaf) for leaf, count in enumerate(counts)]
    heapq.heapify(heap)
    parents = [0] * (2 * len(counts) - 1)
    for joined in range(len(counts), len(parents)):  # of equal counts, the oldest first: the tree stays flat
        (rarest, one), (rare, other) = heapq.heappop(heap), heapq.heappop(heap)
        parents[one] = parents[other] = joined
        heapq.heappush(heap, (rarest + rare, joined))
    depths = [0] * len(parents)
    for node in reversed(range(len(parents) - 1)):
        depths[node] = depths[parents[node]] + 1
    return depths[: len(counts)]


def _canonical(code: PrefixCode) -> tuple[np.ndarray, np.ndarray]:
    """The order of the code words, and where each begins: with zeros appended up to the longest length."""
    lengths = code.lengths.numpy()
    order = np.argsort(lengths, kind="stable")
    widths = np.int64(1) << (lengths.max() - lengths[order])
    return order, np.cumsum(widths) - widths


def _walk(code: PrefixCode, bits: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """The places, in canonical order, of the `count` symbols that the bits hold, and how many bits these take.

    Which word would begin at a bit is looked up for a block of bits at once; then the words are followed one by one.
    """
    order, starts = _canonical(code)
    lengths = code.lengths.numpy()[order]
    longest = int(lengths[-1])
    if longest == 0:
        return np.zeros(count, dtype=np.int64), 0
    ranks = np.empty(count, dtype=np.int64)
    done = position = 0
    while done < count and position < len(bits):
        size = min(BLOCK, len(bits) - position)
        ahead = bits[position : position + size + longest].astype(np.int64)
        ahead = np.pad(ahead, (0, size + longest - len(ahead)))
        windows = np.zeros(size, dtype=np.int64)
        for place in range(longest):
            windows = 2 * windows + ahead[place : place + size]
        words = np.searchsorted(starts, windows, side="right") - 1
        steps, inside = lengths[words].tolist(), 0
        here: list[int] = []
        while inside < size and done + len(here) < count:
            here.append(inside)
            inside += steps[inside]
        ranks[done : done + len(here)] = words[here]
        done, position = done + len(here), position + inside
    return ranks[:done], position if done == count else len(bits) + 1
