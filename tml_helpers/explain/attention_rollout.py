"""From attention in each layer to attention from end to end."""

from collections.abc import Sequence

import torch
from torch import Tensor


def attention_rollout(attentions: Sequence[Tensor]) -> Tensor:
    """M_last · … · M_1, with M = ½ (attention, mean of heads) + ½ I: how the tokens at the end mix those at the start.

    The ½ I stands for the residual connection. Values, linear layers and the class play no part.

    Args:
        attentions: for each layer from the first to the last the weights after softmax, `[N, heads, T, T]`: row i tells
            where token i looks. A row adds up to 1 within 0.01, and exactly after the mean: half precision rounds.

    Returns:
        `[N, T, T]`, whose rows add up to 1. For a vision transformer with a class token in front, row 0 without its
        first entry is the map of the patches.

    Raises:
        TypeError: what is no floating-point tensor.
        ValueError: no layer, layers that do not fit together, or rows that are no softmax.

    Source: Abnar and Zuidema, 2020. Derived in: lectures/40_interpretability/attributions
    """
    if len(attentions) == 0:
        raise ValueError("attentions must hold one tensor [N, heads, T, T] for each layer, got none")
    rollout: Tensor | None = None
    for number, attention in enumerate(attentions):
        _check(number, attention, attentions[0])
        mixed = attention.mean(dim=1)
        mixed = 0.5 * mixed + 0.5 * torch.eye(mixed.shape[-1], dtype=mixed.dtype, device=mixed.device)
        mixed = mixed / mixed.sum(dim=2, keepdim=True)
        rollout = mixed if rollout is None else mixed @ rollout
    assert rollout is not None
    return rollout


def _check(number: int, attention: Tensor, first: Tensor) -> None:
    """Raises TypeError or ValueError, in one sentence, for what is no attention."""
    if not isinstance(attention, Tensor) or not attention.is_floating_point():
        raise TypeError(f"attentions must be floating-point tensors, got {type(attention).__name__} in layer {number}")
    if attention.ndim != 4 or attention.shape[2] != attention.shape[3] or attention.numel() == 0:
        raise ValueError(f"attentions must be [N, heads, T, T], got shape {list(attention.shape)} in layer {number}")
    if (len(attention), attention.shape[2]) != (len(first), first.shape[2]):
        raise ValueError(
            f"all layers must have the same images and tokens, got {list(attention.shape)} in layer {number} "
            f"and {list(first.shape)} in layer 0"
        )
    if not (attention >= 0).all() or not (attention.float().sum(dim=3) - 1).abs().max() < 1e-2:
        raise ValueError(f"each row of an attention must be a softmax, but layer {number} has rows that are none")
