"""Quantisation: weights as whole numbers of few bits, and one scale for each channel."""

import warnings
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from tml_helpers.compression._holding import check_bits, hold, layers_and_places
from tml_helpers.compression._weights import own_copy
from tml_helpers.compression.pruning import LayerCollapseWarning

__all__ = ["Quantized", "integers_of", "quantize"]

Scheme = Literal["symmetric", "affine"]


class Quantized(nn.Module):
    """Ŵ = s (q − z): a parametrisation that makes a layer's weight of integers q, scales s and zero points z.

    They are buffers, saved, loaded and moved with the network: `integers`, int8 or from 9 bits on int16, of the
    weight's shape; `scale`, and `zero_point`, int32, of a shape that broadcasts with it. Nothing of the weight is
    trained; the parametrisation's `original` is empty and says the type of the weight alone.

    Args:
        integers: q, of the weight's shape, int8 or int16.
        scale: s, positive, float32 or float64.
        zero_point: z, integers, of the scale's shape; what stands for a weight of 0.
        bits: b, 1 to 16, of an integer.
        scheme: `"symmetric"` or `"affine"`, which says what the integers of b bits are: see `quantize`.

    Raises:
        TypeError: integers of another type, or a number of bits that is not whole.
        ValueError: bits outside 1 to 16, an unknown scheme, or an integer that b bits do not hold.

    Source: Jacob et al., 2018. Derived in: lectures/10_distillation/the_bill.
    """

    integers: Tensor
    scale: Tensor
    zero_point: Tensor

    def __init__(
        self, integers: Tensor, scale: Tensor, zero_point: Tensor, *, bits: int, scheme: Scheme = "symmetric"
    ) -> None:
        check_bits(bits)
        least, most = _range(bits, scheme)
        if integers.dtype not in (torch.int8, torch.int16):
            raise TypeError(f"integers must be int8 or int16, got {integers.dtype}")
        if integers.numel() and not least <= int(integers.min()) <= int(integers.max()) <= most:
            raise ValueError(f"integers must lie in {least}…{most}, got {int(integers.min())} to {int(integers.max())}")
        super().__init__()
        self.bits, self.scheme = bits, scheme
        self.register_buffer("integers", integers)
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point.to(torch.int32))

    def forward(self, empty: Tensor) -> Tensor:
        return (self.scale * (self.integers - self.zero_point)).to(empty.dtype)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Nothing: the integers hold the weight.

        Args:
            weight: what is assigned, which must be the weight that the integers make.

        Returns:
            An empty tensor of the weight's type.

        Raises:
            ValueError: another weight.
        """
        if not torch.equal(self(weight), weight):
            raise ValueError(
                "a quantised weight cannot be assigned: assign to the network from before, and quantise that"
            )
        return weight.new_empty(0)


def quantize(model: nn.Module, *, bits: int = 8, scheme: Scheme = "symmetric", per_channel: bool = True) -> nn.Module:
    """q = round(W / s) + z, cut to b bits, so that Ŵ = s (q − z) is at most s / 2 away from each weight.

    - `"symmetric"`: s = max |W| / (2ᵇ⁻¹ − 1) and z = 0, so q lies in ±(2ᵇ⁻¹ − 1). One bit leaves the sign alone: q is
      −1 or 1 and s the mean of |W|, which makes the squared error smallest; s / 2 bounds nothing then.
    - `"affine"`: s = (max W − min W) / (2ᵇ − 1) with 0 inside of this range, q in −2ᵇ⁻¹ … 2ᵇ⁻¹ − 1, and z the integer
      that stands for 0, so that zeros stay zeros. Of one bit's two numbers one is 0, and most weights are nearer to it.

    Weights of linear layers and convolutions are quantised, and stay as they are in training; biases and norms are not
    touched. PyTorch computes with the numbers that the integers stand for, so that the answers are those of a quantised
    network, and the time is not; the file is smaller (`save_compressed`). A mask, or whatever else made the weight
    before, is replaced.

    Args:
        model: any network with linear layers or convolutions; it stays as it is.
        bits: b, 1 to 16, of a weight.
        scheme: `"symmetric"` or `"affine"`.
        per_channel: one scale for each output channel of a layer, or one for the layer.

    Returns:
        A copy of the model, with integers for weights.

    Raises:
        TypeError: a number of bits that is not whole, or a `per_channel` that is no bool.
        ValueError: bits outside 1 to 16, an unknown scheme, a model without such layers, a weight that is not finite,
            or a pruned model and one symmetric bit, which has no zero.

    Source: Jacob et al., 2018; Rastegari et al., 2016. Derived in: lectures/10_distillation/the_bill.
    """
    check_bits(bits)
    _range(bits, scheme)
    if not isinstance(per_channel, bool):
        raise TypeError(f"per_channel must be True or False, got {per_channel!r}")
    quantized, lost = own_copy(model), 0
    for layer, places in layers_and_places(quantized):
        weight: Tensor = layer.weight.detach()  # type: ignore[operator]
        channel = int(isinstance(layer, _ConvTransposeNd)) if per_channel else None
        made = integers_of(weight, bits=bits, scheme=scheme, channel=channel)
        lost += bool(weight.any()) and not bool(made(weight).any())
        hold(places, made, made(weight))
    if lost:
        warnings.warn(
            f"{lost} layers lost all weights: each is nearer to 0 than to the next integer; pass more bits",
            LayerCollapseWarning,
            stacklevel=2,
        )
    return quantized


def integers_of(weight: Tensor, *, bits: int, scheme: Scheme, channel: int | None) -> Quantized:
    """One weight as integers.

    Args:
        weight: finite, at least one number.
        bits: b, 1 to 16.
        scheme: `"symmetric"` or `"affine"`.
        channel: the dimension that has a scale for each index; None for one scale.

    Returns:
        The parametrisation that makes it.

    Raises:
        ValueError: zeros and one symmetric bit.
    """
    exact = weight.to("cpu", torch.float64)  # not every device has it
    others = [dim for dim in range(weight.ndim) if dim != channel]
    low, high = (exact.amin(others, keepdim=True).clamp_max(0), exact.amax(others, keepdim=True).clamp_min(0))
    least, most = _range(bits, scheme)
    zero_point = torch.zeros_like(low)
    if scheme == "affine":
        scale = _positive((high - low) / (2**bits - 1), weight)
        zero_point = least - torch.round(low / scale)
    elif bits == 1:
        if (weight == 0).any():
            raise ValueError("a symmetric bit has no zero, but the model has zeros: pass two bits, or scheme='affine'")
        scale = _positive(exact.abs().mean(others, keepdim=True), weight)
        exact = exact.sign() * scale
    else:
        scale = _positive(torch.maximum(high, -low) / most, weight)
    integers = (torch.round(exact / scale) + zero_point).clamp(least, most)
    kept = torch.float64 if weight.dtype == torch.float64 else torch.float32
    whole = torch.int8 if bits <= 8 else torch.int16
    made = Quantized(integers.to(whole), scale.to(kept), zero_point, bits=bits, scheme=scheme)
    return made.to(weight.device)


def _range(bits: int, scheme: Scheme) -> tuple[int, int]:
    """The smallest and the largest integer."""
    if scheme not in get_args(Scheme):
        raise ValueError(f"scheme must be one of {', '.join(get_args(Scheme))}, got {scheme!r}")
    if scheme == "affine":
        return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    most = max(2 ** (bits - 1) - 1, 1)
    return -most, most


def _positive(scale: Tensor, weight: Tensor) -> Tensor:
    """The scale in the precision in which it is kept; 1 for a channel of zeros, or of what is too small to be told."""
    kept = scale if weight.dtype == torch.float64 else scale.float().double()
    return torch.where(kept > 0, kept, 1)
