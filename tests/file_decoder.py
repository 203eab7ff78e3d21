"""A second decoder of compressed files, written from the description of the format alone: bit by bit, with letters."""

import struct
import zlib
from typing import Any

import numpy as np

TYPES = ["<f4", "<f8", "<f2", "bfloat16", "<i8", "<i4", "<i2", "i1", "u1", "?"]


class Bytes:
    """What is left of a file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        self.at += size
        assert self.at <= len(self.data)
        return self.data[self.at - size : self.at]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def of_type(self, kind: int, count: int) -> list[Any]:
        if TYPES[kind] == "bfloat16":  # the upper half of a float32
            halves = np.frombuffer(self.take(2 * count), "<u2").astype("<u4") << 16
            return halves.view("<f4").tolist()  # type: ignore[no-any-return]
        dtype = np.dtype(TYPES[kind])
        return np.frombuffer(self.take(dtype.itemsize * count), dtype).tolist()  # type: ignore[no-any-return]

    def numbers(self, count: int) -> list[int]:
        if self.u8() == 0:
            width = self.u8()
            letters = letters_of(self.take(-(-width * count // 8)))
            assert "1" not in letters[width * count :]
            return [int(letters[width * n : width * n + width] or "0", 2) for n in range(count)]
        table_size, size = self.u32(), self.u32()
        lengths = {symbol: entry - 1 for symbol, entry in enumerate(self.take(table_size)) if entry}
        words, word, before = {}, -1, 0
        for symbol in sorted(lengths, key=lambda s: (lengths[s], s)):
            word = (word + 1) << (lengths[symbol] - before)
            before = lengths[symbol]
            words[f"{word:0{before}b}" if before else ""] = symbol
        found, read, letters = [], "", letters_of(self.take(size))
        for letter in ["", *letters]:
            read += letter
            while read in words and len(found) < count:
                found.append(words[read])
                read = ""
                if words.keys() != {""}:
                    break
        assert len(found) == count
        return found

    def gaps(self) -> list[int]:
        """The places to which the gaps lead."""
        count, entries = self.u32(), self.u32()
        places, place = [], -1
        for gap in self.numbers(entries):
            place += gap
            if gap < 255:
                place += 1
                places.append(place)
        assert len(places) == count
        return places

    def sparse(self, size: int) -> list[int]:
        if self.u8() == 0:
            return self.numbers(size)
        places = self.gaps()
        found = [0] * size
        for place, number in zip(places, self.numbers(len(places)), strict=True):
            found[place] = number + 1
        return found


def letters_of(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)


def decoded(data: bytes) -> dict[str, np.ndarray]:
    """By name, the numbers of each tensor, as float64."""
    head = Bytes(data)
    assert head.take(8) == b"TMLSMALL"
    assert head.u16() == 1
    length, checksum = struct.unpack("<QI", head.take(12))
    body = data[head.at :]
    assert (len(body), zlib.crc32(body)) == (length, checksum)
    rest, tensors = Bytes(body), {}
    for _ in range(rest.u32()):
        name = rest.take(rest.u16()).decode("utf-8")
        kind, dtype = rest.u8(), rest.u8()
        shape = [rest.u32() for _ in range(rest.u8())]
        tensors[name] = np.array(content(rest, kind, dtype, shape, tensors), dtype=np.float64).reshape(shape)
    assert rest.at == len(body)
    return tensors


def content(rest: Bytes, kind: int, dtype: int, shape: list[int], tensors: dict[str, np.ndarray]) -> Any:
    size = int(np.prod(shape))
    if kind == 0:
        return rest.of_type(dtype, size)
    if kind == 1:
        numbers = [0.0] * size
        places = rest.gaps()
        for place, number in zip(places, rest.of_type(dtype, len(places)), strict=True):
            numbers[place] = number
        return numbers
    if kind == 2:
        values = [0.0, *rest.of_type(dtype, rest.u32())]
        return [values[index] for index in rest.sparse(size)]
    if kind == 3:
        return quantised(rest, shape)
    assert kind == 4
    return list(tensors.values())[rest.u32()]


def quantised(rest: Bytes, shape: list[int]) -> np.ndarray:
    bits, affine, scale_type, dimension = rest.u8(), rest.u8(), rest.u8(), rest.u8()
    count = 1 if dimension == 255 else shape[dimension]
    scales = np.array(rest.of_type(scale_type, count))
    points = np.array(rest.of_type(5, count) if affine else [0] * count)
    numbers = np.array(rest.sparse(int(np.prod(shape)))).reshape(shape)
    channel = np.zeros(shape, dtype=int) if dimension == 255 else np.indices(shape)[dimension]
    if bits == 1 and not affine:
        return scales[channel] * np.where(numbers == 0, 1, -1)
    integers = numbers + points[channel]  # right up to a multiple of 2ᵇ
    while (integers >= 2 ** (bits - 1)).any() or (integers < -(2 ** (bits - 1))).any():
        integers = np.where(integers >= 2 ** (bits - 1), integers - 2**bits, integers)
        integers = np.where(integers < -(2 ** (bits - 1)), integers + 2**bits, integers)
    return scales[channel] * (integers - points[channel])
