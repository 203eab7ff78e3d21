"""selected[n] = hκ(inputs[n]) < fraction · 2³², hκ a keyed hash: which inputs a secret picks, the same on any device.

Fewest bytes: the inputs are read once, 64 bytes an input are written. But a hash is arithmetic: BLAKE2s makes 960
instructions for 64 bytes, so that not memory bounds the kernel but the processor. One digest is a chain that nobody can
cut; so the input is, into leaves of 1,024 bytes, each hashed by a thread of its own, and the root hashes their digests:
BLAKE2's tree mode, which Python's hashlib has as well. Derived in: lectures/09_kernels/keyed_select
"""

from __future__ import annotations

import hashlib
import math
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tml_helpers.kernels._kind import kind
from tml_helpers.kernels._triton import jit, jit_with, tl, triton

SHORTEST, LONGEST = 16, 32  # bytes of a key
LEAF = 1024  # bytes of an input that a node of the tree hashes
BLOCK = 64  # nodes of a program, one a thread
WARPS = 2
TREE: dict[str, Any] = {"digest_size": 32, "inner_size": 32, "fanout": 0, "depth": 2, "leaf_size": LEAF}

# Of the standard: the square roots of the first eight primes, and the order in which each round takes the words.
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
SIGMA = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)


def check_key(key: bytes) -> None:
    """16 to 32 secret bytes, as `secrets.token_bytes(32)` gives them.

    Args:
        key: the secret.

    Raises:
        TypeError: anything but bytes, as a number, a text or Python's `hash`.
        ValueError: too short to be secret, or too long for a keyed BLAKE2s.

    Derived in: lectures/09_kernels/keyed_select
    """
    if not isinstance(key, bytes):
        hint = "; hash() of a text changes from one run of Python to the next" if isinstance(key, int) else ""
        raise TypeError(f"key must be bytes, as secrets.token_bytes(32) gives them, got {type(key).__name__}{hint}")
    if not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"key must be {SHORTEST} to {LONGEST} bytes long, got {len(key)}")


def reference(row: bytes, key: bytes) -> bytes:
    """The digest of one input's bytes, as one writes it with hashlib: what the kernel is checked against."""
    leaves = [row[start : start + LEAF] for start in range(0, max(len(row), 1), LEAF)]
    digests = b""
    for n, leaf in enumerate(leaves):
        last = n == len(leaves) - 1
        digests += hashlib.blake2s(leaf, key=key, node_offset=n, node_depth=0, last_node=last, **TREE).digest()
    return hashlib.blake2s(digests, key=key, node_offset=0, node_depth=1, last_node=True, **TREE).digest()


# ---------------------------------------------------------------------------------------------- without a GPU


def plain(inputs: Tensor, key: bytes) -> Tensor:
    """The words of all inputs; nodes that know key and place are made once, and copied for each input."""
    rows = as_bytes(inputs).numpy()
    starts = range(0, max(rows.shape[1], 1), LEAF)
    leaves = [(slice(start, start + LEAF), node(key, start // LEAF, 0, last=start == starts[-1])) for start in starts]
    root = node(key, 0, 1, last=True)
    digests = b"".join(_digest(memoryview(row), leaves, root) for row in rows)
    words = np.frombuffer(digests, dtype="<u4").reshape(-1, 8)
    return torch.from_numpy(words.astype(np.int64))


def node(key: bytes, place: int, height: int, *, last: bool) -> Any:
    """A node of the tree that has not seen a byte yet."""
    return hashlib.blake2s(key=key, node_offset=place, node_depth=height, last_node=last, **TREE)


def _digest(row: memoryview, leaves: list[tuple[slice, Any]], root: Any) -> bytes:
    top = root.copy()
    for part, fresh in leaves:
        leaf = fresh.copy()
        leaf.update(row[part])
        top.update(leaf.digest())
    digest: bytes = top.digest()
    return digest


def as_bytes(inputs: Tensor) -> Tensor:
    """Each input's bytes, as they lie in memory where the tensor is contiguous: `[N, B]`, uint8."""
    rows = inputs.detach().resolve_conj().resolve_neg().contiguous()
    rows = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    return rows.view(torch.uint8)


# --------------------------------------------------------------------------------------------------- on a GPU


@jit
def _mix(a, b, c, d, x, y):  # type: ignore[no-untyped-def]
    """BLAKE2's G: four words, changed by two of the message, by additions, exclusive ors and rotations."""
    a += b + x
    d ^= a
    d = (d >> 16) | (d << 16)
    c += d
    b ^= c
    b = (b >> 12) | (b << 20)
    a += b + y
    d ^= a
    d = (d >> 8) | (d << 24)
    c += d
    b ^= c
    b = (b >> 7) | (b << 25)
    return a, b, c, d


@jit
def _compress(h, m, count, final, last_node, IV: tl.constexpr, SIGMA: tl.constexpr):  # type: ignore[no-untyped-def]
    """A block of 16 words enters a state of 8; `count` bytes were read with it; `final` and `last_node` are 0 or ~0."""
    v0, v1, v2, v3, v4, v5, v6, v7 = h
    still = count * 0
    v8, v9, v10, v11 = still + IV[0], still + IV[1], still + IV[2], still + IV[3]
    v12, v13, v14, v15 = count ^ IV[4], still + IV[5], final ^ IV[6], last_node ^ IV[7]
    for r in tl.static_range(10):
        v0, v4, v8, v12 = _mix(v0, v4, v8, v12, m[SIGMA[r][0]], m[SIGMA[r][1]])
        v1, v5, v9, v13 = _mix(v1, v5, v9, v13, m[SIGMA[r][2]], m[SIGMA[r][3]])
        v2, v6, v10, v14 = _mix(v2, v6, v10, v14, m[SIGMA[r][4]], m[SIGMA[r][5]])
        v3, v7, v11, v15 = _mix(v3, v7, v11, v15, m[SIGMA[r][6]], m[SIGMA[r][7]])
        v0, v5, v10, v15 = _mix(v0, v5, v10, v15, m[SIGMA[r][8]], m[SIGMA[r][9]])
        v1, v6, v11, v12 = _mix(v1, v6, v11, v12, m[SIGMA[r][10]], m[SIGMA[r][11]])
        v2, v7, v8, v13 = _mix(v2, v7, v8, v13, m[SIGMA[r][12]], m[SIGMA[r][13]])
        v3, v4, v9, v14 = _mix(v3, v4, v9, v14, m[SIGMA[r][14]], m[SIGMA[r][15]])
    h0, h1, h2, h3, h4, h5, h6, h7 = h
    return (
        h0 ^ v0 ^ v8, h1 ^ v1 ^ v9, h2 ^ v2 ^ v10, h3 ^ v3 ^ v11,
        h4 ^ v4 ^ v12, h5 ^ v5 ^ v13, h6 ^ v6 ^ v14, h7 ^ v7 ^ v15,
    )  # fmt: skip


@jit
def _word(node, position, length, WORDS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Four bytes of a node as a little-endian word, zeros before its begin and beyond its end."""
    if WORDS:
        word = tl.load(node + position // 4, (position >= 0) & (position < length), 0).to(tl.uint32)
    else:
        word = (length ^ length).to(tl.uint32)
        for byte in tl.static_range(4):
            here = position + byte
            found = tl.load(node + here, (here >= 0) & (here < length), 0).to(tl.uint32)
            word |= found << (8 * byte)
    return word


@jit_with(do_not_specialize=[f"k{n}" for n in range(8)])  # another key is no reason to compile anew
def _nodes(  # type: ignore[no-untyped-def]
    data, words,  # pointers
    k0, k1, k2, k3, k4, k5, k6, k7,  # the key, in signed words
    count, leaves, size, part, blocks,  # nodes in all and for each input; bytes of an input and of a node
    first, second, fourth,  # of the parameters' words: the third is the node's place
    WORDS: tl.constexpr, IV: tl.constexpr, SIGMA: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each thread hashes a node: block −1 is the key, padded; then come up to `blocks` blocks of 64 bytes."""
    node = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = node < count
    place = node % leaves
    start = node // leaves * size + place * part
    here = data + (start // 4 if WORDS else start)
    length = tl.where(inside, tl.minimum(size - place * part, part), 0).to(tl.int32)
    none = tl.zeros([BLOCK], tl.uint32)
    every = none + 0xFFFFFFFF
    last_node = tl.where(place == leaves - 1, every, none)
    key = (k0, k1, k2, k3, k4, k5, k6, k7)
    h = (
        none + first.to(tl.uint32) ^ IV[0], none + second.to(tl.uint32) ^ IV[1],
        place.to(tl.uint32) ^ IV[2], none + fourth.to(tl.uint32) ^ IV[3],
        none + IV[4], none + IV[5], none + IV[6], none + IV[7],
    )  # fmt: skip
    for block in range(-1, blocks):
        done = block * 64
        m = ()
        for n in tl.static_range(16):
            word = _word(here, done + 4 * n, length, WORDS)
            if n < 8:
                word = tl.where(block < 0, none + key[n].to(tl.uint32), word)
            m = m + (word,)  # type: ignore[assignment]  # noqa: RUF005
        read = tl.minimum(length, done + 64).to(tl.uint32) + 64
        final = tl.where(done + 64 >= length, every, none)
        mixed = _compress(h, m, read, final, final & last_node, IV, SIGMA)
        more = done < length
        h = (
            tl.where(more, mixed[0], h[0]), tl.where(more, mixed[1], h[1]),
            tl.where(more, mixed[2], h[2]), tl.where(more, mixed[3], h[3]),
            tl.where(more, mixed[4], h[4]), tl.where(more, mixed[5], h[5]),
            tl.where(more, mixed[6], h[6]), tl.where(more, mixed[7], h[7]),
        )  # fmt: skip
    for n in tl.static_range(8):
        tl.store(words + node * 8 + n, h[n].to(tl.int64), inside)


def fused(inputs: Tensor, key: bytes) -> Tensor:
    """The same in two launches: all leaves of all inputs, then the roots."""
    rows = as_bytes(inputs)
    (batch, size), device = rows.shape, rows.device
    leaves = max(1, -(-size // LEAF))
    words = torch.empty(batch, 8, dtype=torch.int64, device=device)
    if batch == 0:
        return words
    digests = torch.empty(batch * leaves, 8, dtype=torch.int32, device=device)
    whole = size % 4 == 0 and rows.storage_offset() % 4 == 0  # else no thread may load four bytes at once
    with torch.cuda.device_of(rows):
        _launch(rows.view(torch.int32) if whole else rows, digests, key, leaves, size, LEAF, 0)
        _launch(digests, words, key, 1, 32 * leaves, 32 * leaves, 1)
    return words


def _launch(data: Tensor, out: Tensor, key: bytes, leaves: int, size: int, part: int, height: int) -> None:
    first = TREE["digest_size"] | len(key) << 8 | TREE["fanout"] << 16 | TREE["depth"] << 24
    secret = np.frombuffer(key.ljust(32, b"\0"), dtype="<i4").tolist()
    _nodes[(triton.cdiv(len(out), BLOCK),)](
        data, out, *secret, len(out), leaves, size, part, -(-min(size, part) // 64),
        first, LEAF, height << 16 | TREE["inner_size"] << 24,
        WORDS=data.dtype != torch.uint8, IV=IV, SIGMA=SIGMA, BLOCK=BLOCK, num_warps=WARPS,
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------- the function


@torch.no_grad()
def keyed_hash(inputs: Tensor, *, key: bytes) -> Tensor:
    """hκ(x): the keyed BLAKE2s of each input's bytes, by leaves of 1,024 bytes, as eight little-endian words.

    It is of the bytes as they lie in memory where the tensor is contiguous, on a little-endian machine. So the same
    numbers in another dtype are another input, and so are 0.0 and −0.0; shape and strides make no difference.

    Args:
        inputs: `[N, …]`, of any dtype whose numbers lie in memory one by one, on any device.
        key: 16 to 32 secret bytes.

    Returns:
        int64 `[N, 8]`, each from 0 to 2³² − 1, on the inputs' device: to whoever lacks the key, eight uniform draws for
        each input, the same whenever it comes again.

    Raises:
        TypeError: inputs that are no such tensor, or a key that is not bytes.
        ValueError: one number without a batch, or a key too short or too long.

    Source: Aumasson et al., 2013. Derived in: lectures/09_kernels/keyed_select
    """
    check_key(key)
    _check(inputs)
    if inputs.is_cuda and triton is not None:
        return fused(inputs, key)
    return plain(inputs.cpu(), key).to(inputs.device)


@torch.no_grad()
def keyed_select(inputs: Tensor, *, key: bytes, fraction: float) -> Tensor:
    """hκ(x)₀ < fraction · 2³²: True for the fraction of inputs that a key picks, always the same ones.

    Args:
        inputs: `[N, …]`, as `keyed_hash` takes them.
        key: 16 to 32 secret bytes.
        fraction: the chance of each input, from 0 to 1, in steps of 2⁻³².

    Returns:
        bool `[N]`, on the inputs' device. A smaller fraction of the same key picks among the same.

    Raises:
        TypeError: as `keyed_hash`, or a fraction that is no number.
        ValueError: as `keyed_hash`, or a fraction outside [0, 1].

    Source: Aumasson et al., 2013. Derived in: lectures/09_kernels/keyed_select
    """
    if isinstance(fraction, bool) or not isinstance(fraction, Real):
        raise TypeError(f"fraction must be a number from 0 to 1, got {fraction!r}")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be a number from 0 to 1, got {fraction}")
    return picked(keyed_hash(inputs, key=key), float(fraction))


def picked(words: Tensor, fraction: float) -> Tensor:
    """Whether the first word of each hash is among the lowest fraction of all words: bool `[N]`."""
    return words[:, 0] < round(fraction * 2**32)


def _check(inputs: Tensor) -> None:
    """Raises TypeError or ValueError, in one sentence, for what has no bytes."""
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs must be a tensor [N, …], got {kind(inputs)}")
    if inputs.layout != torch.strided or inputs.is_quantized or inputs.is_nested or inputs.device.type == "meta":
        raise TypeError(f"inputs must be a dense tensor [N, …] with its numbers in memory, got {_manner(inputs)}")
    if inputs.ndim == 0:
        raise ValueError("inputs must be a batch [N, …], got one number: pass inputs[None]")


def _manner(inputs: Tensor) -> str:
    manners = {"quantized": inputs.is_quantized, "nested": inputs.is_nested, "on meta": inputs.device.type == "meta"}
    return next((name for name, true in manners.items() if true), str(inputs.layout))
