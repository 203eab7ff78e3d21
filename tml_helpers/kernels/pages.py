"""What the kernels' pages share: a function's text, the memory traffic of plain PyTorch, a committed result.

Derived in: lectures/09_kernels/distillation_loss
"""

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tml_helpers import measured
from tml_helpers._console import say

MEASURES = ("fewest_bytes", "us", "of_ceiling", "times_as_fast")  # what a line of a GPU table has beside its size


def listing(function: Callable[..., Any] | type, first: str = "", last: str | None = None) -> None:
    """Print a function, kernel or class as the library has it, from one line to before another."""
    lines = inspect.getsource(getattr(function, "fn", function)).splitlines()
    start = next(n for n, line in enumerate(lines) if first in line and not line.startswith("@"))
    end = next((n for n in range(start, len(lines)) if last and last in lines[n]), None)
    text = inspect.cleandoc("\n" + "\n".join(lines[start:end]))
    say(re.sub(r"  # (type: ignore|fmt: skip)\S*", "", text))


def result(name: str) -> dict[str, Any] | None:
    """A committed measurement of `benchmarks/`; None where it has not been taken."""
    return measured.result(name) if name in measured.names() else None


def show_microseconds(kernel: str) -> None:
    """Print a kernel's GPU table: card and date, and each column's microseconds and share of the memory's speed."""
    found = on_a_gpu(kernel)
    if found is None:
        return
    taken = found["measured"]
    ceiling, verb = ("write", "written") if kernel == "superpixels" else ("copy", "copied")
    speed = found[f"{ceiling}_bytes_per_second"] / 1e9
    say(f"{taken['card']}, {taken['date']}: {speed:.0f} GB/s {verb}")
    say(f"code: {taken['code']}")
    for line in found[kernel]:
        say(", ".join(str(value) for name, value in line.items() if name not in MEASURES))
        for name, us in line["us"].items():
            say(f"    {name:24}{us:10.1f} µs{line['of_ceiling'][name]:8.0%} of that")


def on_a_gpu(kernel: str) -> dict[str, Any] | None:
    """The committed GPU figures; where this kernel's are not among them None, and the page says how to get them."""
    found = result("gpu") or {}
    if kernel in found:
        return found
    print("The GPU figures have not been measured: no machine with a GPU was at hand.")
    print("One command measures them, and this cell then shows them:")
    print("    python benchmarks/gpu.py")
    return None


def show_milliseconds(line: dict[str, Any]) -> None:
    """Print a line of a CPU table: the milliseconds of each column, and how many times as fast ours is."""
    for name, ms in line["ms"].items():
        ratio = line["times_as_fast"].get(name)
        say(f"    {name:14}{ms:9.2f}" + (f"{ratio:8.2f} ×" if ratio else ""))


class Traffic(TorchDispatchMode):
    """Notes how many numbers each operation of PyTorch reads and writes: `operations`, pairs of name and count."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[str, int]] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = operation(*args, **(kwargs or {}))
        name = operation.overloadpacket.__name__
        read = [] if "nll" in name else args  # which looks up one number a row
        written = result if isinstance(result, tuple) else (result,)
        if not operation.is_view:
            self.operations.append((name, _numbers(read) + _numbers(written)))
        return result


def _numbers(values: Iterable[object]) -> int:
    """How many numbers of these tensors lie in memory: an expanded scalar is one, a tensor that is named twice too."""
    tensors = {id(x): x for x in values if isinstance(x, Tensor)}.values()
    return sum(x.numel() if 0 not in x.stride() else 1 for x in tensors)
