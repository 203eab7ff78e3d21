"""What the layers of a network return: named or given as modules, recorded in batches, the network left as it was."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tml_helpers.common.gradients import evaluating

Layer = str | nn.Module
"""A layer, as itself or by the name that `model.named_modules()` has for it."""


def layer_names(model: nn.Module, layers: Sequence[Layer]) -> list[str]:
    """What `model.named_modules()` calls these layers.

    Args:
        model: the network.
        layers: names, or modules of this network.

    Returns:
        The names, in the order of the layers.

    Raises:
        ValueError: a layer that the network does not have, with the names of those that it has.
    """
    known = {name: module for name, module in model.named_modules() if name}
    of_module = {id(module): name for name, module in known.items()}
    names = [layer if isinstance(layer, str) else of_module.get(id(layer), "") for layer in layers]
    for name, layer in zip(names, layers, strict=True):
        if name not in known:
            called = repr(layer) if isinstance(layer, str) else f"{type(layer).__name__} of yours"
            raise ValueError(f"the model has no layer {called}; its layers are: {', '.join(known) or 'none'}")
    return names


@contextmanager
def recorded(model: nn.Module, layers: Sequence[Layer]) -> Iterator[dict[str, Tensor]]:
    """Inside, the dictionary holds, by name, what each of these layers returned in the model's latest forward pass.

    Args:
        model: the network.
        layers: names, or modules of this network.

    Yields:
        The dictionary, empty before the first forward pass.

    Raises:
        ValueError: a layer that the model does not have, or that does not return a tensor.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str, output: object) -> None:
        if not isinstance(output, Tensor):
            raise ValueError(f"the layer {name!r} returns {type(output).__name__}, not a tensor: name one that does")
        outputs[name] = output.clone()  # the next layer may work in place

    handles = [
        model.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: keep(name, output))
        for name in layer_names(model, layers)
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def representations(
    model: nn.Module, images: Tensor, layers: Sequence[Layer], *, batch_size: int = 512
) -> tuple[list[Tensor], Tensor]:
    """What each layer returns for each image, and the logits; in evaluation mode.

    Args:
        model: maps images to logits.
        images: `[N, C, H, W]`, where the model is.
        layers: names, or modules of this network.
        batch_size: images at a time.

    Returns:
        What the layers return, flattened to `[N, D]` each, and the logits `[N, K]`.

    Raises:
        ValueError: a layer that the model does not have, that does not answer once for each image, or not finitely.
    """
    names, logits = layer_names(model, layers), []
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    with evaluating(model), recorded(model, names) as outputs:
        for batch in images.split(batch_size):
            outputs.clear()
            logits.append(model(batch.clone()))  # a model may work in place on what it is given
            for name in names:
                if name not in outputs or len(outputs[name]) != len(batch):
                    raise ValueError(f"the layer {name!r} does not answer once for each image: name one that does")
                if not torch.isfinite(outputs[name]).all():
                    raise ValueError(f"what the layer {name!r} returns is not finite: has the model been trained?")
                parts[name].append(outputs[name].flatten(1))
    return [torch.cat(part) for part in parts.values()], torch.cat(logits)
