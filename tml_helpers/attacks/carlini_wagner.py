"""The attack of Carlini and Wagner: distance and misclassification in one loss, made small by Adam."""

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.deepfool import deepfool
from tml_helpers.attacks.protocol import check_batch
from tml_helpers.common import (
    GradientMaskingWarning,
    answer_and_gradient,
    check_ball,
    check_counts,
    check_gradient,
    check_numbers,
    differentiable,
    project,
    warn_of_masking,
)

INSIDE = 1 - 1e-4  # black and white lie at infinity for atanh: start this near to them
CHECKS = 10  # how often in a run an image is asked whether its loss still falls,
FALLING = 0.99  # that is, has come below this share of what it was
FADING, FADING_SQUARES, FLOOR = 0.8, 0.999, 1e-8  # Adam's β₁, β₂ and ε; with β₁ = 0.9 it settles later
LAST = 0.05  # what is left of the learning rate in the last step: it falls along a line
DEEPFOOL_STEPS = 10  # for the start: few images need as many


def carlini_wagner(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    confidence: float = 0.0,
    search_steps: int = 5,
    steps: int = 100,
    learning_rate: float = 0.1,
    initial_constant: float = 0.3,
    epsilon: float | None = None,
    targets: Tensor | None = None,
) -> Tensor:
    """The nearest x' in L2 that Adam finds for ‖x' − x‖² + c · max(0, κ − margin(x')), where x' = (tanh w + 1) / 2.

    The margin is the largest other logit minus the label's or, with targets, the target's minus the largest other. c is
    searched for each image: ten times larger until a run comes nearer, then by halves. Other than in the paper, a run
    starts from the best x' so far instead of x, and the first from DeepFool's; Adam's β₁ is 0.8 instead of 0.9, its
    rate falls to 5 % within a run, and a run ends for each image by itself once a tenth of the steps lowered its loss
    by less than 1 %: the batch shrinks.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        confidence: κ, 0 or more, in units of a logit: x' counts once its margin exceeds κ.
        search_steps: how many runs there are, each with a c of its own, 1 or more.
        steps: of Adam in a run, at most, 1 or more.
        learning_rate: Adam's in the first step of a run, above 0, in units of w.
        initial_constant: the first c, above 0.
        epsilon: longer perturbations are cut back to this L2 ball; None leaves them.
        targets: `[N]`, int64, none of them the label; None for any other class.

    Returns:
        Images of the same shape, in [0, 1], unchanged where nothing was found or the margin exceeded κ already. Warns
        where a gradient is zero.

    Raises:
        TypeError, ValueError: what an attack is not defined on.

    Source: Carlini and Wagner, 2017. Derived in: lectures/20_adversarial/iterative_attacks
    """
    check_batch(model, images, labels, targets)
    check_ball(0.0 if epsilon is None else epsilon, "l2", images)
    check_numbers(confidence=confidence, learning_rate=learning_rate, initial_constant=initial_constant)
    check_counts(search_steps=search_steps, steps=steps)
    if not (confidence >= 0 and 0 < learning_rate < math.inf and 0 < initial_constant < math.inf):
        raise ValueError(
            "confidence must be 0 or more, learning_rate and initial_constant above 0, "
            f"got {confidence}, {learning_rate} and {initial_constant}"
        )
    images, aim = images.detach(), Aim(labels, targets)
    with differentiable(model):
        with torch.no_grad():
            logits = model(images)
        aim.check(logits)
        nearest = Nearest(images, needed=aim.lead(logits) <= confidence)
        if len(nearest.needed):
            nearest.start(model, aim, confidence)
        constants = torch.full_like(nearest.squared, initial_constant)
        lower, upper = torch.zeros_like(constants), torch.full_like(constants, math.inf)
        for run in range(search_steps):
            found = nearest.descend(
                model,
                lambda logits, index: confidence - aim.lead(logits, index),
                constants,
                steps=steps,
                learning_rate=learning_rate,
                warn=run == 0,
            )
            lower, upper = torch.where(found, lower, constants), torch.where(found, constants, upper)
            constants = torch.where(upper.isinf(), 10 * constants, (lower + upper) / 2)
    return nearest.best if epsilon is None else images + project(nearest.best - images, epsilon, "l2")


class Nearest:
    """The nearest adversarial image so far of each image, and how far it is."""

    def __init__(self, images: Tensor, *, needed: Tensor) -> None:
        self.images, self.best = images, images.clone()
        self.needed = needed.nonzero().squeeze(1)
        self.squared = images.new_full((len(images),), math.inf)  # the squared distance of the best

    def start(self, model: nn.Module, aim: Aim, confidence: float) -> None:
        """Remember what DeepFool finds, where its margin is enough."""
        with warnings.catch_warnings(action="ignore", category=GradientMaskingWarning):  # the first run says it
            found = deepfool(model, self.images, aim.labels, steps=DEEPFOOL_STEPS, targets=aim.targets)[self.needed]
        with torch.no_grad():
            enough = aim.lead(model(found.clone()), self.needed) > confidence
        self.keep(self.needed, found, (found - self.images[self.needed]).flatten(1).square().sum(dim=1), enough)

    def descend(
        self,
        model: nn.Module,
        missing: Callable[[Tensor, Tensor], Tensor],
        constants: Tensor,
        *,
        steps: int,
        learning_rate: float,
        warn: bool,
    ) -> Tensor:
        """One run of Adam over w; says for which images it found a nearer one, `[N]`.

        `missing(logits, index)` is by how much each image falls short of its margin. Everything but this model's part
        is written out: the gradient of ‖x' − x‖², and through x' = (tanh w + 1) / 2 that of w.
        """
        found = torch.zeros_like(self.squared, dtype=torch.bool)
        index, origin = self.needed, self.images[self.needed]
        w = ((2 * self.best[index] - 1) * INSIDE).atanh()
        mean, square = torch.zeros_like(w), torch.zeros_like(w)
        former = torch.full_like(self.squared[index], math.inf)

        def penalty(logits: Tensor) -> Tensor:
            return constants[index] * missing(logits, index).clamp_min(0)

        def rate(step: int) -> float:
            return learning_rate * (1 - (1 - LAST) * (step - 1) / max(steps - 1, 1))

        for step in range(1, steps + 1):
            if len(index) == 0:
                break
            current = (w.tanh() + 1) / 2
            logits, gradient = answer_and_gradient(model, current, penalty)
            short = missing(logits, index)
            if warn and step == 1:
                warn_of_masking(gradient, short >= 0)
            delta = current - origin
            squared = delta.flatten(1).square().sum(dim=1)
            found[index] |= self.keep(index, current, squared, short < 0)

            gradient = (gradient + 2 * delta) * (2 * current * (1 - current))  # dx'/dw = (1 − tanh² w)/2 = 2x'(1 − x')
            mean.lerp_(gradient, 1 - FADING)
            square.mul_(FADING_SQUARES).addcmul_(gradient, gradient, value=1 - FADING_SQUARES)
            size = (square / (1 - FADING_SQUARES**step)).sqrt_().add_(FLOOR)
            w.addcdiv_(mean, size, value=-rate(step) / (1 - FADING**step))

            if step % math.ceil(steps / CHECKS) == 0:
                loss = check_gradient(squared + penalty(logits))
                falling = (loss <= FALLING * former).nonzero().squeeze(1)
                index, origin, w, mean, square, former = (
                    tensor[falling] for tensor in (index, origin, w, mean, square, loss)
                )
        return found

    def keep(self, index: Tensor, current: Tensor, squared: Tensor, adversarial: Tensor) -> Tensor:
        """Remember the images that are adversarial and nearer than the best so far; says which ones are."""
        nearer = adversarial & (squared < self.squared[index])
        self.squared[index[nearer]] = squared[nearer]
        self.best[index[nearer]] = current[nearer]
        return nearer
