"""What went into each layer and what came back to it: one forward pass, and one backward pass that stops at layers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from tml_helpers.common import cross_entropies, seeded
from tml_helpers.privacy._clippable import watch_buffers
from tml_helpers.privacy._layers import Call
from tml_helpers.privacy._numbers import kind

ExampleLoss = Callable[[Tensor, Tensor], Tensor]
"""`loss(outputs, labels)`: one number for each example, `[N]`, as `partial(F.cross_entropy, reduction="none")`."""


@dataclass(frozen=True, eq=False)
class _Visit:
    """A layer's call in the forward pass: its input, and the place in the graph where its output begins."""

    name: str
    inputs: Tensor
    version: int  # of the input, when the layer read it
    edge: GradientEdge
    before: Node | None  # where the graph goes on behind the layer


def backprops(
    model: nn.Module, layers: Mapping[str, nn.Module], images: Tensor, labels: Tensor, loss: ExampleLoss
) -> dict[str, list[Call]]:
    """The calls of each layer, in their order, with the gradient of Σ loss; of a layer that has no part in it, none.

    Args:
        model: any network, in the mode that it has.
        layers: by name, those with trainable parameters.
        images: `[N, …]`, N at least 1.
        labels: `[N, …]`.
        loss: of outputs and labels, `[N]`.

    Returns:
        Calls by the layer's name, in float32 or float64.

    Raises:
        ValueError: losses that are not one number for each example or have no gradient, a layer whose input does not
            begin with the examples or was changed in place, a buffer that changed, a parameter that is used outside of
            its layer.
    """
    losses, visits = _forward(model, layers, images, labels, loss)
    places = [visit.edge for visit in visits]
    gradients = torch.autograd.grad(losses, places, torch.ones_like(losses), allow_unused=True)
    calls: dict[str, list[Call]] = {name: [] for name in layers}
    for visit, gradient in zip(visits, gradients, strict=True):
        if gradient is not None:
            calls[visit.name].append(Call(_wide(visit.inputs.detach()), _wide(gradient)))
    return calls


def check_apart(
    model: nn.Module, layers: Mapping[str, nn.Module], images: Tensor, labels: Tensor, loss: ExampleLoss
) -> None:
    """The first example's loss depends on nothing that belongs to the second.

    Args:
        model: any network, in the mode that it has.
        layers: by name, those with trainable parameters.
        images: `[N, …]`, N at least 1; the first two are looked at, or the only one twice.
        labels: `[N, …]`.
        loss: of outputs and labels, `[N]`.

    Raises:
        ValueError: it does, and what `backprops` refuses.
    """
    two = torch.tensor([0, min(1, len(images) - 1)], device=images.device)
    pair = images[two].detach().requires_grad_(images.is_floating_point())
    losses, visits = _forward(model, layers, pair, labels[two], loss)
    places: list[Any] = [visit.edge for visit in visits] + ([pair] if pair.requires_grad else [])
    of_the_first = torch.tensor([1, 0], dtype=losses.dtype, device=losses.device)
    gradients = torch.autograd.grad(losses, places, of_the_first, allow_unused=True)
    mixed = any(gradient is not None and bool((gradient[1].nan_to_num() != 0).any()) for gradient in gradients)
    if mixed or _moved_by_another(model, layers, images[two], labels[two], loss):
        raise ValueError(
            "the loss of one example depends on another: the model or the loss mixes examples, or their first "
            "dimension does not count them, and then no bound on one example's gradient holds"
        )


def _moved_by_another(
    model: nn.Module, layers: Mapping[str, nn.Module], images: Tensor, labels: Tensor, loss: ExampleLoss
) -> bool:
    """Whether the first loss changes with the second example, on a way that has no gradient, as a detached mean.

    What draws does so alike each time; where it does not, nothing can be told.
    """

    def first(rows: list[int]) -> Tensor:
        with seeded(0):
            return _forward(model, layers, images[rows], labels[rows], loss)[0][0].detach()

    beside, again, alone = first([0, 1]), first([0, 1]), first([0, 0])
    return torch.equal(beside, again) and not torch.allclose(beside, alone, rtol=1e-4, atol=1e-6, equal_nan=True)


def check_classes(outputs: Tensor, labels: Tensor) -> None:
    """Logits of two classes or more, and labels among these: PyTorch leaves out a label of −100 and says nothing.

    Args:
        outputs: `[N, K]`; of another number of dimensions, `cross_entropies` speaks for itself.
        labels: int64 `[N]`, or probabilities `[N, K]`; the values are not said in an error.

    Raises:
        TypeError: outputs or labels of another kind.
        ValueError: one class, or a label that is none.
    """
    if not isinstance(outputs, Tensor):
        raise TypeError(f"without a loss of your own, the model must return logits [N, K], got {kind(outputs)}")
    if outputs.ndim != 2:
        return
    classes = outputs.shape[1]
    if classes < 2:
        raise ValueError(
            "the cross-entropy needs logits [N, K] for K ≥ 2 classes, got K = 1, whose loss is always 0: pass a loss"
        )
    if labels.is_floating_point() and labels.shape[1:] == outputs.shape[1:]:
        return
    if labels.dtype != torch.int64:
        raise TypeError(f"labels must be int64 class indices [N], or probabilities [N, {classes}], got {labels.dtype}")
    if labels.ndim != 1:
        raise ValueError(f"labels must be class indices [N], got shape {list(labels.shape)}")
    if ((labels < 0) | (labels >= classes)).any():
        raise ValueError(f"labels must lie in 0…{classes - 1}, the model's classes, and some do not")


def _forward(
    model: nn.Module, layers: Mapping[str, nn.Module], images: Tensor, labels: Tensor, loss: ExampleLoss
) -> tuple[Tensor, list[_Visit]]:
    """Checked losses `[N]` with their graph, and the visits to the layers."""
    check_buffers = watch_buffers(model)
    with torch.enable_grad(), _visits(layers, len(images)) as visits:
        outputs = model(images)
        if loss is cross_entropies:
            check_classes(outputs, labels)
        losses = loss(outputs, labels)
    check_buffers()
    if not isinstance(losses, Tensor) or losses.shape != images.shape[:1]:
        got = f"shape {list(losses.shape)}" if isinstance(losses, Tensor) else type(losses).__name__
        raise ValueError(
            f"loss must return one number for each of the {len(images)} examples, shape [{len(images)}], got {got}: "
            'pass reduction="none"'
        )
    if losses.grad_fn is None:
        raise ValueError("the loss has no gradient in the model's parameters: does it pass through argmax or detach?")
    for visit in visits:
        if visit.inputs._version != visit.version:
            raise ValueError(
                f"the input of the layer {visit.name!r} was changed in place after the layer had read it: "
                "change a copy, as x = x + y"
            )
    _refuse_paths_around(losses, visits, layers)
    return losses, visits


@contextmanager
def _visits(layers: Mapping[str, nn.Module], count: int) -> Iterator[list[_Visit]]:
    """Inside, the list grows by each call of a layer that has a gradient."""
    visits: list[_Visit] = []

    def keep(name: str, arguments: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor) -> Tensor:
        inputs = arguments[0] if arguments else named["input"]
        if inputs.shape[:1] != (count,):
            raise ValueError(
                f"the layer {name!r} is given shape {list(inputs.shape)} for {count} examples: the first dimension "
                "must count them"
            )
        if output._is_view():  # whoever changes a view in place moves it to another place in the graph
            output = output.clone()
        if output.requires_grad:
            visits.append(_Visit(name, inputs, inputs._version, get_gradient_edge(output), inputs.grad_fn))
        return output

    handles = [
        layer.register_forward_hook(
            lambda _, arguments, named, output, name=name: keep(name, arguments, named, output),
            with_kwargs=True,
            prepend=True,  # what other hooks make of the output comes after the layer
        )
        for name, layer in layers.items()
    ]
    try:
        yield visits
    finally:
        for handle in handles:
            handle.remove()


def _refuse_paths_around(losses: Tensor, visits: list[_Visit], layers: Mapping[str, nn.Module]) -> None:
    """From the loss, a trainable parameter is reached through its layer alone."""
    names = {
        id(parameter): f"{name}.{key}".strip(".")
        for name, layer in layers.items()
        for key, parameter in layer.named_parameters(recurse=False)
        if parameter.requires_grad
    }
    behind = {visit.edge.node: visit.before for visit in visits}
    ahead: list[Node | None] = [losses.grad_fn]
    seen: set[Node] = set()
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node in behind:
            ahead.append(behind[node])
            continue
        used = getattr(node, "variable", None)
        if id(used) in names:
            raise ValueError(
                f"{names[id(used)]} is used outside of its layer, as by a penalty on weights or by another layer, and "
                "its gradient there cannot be clipped"
            )
        ahead += [following for following, _ in node.next_functions]


def _wide(values: Tensor) -> Tensor:
    """Sums of squares would overflow in half precision."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
