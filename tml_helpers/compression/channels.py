"""Structured pruning: whole channels leave the network, which becomes smaller and faster on any machine."""

import warnings

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from tml_helpers.compression._chains import Chain, chains
from tml_helpers.compression._weights import UncompressedWarning, called, check_sparsity, listed
from tml_helpers.compression.pruning import plain

__all__ = ["prune_channels"]


def prune_channels(model: nn.Module, images: Tensor, *, sparsity: float) -> nn.Module:
    """Of the c channels of each hidden layer, the ⌊ρc⌉ whose filters have the smallest Σ|w| are taken out.

    A channel leaves with its filter, its bias, its numbers in the norms behind it, and the weights with which the next
    layer reads it. What is left is a dense network of thinner layers, which answers as the larger one would, were the
    next layers blind to these channels. At least one channel of each layer stays. Units of linear layers are channels.

    It follows the network's answer to the images. A layer is pruned where one other layer reads its channels, and what
    is in between mixes none: activations, dropout, norms over the batch, pooling, depthwise convolutions, flattening.
    Others, as those that end in a sum or have a hook, keep their channels, and a warning names them; so does the last
    layer, silently. Masks and other parametrisations become ordinary weights first. An optimiser that was made for the
    model does not know the new parameters.

    Args:
        model: any network that does the same operations for all inputs, as a `Sequential` does; it stays as it is.
        images: one input or more, as an example, `[N, …]`, where the model is.
        sparsity: ρ, the share of channels to take out of each layer, in [0, 1).

    Returns:
        A smaller copy of the model.

    Raises:
        TypeError: a sparsity that is no number, or images that are no tensor.
        ValueError: a sparsity outside [0, 1), a model that cannot be followed or has no channels that can be removed,
            images that it does not answer, or a weight that is not finite.

    Source: Li, Kadav, Durdanovic, Samet and Graf, 2017. Derived in: lectures/10_distillation/the_bill.
    """
    check_sparsity(sparsity)
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a tensor, an example of what the model sees, got {type(images).__name__}")
    smaller = plain(model)
    network = chains(smaller, images)
    reasons = listed([f"{called(name)} {reason}" for name, reason in network.left.items()])
    if not network.found:
        raise ValueError(f"no layer's channels can be removed: {reasons or 'the model has one layer or none'}")
    kept = {name: _kept(chain.maker, sparsity) for name, chain in network.found.items()}
    for name, chain in network.found.items():
        _cut(chain, kept[name])
    if reasons:
        warnings.warn(f"some layers keep all channels: {reasons}", UncompressedWarning, stacklevel=2)
    return smaller


def _kept(maker: nn.Module, sparsity: float) -> Tensor:
    """The channels that stay, in their order; of equal ones, the first leaves first."""
    weight = maker.weight.detach().transpose(0, _side(maker, "out"))  # type: ignore[operator]
    sizes = weight.flatten(1).abs().to("cpu", torch.float64).sum(dim=1)
    gone = min(round(sparsity * len(sizes)), len(sizes) - 1)
    return sizes.argsort(stable=True)[gone:].sort().values


def _cut(chain: Chain, kept: Tensor) -> None:
    """Take all but these channels out of the layer that makes them, those in between, and the one that reads them."""
    _select(chain.maker, kept, _side(chain.maker, "out"), ("weight",))
    _select(chain.maker, kept, 0, ("bias",))
    _count(chain.maker, "out", len(kept))
    for layer, block in chain.between:
        if not (isinstance(layer, nn.PReLU) and layer.num_parameters == 1):
            _select(layer, _blocks(kept, block), 0, ("weight", "bias", "running_mean", "running_var"))
            for name in ("num_features", "num_parameters", "in_channels", "out_channels", "groups"):
                if hasattr(layer, name):
                    setattr(layer, name, len(kept) * block)
    _select(chain.reader, _blocks(kept, chain.block), _side(chain.reader, "in"), ("weight",))
    _count(chain.reader, "in", len(kept) * chain.block)


def _blocks(kept: Tensor, size: int) -> Tensor:
    """Where the values of these channels stand when each channel has so many, next to each other."""
    return (kept[:, None] * size + torch.arange(size)).flatten()


def _side(layer: nn.Module, side: str) -> int:
    """The dimension of the weight that counts the channels that come in, or go out."""
    return int((side == "in") != isinstance(layer, _ConvTransposeNd))


def _count(layer: nn.Module, side: str, channels: int) -> None:
    setattr(layer, f"{side}_channels" if isinstance(layer, _ConvNd) else f"{side}_features", channels)


def _select(layer: nn.Module, kept: Tensor, dimension: int, names: tuple[str, ...]) -> None:
    """Keep these rows, or columns, of a layer's numbers: of those that it has."""
    for name in names:
        whole = getattr(layer, name, None)
        if whole is not None:
            part = whole.detach().index_select(dimension, kept.to(whole.device))
            setattr(layer, name, nn.Parameter(part, whole.requires_grad) if isinstance(whole, nn.Parameter) else part)
