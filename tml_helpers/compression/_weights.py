"""Which weights a method may compress, where each of them stands, and copies that share nothing with the model."""

import copy
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from tml_helpers.common import check_numbers

Holder = tuple[nn.Module, str]
"""A module, and what it calls one of its tensors."""


class UncompressedWarning(UserWarning):
    """Some layers stay as they are, for the reasons that the warning gives."""


def own_copy(model: nn.Module) -> nn.Module:
    """A deep copy that shares nothing with the model, its parametrised layers' classes included.

    PyTorch keeps `layer.weight` of a parametrised layer in a class that a deep copy shares: to remove the copy's
    parametrisation would take the weight of the model as well.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for name, layer in weight_layers(model).items():
        _check_weight(name, layer)
    try:
        copied = copy.deepcopy(model)
    except Exception as error:  # what a module cannot copy is its own
        raise ValueError(
            f"the model cannot be copied ({first_line(error)}): remove what it keeps of a forward pass"
        ) from error
    for module in copied.modules():
        if parametrize.is_parametrized(module):
            shared = type(module)
            module.__class__ = type(shared.__name__, shared.__bases__, dict(vars(shared)))
    return copied


def weight_layers(model: nn.Module) -> dict[str, nn.Module]:
    """By name, in their order, the linear layers and convolutions, of which each weight occurs once."""
    layers: dict[str, nn.Module] = {}
    seen: dict[int, Tensor] = {}  # holds them, so that no other tensor takes the identity of one
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | _ConvNd):
            weight = source(module, "weight")
            if is_lazy(weight):
                raise ValueError(f"{called(name)} is lazy and has no weight yet: let the model answer one batch first")
            if id(weight) not in seen and module.weight.numel():
                layers[name] = module
            seen[id(weight)] = weight
    return layers


def source(module: nn.Module, name: str) -> Tensor:
    """The tensor that stands behind one of a module's: itself, or where its parametrisation begins."""
    chain = steps(module, name)
    found: Tensor = (
        getattr(module, name) if chain is None else next(itertools.chain(chain.parameters(), chain.buffers()))
    )
    return found


def steps(module: nn.Module, name: str) -> parametrize.ParametrizationList | None:
    """The parametrisations of one of a module's tensors; None where it has none."""
    if not parametrize.is_parametrized(module, name):
        return None
    chain: parametrize.ParametrizationList = module.parametrizations[name]  # type: ignore[index, assignment]
    return chain


def tensors(model: nn.Module) -> Iterator[Holder]:
    """Where the network's numbers stand, as its layers see them: parametrised ones once, with what they become."""
    inside = {
        id(part)
        for module in model.modules()
        if isinstance(module, parametrize.ParametrizationList)
        for part in module.modules()
    }
    for module in model.modules():
        if id(module) in inside:
            continue
        yield from ((module, name) for name, parameter in module._parameters.items() if parameter is not None)
        if parametrize.is_parametrized(module):
            yield from ((module, name) for name in module.parametrizations)  # type: ignore[union-attr]


def holders(model: nn.Module) -> dict[int, list[Holder]]:
    """By the identity of its source, all the places where a tensor stands: tied ones have several."""
    found: dict[int, list[Holder]] = defaultdict(list)
    for module, name in tensors(model):
        found[id(source(module, name))].append((module, name))
    return found


def hooked(module: nn.Module) -> bool:
    """Whether a hook may change what goes in or comes out."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def called(name: str) -> str:
    """What a message calls a layer: the model itself has no name."""
    return f"the layer {name!r}" if name else "the layer"


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return str(error).strip().partition("\n")[0]


def listed(parts: Sequence[str], between: str = "; ", shown: int = 3) -> str:
    """The first of many parts, and how many more there are."""
    more = [f"and {len(parts) - shown} more"] if len(parts) > shown else []
    return between.join([*parts[:shown], *more])


def check_sparsity(sparsity: float) -> None:
    """A number in [0, 1): at 1, nothing would be left."""
    check_numbers(sparsity=sparsity)
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity must lie in [0, 1), got {sparsity}: at 1, nothing would be left")


def _check_weight(name: str, layer: nn.Module) -> None:
    """A weight that is there, is the layer's own, and is finite."""
    if "weight" not in layer._parameters and not parametrize.is_parametrized(layer, "weight"):
        raise ValueError(
            f"{called(name)} makes its weight anew by a hook, as torch.nn.utils.prune and weight_norm do: make it "
            "permanent first, by prune.remove or remove_weight_norm"
        )
    weight: Tensor = layer.weight  # type: ignore[assignment]
    if not torch.isfinite(weight).all():
        raise ValueError(f"the weight of {called(name)} is not finite: has training diverged?")
