"""Signs that an attack failed because the gradients mislead it, and not because the model is robust."""

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers.attacks._common import (
    GradientMaskingWarning,
    attacked,
    check,
    check_logits,
    cross_entropy,
    input_gradient,
    random_start,
)
from tml_helpers.attacks.fgsm import fgsm
from tml_helpers.attacks.pgd import pgd
from tml_helpers.attacks.square import square
from tml_helpers.training import evaluating

Attack = Callable[..., Tensor]
"""`attack(model, images, labels, *, epsilon, norm, generator)`: images of the same shape."""


@dataclass(frozen=True)
class Check:
    """A test for obfuscated gradients: what should hold, whether it does, and what was seen, in a sentence.

    Derived in: lectures/20_adversarial/honest_evaluation.
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

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; images that are misread from the start are left out, and where
    all are there is nothing to check. What chance may do is forgiven: 2 % of the images and, where two attacks are
    compared, one image. A model that passes may be weak: the checks look for attacks that failed, not for robustness.

    Raises TypeError or ValueError for what an attack is not defined on.
    Source: Athalye, Carlini and Wagner, 2018; Carlini et al., 2019.
    Derived in: lectures/20_adversarial/honest_evaluation.
    """
    check(model, images, labels, epsilon=epsilon, norm=norm)
    right = reads(model, images, labels)
    images, labels, n = images.detach()[right], labels[right], int(right.sum())
    if n == 0:
        return ()

    def left(attack: Attack, radius: float = epsilon, among: slice | Tensor = slice(None)) -> Tensor:
        """Which of the images that it is given still stand after an attack."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GradientMaskingWarning)  # the second check says it
            found = attack(model, images[among], labels[among], epsilon=radius, norm=norm, generator=generator)
        return reads(model, found, labels[among])

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


def reads(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Whether the model calls each image its label, `[N]`."""
    with evaluating(model), torch.no_grad():
        logits = model(images)
    check_logits(logits, labels)
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
        found[standing] = random_start(images[standing], epsilon, norm, generator)
        standing = reads(model, found, labels)
        if not standing.any():
            break
    return found


def answers_that_change(model: nn.Module, images: Tensor) -> int:
    """For how many images the model's second answer is not its first, but for rounding."""
    with evaluating(model), torch.no_grad():
        first, second = model(images), model(images)
    return len(images) - count(torch.isclose(first, second, rtol=1e-3, atol=1e-4).all(dim=1))


def gradients_of_zero(model: nn.Module, images: Tensor, labels: Tensor) -> int:
    """For how many images the gradient of cross-entropy is zero in every pixel."""
    with attacked(model):
        leaf = images.clone().requires_grad_()
        gradient = input_gradient(cross_entropy(model(leaf), labels).sum(), leaf)
    return count((gradient.flatten(1) == 0).all(dim=1))


def count(chosen: Tensor) -> int:
    return int(chosen.sum())
