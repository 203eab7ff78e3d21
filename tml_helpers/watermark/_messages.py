"""A message is a row of bits, given as numbers, truth values or a tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor


def bits_of(message: Sequence[int] | Tensor) -> Tensor:
    """The bits of a message.

    Args:
        message: `[n]`, 0 and 1, or bool; at least one bit.

    Returns:
        `[n]`, bool, on the CPU.

    Raises:
        TypeError: what holds no numbers, as text.
        ValueError: another shape, no bits, or other values.
    """
    try:
        bits = torch.as_tensor(message).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"message must be a row of bits, 0 and 1, got {type(message).__name__}: of text, pass the bits one by one"
        ) from None
    if bits.ndim != 1 or len(bits) == 0:
        raise ValueError(f"message must be a row of bits, at least one, got shape {list(bits.shape)}")
    if not ((bits == 0) | (bits == 1)).all():
        raise ValueError("message must be a row of bits, 0 and 1, got other values")
    return bits.bool()
