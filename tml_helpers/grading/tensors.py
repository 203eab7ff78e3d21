"""Tensors of PyTorch as they cross: their bytes, on the processor, without what they were computed from."""

from collections.abc import Callable
from typing import Any

import torch

from tml_helpers.grading.wire import Decoder, append, place

Inner = Callable[[Any], Any]


def encode(value: Any, _: Inner, buffers: list[bytes]) -> dict[str, Any] | None:
    """What stands for a tensor, or the size, type or device of one; None for anything else."""
    kind = type(value)
    if kind in (torch.Tensor, torch.nn.Parameter) and value.layout is torch.strided and not value.is_quantized:
        flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        content = append(flat.view(torch.uint8).numpy().tobytes(), buffers)
        return {"tensor": [str(value.dtype)[6:], list(value.shape), content, value.requires_grad]}
    if kind is torch.Size:
        return {"size": list(value)}
    if kind is torch.dtype:
        return {"torch": str(value)[6:]}
    if kind is torch.device:
        return {"device": str(value)}
    return None


def _tensor(content: Any, buffers: list[bytes], _: Inner) -> Any:
    name, shape, where, requires_grad = content
    found = bytearray(buffers[place(where)])
    kind = _dtype(name)
    flat = torch.frombuffer(found, dtype=kind) if found else torch.empty(0, dtype=kind)
    tensor = flat.reshape([place(n) for n in shape]).clone()
    return tensor.requires_grad_() if requires_grad is True else tensor


def _dtype(name: Any) -> Any:
    kind = getattr(torch, str(name), None)
    if not isinstance(kind, torch.dtype):
        raise ValueError(name)
    return kind


DECODERS: dict[str, Decoder] = {
    "tensor": _tensor,
    "size": lambda c, b, i: torch.Size([place(n) for n in c]),
    "torch": lambda c, b, i: _dtype(c),
    "device": lambda c, b, i: torch.device(str(c)),
}
