"""How robust a model is: for each image, the worst that several strong attacks found."""

import functools
import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers.attacks.fgsm import fgsm
from tml_helpers.attacks.pgd import pgd
from tml_helpers.attacks.protocol import Attack, check_batch, launch
from tml_helpers.attacks.sanity import Check, classified_correctly, obfuscated_gradients
from tml_helpers.attacks.square import square
from tml_helpers.common import (
    GradientMaskingWarning,
    check_ball,
    check_counts,
    check_images,
    check_logits,
    evaluating,
    margin,
    norms,
)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Where a share lies, from `low` to `high`, both from 0 to 1."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What an ensemble of attacks found. Accuracies are shares of all images, from 0 to 1.

    Derived in: lectures/20_adversarial/honest_evaluation
    """

    epsilon: float
    norm: str
    clean_accuracy: float
    robust_accuracy: float
    """The share of images that no attack broke: at most what any single one leaves."""
    after: dict[str, float]
    """Accuracy after each attack and all before it: falls to `robust_accuracy`."""
    alone: dict[str, float]
    """Accuracy under each attack by itself, where that was asked for; else empty."""
    adversarial: Tensor
    """`[N, C, H, W]`: the image that broke each image; the image itself where none did."""
    standing: Tensor
    """`[N]`, bool: read correctly, and no attack broke it."""
    checks: tuple[Check, ...]
    """The tests for obfuscated gradients; empty where they were not asked for."""
    notes: tuple[str, ...]
    """What makes the number doubtful: the sentences of checks that failed and of attacks that met zero gradients."""

    def interval(self, confidence: float = 0.95) -> Interval:
        """Where the robust accuracy on all images of this kind lies, judged by these N: Clopper and Pearson, 1934.

        It knows of chance in choosing the images, and not of attacks that nobody has tried.

        Args:
            confidence: how often such an interval holds the accuracy, between 0 and 1.

        Returns:
            The least and the largest accuracy that these images do not contradict.
        """
        from scipy.stats import binomtest

        count = binomtest(int(self.standing.sum()), len(self.standing))
        low, high = count.proportion_ci(confidence_level=confidence, method="exact")
        return Interval(low=float(low), high=float(high))


def runner_up_pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    ranks: int = 3,
    steps: int = 40,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Targeted PGD on the class that comes second, then third, …: for each image the first that is reached.

    The loss is the target's margin, −(z_t − max of the others).

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        epsilon, norm: as of `pgd`.
        ranks: how many classes are aimed at, one after the other, 1 or more; more than K − 1 count as K − 1.
        steps: as of `pgd`, towards each class.
        generator: as of `pgd`.

    Returns:
        Images of the same shape, in the ball and in [0, 1]. Warns where a gradient is zero.

    Raises:
        TypeError, ValueError: what an attack is not defined on, as ranks below 1.

    Source: Croce and Hein, 2020. Derived in: lectures/20_adversarial/honest_evaluation
    """
    check_counts(ranks=ranks)
    check_batch(model, images, labels)
    check_ball(epsilon, norm, images)
    with evaluating(model), torch.no_grad():
        logits = model(images)
    check_logits(logits, labels=labels)
    others = logits.scatter(1, labels[:, None], -math.inf).argsort(dim=1, descending=True)[:, :-1]  # (N, K − 1)
    found, standing = images.detach().clone(), torch.ones_like(labels, dtype=torch.bool)
    for targets in others.unbind(dim=1)[:ranks]:
        aim = targets[standing]
        found[standing] = pgd(
            model,
            images[standing],
            labels[standing],
            epsilon=epsilon,
            norm=norm,
            steps=steps,
            tau=0,
            loss=margin,
            targets=aim,
            generator=generator,
        )
        standing = classified_correctly(model, found, labels)
        if not standing.any():
            break
    return found


def standard_attacks() -> dict[str, Attack]:
    """Five attacks that fail for different reasons, the cheap ones first.

    One step; many steps on cross-entropy; many on the margin, which no softmax can saturate; many towards each of the
    next classes; and one that needs no gradient at all. Each rests as soon as it has won.

    Returns:
        The attacks by name.

    Source: after Croce and Hein, 2020. Derived in: lectures/20_adversarial/honest_evaluation
    """
    return {
        "FGSM": fgsm,
        "PGD, cross-entropy": functools.partial(pgd, tau=0),
        "PGD, margin": functools.partial(pgd, loss=margin, tau=0),
        "PGD, targeted": runner_up_pgd,
        "Square": square,
    }


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    ensemble: Mapping[str, Attack] | None = None,
    each_alone: bool = False,
    sanity: bool = True,
    generator: torch.Generator | None = None,
) -> Evaluation:
    """robust accuracy = mean over images of min over attacks of [the image is still read correctly].

    An attack's images are believed only after they were measured. A model that draws at random is asked once: average
    its draws before, or the number is partly luck.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        epsilon: ε, the ball's radius: from 0 to 1 in `"linf"`, to √(C·H·W) in `"l2"`.
        norm: `"linf"` or `"l2"`.
        ensemble: attacks by name, each of which gets the images that still stand and, of ε, norm and generator, those
            that it takes; None for `standard_attacks()`.
        each_alone: each attack gets all images that are read correctly, and `Evaluation.alone` tells what it leaves by
            itself.
        sanity: make the checks of `obfuscated_gradients` as well.
        generator: of the attacks; on any device.

    Returns:
        What the ensemble found, image by image.

    Raises:
        TypeError, ValueError: bad input, or an attack that leaves the ball or [0, 1].

    Source: Croce and Hein, 2020; Carlini et al., 2019. Derived in: lectures/20_adversarial/honest_evaluation
    """
    check_batch(model, images, labels)
    check_ball(epsilon, norm, images)
    ensemble = standard_attacks() if ensemble is None else ensemble
    if not ensemble:
        raise ValueError("there is no attack: pass at least one, or leave `ensemble` out for the standard five")
    images = images.detach()
    right = classified_correctly(model, images, labels)
    standing, adversarial = right.clone(), images.clone()
    after: dict[str, float] = {}
    alone: dict[str, float] = {}
    notes: list[str] = []
    for name, attack in ensemble.items():
        tried = right if each_alone else standing.clone()
        broken = torch.zeros_like(right)
        if tried.any():
            found, said = attempt(name, attack, model, images[tried], labels[tried], epsilon, norm, generator)
            broken[tried] = ~classified_correctly(model, found, labels[tried])
            new = broken & standing
            adversarial[new] = found[new[tried]]
            notes += dict.fromkeys(said)  # an attack of several runs says the same each time
        standing &= ~broken
        after[name] = share(standing)
        if each_alone:
            alone[name] = share(right & ~broken)
    checks: tuple[Check, ...] = ()
    if sanity:
        checks = obfuscated_gradients(model, images, labels, epsilon=epsilon, norm=norm, generator=generator)
        notes += [f"{made.name}: no, {made.sentence}" for made in checks if not made.passed]
    return Evaluation(
        epsilon=epsilon,
        norm=norm,
        clean_accuracy=share(right),
        robust_accuracy=share(standing),
        after=after,
        alone=alone,
        adversarial=adversarial,
        standing=standing,
        checks=checks,
        notes=tuple(notes),
    )


def robustness_curve(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilons: Sequence[float],
    norm: str = "linf",
    ensemble: Mapping[str, Attack] | None = None,
    generator: torch.Generator | None = None,
) -> list[float]:
    """The robust accuracy at each ε: as ε grows, it never does.

    An image that was broken within a small ball is broken within every larger one, so only those that still stand are
    attacked again. ε = 0 gives the clean accuracy.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        epsilons: one radius or more, each larger than the one before.
        norm, ensemble, generator: as of `evaluate`.

    Returns:
        An accuracy from 0 to 1 for each ε. Warns where a gradient is zero.

    Raises:
        TypeError, ValueError: bad input, as `epsilons` that do not grow.

    Derived in: lectures/20_adversarial/honest_evaluation
    """
    check_batch(model, images, labels)
    if not len(epsilons) or any(later <= sooner for sooner, later in itertools.pairwise(epsilons)):
        raise ValueError(f"epsilons must grow, and there must be at least one; got {list(epsilons)}")
    for epsilon in epsilons:
        check_ball(epsilon, norm, images)
    standing = classified_correctly(model, images, labels)
    curve: list[float] = []
    notes: list[str] = []
    for epsilon in epsilons:
        if epsilon > 0 and standing.any():
            found = evaluate(
                model,
                images[standing],
                labels[standing],
                epsilon=epsilon,
                norm=norm,
                ensemble=ensemble,
                sanity=False,
                generator=generator,
            )
            standing[standing.clone()] = found.standing
            notes += [f"ε = {epsilon:g}, {note}" for note in found.notes]
        curve.append(share(standing))
    if notes:
        warnings.warn(
            f"{notes[0]} ({len(notes)} such warnings): the curve may show masked gradients and no robustness",
            GradientMaskingWarning,
            stacklevel=2,
        )
    return curve


def share(chosen: Tensor) -> float:
    return chosen.double().mean().item()


def attempt(
    name: str,
    attack: Attack,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    norm: str,
    generator: torch.Generator | None,
) -> tuple[Tensor, list[str]]:
    """What an attack returns, once it was measured, and what it said about zero gradients."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = launch(attack, model, images, labels, epsilon=epsilon, norm=norm, generator=generator).detach()
    if found.shape != images.shape:
        raise ValueError(f"{name} must return images of shape {list(images.shape)}, got {list(found.shape)}")
    try:
        check_images(model, found)
    except ValueError as error:
        raise ValueError(f"{name} returned what is no image: {error}") from error
    farthest = float(norms(found - images, norm).max())
    if farthest > epsilon * (1 + 1e-5) + 1e-6:
        raise ValueError(f"{name} left the ball: {farthest:.4g} from an image in {norm}, but epsilon is {epsilon:g}")
    said = []
    for one in caught:
        if issubclass(one.category, GradientMaskingWarning):
            said.append(f"{name}: {str(one.message).partition(':')[0]}")
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return found, said
