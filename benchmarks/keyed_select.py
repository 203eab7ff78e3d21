"""The keyed hash on the CPU: the tree in a plain loop of hashlib, ours, and hashlib's hashes in one pass.

python benchmarks/keyed_select.py      writes results/keyed_select.json
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from _measure import medians, speedups, wall_times, write
from torch import Tensor

from tml_helpers._console import on_any_console
from tml_helpers.kernels import keyed_hash
from tml_helpers.kernels.keyed_select import as_bytes, reference

ROUNDS, KEY = 30, bytes(range(32))
SHAPES = [([1000, 1, 28, 28], "uint8"), ([1000, 1, 28, 28], "float32"), ([16, 3, 224, 224], "float32")]
COLUMNS: dict[str, Callable[[bytes], bytes]] = {
    "hashlib, the tree": partial(reference, key=KEY),
    "blake2s": lambda row: hashlib.blake2s(row, key=KEY).digest(),
    "blake2b": lambda row: hashlib.blake2b(row, key=KEY, digest_size=32).digest(),
}


def loop(digest: Callable[[bytes], bytes], inputs: Tensor) -> list[bytes]:
    """As one writes it: image by image."""
    return [digest(row.tobytes()) for row in as_bytes(inputs).numpy()]


def measured(shape: list[int], dtype: str) -> dict[str, Any]:
    """One line of the table."""
    inputs = (255 * torch.rand(shape, generator=torch.Generator().manual_seed(0))).to(getattr(torch, dtype))
    runs: dict[str, Callable[[], Any]] = {name: partial(loop, digest, inputs) for name, digest in COLUMNS.items()}
    runs["ours"] = partial(keyed_hash, inputs, key=KEY)
    words = runs["ours"]().numpy().astype("<u4").tobytes()
    assert b"".join(runs["hashlib, the tree"]()) == words, "the same work"
    times = wall_times(runs, rounds=ROUNDS)
    ms = {name: round(1e3 * value, 3) for name, value in medians(times).items()}
    return {"shape": shape, "dtype": dtype, "ms": ms, "times_as_fast": speedups(times, "ours")}


def main() -> None:
    table = [measured(shape, dtype) for shape, dtype in SHAPES]
    for line in table:
        print(line["shape"], line["dtype"], line["ms"], line["times_as_fast"])
    print(write("keyed_select", {"table": table}))


if __name__ == "__main__":
    on_any_console()
    main()
