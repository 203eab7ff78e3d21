"""The sum of clipped gradients without the gradients: norms first, from what layers see, then a weighted sum."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tml_helpers.common import check_counts, cross_entropies, home
from tml_helpers.privacy._backprops import ExampleLoss, backprops, check_apart
from tml_helpers.privacy._clippable import rule_of, trainable_layers
from tml_helpers.privacy._layers import Share
from tml_helpers.privacy._numbers import check_positive

SMALLEST, LARGEST = 1e-15, 1e15
"""Clip norms: the squares of what is shorter than the smallest may be 0 in float32, and those of others infinite."""


def clipped_gradient_sum(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    clip_norm: float,
    loss: ExampleLoss | None = None,
    batch_size: int | None = None,
) -> dict[str, Tensor]:
    """Σ_i g_i · min(1, C / ‖g_i‖), where g_i is the gradient of example i in all trainable parameters.

    No g_i is kept. One backward pass gives the gradient at each layer's output; with the layer's input, it gives the
    norm, and then the weighted sum. Known are linear layers (sequences as well), convolutions, embeddings, and layer,
    group and instance norms. A layer may be called several times; two layers must not share a parameter.

    The parameters' own `.grad` is neither read nor written, and the model stays in its mode.

    Args:
        model: maps images to outputs, each example for itself; frozen parameters have no part.
        images: `[N, …]`, where the model is: pictures, rows, or indices of words; N may be 0.
        labels: `[N, …]`, whatever the loss compares outputs with.
        clip_norm: C, above 0, in units of a gradient.
        loss: of outputs and labels, one number for each example, `[N]`; None for the cross-entropy of logits `[N, K]`.
        batch_size: examples at a time, for less memory; None for all. The sum is the same.

    Returns:
        The sum for each trainable parameter, by its name; float32 for a model in half precision. Zeros for no example.

    Raises:
        TypeError: a model, images or labels that are none, or numbers that are none.
        ValueError: a clip norm that is not positive or far out of range, images and labels of different lengths or
            devices, labels that are no classes of the model, a loss that is not one number for each example, a gradient
            that is not finite, or a model that cannot be clipped: batch normalisation, examples that meet, unknown
            layers, shared parameters, parameters outside of their layers.

    Source: Goodfellow, 2015; Bu, Mao and Xu, 2022; Bu et al., 2023. Derived in: lectures/60_privacy/dp_sgd.
    """
    layers = trainable_layers(model)
    check_examples(model, images, labels)
    check_clip_norm(clip_norm)
    if len(images):
        check_apart(model, layers, images, labels, loss or cross_entropies)
    return summed(model, layers, images, labels, clip_norm=clip_norm, loss=loss, batch_size=batch_size)


def gradient_norms(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    loss: ExampleLoss | None = None,
    batch_size: int | None = None,
) -> Tensor:
    """‖g_i‖, the norm of each example's gradient in all trainable parameters, without the gradients.

    The norms are not private: a clip norm that is chosen by them should be chosen on public data.

    Args:
        model: maps images to outputs, each example for itself; frozen parameters have no part.
        images: `[N, …]`, where the model is, at least one.
        labels: `[N, …]`, whatever the loss compares outputs with.
        loss: of outputs and labels, one number for each example, `[N]`; None for the cross-entropy of logits `[N, K]`.
        batch_size: examples at a time, for less memory; None for all.

    Returns:
        `[N]`, 0 or more.

    Raises:
        TypeError: a model, images or labels that are none.
        ValueError: no image, and what `clipped_gradient_sum` refuses.

    Source: Goodfellow, 2015. Derived in: lectures/60_privacy/dp_sgd.
    """
    layers = trainable_layers(model)
    check_examples(model, images, labels)
    if len(images) == 0:
        raise ValueError("there are no images, so there is no gradient to measure")
    loss = loss or cross_entropies
    check_apart(model, layers, images, labels, loss)
    parts = _split(images, labels, batch_size)
    norms = torch.cat([_norms(_shares(model, layers, *part, loss)) for part in parts])
    return _finite(norms, f"{int((~norms.isfinite()).sum())} of {len(norms)} examples")


def summed(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    clip_norm: float,
    loss: ExampleLoss | None,
    batch_size: int | None,
) -> dict[str, Tensor]:
    """Σ_i g_i · min(1, C / ‖g_i‖), for layers and examples that have been checked."""
    total = {
        name: torch.zeros_like(parameter, dtype=torch.promote_types(parameter.dtype, torch.float32))
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    for part in _split(images, labels, batch_size) if len(images) else []:
        shares = _shares(model, layers, *part, loss or cross_entropies)
        norms = _finite(_norms(shares), "some example")  # how many were drawn is not told
        weights = (clip_norm / norms).clamp(max=1)  # 1 where the norm is 0
        for name, share in shares.items():
            total[name] += share.add_up(weights)
    return total


def check_examples(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Images and labels of one length, where the model is."""
    for name, values in (("images", images), ("labels", labels)):
        if not isinstance(values, Tensor):
            raise TypeError(f"{name} must be a tensor [N, …], got {type(values).__name__}")
        if values.ndim == 0:
            raise ValueError(f"{name} must be a tensor [N, …], got a single number")
        if values.device != (home(model) or values.device):
            raise ValueError(f"{name} are on {values.device}, but the model is on {home(model)}: move one to the other")
    if len(images) != len(labels):
        raise ValueError(f"there must be one label for each image, got {len(images)} images and {len(labels)} labels")


def check_clip_norm(clip_norm: float) -> None:
    """A number above 0, whose square is far inside of float32."""
    check_positive(clip_norm=clip_norm)
    if not SMALLEST <= clip_norm <= LARGEST:
        raise ValueError(f"clip_norm must lie between {SMALLEST:g} and {LARGEST:g}, got {clip_norm}: scale the loss")


def _split(images: Tensor, labels: Tensor, batch_size: int | None) -> list[tuple[Tensor, Tensor]]:
    if batch_size is None:
        return [(images, labels)]
    check_counts(batch_size=batch_size)
    return list(zip(images.split(batch_size), labels.split(batch_size), strict=True))


def _shares(
    model: nn.Module, layers: Mapping[str, nn.Module], images: Tensor, labels: Tensor, loss: ExampleLoss
) -> dict[str, Share]:
    """What each trainable parameter adds to the gradients, by its name."""
    shares = {}
    for name, calls in backprops(model, layers, images, labels, loss).items():
        rule = rule_of(layers[name])
        if rule is not None and calls:
            for key, share in rule(layers[name], calls).items():
                parameter = getattr(layers[name], key, None)
                if parameter is not None and parameter.requires_grad:
                    shares[f"{name}.{key}".strip(".")] = share
    return shares


def _norms(shares: Mapping[str, Share]) -> Tensor:
    """‖g_i‖ over all parameters, `[N]`."""
    return torch.stack([share.squares for share in shares.values()]).sum(dim=0).sqrt()


def _finite(norms: Tensor, whose: str) -> Tensor:
    """The norms, if they are numbers."""
    if not norms.isfinite().all():
        raise ValueError(
            f"the gradient of {whose} is not finite, and cannot be clipped: lower the learning rate, or look for a "
            "division by 0 in the model or for values in its input that are no numbers"
        )
    return norms
