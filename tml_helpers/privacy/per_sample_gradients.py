"""The gradient of each example, all of them side by side: for teaching, for checks, and for layers without a rule."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from tml_helpers.common import check_counts, cross_entropies
from tml_helpers.privacy._backprops import ExampleLoss, check_classes
from tml_helpers.privacy._clippable import refuse_mixing_layers
from tml_helpers.privacy.ghost_clipping import check_examples


def per_sample_gradients(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    loss: ExampleLoss | None = None,
    batch_size: int | None = None,
) -> dict[str, Tensor]:
    """g_i = ∇_θ loss(f(x_i), y_i) of each example, kept side by side: N times the memory of the parameters.

    Each example goes through the model alone, by `torch.func.vmap`, or one after the other where it has no rule, as for
    `nn.GRU`; so any layer will do whose examples do not meet. The parameters' own `.grad` is neither read nor written,
    and the model stays in its mode.

    Args:
        model: maps images to outputs; frozen parameters have no part.
        images: `[N, …]`, where the model is, at least one.
        labels: `[N, …]`, whatever the loss compares outputs with.
        loss: of outputs and labels, one number for each example, `[N]`; None for the cross-entropy of logits `[N, K]`.
        batch_size: examples at a time, for less memory on the way; None for all.

    Returns:
        For each trainable parameter, by its name, `[N, *shape]`.

    Raises:
        TypeError: a model, images or labels that are none, or labels of another type than classes have.
        ValueError: no image, images and labels of different lengths or devices, batch normalisation, a loss that is
            not one number for each example, no trainable parameter, or a gradient that is not finite.

    Source: Goodfellow, 2015. Derived in: lectures/60_privacy/dp_sgd.
    """
    refuse_mixing_layers(model)
    check_examples(model, images, labels)
    if batch_size is not None:
        check_counts(batch_size=batch_size)
    if len(images) == 0:
        raise ValueError("there are no images, so there is no gradient")
    trainable = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise ValueError("the model has no trainable parameter: all are frozen, or there is none")
    places = _places(model)

    def of_one(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        swapped = {place: parameters[name] for place, name in places.items() if name in parameters}
        outputs = functional_call(model, swapped, (image[None],), tie_weights=False)
        if loss is None:
            check_classes(outputs, labels)
        losses = (loss or cross_entropies)(outputs, label[None])
        if not isinstance(losses, Tensor) or losses.shape != (1,):
            got = f"shape {list(losses.shape)}" if isinstance(losses, Tensor) else type(losses).__name__
            raise ValueError(
                f'loss must return one number for each example, [1] for one, got {got}: pass reduction="none"'
            )
        return losses[0]

    alone = grad(of_one)
    try:
        of_all = vmap(alone, in_dims=(None, 0, 0), randomness="different", chunk_size=batch_size)
        gradients: dict[str, Tensor] = of_all(trainable, images, labels)
    except RuntimeError:  # vmap fails on some layers; what the model itself cannot do fails again, with its own reason
        rows = [alone(trainable, image, label) for image, label in zip(images, labels, strict=True)]
        gradients = {name: torch.stack([row[name] for row in rows]) for name in trainable}
    for name, values in gradients.items():
        if not torch.isfinite(values).all():
            raise ValueError(f"the gradient of some examples in {name} is not finite: is the learning rate too large?")
    return gradients


def _places(model: nn.Module) -> dict[str, str]:
    """Every place of a parameter in a layer, with the name that the model has for it; a layer counts once.

    `functional_call` finds places by itself, but leaves tensors for parameters in a layer that a model has twice.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{layer_name}.{key}".strip("."): names[id(parameter)]
        for layer_name, layer in model.named_modules()
        for key, parameter in layer.named_parameters(recurse=False)
    }
