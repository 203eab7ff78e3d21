"""A network as a chain of affine steps, ReLUs and max-poolings, which bounds can be carried through."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from tml_helpers.common import evaluating
from tml_helpers.models import Normalize

FINE = torch.finfo(torch.float64).eps / 2  # what a sum in float64 is rounded by, relatively


@dataclass(frozen=True, eq=False)
class Affine:
    """x ↦ W x + b; the weights are looked up anew at each use, so that a step follows its layer through training."""

    apply: Callable[[Tensor, Tensor], Tensor]
    """(x, w) ↦ W x, for the weights w or for their absolute values."""
    weights: Callable[[], tuple[Tensor, Tensor, Tensor]]
    """w, b, and what |b| stands for where b itself was rounded; b and |b| are shaped as one output, or broadcast."""
    terms: int | None
    """How many numbers are added for one output, 0 where nothing is rounded; None for up to all pixels of a channel."""

    def __call__(self, x: Tensor) -> Tensor:
        weight, bias, _ = self._as(x)
        return self.apply(x, weight) + bias

    def magnitude(self, sizes: Tensor, *, bias: bool = False) -> Tensor:
        """|W| sizes, and + |b|: no output can be larger where no input is larger than its size."""
        weight, _, size = self._as(sizes)
        reach = self.apply(sizes, weight.abs())
        return reach + size if bias else reach

    def transposed(self, rows: Tensor, shape: Sequence[int]) -> Tensor:
        """A W for rows A `[R, *outputs]`, as `[R, *shape]`."""
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            zero = torch.zeros(len(rows), *shape, dtype=rows.dtype, device=rows.device, requires_grad=True)
            value = (self.apply(zero, self._as(rows)[0]) * rows).sum()
            (product,) = torch.autograd.grad(value, zero, create_graph=again)
        return product

    def constant(self, rows: Tensor) -> Tensor:
        """A b for rows A `[R, *outputs]`."""
        return (rows * self._as(rows)[1]).flatten(1).sum(dim=1)

    def rounding(self, sizes: Tensor, unit: float) -> Tensor:
        """How far an output may lie from W x + b when its sum is rounded, whatever the order of the terms."""
        reach = self.magnitude(sizes, bias=True)
        terms = sizes[0, 0].numel() if self.terms is None else self.terms
        if terms == 0:
            return torch.zeros_like(reach)
        return reach * ((terms + 2) * unit + 4 * (terms + reach[0].numel()) * FINE)

    def _as(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, bias, size = self.weights()
        return weight.to(like), bias.to(like), size.to(like)


@dataclass(frozen=True)
class Rectifier:
    """x ↦ max(x, 0), in each value."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)


@dataclass(frozen=True)
class Pool:
    """x ↦ the largest value of each window."""

    settings: dict[str, Any]

    def __call__(self, x: Tensor) -> Tensor:
        highest: Tensor = F.max_pool2d(x, **self.settings)
        return highest

    def places(self, x: Tensor) -> Tensor:
        """Where each window's largest value is, counted within its channel."""
        places: Tensor = F.max_pool2d(x, **self.settings, return_indices=True)[1]
        return places


Step = Affine | Rectifier | Pool


class Reader(fx.Tracer):
    """Follows a network's forward down to the layers of PyTorch and the book's `Normalize`."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Normalize) or super().is_leaf_module(m, module_qualified_name)


def chain(model: nn.Module) -> list[Step]:
    """The steps of a network whose forward is one layer after the other; one sentence where it is not."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"a proof needs the network itself, an nn.Module, got {type(model).__name__}")
    whole = nn.Sequential(model)
    try:
        with evaluating(whole):
            graph = Reader().trace(whole)
    except Exception as error:  # whatever a forward does with what is no tensor
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"the forward of {type(model).__name__} cannot be read as one layer after the other ({reason}): pass an "
            "nn.Sequential of its layers"
        ) from error
    steps: list[Step] = []
    last: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "placeholder" and last is None:
            last = node
        elif node.op == "output":
            _check_order(node, last)
        elif not _is_shape(node) and node.op != "get_attr":
            _check_order(node, last)
            step = _step(node, whole)
            steps += [step] if step else []
            last = node
    return steps


def _is_shape(node: fx.Node) -> bool:
    """Whether a node only asks for a tensor's shape, as x.size(0) does."""
    if node.op == "call_method":
        return node.target == "size"
    if node.op != "call_function":
        return False
    return (node.target is getattr and node.args[1] == "shape") or node.target is operator.getitem


def _check_order(node: fx.Node, last: fx.Node | None) -> None:
    """Each step may use the result of the one before it, and no other."""
    others = [other for other in node.all_input_nodes[1:] if not _is_shape(other)]
    if not node.args or node.args[0] is not last or others:
        raise ValueError(
            f"bounds are carried through one layer after the other, and {node.target} joins several results or skips "
            "one: networks with branches are not supported"
        )


def _step(node: fx.Node, whole: nn.Module) -> Step | None:
    if node.op == "call_module":
        return _of_module(whole.get_submodule(str(node.target)))
    if node.target in (F.relu, torch.relu, "relu"):
        return Rectifier()
    if node.target in ("view", "reshape"):
        sides = node.args[1] if isinstance(node.args[1], tuple) else node.args[1:]
        if len(sides) != 2:
            raise ValueError(
                f"a {node.target} is read where it flattens each image, to two axes, got {len(sides)} axes"
            )
    if node.target in (torch.flatten, "flatten", "view", "reshape"):
        return _reshaped(nn.Flatten())
    if node.target in (F.max_pool2d, F.avg_pool2d, F.dropout):
        kinds: dict[Any, Any] = {F.max_pool2d: nn.MaxPool2d, F.avg_pool2d: nn.AvgPool2d, F.dropout: nn.Identity}
        return _of_module(kinds[node.target](*node.args[1:], **{k: v for k, v in node.kwargs.items() if k != "input"}))
    name = getattr(node.target, "__name__", node.target)
    raise ValueError(f"no bound is known for {name}: use {KNOWN}")


KNOWN = (
    "Linear, Conv2d, ReLU, Flatten, AvgPool2d, AdaptiveAvgPool2d, MaxPool2d, BatchNorm, Dropout, Identity and "
    "models.Normalize"
)


def _of_module(layer: nn.Module) -> Step | None:
    """The step that a layer makes in evaluation mode; None for one that changes nothing."""
    for kinds, make in MAKERS.items():
        # a subclass with a forward of its own may do anything
        if any(isinstance(layer, kind) and type(layer).forward is kind.forward for kind in kinds):
            return make(layer)
    raise ValueError(f"no bound is known for the layer {type(layer).__name__}: use {KNOWN}")


def _linear(layer: nn.Linear) -> Affine:
    zero = torch.zeros(())
    bias = zero if layer.bias is None else layer.bias
    return Affine(F.linear, lambda: (layer.weight, bias, bias.abs()), layer.in_features)


def _convolution(layer: nn.Conv2d) -> Affine:
    if layer.padding_mode != "zeros":
        raise ValueError(f"no bound is known for a Conv2d with padding_mode={layer.padding_mode!r}: use zeros")

    def apply(x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)

    def weights() -> tuple[Tensor, Tensor, Tensor]:
        bias = torch.zeros(()) if layer.bias is None else layer.bias[:, None, None]
        return layer.weight, bias, bias.abs()

    return Affine(apply, weights, layer.weight[0].numel())


def _normalised(layer: Normalize) -> Affine:
    def weights() -> tuple[Tensor, Tensor, Tensor]:
        scale, shift = 1 / layer.std.double(), layer.mean.double()
        return scale, -shift * scale, (shift * scale).abs()

    return Affine(operator.mul, weights, 4)


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Affine:
    if layer.running_mean is None or layer.running_var is None:
        raise ValueError("a BatchNorm without running statistics answers by the batch: nothing is proven of an image")

    def weights() -> tuple[Tensor, Tensor, Tensor]:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean, root = layer.running_mean.double(), (layer.running_var.double() + layer.eps).sqrt()
        scale = (1.0 if layer.weight is None else layer.weight.double()) / root
        bias = torch.zeros_like(mean) if layer.bias is None else layer.bias.double()
        shaped = (-1, 1, 1) if isinstance(layer, nn.BatchNorm2d) else (-1,)
        found = scale, bias - mean * scale, bias.abs() + (mean * scale).abs()
        scale, offset, size = (value.view(shaped) for value in found)
        return scale, offset, size

    return Affine(operator.mul, weights, 8)


def _pooled_mean(layer: nn.AvgPool2d | nn.AdaptiveAvgPool2d) -> Affine:
    def apply(x: Tensor, weight: Tensor) -> Tensor:
        averaged: Tensor = layer(x)
        return averaged * weight

    def weights() -> tuple[Tensor, Tensor, Tensor]:
        return torch.ones(()), torch.zeros(()), torch.zeros(())

    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return Affine(apply, weights, None)
    side = layer.kernel_size
    return Affine(apply, weights, side**2 if isinstance(side, int) else side[0] * side[1])


def _reshaped(layer: nn.Flatten) -> Affine:
    def apply(x: Tensor, weight: Tensor) -> Tensor:
        flat: Tensor = layer(x)
        return flat

    return Affine(apply, lambda: (torch.ones(()), torch.zeros(()), torch.zeros(())), 0)


def _pooled_maximum(layer: nn.MaxPool2d) -> Pool:
    if layer.return_indices:
        raise ValueError("a MaxPool2d with return_indices=True has two results: leave the indices out")
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    return Pool({name: getattr(layer, name) for name in names})


MAKERS: dict[tuple[type[nn.Module], ...], Callable[[Any], Step | None]] = {
    (nn.Linear,): _linear,
    (nn.Conv2d,): _convolution,
    (nn.ReLU,): lambda layer: Rectifier(),
    (Normalize,): _normalised,
    (nn.BatchNorm1d, nn.BatchNorm2d): _batch_norm,
    (nn.AvgPool2d, nn.AdaptiveAvgPool2d): _pooled_mean,
    (nn.MaxPool2d,): _pooled_maximum,
    (nn.Flatten,): _reshaped,
    (nn.Dropout, nn.Dropout2d, nn.Identity): lambda layer: None,
}
