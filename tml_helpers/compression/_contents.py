"""How the numbers of one tensor stand in a compressed file: plain, masked, of shared values, or quantised."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tml_helpers.compression._streams import (
    DamagedError,
    Reader,
    gaps_from_bytes,
    gaps_to_bytes,
    sparse_from_bytes,
    sparse_to_bytes,
)
from tml_helpers.compression.codebook import SharedValues
from tml_helpers.compression.pruning import Mask
from tml_helpers.compression.quantization import Quantized, Scheme

PLAIN, MASKED, SHARED, QUANTISED, TIED = range(5)
TYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)
ONE_SCALE = 255


@dataclass(frozen=True, eq=False)
class Content:
    """A weight, the parametrisation that makes it, if any, and the values that this shares out."""

    weight: Tensor
    held_by: nn.Module | None = None
    values: Tensor | None = None


def pack(module: nn.Module, name: str) -> tuple[int, bytes]:
    """The kind and the bytes of one of a module's tensors."""
    weight: Tensor = getattr(module, name)
    if not parametrize.is_parametrized(module, name):
        return PLAIN, to_bytes(weight)
    chain: parametrize.ParametrizationList = module.parametrizations[name]  # type: ignore[index, assignment]
    masks = [part.mask for part in chain if isinstance(part, Mask)]
    kept = torch.stack(masks).all(dim=0) if masks else torch.ones_like(weight, dtype=torch.bool)
    match [part for part in chain if not isinstance(part, Mask)]:
        case [SharedValues() as shared]:
            return SHARED, _pack_shared(shared, chain.original, kept)
        case [Quantized() as quantized] if not masks or (quantized.bits, quantized.scheme) != (1, "symmetric"):
            return QUANTISED, _pack_quantized(quantized, kept)
    if isinstance(chain[-1], Mask):
        return MASKED, gaps_to_bytes(_array(kept)) + to_bytes(weight[kept])
    return PLAIN, to_bytes(weight)


def unpack(reader: Reader, kind: int, like: Tensor) -> Content:
    """The content of a tensor that has the shape, type and device of another."""
    if kind == PLAIN:
        return Content(_from_bytes(reader, like.dtype, like.shape).to(like.device))
    if kind == MASKED:
        kept = torch.from_numpy(gaps_from_bytes(reader, like.numel())).view(like.shape)
        weight = torch.zeros(like.shape, dtype=like.dtype)
        weight[kept] = _from_bytes(reader, like.dtype, [int(kept.sum())])
        return Content(weight.to(like.device), Mask(kept.to(like.device)))
    if kind == SHARED:
        count = reader.number("I", most=like.numel())
        values = _from_bytes(reader, like.dtype, [count])
        indices = torch.from_numpy(sparse_from_bytes(reader, like.numel(), most=count)).view(like.shape)
        shared = SharedValues(indices, count)
        return Content(shared(values).to(like.device), shared.to(like.device), values.to(like.device))
    quantized = _unpack_quantized(reader, like.shape).to(like.device)
    return Content(quantized(like), quantized)


def type_code(name: str, tensor: Tensor) -> int:
    """The number of a tensor's type in the file."""
    if tensor.dtype not in TYPES:
        raise ValueError(f"{name} is {tensor.dtype}, which the file does not know: convert the model to float32")
    return TYPES.index(tensor.dtype)


def to_bytes(tensor: Tensor) -> bytes:
    """Its numbers, row by row."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _from_bytes(reader: Reader, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
    data = reader.take(math.prod(shape) * dtype.itemsize)
    if dtype == torch.bool and data.strip(b"\0\1"):
        raise DamagedError("a truth value is neither 0 nor 1")
    flat = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
    return flat.view(tuple(shape))


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.cpu().flatten().numpy()
    return array


def _pack_shared(shared: SharedValues, values: Tensor, kept: Tensor) -> bytes:
    indices = torch.where(kept, shared.indices, 0).long()
    return struct.pack("<I", len(values)) + to_bytes(values) + sparse_to_bytes(_array(indices))


def _pack_quantized(quantized: Quantized, kept: Tensor) -> bytes:
    bits, integers, zero_point = quantized.bits, quantized.integers.long(), quantized.zero_point.long()
    several = [dim for dim, size in enumerate(quantized.scale.shape) if size > 1]
    affine = quantized.scheme == "affine"
    head = struct.pack("<BB", bits, affine)
    head += struct.pack("<BB", type_code("a scale", quantized.scale), several[0] if several else ONE_SCALE)
    head += to_bytes(quantized.scale) + (to_bytes(quantized.zero_point) if affine else b"")
    if (bits, affine) == (1, False):
        codes = (integers < 0).long()
    else:
        codes = torch.where(kept, (integers - zero_point) % 2**bits, 0)
    return head + sparse_to_bytes(_array(codes))


def _unpack_quantized(reader: Reader, shape: Sequence[int]) -> Quantized:
    bits, affine = reader.number("B", most=16), reader.number("B", most=1)
    kind, several = reader.number("B", most=len(TYPES) - 1), reader.number("B", most=ONE_SCALE)
    if bits == 0 or not TYPES[kind].is_floating_point or (several >= len(shape) and several != ONE_SCALE):
        raise DamagedError("what is said of a quantised weight cannot be")
    places = [size if dim == several else 1 for dim, size in enumerate(shape)]
    scale = _from_bytes(reader, TYPES[kind], places)
    zero_point = _from_bytes(reader, torch.int32, places) if affine else torch.zeros(places, dtype=torch.int32)
    codes = torch.from_numpy(sparse_from_bytes(reader, math.prod(shape), most=2**bits - 1)).view(tuple(shape))
    if (bits, affine) == (1, 0):
        integers = 1 - 2 * codes
    else:
        least = -(2 ** (bits - 1))
        integers = least + (codes + zero_point - least) % 2**bits
    whole = torch.int8 if bits <= 8 else torch.int16
    scheme: Scheme = "affine" if affine else "symmetric"
    return Quantized(integers.to(whole), scale, zero_point, bits=bits, scheme=scheme)
