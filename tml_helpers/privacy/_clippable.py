"""Which models DP-SGD can train: each parameter in one known layer, no example that meets another."""

from collections.abc import Callable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parameter import UninitializedParameter

from tml_helpers.privacy._layers import RULES, Rule


def rule_of(layer: nn.Module) -> Rule | None:
    """How to take the gradients of a layer; subclasses count, unless they have a forward pass of their own."""
    return next((rule for kind, rule in RULES.items() if _is_plain(layer, kind)), None)


def _is_plain(layer: nn.Module, kind: type[nn.Module]) -> bool:
    return isinstance(layer, kind) and type(layer).forward is kind.forward


def trainable_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that have trainable parameters of their own, by name.

    Args:
        model: any network.

    Returns:
        Layers for which `rule_of` has a rule.

    Raises:
        TypeError: a model that is none.
        ValueError: batch normalisation or another layer in which examples meet, shared parameters, a layer whose
            gradients are not known or that has no shape yet, or no trainable parameter.
    """
    refuse_mixing_layers(model)
    found, owners = {}, dict[int, str]()
    for name, layer in model.named_modules():
        own = {key: p for key, p in layer.named_parameters(recurse=False) if p.requires_grad}
        for key, parameter in own.items():
            if isinstance(parameter, UninitializedParameter):
                raise ValueError(f"the layer {name!r} ({type(layer).__name__}) has no shape yet: call the model once")
            place = f"{name}.{key}".strip(".")
            if id(parameter) in owners:
                raise ValueError(
                    f"{place} and {owners[id(parameter)]} are one parameter: a gradient cannot be clipped that two "
                    "layers share, so give each its own"
                )
            owners[id(parameter)] = place
        if own:
            _refuse_unknown(name, layer, set(own))
            found[name] = layer
    if not found:
        raise ValueError("the model has no trainable parameter: all are frozen, or there is none")
    return found


def refuse_mixing_layers(model: nn.Module) -> None:
    """No layer whose answer for one example depends on others, or that keeps something of the examples.

    Args:
        model: any network.

    Raises:
        TypeError: a model that is none.
        ValueError: batch normalisation, running statistics, or an embedding that rewrites or counts what it reads.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for name, layer in model.named_modules():
        _refuse_mixing(name, layer)


def _refuse_mixing(name: str, layer: nn.Module) -> None:
    called = f"the layer {name!r} ({type(layer).__name__})" if name else type(layer).__name__
    if isinstance(layer, _BatchNorm):
        raise ValueError(
            f"{called} normalises by the batch, and differential privacy forbids it: it mixes examples; use GroupNorm"
        )
    if isinstance(layer, _InstanceNorm) and layer.track_running_stats:
        raise ValueError(
            f"{called} keeps running statistics of the examples, which no noise covers: pass track_running_stats=False"
        )
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
        if layer.max_norm is not None:
            raise ValueError(
                f"{called} has max_norm, which changes the rows that it reads, and no noise covers that: leave it out"
            )
        if layer.scale_grad_by_freq:
            raise ValueError(
                f"{called} has scale_grad_by_freq, which counts words over the whole batch, so that examples mix: "
                "leave it out"
            )


def _refuse_unknown(name: str, layer: nn.Module, own: set[str]) -> None:
    """Layers without a rule, and parameters that a rule does not know."""
    known = ", ".join(kind.__name__ for kind in RULES)
    called = f"the layer {name!r}" if name else "the model itself"
    if rule_of(layer) is None:
        raise ValueError(
            f"no rule is known for the gradients of {called} ({type(layer).__name__}), which has the trainable "
            f"parameters {', '.join(sorted(own))}: freeze it, or build it of {known}"
        )
    if not own <= {"weight", "bias"}:
        raise ValueError(
            f"the layer {name!r} ({type(layer).__name__}) has the parameters {', '.join(sorted(own))}, of which only "
            "weight and bias are known: remove what rewrites its weight"
        )


def watch_buffers(model: nn.Module) -> Callable[[], None]:
    """Remember a model's buffers.

    Args:
        model: any network, before its forward pass.

    Returns:
        A check, for afterwards: it raises a ValueError if a buffer has changed.
    """
    before = {name: (buffer, buffer._version) for name, buffer in model.named_buffers()}

    def check() -> None:
        for name, buffer in model.named_buffers():
            known, version = before.get(name, (None, 0))
            if known is not buffer or version != buffer._version:
                raise ValueError(
                    f"the buffer {name!r} changed in the forward pass: it may keep something of the examples, which "
                    "no noise covers"
                )

    return check
