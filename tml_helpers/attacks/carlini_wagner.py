"""The attack of Carlini and Wagner: distance and misclassification in one loss, made small by Adam."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tml_helpers.attacks._common import (
    attacked,
    check,
    check_finite,
    check_logits,
    input_gradient,
    margin,
    project,
    warn_of_masking,
)

INSIDE = 1 - 1e-6  # black and white lie at infinity for atanh: start this near to them
CHECKS = 10  # how often in a run an image is asked whether its loss still falls,
FALLING = 0.99  # that is, has come below this share of what it was
FADING, FADING_SQUARES, FLOOR = 0.8, 0.999, 1e-8  # Adam's β₁, β₂ and ε; with β₁ = 0.9 it settles later


def carlini_wagner(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    confidence: float = 0.0,
    targets: Tensor | None = None,
    search_steps: int = 5,
    steps: int = 100,
    learning_rate: float = 0.1,
    initial_constant: float = 0.3,
    epsilon: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The nearest x' in L2 that Adam finds for ‖x' − x‖² + c · max(0, κ − margin(x')), where x' = (tanh w + 1) / 2.

    The margin is the largest other logit minus the label's or, with `targets`, the target's minus the largest other;
    κ is `confidence`: x' counts once its margin exceeds κ. c starts from `initial_constant` and is searched for each
    image in `search_steps` runs of at most `steps` steps: ten times larger until a run succeeds, then by halves.
    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape, unchanged where no run
    succeeded or the margin exceeded κ already. With `epsilon`, longer perturbations are cut back to that L2 ball.
    Nothing is drawn: `generator` is accepted as by every attack.

    Other than in the paper, a run starts from the best x' so far instead of x, Adam's β₁ is 0.8 instead of 0.9, and a
    run ends for each image by itself once a tenth of the steps lowered its loss by less than 1 %: the batch shrinks.

    Raises TypeError or ValueError for what the attack is not defined on. Warns where a gradient is zero.
    Source: Carlini and Wagner, 2017. Derived in: lectures/20_adversarial/iterative_attacks.
    """
    check(model, images, labels, targets=targets, epsilon=epsilon, norm="l2")
    if search_steps < 1 or steps < 1:
        raise ValueError(f"search_steps and steps must be 1 or more, got {search_steps} and {steps}")
    if not (confidence >= 0 and 0 < learning_rate < math.inf and 0 < initial_constant < math.inf):
        raise ValueError(
            "confidence must be 0 or more, learning_rate and initial_constant above 0, "
            f"got {confidence}, {learning_rate} and {initial_constant}"
        )
    images = images.detach()
    aim, sign = (labels, 1) if targets is None else (targets, -1)
    with attacked(model):
        with torch.no_grad():
            logits = model(images)
        check_logits(logits, labels, targets)
        search = Search(images, needed=sign * margin(logits, aim) <= confidence)
        constants = torch.full_like(search.squared, initial_constant)
        lower, upper = torch.zeros_like(constants), torch.full_like(constants, math.inf)
        for run in range(search_steps):
            found = search.run(
                lambda x, index: confidence - sign * margin(model(x), aim[index]),
                constants,
                steps=steps,
                learning_rate=learning_rate,
                warn=run == 0,
            )
            lower, upper = torch.where(found, lower, constants), torch.where(found, constants, upper)
            constants = torch.where(upper.isinf(), 10 * constants, (lower + upper) / 2)
    return search.best if epsilon is None else images + project(search.best - images, epsilon, "l2")


class Search:
    """The nearest adversarial image so far of each image, and how far it is."""

    def __init__(self, images: Tensor, *, needed: Tensor) -> None:
        self.images, self.best = images, images.clone()
        self.needed = needed.nonzero().squeeze(1)
        self.squared = images.new_full((len(images),), math.inf)  # the squared distance of the best

    def run(
        self,
        missing: Callable[[Tensor, Tensor], Tensor],
        constants: Tensor,
        *,
        steps: int,
        learning_rate: float,
        warn: bool,
    ) -> Tensor:
        """One run of Adam over w; says for which images it found an adversarial one, `[N]`.

        `missing(x, index)` is by how much each image falls short of its margin. Everything but this model's part is
        written out: the gradient of ‖x' − x‖², and through x' = (tanh w + 1) / 2 that of w.
        """
        found = torch.zeros_like(self.squared, dtype=torch.bool)
        index, origin = self.needed, self.images[self.needed]
        w = ((2 * self.best[index] - 1) * INSIDE).atanh()
        mean, square = torch.zeros_like(w), torch.zeros_like(w)
        former = torch.full_like(self.squared[index], math.inf)
        for step in range(1, steps + 1):
            if len(index) == 0:
                break
            leaf = ((w.tanh() + 1) / 2).requires_grad_()
            short = missing(leaf, index)
            gradient = input_gradient((constants[index] * short.clamp_min(0)).sum(), leaf)
            current, short = leaf.detach(), short.detach()
            if warn and step == 1:
                warn_of_masking(gradient, short >= 0)
            delta = current - origin
            squared = delta.flatten(1).square().sum(dim=1)
            found[index] |= short < 0
            self.keep(index, current, squared, short < 0)

            gradient = (gradient + 2 * delta) * (2 * current * (1 - current))  # dx'/dw = (1 − tanh² w)/2 = 2x'(1 − x')
            mean.lerp_(gradient, 1 - FADING)
            square.mul_(FADING_SQUARES).addcmul_(gradient, gradient, value=1 - FADING_SQUARES)
            size = (square / (1 - FADING_SQUARES**step)).sqrt_().add_(FLOOR)
            w.addcdiv_(mean, size, value=-learning_rate / (1 - FADING**step))

            if step % math.ceil(steps / CHECKS) == 0:
                loss = check_finite(squared + constants[index] * short.clamp_min(0))
                falling = (loss <= FALLING * former).nonzero().squeeze(1)
                index, origin, w, mean, square, former = (
                    tensor[falling] for tensor in (index, origin, w, mean, square, loss)
                )
        return found

    def keep(self, index: Tensor, current: Tensor, squared: Tensor, adversarial: Tensor) -> None:
        """Remember the images that are adversarial and nearer than the best so far."""
        nearer = (adversarial & (squared < self.squared[index])).nonzero().squeeze(1)
        self.squared[index[nearer]] = squared[nearer]
        self.best[index[nearer]] = current[nearer]
