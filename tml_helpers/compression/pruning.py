"""Pruning: the least important weights become 0 and stay 0, be the network trained on or not."""

import copy
import warnings
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tml_helpers.common import check_generator, draw
from tml_helpers.compression._weights import (
    called,
    check_sparsity,
    holders,
    listed,
    own_copy,
    source,
    steps,
    weight_layers,
)

__all__ = ["LayerCollapseWarning", "Mask", "nonzero_count", "plain", "prune", "sparsity_of"]

Criterion = Literal["magnitude", "random"]
Scope = Literal["global", "layer"]


class LayerCollapseWarning(UserWarning):
    """A layer has lost all of its weights: what it returns does not depend on what goes in."""


class Mask(nn.Module):
    """W ↦ W where the mask is true, 0 elsewhere: a parametrisation of a layer's weight.

    Its buffer `mask` is saved, loaded and moved with the network. The weight that is trained has no gradient where the
    mask is false; what is assigned to the weight is masked, too.

    Args:
        mask: bool, of the weight's shape.

    Raises:
        TypeError: a mask that is not of bools.

    Source: Han, Pool, Tran and Dally, 2015. Derived in: lectures/10_distillation/the_bill.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            kind = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
            raise TypeError(f"mask must be a tensor of bools, true where a weight stays, got {kind}")
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        return torch.where(self.mask, weight, 0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The weight from which training starts: masked, so that nothing is hidden behind the zeros.

        Args:
            weight: of the mask's shape.

        Returns:
            The masked weight.
        """
        return self(weight)  # type: ignore[no-any-return]


def prune(
    model: nn.Module,
    *,
    sparsity: float,
    criterion: Criterion = "magnitude",
    scope: Scope = "global",
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Ŵ = W · 1[|W| is not among the ⌊ρn⌉ smallest]: of n weights the share ρ becomes 0, and stays 0 in training.

    Weights of linear layers and convolutions are pruned, whether they stand in a `Sequential` or not; biases, norms,
    embeddings, recurrent layers and the input projections of attention are not. The network keeps its shape, so that it
    is no faster: for that, see `prune_channels`. Its zeros make a small file (`save_compressed`).

    `layer.weight` is what it was, with zeros: a parametrisation, `Mask`, holds them. To prune a pruned model again goes
    on from its zeros. Of weights with equal magnitudes the first is pruned first; tied weights count once. `plain`
    makes the zeros ordinary numbers again.

    Args:
        model: any network with linear layers or convolutions; it stays as it is.
        sparsity: ρ, the share of zeros among the weights, in [0, 1); of all weights, those pruned before included.
        criterion: what makes a weight unimportant: its `"magnitude"`, or chance, the `"random"` control.
        scope: whether magnitudes are compared within the whole network, `"global"`, or within each `"layer"`.
        generator: draws where the criterion is random.

    Returns:
        A copy of the model, with masks.

    Raises:
        TypeError: a sparsity that is no number.
        ValueError: a sparsity outside [0, 1) or below what the masks of the model have, an unknown criterion or scope,
            a model without such layers, or a weight that is not finite.

    Source: Han, Pool, Tran and Dally, 2015. Derived in: lectures/10_distillation/the_bill.
    """
    check_sparsity(sparsity)
    for name, choice, choices in (("criterion", criterion, Criterion), ("scope", scope, Scope)):
        if choice not in get_args(choices):
            raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {choice!r}")
    check_generator(generator)
    pruned = own_copy(model)
    layers = weight_layers(pruned)
    if not layers:
        raise ValueError("the model has no linear layer and no convolution: there is no weight to prune")
    scores = {name: _importance(layer, criterion, generator) for name, layer in layers.items()}
    masks: dict[str, Tensor] = {}
    for names in [list(layers)] if scope == "global" else [[name] for name in layers]:
        whose = "the model" if scope == "global" else called(names[0])
        masks |= zip(names, _most_important([scores[name] for name in names], sparsity, whose), strict=True)
    places = holders(pruned)
    for name, mask in masks.items():
        for module, tensor in places[id(source(layers[name], "weight"))]:
            _set_mask(module, tensor, mask)
    _warn_of_collapse([called(name) for name, mask in masks.items() if not mask.any()])
    return pruned


def plain(model: nn.Module) -> nn.Module:
    """The same network with ordinary parameters: each weight is the number that it shows, and no mask holds it.

    It answers the same, without the time that a mask takes, and can be pickled. Trained on, its zeros do not stay.

    Args:
        model: any network; it stays as it is.

    Returns:
        A copy of the model, without parametrisations.

    Raises:
        TypeError: something that is no network.
        ValueError: a layer without a weight of its own, or with one that is not finite.

    Source: Han, Pool, Tran and Dally, 2015. Derived in: lectures/10_distillation/the_bill.
    """
    copied = own_copy(model)
    for places in holders(copied).values():
        parameters = [_freed(module, name) for module, name in places]
        for (module, name), parameter in zip(places, parameters, strict=True):
            tied = torch.equal(parameter, parameters[0])
            setattr(module, name, parameters[0] if tied else parameter)
    return copied


def sparsity_of(model: nn.Module) -> float:
    """ρ = zeros / n, of the n weights of linear layers and convolutions, be they held by a mask or not.

    Args:
        model: any network, or one layer; tied weights count once.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: a model without such layers.

    Source: Han, Pool, Tran and Dally, 2015. Derived in: lectures/10_distillation/the_bill.
    """
    weights: list[Tensor] = [layer.weight for layer in weight_layers(model).values()]  # type: ignore[misc]
    if not weights:
        raise ValueError("the model has no linear layer and no convolution: there is no weight to count")
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def nonzero_count(model: nn.Module) -> int:
    """How many of a network's parameters are not 0, weights as their masks leave them and biases and norms included.

    Args:
        model: any network; tied parameters count once.

    Returns:
        At most `models.parameter_count` of the network without masks.

    Source: Han, Pool, Tran and Dally, 2015. Derived in: lectures/10_distillation/the_bill.
    """
    once = [places[0] for places in holders(model).values()]
    return sum(int(getattr(module, name).count_nonzero()) for module, name in once)


def _importance(layer: nn.Module, criterion: Criterion, generator: torch.Generator | None) -> Tensor:
    """Of each weight: the higher, the later it is pruned; −1 for what a mask has pruned already."""
    weight: Tensor = layer.weight.detach()  # type: ignore[operator]
    if criterion == "magnitude":
        importance = weight.abs()
    else:
        importance = draw(torch.rand, weight.shape, device=weight.device, generator=generator)
    mask = _mask_of(layer, "weight")
    return importance if mask is None else torch.where(mask.mask, importance, -1)


def _most_important(scores: list[Tensor], sparsity: float, whose: str) -> list[Tensor]:
    """Masks that leave exactly ⌊ρn⌉ of the n weights out, those with the lowest scores."""
    together = torch.cat([score.flatten().to(scores[0].device) for score in scores])
    count, before = round(float(sparsity) * len(together)), int((together < 0).sum())
    if before > count:
        raise ValueError(
            f"sparsity is {sparsity}, but the masks of {whose} have pruned {before / len(together):.4g} already, and "
            "what was pruned does not come back: ask for more, or prune the model from before"
        )
    kept = torch.ones_like(together, dtype=torch.bool)
    kept[together.argsort(stable=True)[:count]] = False
    parts = kept.split([score.numel() for score in scores])
    return [part.view(score.shape).to(score.device) for part, score in zip(parts, scores, strict=True)]


def _mask_of(module: nn.Module, name: str) -> Mask | None:
    """The mask that has the last word on a weight."""
    chain = steps(module, name)
    return chain[-1] if chain is not None and isinstance(chain[-1], Mask) else None


def _set_mask(module: nn.Module, name: str, kept: Tensor) -> None:
    mask, chain = _mask_of(module, name), steps(module, name)
    if mask is None or chain is None:
        parametrize.register_parametrization(module, name, Mask(kept))
    else:
        mask.mask = kept
        if len(chain) == 1:
            setattr(module, name, getattr(module, name))


def _freed(module: nn.Module, name: str) -> nn.Parameter:
    """A tensor of a module as a parameter, its parametrisations removed."""
    chain = steps(module, name)
    if chain is not None:
        trained = any(parameter.requires_grad for parameter in chain.parameters())
        parameter = nn.Parameter(getattr(module, name).detach().clone(), trained)
        # PyTorch writes the result into the parameter that it frees, which may stand in another chain as well
        module.parametrizations[name] = copy.deepcopy(chain)  # type: ignore[operator, index, assignment]
        parametrize.remove_parametrizations(module, name)
        setattr(module, name, parameter)
    freed: nn.Parameter = getattr(module, name)
    return freed


def _warn_of_collapse(layers: list[str]) -> None:
    if layers:
        warnings.warn(
            f"{listed(layers, ', ')} lost all weights: the network's answer no longer depends on what comes in there; "
            'ask for less, or pass scope="layer"',
            LayerCollapseWarning,
            stacklevel=3,
        )
