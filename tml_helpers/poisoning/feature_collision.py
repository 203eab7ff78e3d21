"""Clean-label poison for a learner that keeps somebody's features: images that look alike to them (Poison Frogs)."""

import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tml_helpers.common import (
    answer_and_gradient,
    check_counts,
    check_generator,
    check_gradient,
    check_images,
    check_numbers,
    differentiable,
    evaluating,
    per_image,
    warn_of_masking,
)
from tml_helpers.poisoning._checks import (
    budgeted,
    check_class,
    check_epsilon,
    check_examples,
    check_one_image,
    check_two_classes,
    chosen,
)
from tml_helpers.poisoning.poison import Poison

__all__ = ["CollisionPoison", "NoCollisionWarning", "feature_collision"]

Bases = Literal["nearest", "random"]
FIRST_STEP = 0.1
"""The first step of the descent moves some pixel of each image by this share of ε."""


class NoCollisionWarning(UserWarning):
    """Not one poison came nearer to the target than a clean image of another class is.

    Derived in: lectures/30_poisoning/clean_label
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class CollisionPoison(Poison):
    """A poisoned training set, and how near each poison came to the target in the features.

    Args:
        clean_distances: ‖φ(b) − φ(xᵗ)‖² of each base, `[M]`, in the order of `indices`.
        distances: ‖φ(x) − φ(xᵗ)‖² of each poison, `[M]`.
        nearest_clean: the smallest ‖φ(x) − φ(xᵗ)‖² of a clean training image of another class than the attacker's.
        objective: the mean over poisons of what is minimised, at the start and after each step, `[steps + 1]`.

    Derived in: lectures/30_poisoning/clean_label
    """

    clean_distances: Tensor
    distances: Tensor
    nearest_clean: float
    objective: Tensor


def feature_collision(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    target_image: Tensor,
    target_label: int,
    fraction: float,
    epsilon: float,
    beta: float = 0.1,
    steps: int = 200,
    opacity: float = 0.0,
    bases: Bases = "nearest",
    batch_size: int = 256,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> CollisionPoison:
    """argmin over x of ‖φ(x) − φ(xᵗ)‖² + β ‖x − b‖², within ε of b: looks like b, and like the target to φ.

    By forward-backward splitting: a step down the gradient of the first term, then the point that is best for the
    second within the ball. Each image has its own length of step, halved where the objective would rise, so that it
    never does. The poisons keep their label, which is right; a learner that trains a last layer on φ fits them, and
    with them the target.

    Args:
        model: φ, a frozen extractor: images to features `[N, F]`; no parameter may require gradients.
        images: `[N, C, H, W]` in [0, 1], what the last layer will be trained on.
        labels: their classes, int64 `[N]`, two of them or more.
        target_image: xᵗ, `[C, H, W]`, the image that shall be misread.
        target_label: the class that the attacker wants it to get, which is the class of the bases.
        fraction: the budget: round(fraction · N) images of class `target_label` are changed.
        epsilon: ε, the largest change of a pixel, above 0 and at most 1.
        beta: β, 0 or more, in squared feature units for each squared unit of pixels.
        steps: of the descent, 1 or more.
        opacity: from 0, and below 1: b is first blended with this share of the target, within ε.
        bases: `"nearest"` takes the images that φ already puts nearest to the target, `"random"` draws them.
        batch_size: images at a time.
        generator: draws random bases; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        The poisoned training set, and the distances.

    Raises:
        TypeError: images, labels, a target or numbers of another kind.
        ValueError: values out of range, a budget of less than one image or more than the class has, an extractor that
            is not frozen or does not return `[N, F]`, or a target that is itself a training image of that class.

    Warns:
        NoCollisionWarning: no poison is nearer to the target than a clean image of another class is.
        GradientMaskingWarning: the features' gradient is zero for some bases.

    Source: Shafahi et al., 2018. Derived in: lectures/30_poisoning/clean_label
    """
    _check_settings(beta, steps, opacity, bases, batch_size, generator)
    check_epsilon(epsilon)
    check_examples(images, labels)
    check_images(model, images)
    _check_frozen(model)
    check_two_classes(labels)
    check_one_image("target_image", target_image, images)
    check_class("target_label", target_label)
    images, target_image = images.detach(), target_image.detach()
    candidates = (labels == target_label).nonzero().flatten()
    count = budgeted(fraction, labels, len(candidates), of=f"class {target_label}")
    _check_unseen(images[candidates], target_image, target_label)
    wanted = _features(model, target_image[None], batch_size)
    before = (_features(model, images, batch_size) - wanted).square().sum(dim=1)
    if not bool(before.isfinite().all()):
        raise ValueError("the squared distances of the features overflow: scale the features down, or use float64")
    if bases == "random":
        places = chosen(candidates, count, generator)
    else:
        places = candidates[before[candidates].argsort(stable=True)[:count]].sort().values
    with differentiable(model):
        made = [
            _collide(model, batch, target_image, wanted, epsilon, beta, steps, opacity, progress)
            for batch in images[places].split(batch_size)
        ]
    poisoned = images.clone()
    poisoned[places] = torch.cat([one[0] for one in made])
    result = CollisionPoison(
        poisoned,
        labels.clone(),
        places,
        images[places],
        labels[places],
        epsilon,
        clean_distances=before[places],
        distances=(_features(model, poisoned[places], batch_size) - wanted).square().sum(dim=1),
        nearest_clean=float(before[labels != target_label].min()),
        objective=torch.cat([one[1] for one in made]).mean(dim=0),
    )
    if not bool((result.distances < result.nearest_clean).any()):
        warnings.warn(
            f"the nearest poison is at squared distance {float(result.distances.min()):.3g} from the target, but a "
            f"clean image of another class at {result.nearest_clean:.3g}: raise epsilon or steps, or lower beta",
            NoCollisionWarning,
            stacklevel=2,
        )
    return result


def _collide(
    model: nn.Module,
    clean: Tensor,
    target: Tensor,
    wanted: Tensor,
    epsilon: float,
    beta: float,
    steps: int,
    opacity: float,
    progress: bool | None,
) -> tuple[Tensor, Tensor]:
    """The poisons `[B, C, H, W]`, and the objective of each at the start and after each step, `[B, steps + 1]`."""
    low, high = (clean - epsilon).clamp_min(0), (clean + epsilon).clamp_max(1)
    base = torch.minimum(torch.maximum(clean + opacity * (target - clean), low), high)

    def asked(x: Tensor) -> tuple[Tensor, Tensor]:
        features, gradient = answer_and_gradient(model, x, lambda answer: (answer - wanted).square().sum(dim=1))
        return (features - wanted).square().sum(dim=1) + beta * (x - base).square().flatten(1).sum(dim=1), gradient

    x = base
    value, gradient = asked(x)
    warn_of_masking(gradient, value > 0, so="these poisons stay as they were")
    check_gradient(gradient)
    size = FIRST_STEP * epsilon / gradient.abs().flatten(1).amax(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
    history = [value]
    for _ in tqdm(range(steps), desc="steps", disable=None if progress is None else not progress):
        moved = _backward(x - per_image(size) * gradient, base, 2 * beta * per_image(size), low, high)
        new_value, new_gradient = asked(moved)
        better = new_value < value  # false for NaN as well
        x = torch.where(per_image(better), moved, x)
        gradient = torch.where(per_image(better), new_gradient, gradient)
        value = torch.where(better, new_value, value)
        size = torch.where(better, 1.2 * size, size / 2)
        history.append(value)
    return x, torch.stack(history, dim=1)


def _backward(forward: Tensor, base: Tensor, weight: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """argmin over x in [low, high] of ‖x − forward‖² + weight ‖x − base‖²: exact, for it falls apart into pixels."""
    middle = (forward + weight * base) / (1 + weight)
    return torch.minimum(torch.maximum(middle, low), high)


@torch.no_grad()
def _features(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """φ of all images, `[N, F]`, checked."""
    with evaluating(model):
        parts = [model(batch.clone()) for batch in images.split(batch_size)]  # it may work in place
    for part, batch in zip(parts, images.split(batch_size), strict=True):
        if not isinstance(part, Tensor) or part.ndim != 2 or len(part) != len(batch):
            kind = list(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise ValueError(f"the model must return features [N, F], one row for each image, got {kind}: flatten them")
    features = torch.cat(parts)
    if not bool(features.isfinite().all()):
        raise ValueError("the model's features are not finite on the clean images: has it been trained?")
    return features


def _check_settings(
    beta: float, steps: int, opacity: float, bases: str, batch_size: int, generator: torch.Generator | None
) -> None:
    check_counts(steps=steps, batch_size=batch_size)
    check_numbers(beta=beta, opacity=opacity)
    check_generator(generator)
    if not 0 <= beta < float("inf"):
        raise ValueError(f"beta must be 0 or more and finite, got {beta}")
    if not 0 <= opacity < 1:
        raise ValueError(f"opacity must be 0 or more and below 1, got {opacity}")
    if bases not in get_args(Bases):
        raise ValueError(f"bases must be one of {', '.join(get_args(Bases))}, got {bases!r}")


def _check_frozen(model: nn.Module) -> None:
    free = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if free:
        raise ValueError(
            f"the extractor must be frozen, but {len(free)} of its parameters require gradients, as {free[0]}: "
            "features that learn on part poison and target again; call model.requires_grad_(False)"
        )


def _check_unseen(candidates: Tensor, target: Tensor, target_label: int) -> None:
    if len(candidates) and bool((candidates == target).flatten(1).all(dim=1).any()):
        raise ValueError(
            f"target_image is a training image of class {target_label}, the target_label: there is nothing to attack"
        )
