"""A secret key makes carriers, choices and lists: SHAKE-256 of key and purpose, the same on every machine."""

import hashlib
import math

import numpy as np
import torch
from torch import Tensor

from tml_helpers.common import check_counts
from tml_helpers.kernels.keyed_select import check_key

__all__ = ["check_key", "normals", "signs", "stream", "uniforms"]


def stream(key: bytes, purpose: str, count: int) -> bytes:
    """The first `count` bytes that a key gives for one purpose: SHAKE-256(length of the key ‖ key ‖ purpose).

    Args:
        key: 16 to 32 bytes.
        purpose: what the bytes are for; another one gives independent bytes.
        count: how many bytes, at least 0.

    Returns:
        The bytes. Whoever does not know the key cannot tell them from fair coins.

    Raises:
        TypeError: a key that is not bytes, or a count that is not whole.
        ValueError: a key too short or too long, or a count below 0.

    Source: FIPS 202, 2015. Derived in: lectures/70_watermarking/images
    """
    check_key(key)
    check_counts(0, count=count)
    return hashlib.shake_256(bytes([len(key)]) + key + purpose.encode()).digest(count)


def uniforms(key: bytes, purpose: str, *shape: int) -> Tensor:
    """Uniform numbers in (0, 1), from 52 bits each: the middle of one of 2⁵² equal pieces, never 0 and never 1.

    Args:
        key: 16 to 32 bytes.
        purpose: what they are for.
        shape: of the result.

    Returns:
        float64 on the CPU.

    Raises:
        TypeError, ValueError: see `check_key`.

    Source: FIPS 202, 2015. Derived in: lectures/70_watermarking/images
    """
    if any(size < 0 for size in shape):
        raise ValueError(f"sizes must be 0 or more, got {list(shape)}")
    words = np.frombuffer(stream(key, purpose, 8 * math.prod(shape)), dtype="<u8") >> np.uint64(12)
    return torch.from_numpy((words.astype(np.float64) + 0.5) / 2**52).view(shape)


def normals(key: bytes, purpose: str, *shape: int) -> Tensor:
    """Standard normal numbers: the normal quantile of `uniforms`.

    Args:
        key: 16 to 32 bytes.
        purpose: what they are for.
        shape: of the result.

    Returns:
        float64 on the CPU.

    Raises:
        TypeError, ValueError: see `check_key`.

    Source: FIPS 202, 2015. Derived in: lectures/70_watermarking/models
    """
    quantiles: Tensor = torch.special.ndtri(uniforms(key, purpose, *shape))
    return quantiles


def signs(key: bytes, purpose: str, *shape: int) -> Tensor:
    """Fair signs, −1 or 1.

    Args:
        key: 16 to 32 bytes.
        purpose: what they are for.
        shape: of the result.

    Returns:
        float64 on the CPU.

    Raises:
        TypeError, ValueError: see `check_key`.

    Source: FIPS 202, 2015. Derived in: lectures/70_watermarking/images
    """
    return torch.where(uniforms(key, purpose, *shape) < 0.5, -1.0, 1.0).double()
