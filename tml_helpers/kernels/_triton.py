"""Triton where it is installed, and a stand-in where it is not, so that a kernel's file can always be imported."""

from collections.abc import Callable
from functools import partial
from typing import Any

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton for this system: the functions take their plain PyTorch path
    triton = tl = None

__all__ = ["jit", "jit_with", "tl", "triton"]


def jit(kernel: Callable[..., Any], **options: Any) -> Any:
    """`triton.jit`, or the function unchanged where there is no Triton to compile it."""
    return kernel if triton is None else triton.jit(kernel, **options)


def jit_with(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`jit` with options of Triton's, as `do_not_specialize`."""
    return partial(jit, **options)
