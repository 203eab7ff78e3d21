"""A message in the weights of a layer: signs of secret projections, which a penalty sets while the network learns."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import Layer, check_absent, check_counts, check_numbers, evaluating, layer_names
from tml_helpers.watermark._messages import bits_of
from tml_helpers.watermark.evidence import Evidence, binomial_evidence, normal_evidence
from tml_helpers.watermark.keys import check_key, normals, signs, uniforms

WEIGHTS_PER_BIT = 32
"""Of a larger layer the key chooses so many weights for each bit: the projections of all would not fit into memory."""


@dataclass(frozen=True, eq=False)
class WeightEvidence(Evidence):
    """t = Σⱼ bⱼ Xⱼ·w / (‖w‖ √n), standard normal without a mark, and the message that was read.

    Derived in: lectures/70_watermarking/models
    """

    message: Tensor  # [n], bool: what was read
    margins: Tensor  # [n], float64, bⱼ Xⱼ·w / ‖w‖: independent standard normal numbers without a mark
    wrong_bits: int  # margins that are not positive
    of_bits: Evidence  # n − wrong_bits right ones of n, by fair coins


class WeightWatermark:
    """Σⱼ log(1 + exp(−bⱼ Xⱼ·w)) · λ/n, added to the loss, makes the signs of n secret projections a message.

    w are the weights of one layer, and X, n rows of standard normal numbers, comes from the key. Whatever the weights
    of a network that was made without the key, Xⱼ·w / ‖w‖ are n independent standard normal numbers, over keys: `test`
    needs no unmarked network. That holds for a key and a message that were fixed before the network was looked at.

    Args:
        model: a network of the build that is to be marked; it is not changed.
        layer: whose `weight` carries the message; a name, or a module of this network.
        key: 16 to 32 secret bytes.
        message: `[n]`, 0 and 1, or bool; None lets the key draw it.
        bits: n, of a message that the key draws, 256 unless given; at most as many as the layer has weights.
        strength: λ, of the penalty, 0 or more.

    Raises:
        TypeError: no network, a key that is not bytes, or a message, bits or a strength that are no numbers.
        ValueError: a layer that the network does not have, or one without weights; a key too short or too long; a
            message of other values than 0 and 1, or with more bits than the layer has weights; bits beside a message.

    Source: Uchida, Nagai, Sakazawa and Satoh, 2017; Nagai et al., 2018. Derived in: lectures/70_watermarking/models
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layer: Layer,
        key: bytes,
        message: Sequence[int] | Tensor | None = None,
        bits: int | None = None,
        strength: float = 1.0,
    ) -> None:
        check_key(key)
        check_numbers(strength=strength)
        if not 0 <= strength < float("inf"):
            raise ValueError(f"strength must be 0 or more and finite, got {strength}")
        self.layer, self.strength = _name(model, layer), float(strength)
        weight = _weight(model, self.layer)
        self.shape, size = tuple(weight.shape), weight.numel()
        if message is None:
            count = 256 if bits is None else bits
            check_counts(bits=count)
            self.message = signs(key, "weights: message", count) > 0
        else:
            check_absent("a message is given", bits=bits)
            self.message = bits_of(message)
        count = len(self.message)
        if count > size:
            raise ValueError(
                f"the message has {count} bits, but the layer {self.layer!r} has {size} weights: name a larger layer"
            )
        kept = min(size, WEIGHTS_PER_BIT * count)
        with torch.inference_mode(False):  # what is kept must serve a later call that needs gradients
            self._chosen = None if kept == size else uniforms(key, "weights: places", size).argsort()[:kept]
            self._rows = normals(key, "weights: projections", count, kept)
            self._signs = torch.where(self.message, 1.0, -1.0).double()
        self._signed: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def penalty(self, model: nn.Module) -> Tensor:
        """λ/n · Σⱼ log(1 + exp(−bⱼ Xⱼ·w)), the mean cross-entropy of the message's bits.

        Args:
            model: a network of the build that the mark was made for, on any device.

        Returns:
            A scalar with a gradient, to be added to the loss.

        Raises:
            TypeError: no network.
            ValueError: another build.
        """
        weight = self._weights(model, self.layer)
        weight = weight.to(torch.promote_types(weight.dtype, torch.float32))  # half precision cannot add thousands
        place = weight.device, weight.dtype
        if place not in self._signed:
            with torch.inference_mode(False):
                self._signed[place] = (self._signs[:, None] * self._rows).to(*place)
        return self.strength * F.softplus(-(self._signed[place] @ weight)).mean()

    def read(self, model: nn.Module, *, layer: Layer | None = None) -> Tensor:
        """b̂ⱼ = 𝟙[Xⱼ·w > 0].

        Args:
            model: a network, marked or not.
            layer: another name for the layer there; None for that of the owner's network.

        Returns:
            `[n]`, bool, on the CPU. In an unmarked network half of the bits are right, by chance.

        Raises:
            TypeError: no network.
            ValueError: a layer that it does not have, of another shape, or with weights that are not finite or all 0.
        """
        return self._projected(model, layer) > 0

    def test(self, model: nn.Module, *, layer: Layer | None = None) -> WeightEvidence:
        """P(t ≥ what was found), for t = Σⱼ bⱼ Xⱼ·w / (‖w‖ √n) standard normal where the key is none of the network's.

        Args:
            model: the suspect's network.
            layer: another name for the layer there; None for that of the owner's network. Who tries several layers
                multiplies the p-value by their number.

        Returns:
            The evidence, with the bits that were read and how many of them are wrong.

        Raises:
            TypeError: no network.
            ValueError: a layer that it does not have, of another shape, or with weights that are not finite or all 0.
        """
        margins = self._signs * self._projected(model, layer)
        found = normal_evidence(float(margins.sum()) / len(margins) ** 0.5)
        right = int((margins > 0).sum())
        return WeightEvidence(
            found.statistic,
            found.p_value,
            found.p_beyond,
            message=margins * self._signs > 0,
            margins=margins,
            wrong_bits=len(margins) - right,
            of_bits=binomial_evidence(right, len(margins), 0.5),
        )

    @torch.no_grad()
    def _projected(self, model: nn.Module, layer: Layer | None) -> Tensor:
        """X w / ‖w‖, `[n]`, float64 on the CPU."""
        name = self.layer if layer is None else layer
        weight = self._weights(model, name).detach().cpu().double()
        largest = weight.abs().max()  # divided by first: squares of tiny or huge weights leave the range of a float
        if largest == 0 or not largest.isfinite():
            fault = "all 0" if largest == 0 else "not finite"
            raise ValueError(f"the weights of the layer {_name(model, name)!r} are {fault}: there is nothing to read")
        weight = weight / largest
        projected: Tensor = self._rows @ weight / weight.norm()
        return projected

    def _weights(self, model: nn.Module, layer: Layer) -> Tensor:
        """w, the weights that carry the message, `[D]`."""
        name = _name(model, layer)
        weight = _weight(model, name)
        if weight.shape != self.shape:
            raise ValueError(
                f"the mark was made for weights of shape {list(self.shape)}, but the layer {name!r} has "
                f"{list(weight.shape)}: this is another architecture"
            )
        flat = weight.reshape(-1)
        return flat if self._chosen is None else flat[self._chosen.to(flat.device)]


def _name(model: nn.Module, layer: Layer) -> str:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    return layer_names(model, [layer])[0]


def _weight(model: nn.Module, name: str) -> Tensor:
    with evaluating(model):  # in training mode a parametrisation, as spectral_norm, may change itself when it is read
        weight = getattr(model.get_submodule(name), "weight", None)
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        raise ValueError(f"the layer {name!r} has no weights of floating point that could carry a message")
    return weight
