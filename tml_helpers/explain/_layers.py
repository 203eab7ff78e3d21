"""What the layers of a network say: found by name, recorded in batches, and the network left as it was."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tml_helpers.training import evaluating


def layer_called(model: nn.Module, name: str) -> nn.Module:
    """The layer that `model.named_modules()` calls `name`; ValueError, with the names there are, for any other."""
    known: dict[str, nn.Module] = dict(model.named_modules())
    if name not in known or not name:
        names = ", ".join(known_name for known_name in known if known_name)
        raise ValueError(f"the model has no layer {name!r}; its layers are: {names or 'none'}")
    return known[name]


@contextmanager
def recorded(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Inside, the dictionary holds what each of these layers returned in the model's latest forward pass."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str, output: object) -> None:
        if not isinstance(output, Tensor):
            raise ValueError(f"the layer {name!r} returns {type(output).__name__}, not a tensor: name one that does")
        outputs[name] = output.clone()  # the next layer may work in place

    handles = [
        layer_called(model, name).register_forward_hook(lambda _, __, output, name=name: keep(name, output))
        for name in layers
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def representations(
    model: nn.Module, images: Tensor, layers: Sequence[str], *, batch_size: int = 512
) -> tuple[list[Tensor], Tensor]:
    """What each layer returns for each image, flattened to `[N, D]`, and the logits `[N, K]`; in evaluation mode."""
    parts: dict[str, list[Tensor]] = {name: [] for name in layers}
    logits = []
    with evaluating(model), recorded(model, layers) as outputs:
        for batch in images.split(batch_size):
            outputs.clear()
            logits.append(model(batch))
            for name in layers:
                if name not in outputs or len(outputs[name]) != len(batch):
                    raise ValueError(f"the layer {name!r} does not answer once for each image: name one that does")
                if not torch.isfinite(outputs[name]).all():
                    raise ValueError(f"what the layer {name!r} returns is not finite: is the model trained?")
                parts[name].append(outputs[name].flatten(1))
    return [torch.cat(part) for part in parts.values()], torch.cat(logits)
