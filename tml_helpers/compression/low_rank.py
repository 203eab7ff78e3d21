"""Low rank: one large layer becomes two small ones, and their product is as near to it as two such layers can be."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils import parametrize

from tml_helpers.common import Layer, check_absent, check_counts, check_numbers, layer_names
from tml_helpers.compression._weights import (
    UncompressedWarning,
    called,
    holders,
    hooked,
    listed,
    own_copy,
    source,
    weight_layers,
)

__all__ = ["LowRank", "UncompressedWarning", "low_rank"]

FACTORISED = (nn.Linear, NonDynamicallyQuantizableLinear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class LowRank(nn.Sequential):
    """x ↦ B A x + b: two layers in the place of one, whose weight is their product.

    Its parts are ordinary layers, which are trained, pruned and saved as others are. `weight` and `bias` are there for
    those who read them, as PyTorch's attention does.

    Args:
        thin: A, a linear layer or convolution without a bias, from the layer's inputs to κ channels.
        back: B and b, linear or a 1×1 convolution of the same number of groups, from κ channels to the outputs.

    Source: Eckart and Young, 1936; Zhang, Zou, He and Sun, 2016. Derived in: lectures/10_distillation/the_bill.
    """

    def __init__(self, thin: nn.Linear | _ConvNd, back: nn.Linear | _ConvNd) -> None:
        super().__init__(thin, back)

    @property
    def weight(self) -> Tensor:
        """B A, of the shape of the weight that stood here.

        Returns:
            `[m, n]`, or a convolution's `[m, n, k, …]`.
        """
        weights: list[Any] = [part.weight for part in self]
        thin, back = weights
        groups = getattr(self[0], "groups", 1)
        product = _by_group(back, groups) @ _by_group(thin, groups)
        return product.reshape(len(back), *thin.shape[1:])

    @property
    def bias(self) -> Tensor | None:
        """b, or None.

        Returns:
            `[m]`.
        """
        return self[1].bias  # type: ignore[return-value]


def low_rank(
    model: nn.Module,
    *,
    rank: int | Mapping[str, int] | None = None,
    energy: float | None = None,
    layers: Sequence[Layer] | None = None,
) -> nn.Module:
    """Ŵ = Σ_{i ≤ κ} σ_i u_i v_iᵀ: each layer becomes two, whose product is the best approximation of rank κ.

    The singular value decomposition is cut after the κ largest singular values. No other matrix of that rank is nearer:
    ‖W − Ŵ‖² is the sum of the σ_i² that were cut. A linear layer n → m becomes n → κ → m. A convolution becomes one to
    κ channels, with its kernel, and a 1×1 convolution, group by group. √σ goes to each factor, so that both train
    equally well. A layer that is no larger than its factors stays as it is, and so do tied weights and layers with a
    hook: a warning says so. Transposed convolutions and layers of your own are passed over. The zeros of a pruned model
    are lost in its factors.

    Args:
        model: any network with linear layers or convolutions; it stays as it is.
        rank: κ, from 1 to the smaller side of each layer's matrix; a number, or one for each layer by name.
        energy: in place of a rank, the least share of Σ σ_i² that each layer keeps, in (0, 1].
        layers: those to factorise, as names or modules; None for all. A mapping of ranks has its own.

    Returns:
        A copy of the model, with a `LowRank` in the place of each layer that was factorised.

    Raises:
        TypeError: a rank that is no whole number, or an energy that is no number.
        ValueError: neither a rank nor an energy or both, a rank above a layer's smaller side, an energy outside (0, 1],
            a layer that the model does not have or that has no matrix, or a weight that is not finite.

    Source: Eckart and Young, 1936; Zhang, Zou, He and Sun, 2016. Derived in: lectures/10_distillation/the_bill.
    """
    if (rank is None) == (energy is None):
        raise ValueError("pass either a rank or an energy: one of them says how much is kept")
    if energy is not None:
        check_numbers(energy=energy)
        if not 0 < energy <= 1:
            raise ValueError(f"energy must lie in (0, 1], the share that is kept, got {energy}")
    copied = own_copy(model)
    ranks = _ranks(copied, rank, _chosen(model, rank, layers))
    places, made, left = holders(copied), {}, []
    for name, wanted in ranks.items():
        layer = copied.get_submodule(name)
        u, s, v = torch.linalg.svd(_matrices_of(layer), full_matrices=False)
        kept = _enough(s, energy) if energy is not None else wanted
        if len(places[id(source(layer, "weight"))]) > 1:
            left.append(f"{called(name)}, whose weight is tied")
        elif hooked(layer):
            left.append(f"{called(name)}, which has a hook")
        elif kept * (u.shape[1] + v.shape[2]) >= u.shape[1] * v.shape[2]:
            left.append(f"{called(name)} of {u.shape[1]}×{v.shape[2]}, smaller than its factors of rank {kept}")
        else:
            made[id(layer)] = _factors(layer, u[:, :, :kept], s[:, :kept], v[:, :kept])
    if left:
        warnings.warn(f"some layers stay as they are: {listed(left)}", UncompressedWarning, stacklevel=2)
    return _replaced(copied, made)


def _chosen(model: nn.Module, rank: int | Mapping[str, int] | None, layers: Sequence[Layer] | None) -> list[str]:
    """The names of the layers to factorise, each with a matrix."""
    if isinstance(rank, Mapping):
        check_absent("rank has a number for each layer", layers=layers)
        layers = list(rank)
    if isinstance(layers, str | nn.Module):
        raise TypeError(f"layers must be a list of names or modules, got {layers!r}")
    if layers is None:
        names = [name for name, layer in weight_layers(model).items() if _type_of(layer) in FACTORISED]
    else:
        names = layer_names(model, layers)
    if not names:
        raise ValueError("there is no layer to factorise: name linear layers or convolutions of the model")
    for name in names:
        layer = model.get_submodule(name)
        if _type_of(layer) not in FACTORISED or not layer.weight.numel():  # type: ignore[operator]
            raise ValueError(
                f"{called(name)} is a {_type_of(layer).__name__} without a matrix: name linear layers or convolutions, "
                "PyTorch's own and not transposed"
            )
    return names


def _ranks(model: nn.Module, rank: int | Mapping[str, int] | None, names: list[str]) -> dict[str, int]:
    """Each layer's rank, by name; 0 where the energy decides."""
    if rank is None:
        return dict.fromkeys(names, 0)
    ranks = {name: rank[name] if isinstance(rank, Mapping) else rank for name in names}
    for name, wanted in ranks.items():
        check_counts(rank=wanted)
        layer = model.get_submodule(name)
        rows, columns = _matrices_of(layer).shape[1:]
        if wanted > min(rows, columns):
            raise ValueError(
                f"rank is {wanted}, but {called(name)} has a matrix of {rows}×{columns}, of rank {min(rows, columns)} "
                "at most: ask for less, or for a rank by layer, as {'" + name + "': …}"
            )
    return ranks


def _type_of(layer: nn.Module) -> type[nn.Module]:
    return parametrize.type_before_parametrizations(layer)


def _matrices_of(layer: nn.Module) -> Tensor:
    """Each group's matrix in float64, which not every device has, `[groups, outputs, inputs · kernel]`."""
    weight: Tensor = layer.weight.detach()  # type: ignore[operator]
    exact = torch.promote_types(weight.dtype, torch.float64)
    return _by_group(weight.to("cpu", exact), getattr(layer, "groups", 1))


def _by_group(weight: Any, groups: int) -> Tensor:
    matrices: Tensor = weight.reshape(groups, len(weight) // groups, -1)
    return matrices


def _enough(singular_values: Tensor, energy: float) -> int:
    """The smallest κ that keeps this share of Σ σ², over all groups."""
    kept = singular_values.square().sum(dim=0).cumsum(dim=0)
    return int(torch.searchsorted(kept, energy * kept[-1])) + 1


def _factors(layer: Any, u: Tensor, s: Tensor, v: Tensor) -> LowRank:
    """Two layers of the kind of one, with the weights u √s and √s v."""
    inner, bias, root = s.numel(), layer.bias, s.sqrt()[:, :, None]
    thin, back = _parts(layer, inner)
    for part, product in ((thin, root * v), (back, u * root.mT)):
        weight = product.reshape(part.weight.shape).to(layer.weight.device, layer.weight.dtype)
        part.weight = nn.Parameter(weight, source(layer, "weight").requires_grad)
    if bias is not None:
        back.bias = bias if isinstance(bias, nn.Parameter) else nn.Parameter(bias.detach())
    return LowRank(thin, back).train(layer.training)


def _parts(layer: Any, inner: int) -> tuple[Any, Any]:
    """Two layers without numbers, which draw none, from a layer's inputs to `inner` channels to its outputs."""
    biased = layer.bias is not None
    if isinstance(layer, nn.Linear):
        thin = nn.Linear(layer.in_features, inner, bias=False, device="meta")
        return thin, nn.Linear(inner, layer.out_features, bias=biased, device="meta")
    convolution: Any = _type_of(layer)
    settings = ("kernel_size", "stride", "padding", "dilation", "padding_mode", "groups")
    same = {name: getattr(layer, name) for name in settings}
    return (
        convolution(layer.in_channels, inner, bias=False, device="meta", **same),
        convolution(inner, layer.out_channels, 1, groups=layer.groups, bias=biased, device="meta"),
    )


def _replaced(model: nn.Module, made: dict[int, LowRank]) -> nn.Module:
    """The model with other layers, at each place where one stood."""
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if id(module) in made:
            if not name:
                return made[id(module)]
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, made[id(module)])
    return model
