"""Signs that an attack failed because the gradients mislead it, and not because the model is robust."""

import functools
import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers.attacks.fgsm import fgsm
from tml_helpers.attacks.pgd import pgd
from tml_helpers.attacks.protocol import Attack, check_batch, launch
from tml_helpers.attacks.square import square
from tml_helpers.common import (
    GradientMaskingWarning,
    answer_and_gradient,
    check_ball,
    check_logits,
    cross_entropies,
    differentiable,
    evaluating,
    uniform_in_ball,
)


@dataclass(frozen=True)
class Check:
    """A test for obfuscated gradients: what should hold, whether it does, and what was seen, in a sentence.

    Derived in: lectures/20_adversarial/honest_evaluation
    """

    name: str
    passed: bool
    sentence: str


def obfuscated_gradients(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    generator: torch.Generator | None = None,
) -> tuple[Check, ...]:
    """Eight things that hold where gradients can be trusted; where one fails, a failed gradient attack proves nothing.

    A model that passes may be weak: the checks look for attacks that failed, not for robustness. What chance may do is
    forgiven: 2 % of the images and, where two attacks are compared, one image.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64; those that are misread from the start are left out.
        labels: `[N]`, int64, class indices below K.
        epsilon: ε, the ball's radius: from 0 to 1 in `"linf"`, to √(C·H·W) in `"l2"`.
        norm: `"linf"` or `"l2"`.
        generator: of the attacks; on any device.

    Returns:
        The eight checks; none where all images are misread, and there is nothing to check.

    Raises:
        TypeError, ValueError: what an attack is not defined on.

    Source: Athalye, Carlini and Wagner, 2018; Carlini et al., 2019.
    Derived in: lectures/20_adversarial/honest_evaluation
    """
    check_batch(model, images, labels)
    check_ball(epsilon, norm, images)
    right = classified_correctly(model, images, labels)
    images, labels, n = images.detach()[right], labels[right], int(right.sum())
    if n == 0:
        return ()

    def left(attack: Attack, radius: float = epsilon, among: slice | Tensor = slice(None)) -> Tensor:
        """Which of the images that it is given still stand after an attack."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GradientMaskingWarning)  # the second check says it
            ball = {"epsilon": radius, "norm": norm, "generator": generator}
            found = launch(attack, model, images[among], labels[among], **ball)
        return classified_correctly(model, found, labels[among])

    largest = 1.0 if norm == "linf" else math.sqrt(images[0].numel())  # no image is farther from another
    resting = functools.partial(pgd, tau=0)
    standing = left(resting)
    one, ten, forty = count(left(fgsm)), count(left(functools.partial(resting, steps=10))), count(standing)
    double = count(left(resting, min(2 * epsilon, largest)))
    unbounded = count(left(functools.partial(resting, random_start=False), largest))
    by_chance = forty - count(left(random_points, among=standing)) if forty else 0
    by_scores = forty - count(left(functools.partial(square, queries=300), among=standing)) if forty else 0
    changed, flat = answers_that_change(model, images), gradients_of_zero(model, images, labels)
    little, luck = 0.02 * n, max(1.0, 0.02 * n)
    return (
        Check("answers repeat", changed <= little, f"asked twice, the model changes its logits for {changed} of {n}"),
        Check("gradients are there", flat <= little, f"the gradient of the loss is zero for {flat} of {n} images"),
        Check("many steps beat one", forty <= one + luck, f"FGSM leaves {one} of {n} images, PGD leaves {forty}"),
        Check("more steps are no weaker", forty <= ten + luck, f"10 steps leave {ten} of {n} images, 40 leave {forty}"),
        Check("a larger ball is no safer", double <= forty + luck, f"ε leaves {forty} of {n} images, 2ε {double}"),
        Check("without a bound all fall", unbounded <= little, f"with ε = {largest:g} PGD leaves {unbounded} of {n}"),
        Check(
            "chance finds no more", by_chance <= luck, f"of {forty} that PGD leaves, random points break {by_chance}"
        ),
        Check("scores find no more", by_scores <= luck, f"of {forty} that PGD leaves, Square breaks {by_scores}"),
    )


def classified_correctly(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Whether the model calls each image its label, `[N]`."""
    with evaluating(model), torch.no_grad():
        logits = model(images)
    check_logits(logits, labels=labels)
    correct: Tensor = logits.argmax(dim=1) == labels
    return correct


def random_points(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str,
    generator: torch.Generator | None,
    draws: int = 100,
) -> Tensor:
    """The weakest attack: of many points drawn uniformly from the ball, the first that is misread."""
    found, standing = images.clone(), torch.ones_like(labels, dtype=torch.bool)
    for _ in range(draws):
        found[standing] = uniform_in_ball(images[standing], epsilon, norm, generator)
        standing = classified_correctly(model, found, labels)
        if not standing.any():
            break
    return found


def answers_that_change(model: nn.Module, images: Tensor) -> int:
    """For how many images the model's second answer is not its first, up to rounding."""
    with evaluating(model), torch.no_grad():
        first, second = model(images), model(images)
    return len(images) - count(torch.isclose(first, second, rtol=1e-3, atol=1e-4).all(dim=1))


def gradients_of_zero(model: nn.Module, images: Tensor, labels: Tensor) -> int:
    """For how many images the gradient of cross-entropy is zero in every pixel."""
    with differentiable(model):
        _, gradient = answer_and_gradient(model, images, lambda logits: cross_entropies(logits, labels))
    return count((gradient.flatten(1) == 0).all(dim=1))


def count(chosen: Tensor) -> int:
    return int(chosen.sum())
