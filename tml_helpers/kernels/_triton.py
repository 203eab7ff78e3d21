"""Triton where it is installed, and a stand-in where it is not, so that a kernel's file can always be imported."""

from collections.abc import Callable
from typing import Any

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton for this system: the functions take their plain PyTorch path
    triton = tl = None

__all__ = ["jit", "tl", "triton"]


def jit(kernel: Callable[..., Any]) -> Any:
    """`triton.jit`, or the function unchanged where there is no Triton to compile it."""
    return kernel if triton is None else triton.jit(kernel)
