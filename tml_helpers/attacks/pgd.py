"""Projected gradient ascent: many small steps, each followed by the way back into the ball."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim, LogitLoss
from tml_helpers.attacks.protocol import check_batch, check_step
from tml_helpers.common import (
    answer_and_gradient,
    check_ball,
    check_counts,
    check_gradient,
    cross_entropies,
    differentiable,
    uniform_in_ball,
    warn_of_masking,
)
from tml_helpers.kernels import ball_step


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    steps: int = 40,
    step_size: float | None = None,
    random_start: bool = True,
    tau: int | None = None,
    loss: LogitLoss = cross_entropies,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """xᵗ⁺¹ = Π(xᵗ + α · sign(∇ₓ L(xᵗ, y))), where Π leads back into the ball of radius ε and into [0, 1].

    A network rounds differently in smaller batches, and with `tau` the memory layout is the faster one too: only
    `tau=None` repeats another library's PGD to the last digit.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        epsilon: ε, the ball's radius: from 0 to 1 in `"linf"`, to √(C·H·W) in `"l2"`.
        norm: `"linf"`, or `"l2"`, where a step is α · ∇L / ‖∇L‖.
        steps: 0 or more.
        step_size: α, in the norm's unit; 2.5 · ε / steps unless given.
        random_start: the start is drawn from the ball; else it is the image itself.
        tau: an image rests once it has been found misclassified more than `tau` times, 0 or more: `tau=0` stops each
            at its first success, and the batch shrinks. None always makes all steps.
        loss: `loss(logits, labels)`, one number for each image, `[N]`.
        targets: `[N]`, int64, none of them the label: the loss of the target is made small instead; None for any
            other class.
        generator: of the start; on any device.

    Returns:
        Images of the same shape, in the ball and in [0, 1]. Warns where a gradient is zero.

    Raises:
        TypeError, ValueError: what an attack is not defined on, as ε outside its range.

    Source: Madry et al., 2018; τ from Zhang et al., 2020. Derived in: lectures/20_adversarial/iterative_attacks
    """
    check_batch(model, images, labels, targets)
    check_ball(epsilon, norm, images)
    check_step(step_size=step_size)
    check_steps(steps, tau)
    images, aim = images.detach(), Aim(labels, targets, loss)
    return ascend(
        model,
        images,
        start=uniform_in_ball(images, epsilon, norm, generator) if random_start else images.clone(),
        objective=aim.gain,
        reached=aim.reached,
        check_first=aim.check,
        step_size=2.5 * epsilon / max(steps, 1) if step_size is None else step_size,
        epsilon=epsilon,
        norm=norm,
        steps=steps,
        tau=tau,
    )


def check_steps(steps: int, tau: int | None) -> None:
    check_counts(0, steps=steps)
    if tau is not None:  # which makes all steps
        check_counts(0, tau=tau)


def ascend(
    model: nn.Module,
    images: Tensor,
    *,
    start: Tensor,
    objective: Callable[[Tensor, Tensor], Tensor],
    reached: Callable[[Tensor, Tensor], Tensor],
    check_first: Callable[[Tensor], None],
    step_size: float,
    epsilon: float,
    norm: str,
    steps: int,
    tau: int | None,
) -> Tensor:
    """xᵗ⁺¹ = Π(xᵗ + α · sign(∇ₓ objective)): the loop of PGD and of friendly training, for any objective.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], the centres of the balls.
        start: images of the same shape, where the ascent begins.
        objective: what is to grow, one number for each image, of logits and the indices of their images.
        reached: whether each image may rest, bool, of logits and the indices of their images.
        check_first: is handed the first logits, and may raise.
        step_size, epsilon, norm, steps, tau: as of `pgd`.

    Returns:
        Images of the same shape, in the ball and in [0, 1]. Warns where a gradient is zero.

    Raises:
        ValueError: a gradient that is not a number.

    Source: Madry et al., 2018; τ from Zhang et al., 2020.
    """
    result = start.clone()
    index = torch.arange(len(images), device=images.device)
    patience = torch.full_like(index, steps if tau is None else tau)
    current, origin, step = start, images, 0

    def gain(logits: Tensor) -> Tensor:
        if step == 0:
            check_first(logits)
        return objective(logits, index)

    with differentiable(model):
        for step in range(steps):
            seen = current if tau is None else channels_last(current)
            logits, gradient = answer_and_gradient(model, seen, gain)
            if step == 0:
                warn_of_masking(gradient, ~reached(logits, index))
            if tau is not None:
                down = reached(logits, index)
                rest = down & (patience == 0)
                patience = patience - down.long()
                if rest.any():
                    result[index[rest]] = current[rest]
                    moving = (~rest).nonzero().squeeze(1)
                    current, origin, gradient, index, patience = (
                        tensor[moving] for tensor in (current, origin, gradient, index, patience)
                    )
                if len(index) == 0:
                    return check_gradient(result)
            current = ball_step(current, origin, gradient, step_size=step_size, epsilon=epsilon, norm=norm)
    result[index] = current
    return check_gradient(result)


def channels_last(images: Tensor) -> Tensor:
    """The same images `[N, C, H, W]`, laid out as [N, H, W, C] on the CPU, whose convolutions are faster so."""
    if images.device.type != "cpu":
        return images
    _, c, h, w = images.shape  # strides in full: for one channel, PyTorch's memory format leaves them as they are
    return torch.empty_strided(images.shape, (c * h * w, 1, w * c, c), dtype=images.dtype, device="cpu").copy_(images)
