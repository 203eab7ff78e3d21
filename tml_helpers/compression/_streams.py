"""Whole numbers in few bytes, and how they come back: what the parts of a compressed file are made of."""

import struct
from typing import BinaryIO

import numpy as np
import torch

from tml_helpers.compression.huffman import PrefixCode, huffman, pack_bits

SKIP = 255
"""Among gaps: so many zeros, and the gap goes on. A gap ends with a number below."""


class DamagedError(ValueError):
    """The bytes are not what a writer would have written."""


class Reader:
    """Takes from an open file, and never more than it has left."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.left = file, size

    def take(self, size: int) -> bytes:
        """The next bytes, exactly so many."""
        data = self.file.read(size) if size <= self.left else b""
        if len(data) != size:
            raise DamagedError(f"{size} bytes are missing")
        self.left -= size
        return data

    def number(self, form: str, *, most: int) -> int:
        """The next number, packed as `struct` calls it, at most so large."""
        (found,) = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))
        if not 0 <= found <= most:
            raise DamagedError(f"a number is {found} where {most} is the largest")
        return int(found)


def numbers_to_bytes(numbers: np.ndarray) -> bytes:
    """Numbers of 0 or more, by the shorter of two ways: of one width each, or as Huffman's code words."""
    width = int(numbers.max(initial=0)).bit_length()
    packed = pack_bits(numbers, np.full(len(numbers), width))
    fixed = struct.pack("<BB", 0, width) + packed
    if len(numbers) == 0:
        return fixed
    symbols = torch.from_numpy(numbers)
    code = huffman(symbols)
    table = np.zeros(int(code.symbols[-1]) + 1, dtype=np.uint8)
    table[code.symbols] = code.lengths + 1
    words = code.encode(symbols)
    coded = struct.pack("<BII", 1, len(table), len(words)) + table.tobytes() + words
    return min(fixed, coded, key=len)


def numbers_from_bytes(reader: Reader, count: int, *, most: int) -> np.ndarray:
    """So many numbers, `[count]`, int64, from 0 to `most`."""
    if reader.number("B", most=1) == 0:
        width = reader.number("B", most=most.bit_length())
        bits = np.unpackbits(np.frombuffer(reader.take((count * width + 7) // 8), np.uint8))
        if bits[count * width :].any():
            raise DamagedError("the last byte is not filled with zeros")
        numbers = np.zeros(count, dtype=np.int64)
        for place in range(width):
            numbers = 2 * numbers + bits[place : count * width : width]
    else:
        size = reader.number("I", most=most + 1)
        length = reader.number("I", most=8 * count)
        table = np.frombuffer(reader.take(size), np.uint8).astype(np.int64)
        symbols = np.flatnonzero(table)
        try:
            code = PrefixCode(torch.from_numpy(symbols), torch.from_numpy(table[symbols] - 1))
            numbers = code.decode(reader.take(length), count).numpy()
        except ValueError as error:
            raise DamagedError(str(error)) from error
    return _within(numbers, most)


def gaps_to_bytes(kept: np.ndarray) -> bytes:
    """Where the true ones stand: how many, then for each the number of false ones before it."""
    places = np.flatnonzero(kept)
    gaps = np.diff(places, prepend=-1) - 1
    ends = np.cumsum(gaps // SKIP + 1)
    symbols = np.full(ends[-1] if len(ends) else 0, SKIP)
    symbols[ends - 1] = gaps % SKIP
    return struct.pack("<II", len(places), len(symbols)) + numbers_to_bytes(symbols)


def gaps_from_bytes(reader: Reader, size: int) -> np.ndarray:
    """`[size]`, bool."""
    count = reader.number("I", most=size)
    symbols = numbers_from_bytes(reader, reader.number("I", most=count + size // SKIP), most=SKIP)
    ends = symbols < SKIP
    places = np.cumsum(symbols + ends)[ends] - 1
    if len(places) != count or not ends[-1:].all() or (count and places[-1] >= size):
        raise DamagedError("the gaps do not lead to the places of the weights")
    kept = np.zeros(size, dtype=bool)
    kept[places] = True
    return kept


def sparse_to_bytes(numbers: np.ndarray) -> bytes:
    """Numbers of 0 or more, by the shorter of two ways: all of them, or where those above 0 stand, and each less 1."""
    kept = numbers > 0
    every = b"\0" + numbers_to_bytes(numbers)
    some = b"\1" + gaps_to_bytes(kept) + numbers_to_bytes(numbers[kept] - 1)
    return min(every, some, key=len)


def sparse_from_bytes(reader: Reader, size: int, *, most: int) -> np.ndarray:
    """`[size]`, int64, from 0 to `most`."""
    if reader.number("B", most=1) == 0:
        return numbers_from_bytes(reader, size, most=most)
    kept = gaps_from_bytes(reader, size)
    numbers = np.zeros(size, dtype=np.int64)
    numbers[kept] = numbers_from_bytes(reader, int(kept.sum()), most=max(most - 1, 0)) + 1
    return _within(numbers, most)


def _within(numbers: np.ndarray, most: int) -> np.ndarray:
    if numbers.max(initial=0) > most:
        raise DamagedError(f"a number is {numbers.max()} where {most} is the largest")
    return numbers
