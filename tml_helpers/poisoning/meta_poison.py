"""Clean-label poison by looking ahead: some steps of the victim's training, differentiated with respect to its data."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from tqdm.auto import tqdm

from tml_helpers.common import (
    check_counts,
    check_gradient,
    check_images,
    check_logits,
    check_numbers,
    cross_entropies,
    differentiable,
    draw,
    input_gradient,
    margin,
    own_generator,
    warn_of_masking,
)
from tml_helpers.poisoning._checks import (
    budgeted,
    check_class,
    check_epsilon,
    check_examples,
    check_one_image,
    check_two_classes,
)
from tml_helpers.poisoning.poison import Poison
from tml_helpers.training import predict

__all__ = ["MetaPoison", "UnmovedTargetWarning", "meta_poison", "unrolled_margin"]

Parameters = dict[str, Tensor]


class UnmovedTargetWarning(UserWarning):
    """The poison did not bring the target nearer to the attacker's class, not even in the look-ahead.

    Derived in: lectures/30_poisoning/clean_label
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class MetaPoison(Poison):
    """A poisoned training set, and what the look-ahead promised.

    Args:
        margins: after each step, the mean over the models that were asked of the target's margin at the end of the
            unrolled training: the largest other logit minus that of the attacker's class, so that the target is lost
            below 0; `[steps]`.
        clean_margin: the same for the clean bases, a mean over all models.
        poisoned_margin: the same for the finished poisons, on the same batches.

    Derived in: lectures/30_poisoning/clean_label
    """

    margins: Tensor
    clean_margin: float
    poisoned_margin: float


def meta_poison(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    target_image: Tensor,
    target_label: int,
    fraction: float,
    epsilon: float,
    unroll: int = 2,
    learning_rate: float = 0.02,
    steps: int = 60,
    ensemble: Sequence[nn.Module] = (),
    batch_size: int = 64,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> MetaPoison:
    """min over δ of margin(xᵗ; θ_U(δ)), where θ_{u+1} = θ_u − η ∇ L(θ_u; data with δ): differentiated through U steps.

    A bilevel problem (choose data so that the model that learns from them errs), with the whole inner training replaced
    by its next U steps of gradient descent, from several ages of a network, of which two are drawn for each step. The
    poisons then follow the sign of the mean gradient, by Adam, and stay within ε and [0, 1].

    Args:
        model: a network that somebody like the victim would train, at some age: images to logits `[N, K]`. Parameters
            that do not require gradients stay as they are in the look-ahead.
        images: `[N, C, H, W]` in [0, 1], the training set.
        labels: their classes, int64 `[N]`, two of them or more.
        target_image: xᵗ, `[C, H, W]`, the image that shall be misread.
        target_label: the class that the attacker wants it to get, which is the class of the bases.
        fraction: the budget: the round(fraction · N) images of class `target_label` that the models find hardest.
        epsilon: ε, the largest change of a pixel, above 0 and at most 1.
        unroll: U, the steps of the look-ahead, 1 or more; memory and time grow with it.
        learning_rate: η of the look-ahead, above 0.
        steps: of the poison, 1 or more.
        ensemble: further networks, as of other ages: what fools only one moment of one training fools no training.
        batch_size: clean images in a step of the look-ahead, drawn anew; every poison is in every step, weighted by its
            share of the training set.
        generator: draws models and batches; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        The poisoned training set, and the margins.

    Raises:
        TypeError: images, labels, a target or numbers of another kind.
        ValueError: values out of range, a budget of less than one image or more than the class has, a target
            that all models already give the attacker's class, or a model without a parameter that learns.

    Warns:
        UnmovedTargetWarning: the finished poison did not lower the margin of the look-ahead.
        GradientMaskingWarning: the gradient is zero for some poisons in the first step.

    Source: Huang et al., 2020. Derived in: lectures/30_poisoning/clean_label
    """
    if isinstance(ensemble, nn.Module) and not isinstance(ensemble, nn.ModuleList):
        raise TypeError(f"ensemble must be a sequence of networks, got one, {type(ensemble).__name__}")
    models = (model, *ensemble)
    _check_settings(unroll, learning_rate, steps, batch_size)
    check_epsilon(epsilon)
    check_examples(images, labels)
    for one in models:
        check_images(one, images)
        _learning(one)
    check_two_classes(labels)
    check_one_image("target_image", target_image, images)
    check_class("target_label", target_label)
    available = (labels == target_label).nonzero().flatten()
    count = budgeted(fraction, labels, len(available), of=f"class {target_label}")
    _check_not_fooled(models, target_image, target_label, labels)
    images, generator = images.detach(), own_generator(generator)
    places = _hardest(models, images, labels, available, count)
    rest = torch.ones_like(labels, dtype=torch.bool).index_fill(0, places, False).nonzero().flatten()

    def ahead(network: nn.Module, poisons: Tensor, numbers: Tensor) -> Tensor:
        return unrolled_margin(
            network,
            poisons,
            labels[places],
            target_image=target_image,
            target_label=target_label,
            clean_batches=tuple((images[rest[row]], labels[rest[row]]) for row in numbers),
            share=count / len(images),
            learning_rate=learning_rate,
        )

    def drawn() -> Tensor:
        return draw(torch.randint, len(rest), (unroll, batch_size), device=images.device, generator=generator)

    clean = images[places]
    delta, optimizer, decay = _start(clean, epsilon, steps)
    margins = []
    for step in tqdm(range(steps), desc="steps", disable=None if progress is None else not progress):
        two = draw(torch.randperm, len(models), device="cpu", generator=generator)[:2].tolist()
        leaf = (clean + delta).requires_grad_()
        with torch.enable_grad():
            found = torch.stack([ahead(models[place], leaf, drawn()) for place in two]).mean()
        delta.grad = check_gradient(input_gradient(found, leaf)).sign()
        if step == 0:
            warn_of_masking(delta.grad, so="these poisons stay as they were")
        optimizer.step()
        decay.step()
        delta.copy_((clean + delta.clamp(-epsilon, epsilon)).clamp(0, 1) - clean)
        margins.append(found.detach())
    numbers = [drawn() for _ in models]
    before, after = (
        float(torch.stack([ahead(one, x, rows).detach() for one, rows in zip(models, numbers, strict=True)]).mean())
        for x in (clean, clean + delta)
    )
    if not after < before:
        warnings.warn(
            f"the target's margin in the look-ahead is {after:.3g} with the poison and {before:.3g} without: raise "
            "epsilon, fraction, steps or learning_rate",
            UnmovedTargetWarning,
            stacklevel=2,
        )
    poisoned = images.index_copy(0, places, clean + delta)
    return MetaPoison(
        poisoned,
        labels.clone(),
        places,
        clean,
        labels[places],
        epsilon,
        margins=torch.stack(margins),
        clean_margin=before,
        poisoned_margin=after,
    )


def unrolled_margin(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    target_image: Tensor,
    target_label: int,
    clean_batches: tuple[tuple[Tensor, Tensor], ...],
    share: float,
    learning_rate: float,
) -> Tensor:
    """max over k ≠ a of z_k(xᵗ) − z_a(xᵗ), after one step of gradient descent for each clean batch: a function of x.

    Each step is θ − η ∇ ((1 − β) · mean loss of the clean batch + β · mean loss of the poisons): what a step on the
    whole training set is on average, of which the poisons are the share β. The result can be differentiated with
    respect to the poisons, through the gradients of all steps. The model itself does not change, and answers in
    evaluation mode.

    Args:
        model: at θ: images to logits `[N, K]`. Parameters that do not require gradients stay as they are.
        images: the poisons, `[M, C, H, W]`, with `requires_grad` where a gradient is wanted.
        labels: their labels, int64 `[M]`.
        target_image: xᵗ, `[C, H, W]`.
        target_label: a, the class that the attacker wants.
        clean_batches: pairs of images and labels, one for each step.
        share: β, from 0 to 1.
        learning_rate: η, above 0.

    Returns:
        A scalar in units of a logit: below 0, the target is called a.

    Raises:
        ValueError: a model without a parameter that requires gradients.

    Source: Huang et al., 2020. Derived in: lectures/30_poisoning/clean_label
    """
    theta = _learning(model)
    wanted = torch.full((1,), target_label, device=target_image.device)
    with differentiable(model):
        for clean, classes in clean_batches:
            of_clean = cross_entropies(_answer(model, theta, clean), classes).mean()
            of_poison = cross_entropies(_answer(model, theta, images), labels).mean()
            loss = (1 - share) * of_clean + share * of_poison
            gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=True, materialize_grads=True)
            theta = {
                name: value - learning_rate * gradient
                for (name, value), gradient in zip(theta.items(), gradients, strict=True)
            }
        return margin(_answer(model, theta, target_image[None]), wanted)[0]


def _answer(model: nn.Module, theta: Parameters, images: Tensor) -> Tensor:
    return cast(Tensor, functional_call(model, theta, (images.clone(),)))  # it may work in place


def _learning(model: nn.Module) -> Parameters:
    """θ₀: copies of the parameters that a training changes."""
    theta = {
        name: value.detach().clone().requires_grad_() for name, value in model.named_parameters() if value.requires_grad
    }
    if not theta:
        raise ValueError("the model has no parameter that requires gradients, so no training could be looked ahead at")
    return theta


def _start(
    clean: Tensor, epsilon: float, steps: int
) -> tuple[Tensor, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """δ = 0, Adam for it, and a length of step that falls from ε/10 to ε/100."""
    delta = torch.zeros_like(clean)
    optimizer = torch.optim.Adam([delta], lr=epsilon / 10)
    return delta, optimizer, torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=steps)


def _hardest(models: tuple[nn.Module, ...], images: Tensor, labels: Tensor, available: Tensor, count: int) -> Tensor:
    """The places of the bases: those with the largest mean loss over the models, ascending."""
    losses = [cross_entropies(predict(one, images[available]), labels[available]) for one in models]
    hardest = torch.stack(losses).mean(dim=0).argsort(descending=True, stable=True)[:count]
    return available[hardest].sort().values


def _check_settings(unroll: int, learning_rate: float, steps: int, batch_size: int) -> None:
    check_counts(unroll=unroll, steps=steps, batch_size=batch_size)
    check_numbers(learning_rate=learning_rate)
    if not 0 < learning_rate < float("inf"):
        raise ValueError(f"learning_rate must be above 0 and finite, got {learning_rate}")


def _check_not_fooled(models: tuple[nn.Module, ...], target: Tensor, target_label: int, labels: Tensor) -> None:
    """Raises ValueError where the logits do not fit the labels, or the target is lost already."""
    answers = [predict(one, target[None]) for one in models]
    for logits in answers:
        check_logits(logits, labels=labels)
    if all(int(logits.argmax()) == target_label for logits in answers):
        raise ValueError(
            f"every model already calls the target {target_label}, the target_label: choose another target"
        )
