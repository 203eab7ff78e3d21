"""How an error of a kernel's function names what it was given."""

from torch import Tensor


def kind(value: object) -> str:
    """`a tensor of torch.int64`, or the name of another type."""
    return f"a tensor of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
