"""The gradient of each example in a layer's parameters, from what went into the layer and what came back to it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer: its input, and the gradient of Σ loss with respect to its output; `[N, …]` both."""

    inputs: Tensor
    gradient: Tensor


@dataclass(frozen=True, eq=False)
class Share:
    """What one parameter adds to the squared norm of each example's gradient, `[N]`, and Σ weight · gradient."""

    squares: Tensor
    add_up: Callable[[Tensor], Tensor]


Rule = Callable[[Any, Sequence[Call]], dict[str, Share]]
"""`rule(layer, calls)`: a share for each of the layer's parameters, by its name in the layer."""


def each(gradients: Tensor) -> Share:
    """Each example's gradient is there, `[N, *shape]`: for what is small."""
    rows = gradients.flatten(1)
    return Share(rows.square().sum(dim=1), lambda weights: (weights @ rows).view(gradients.shape[1:]))


def outer(left: Tensor, right: Tensor) -> Share:
    """Each example's gradient is Σ_t left_t ⊗ right_t, of `[N, groups, O, T]` and `[N, groups, I, T]`.

    ‖left ⊗ right‖ = ‖left‖ · ‖right‖ for one position t. For more, ‖Σ_t left_t ⊗ right_t‖² is the sum over pairs of
    positions of ⟨left_s, left_t⟩ · ⟨right_s, right_t⟩. Where the gradient is no larger than what it is made of, it is
    cheaper to make it.
    """
    _, groups, outputs, positions = left.shape
    inputs = right.shape[2]
    if positions == 1:
        sizes = left.square().sum(dim=(2, 3)) * right.square().sum(dim=(2, 3))
    elif positions * (inputs + outputs) < inputs * outputs:
        sizes = ((left.mT @ left) * (right.mT @ right)).sum(dim=(2, 3)).clamp_min(0)
    else:
        return each((left @ right.mT).flatten(1, 2))

    def add_up(weights: Tensor) -> Tensor:
        rows = (left * weights.view(-1, 1, 1, 1)).permute(1, 2, 0, 3).reshape(groups, outputs, -1)
        columns = right.permute(1, 0, 3, 2).reshape(groups, -1, inputs)
        return (rows @ columns).flatten(0, 1)

    return Share(sizes.sum(dim=1), add_up)


def linear(layer: nn.Linear, calls: Sequence[Call]) -> dict[str, Share]:
    """y_t = W x_t + b: W's gradient is Σ_t g_t ⊗ x_t, and b's is Σ_t g_t."""
    inputs = _joined([_positions(call.inputs) for call in calls], dim=1)
    gradient = _joined([_positions(call.gradient) for call in calls], dim=1)
    return {"weight": outer(gradient.mT[:, None], inputs.mT[:, None]), "bias": each(gradient.sum(dim=1))}


def convolution(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, calls: Sequence[Call]) -> dict[str, Share]:
    """A linear layer on windows: W's gradient is Σ_t g_t ⊗ window_t over all places t, for each group of channels."""
    windows = _joined([_windows(layer, call.inputs) for call in calls], dim=3)
    gradient = _joined([call.gradient.flatten(2) for call in calls], dim=2)
    weight = outer(gradient.unflatten(1, (layer.groups, -1)), windows)
    shape = layer.weight.shape
    return {
        "weight": Share(weight.squares, lambda weights: weight.add_up(weights).view(shape)),
        "bias": each(gradient.sum(dim=2)),
    }


def embedding(layer: nn.Embedding, calls: Sequence[Call]) -> dict[str, Share]:
    """A row's gradient is the sum over the places where its word stands: words that meet again are added first."""
    words = _joined([call.inputs.reshape(len(call.inputs), -1) for call in calls], dim=1)
    count = len(words)
    gradient = _joined([_positions(call.gradient) for call in calls], dim=1)
    if layer.padding_idx is not None:
        gradient = gradient.masked_fill((words == layer.padding_idx)[..., None], 0)
    examples = torch.arange(count, device=words.device)[:, None]
    pairs, where = (examples * layer.num_embeddings + words).unique(return_inverse=True)
    rows = gradient.new_zeros(len(pairs), layer.embedding_dim)
    rows.index_add_(0, where.flatten(), gradient.flatten(0, 1))
    squares = rows.new_zeros(count).index_add_(0, pairs // layer.num_embeddings, rows.square().sum(dim=1))

    def add_up(weights: Tensor) -> Tensor:
        weighted = rows * weights[pairs // layer.num_embeddings][:, None]
        return rows.new_zeros(layer.weight.shape).index_add_(0, pairs % layer.num_embeddings, weighted)

    return {"weight": Share(squares, add_up)}


def layer_norm(layer: nn.LayerNorm, calls: Sequence[Call]) -> dict[str, Share]:
    """y = γ x̂ + β at each place: γ's gradient is Σ g x̂, and β's is Σ g."""
    shape = layer.normalized_shape
    return _scale_and_shift(
        calls,
        normalise=lambda inputs: F.layer_norm(inputs, shape, eps=layer.eps),
        over_places=lambda values: values.reshape(len(values), -1, *shape).sum(dim=1),
    )


def group_norm(layer: nn.GroupNorm, calls: Sequence[Call]) -> dict[str, Share]:
    """y = γ x̂ + β in each channel: γ's gradient is Σ g x̂, and β's is Σ g, over all places."""
    return _scale_and_shift(
        calls,
        normalise=lambda inputs: F.group_norm(inputs, layer.num_groups, eps=layer.eps),
        over_places=lambda values: values.flatten(2).sum(dim=2) if values.ndim > 2 else values,
    )


def instance_norm(
    layer: nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d, calls: Sequence[Call]
) -> dict[str, Share]:
    """y = γ x̂ + β in each channel: γ's gradient is Σ g x̂, and β's is Σ g, over all places."""
    return _scale_and_shift(
        calls,
        normalise=lambda inputs: F.instance_norm(inputs, eps=layer.eps),
        over_places=lambda values: values.flatten(2).sum(dim=2),
    )


RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: linear,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Conv3d: convolution,
    nn.Embedding: embedding,
    nn.LayerNorm: layer_norm,
    nn.GroupNorm: group_norm,
    nn.InstanceNorm1d: instance_norm,
    nn.InstanceNorm2d: instance_norm,
    nn.InstanceNorm3d: instance_norm,
}


def _scale_and_shift(
    calls: Sequence[Call], *, normalise: Callable[[Tensor], Tensor], over_places: Callable[[Tensor], Tensor]
) -> dict[str, Share]:
    """Shares of γ and β, which every place and every call of a norm has in common."""
    scale = [over_places(call.gradient * normalise(call.inputs)) for call in calls]
    shift = [over_places(call.gradient) for call in calls]
    return {"weight": each(reduce(torch.add, scale)), "bias": each(reduce(torch.add, shift))}


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    """All calls' positions in one row; of a single call, no copy."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=dim)


def _positions(values: Tensor) -> Tensor:
    """`[N, …, D]` as `[N, T, D]`."""
    return values[:, None] if values.ndim == 2 else values.flatten(1, -2)


def _windows(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, inputs: Tensor) -> Tensor:
    """What the kernel sees at each place: `[N, groups, channels of a group · kernel, T]`."""
    padded = _padded(layer, inputs)
    axes = len(layer.kernel_size)
    for axis, (size, step, gap) in enumerate(zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)):
        padded = padded.unfold(2 + axis, gap * (size - 1) + 1, step)[..., ::gap]
    places, kernel = range(2, 2 + axes), range(2 + axes, 2 + 2 * axes)
    windows = padded.permute(0, 1, *kernel, *places)
    return windows.reshape(len(inputs), layer.groups, -1, math.prod(windows.shape[2 + axes :]))


def _padded(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, inputs: Tensor) -> Tensor:
    """The input with its border; of `"same"`, an odd one is larger at the end."""
    border: list[int] = []
    for axis in reversed(range(len(layer.kernel_size))):  # F.pad begins at the last axis
        if layer.padding == "same":
            total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
            border += [total // 2, total - total // 2]
        elif layer.padding == "valid":
            border += [0, 0]
        else:
            border += [int(layer.padding[axis])] * 2
    return F.pad(inputs, border, mode="constant" if layer.padding_mode == "zeros" else layer.padding_mode)
