"""How a parametrisation comes to hold a weight, at all the places where that stands."""

import copy
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils import parametrize

from tml_helpers.compression._weights import Holder, holders, source, weight_layers


def check_bits(bits: int) -> None:
    """A whole number of bits from 1 to 16."""
    if isinstance(bits, bool) or not isinstance(bits, int):
        raise TypeError(f"bits must be a whole number from 1 to 16, got {bits!r}")
    if not 1 <= bits <= 16:
        raise ValueError(f"bits must be a whole number from 1 to 16, got {bits}")


def layers_and_places(model: nn.Module) -> list[tuple[nn.Module, list[Holder]]]:
    """Each layer that has weights to compress, with all the places where its weight stands: several if it is tied."""
    places = holders(model)
    found = [(layer, places[id(source(layer, "weight"))]) for layer in weight_layers(model).values()]
    if not found:
        raise ValueError("the model has no linear layer and no convolution with weights: there is nothing to compress")
    return found


def hold(places: Sequence[Holder], parametrization: nn.Module, weight: Tensor) -> None:
    """Put the parametrisation in place of whatever made the weight so far; tied weights stay tied.

    Each place is freed with a parametrisation of its own: PyTorch writes into a parameter that it frees, and a tied one
    is still the original of the next place.
    """
    shared = None
    for module, name in places:
        if parametrize.is_parametrized(module, name):
            chains: nn.ModuleDict = module.parametrizations  # type: ignore[assignment]
            chains[name] = copy.deepcopy(chains[name])
            parametrize.remove_parametrizations(module, name)
        before: Tensor = getattr(module, name)
        setattr(module, name, nn.Parameter(weight.detach().clone(), before.requires_grad))
        parametrize.register_parametrization(module, name, parametrization)
        chain: nn.Module = module.parametrizations[name]  # type: ignore[index, assignment]
        if shared is None:
            shared = chain.original
        chain.original = shared
