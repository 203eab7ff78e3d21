"""How robust a model is: for each image, the worst that several strong attacks found."""

import functools
import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers._checks import check_images
from tml_helpers.attacks._common import GradientMaskingWarning, check, check_epsilon, check_logits, margin, norms
from tml_helpers.attacks.fgsm import fgsm
from tml_helpers.attacks.pgd import pgd
from tml_helpers.attacks.sanity import Attack, Check, obfuscated_gradients, reads
from tml_helpers.attacks.square import square
from tml_helpers.training import evaluating


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What an ensemble of attacks found. Accuracies are shares of all images, from 0 to 1.

    Derived in: lectures/20_adversarial/honest_evaluation.
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
    warnings: tuple[str, ...]
    """What makes the number doubtful: the sentences of checks that failed and of attacks that met zero gradients."""

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Where the robust accuracy on all images of this kind lies, judged by these N: Clopper and Pearson, 1934.

        It knows of chance in choosing the images, and not of attacks that nobody has tried.
        """
        from scipy.stats import binomtest

        count = binomtest(int(self.standing.sum()), len(self.standing))
        low, high = count.proportion_ci(confidence_level=confidence, method="exact")
        return float(low), float(high)


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

    `ranks` is how many classes are tried, at most K − 1. The loss is the target's margin, −(z_t − max of the others).
    Source: Croce and Hein, 2020. Derived in: lectures/20_adversarial/honest_evaluation.
    """
    if ranks < 1:
        raise ValueError(f"ranks is how many classes are aimed at, 1 or more; got {ranks}")
    check(model, images, labels, epsilon=epsilon, norm=norm)
    with evaluating(model), torch.no_grad():
        logits = model(images)
    check_logits(logits, labels)
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
        standing = reads(model, found, labels)
        if not standing.any():
            break
    return found


def standard_attacks() -> dict[str, Attack]:
    """Five attacks that fail for different reasons, the cheap ones first.

    One step; many steps on cross-entropy; many on the margin, which no softmax can saturate; many towards each of the
    next classes; and one that needs no gradient at all. Each rests as soon as it has won.
    Source: after Croce and Hein, 2020. Derived in: lectures/20_adversarial/honest_evaluation.
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
    attacks: Mapping[str, Attack] | None = None,
    each_alone: bool = False,
    sanity: bool = True,
    generator: torch.Generator | None = None,
) -> Evaluation:
    """robust accuracy = mean over images of min over attacks of [the image is still read correctly].

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`. `attacks` are names with functions that are called as every
    attack is, `standard_attacks()` unless given; each gets only the images that still stand. With `each_alone` each
    gets all images that are read correctly, and `alone` tells what it leaves by itself. With `sanity` the tests of
    `obfuscated_gradients` are made as well. An attack's images are believed only after they were measured. A model that
    draws at random is asked once: average its draws before, or the number is partly luck.

    Raises TypeError or ValueError for bad input, and for an attack that leaves the ball or [0, 1].
    Source: Croce and Hein, 2020; Carlini et al., 2019. Derived in: lectures/20_adversarial/honest_evaluation.
    """
    check(model, images, labels, epsilon=epsilon, norm=norm)
    attacks = standard_attacks() if attacks is None else attacks
    if not attacks:
        raise ValueError("there is no attack: pass at least one, or leave `attacks` out for the standard five")
    images = images.detach()
    right = reads(model, images, labels)
    standing, adversarial = right.clone(), images.clone()
    after: dict[str, float] = {}
    alone: dict[str, float] = {}
    notes: list[str] = []
    for name, attack in attacks.items():
        tried = right if each_alone else standing.clone()
        broken = torch.zeros_like(right)
        if tried.any():
            found, said = _attempt(name, attack, model, images[tried], labels[tried], epsilon, norm, generator)
            broken[tried] = ~reads(model, found, labels[tried])
            new = broken & standing
            adversarial[new] = found[new[tried]]
            notes += dict.fromkeys(said)  # an attack of several runs says the same each time
        standing &= ~broken
        after[name] = _share(standing)
        if each_alone:
            alone[name] = _share(right & ~broken)
    checks: tuple[Check, ...] = ()
    if sanity:
        checks = obfuscated_gradients(model, images, labels, epsilon=epsilon, norm=norm, generator=generator)
        notes += [f"{made.name}: no, {made.sentence}" for made in checks if not made.passed]
    return Evaluation(
        epsilon=epsilon,
        norm=norm,
        clean_accuracy=_share(right),
        robust_accuracy=_share(standing),
        after=after,
        alone=alone,
        adversarial=adversarial,
        standing=standing,
        checks=checks,
        warnings=tuple(notes),
    )


def robustness_curve(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilons: Sequence[float],
    *,
    norm: str = "linf",
    attacks: Mapping[str, Attack] | None = None,
    generator: torch.Generator | None = None,
) -> list[float]:
    """The robust accuracy at each ε, in [0, 1]; `epsilons` grow, and the accuracy never does.

    An image that was broken within a small ball is broken within every larger one, so only those that still stand are
    attacked again. ε = 0 gives the clean accuracy.

    Raises TypeError or ValueError for bad input, as `epsilons` that do not grow. Warns where a gradient is zero.
    Derived in: lectures/20_adversarial/honest_evaluation.
    """
    check(model, images, labels, norm=norm)
    if not len(epsilons) or any(later <= sooner for sooner, later in itertools.pairwise(epsilons)):
        raise ValueError(f"epsilons must grow, and there must be at least one; got {list(epsilons)}")
    for epsilon in epsilons:
        check_epsilon(epsilon, norm, images)
    standing = reads(model, images, labels)
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
                attacks=attacks,
                sanity=False,
                generator=generator,
            )
            standing[standing.clone()] = found.standing
            notes += [f"ε = {epsilon:g}, {note}" for note in found.warnings]
        curve.append(_share(standing))
    if notes:
        warnings.warn(
            f"{notes[0]} ({len(notes)} such warnings): the curve may show masked gradients and no robustness",
            GradientMaskingWarning,
            stacklevel=2,
        )
    return curve


def _share(chosen: Tensor) -> float:
    return chosen.double().mean().item()


def _attempt(
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
        found = attack(model, images, labels, epsilon=epsilon, norm=norm, generator=generator).detach()
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
