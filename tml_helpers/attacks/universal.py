"""One perturbation for all images, also for those that it has never met."""

import torch
from torch import Tensor, nn

from tml_helpers.attacks._common import (
    attacked,
    check,
    check_finite,
    check_logits,
    cross_entropy,
    input_gradient,
    norms,
    project,
    warn_of_masking,
)


def universal_perturbation(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    epochs: int = 10,
    batch_size: int = 128,
    step_size: float | None = None,
    loss_cap: float = 9.0,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """argmax over ‖δ‖ ≤ ε of the mean of min(L(x + δ, y), cap), by stochastic gradient ascent: one δ `[C, H, W]`.

    `images` `[N, C, H, W]` in [0, 1] and `labels` `[N]` are what it is made from: `epochs` passes over them in batches
    shuffled by `generator`. A step goes along the batch's gradient: α · sign(g) in `"linf"`, α · g / ‖g‖ in `"l2"`;
    `step_size` is α, ε / 5 unless given. `loss_cap` keeps one image that is badly wrong from deciding for all. With
    `targets` the loss of the target is made small, uncapped. Add it as `(images + delta).clamp(0, 1)`.

    Raises TypeError or ValueError for what it is not defined on. Warns where the first batch has zero gradients.
    Source: Moosavi-Dezfooli et al., 2017; in the stochastic-gradient form of Shafahi et al., 2020.
    Derived in: lectures/20_adversarial/other_threat_models.
    """
    check(model, images, labels, targets=targets, epsilon=epsilon, norm=norm)
    if epochs < 0 or batch_size < 1 or not loss_cap > 0:
        raise ValueError(
            f"epochs must be 0 or more, batch_size 1 or more and loss_cap above 0, "
            f"got {epochs}, {batch_size} and {loss_cap}"
        )
    step_size = epsilon / 5 if step_size is None else step_size
    images, delta = images.detach(), torch.zeros_like(images[:1])
    with attacked(model):
        for epoch in range(epochs):
            order = torch.randperm(len(images), generator=generator, device=images.device)
            for step, chosen in enumerate(order.split(batch_size)):
                leaf = delta.detach().requires_grad_()
                logits = model((images[chosen] + leaf).clamp(0, 1))
                if epoch == step == 0:
                    check_logits(logits.detach(), labels, targets)
                if targets is None:
                    objective = cross_entropy(logits, labels[chosen]).clamp_max(loss_cap).mean()
                else:
                    objective = -cross_entropy(logits, targets[chosen]).mean()
                gradient = input_gradient(objective, leaf)
                if epoch == step == 0:
                    warn_of_masking(gradient, gradient.new_ones(1, dtype=torch.bool))
                direction = gradient.sign() if norm == "linf" else gradient / norms(gradient, "l2").clamp_min(1e-12)
                delta = project(check_finite(delta + step_size * direction), epsilon, norm)
    return delta[0]


def universal(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    epochs: int = 10,
    batch_size: int = 128,
    step_size: float | None = None,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """clamp(x + δ, 0, 1) with the one δ that `universal_perturbation` makes from these images.

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape. The other arguments and the
    errors are those of `universal_perturbation`, which gives δ itself, to be added to images that it has not seen.

    Source: Moosavi-Dezfooli et al., 2017. Derived in: lectures/20_adversarial/other_threat_models.
    """
    delta = universal_perturbation(
        model,
        images,
        labels,
        epsilon=epsilon,
        norm=norm,
        epochs=epochs,
        batch_size=batch_size,
        step_size=step_size,
        targets=targets,
        generator=generator,
    )
    return (images.detach() + delta).clamp(0, 1)
