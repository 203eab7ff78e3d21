"""Gradients of a loss with respect to all parameters, their cosine, and how it changes with the images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Gradient = tuple[Tensor, ...]
"""A gradient with respect to each parameter that can be trained."""


def aligned(model: nn.Module, aim: Gradient, images: Tensor, labels: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """The cosine with the aim, and its slope with respect to the images: exact, however many batches there are.

    The cosine depends on the images through the sum g of their gradients alone. So with v = ∂cos/∂g, its slope is that
    of ⟨v, g⟩ with v held fixed, and that is a sum over batches.
    """
    whole = len(images) <= batch_size
    leaf = images.detach().requires_grad_()
    if whole:
        total = loss_gradient(model, leaf, labels, again=True)
    else:
        total = summed_gradient(model, leaf, labels, batch_size)
    held = [part.detach().requires_grad_() for part in total]
    value = cosine(held, aim)
    direction = torch.autograd.grad(value, held)
    if whole:
        return value.detach(), _slope(total, direction, leaf)
    slopes = []
    for part, classes in zip(torch.split(leaf, batch_size), torch.split(labels, batch_size), strict=True):
        own = part.detach().requires_grad_()
        slopes.append(_slope(loss_gradient(model, own, classes, again=True), direction, own))
    return value.detach(), torch.cat(slopes)


def cosine(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """⟨g, h⟩ / (‖g‖ ‖h‖) over all parameters, 0 where one of them is zero."""
    inner = torch.stack([(a * b).sum() for a, b in zip(first, second, strict=True)]).sum()
    squares = [torch.stack([(a * a).sum() for a in parts]).sum() for parts in (first, second)]
    if not all(square > 0 for square in squares):
        return inner
    return inner / (squares[0].sqrt() * squares[1].sqrt())


def loss_gradient(model: nn.Module, images: Tensor, labels: Tensor, *, again: bool = False) -> Gradient:
    """∇ of the summed loss with respect to all parameters that can be trained."""
    parameters = trainable(model)
    loss = F.cross_entropy(logits_of(model, images), labels, reduction="sum")
    slopes = torch.autograd.grad(loss, parameters, create_graph=again, allow_unused=True)
    return tuple(
        torch.zeros_like(parameter) if slope is None else _finite(slope)
        for parameter, slope in zip(parameters, slopes, strict=True)
    )


def summed_gradient(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> Gradient:
    """The same over several batches, without a graph."""
    parts = [
        loss_gradient(model, part.detach(), classes)
        for part, classes in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
    ]
    return tuple(torch.stack(slopes).sum(dim=0) for slopes in zip(*parts, strict=True))


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    logits = model(images.clone())  # it may work in place
    if not isinstance(logits, Tensor):
        raise TypeError(f"a surrogate must return one tensor, of logits, got {type(logits).__name__}")
    return logits


def trainable(model: nn.Module) -> list[nn.Parameter]:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError("a surrogate has no parameter that can be trained, so the loss has no gradient to be matched")
    return parameters


def _slope(total: Sequence[Tensor], direction: Sequence[Tensor], leaf: Tensor) -> Tensor:
    """∇⟨v, g⟩ with respect to the images, zeros where g does not depend on them."""
    along = torch.stack([(v * g).sum() for v, g in zip(direction, total, strict=True)]).sum()
    slope = torch.autograd.grad(along, leaf, allow_unused=True)[0] if along.requires_grad else None
    return _finite(torch.zeros_like(leaf) if slope is None else slope)


def _finite(slope: Tensor) -> Tensor:
    if not bool(torch.isfinite(slope).all()):
        raise ValueError("a surrogate's gradient is not finite: does it divide by zero or take the root of 0?")
    return slope
