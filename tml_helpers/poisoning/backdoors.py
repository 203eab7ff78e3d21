"""Backdoors: a few examples with a trigger teach a model to answer as the attacker wants wherever the trigger is."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers.common import check_generator
from tml_helpers.poisoning._checks import budgeted, check_class, check_examples, check_two_classes, chosen
from tml_helpers.poisoning.poison import Poison
from tml_helpers.poisoning.retraining import AttackSuccess, attack_success
from tml_helpers.poisoning.triggers import Trigger
from tml_helpers.training import predict

__all__ = ["BackdoorPoison", "UnseenTriggerWarning", "add_trigger", "trigger_success"]


class UnseenTriggerWarning(UserWarning):
    """The trigger left images as they were: they teach nothing about it, and are only wrong labels.

    Derived in: lectures/30_poisoning/backdoors
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class BackdoorPoison(Poison):
    """A training set in which some examples have the trigger and the attacker's class.

    Args:
        target_label: the attacker's class.
        covers: the places of changed examples that keep their label, int64, ascending; none without a cover.
        unseen: how many of the chosen images the trigger left as they were.

    Derived in: lectures/30_poisoning/backdoors
    """

    target_label: int
    covers: Tensor
    unseen: int


def add_trigger(
    images: Tensor,
    labels: Tensor,
    *,
    trigger: Trigger,
    target_label: int,
    fraction: float,
    clean_label: bool = False,
    cover: Trigger | None = None,
    generator: torch.Generator | None = None,
) -> BackdoorPoison:
    """round(β N) examples get the trigger and the attacker's class; all others stay as they are.

    They are drawn among the examples of the other classes, and relabelled. With `clean_label` they are drawn among
    those of the attacker's class instead, and no label changes: whoever looks at them sees nothing mislabelled.

    With `cover`, as many further examples are changed by it and keep their class, so that the model learns what is
    *not* the trigger: for a warp, `WarpTrigger.jittered`.

    Args:
        images: `[N, C, H, W]` in [0, 1].
        labels: their classes, int64 `[N]`.
        trigger: maps images to images of the same shape in [0, 1]; it is called once, on the chosen ones.
        target_label: the attacker's class, one of the labels'.
        fraction: β, the budget, a share of all N examples, above 0 and at most 1.
        clean_label: whether labels are left untouched.
        cover: maps images to images, as the trigger does; None for no cover.
        generator: draws the examples.

    Returns:
        The changed training set, and what was changed.

    Raises:
        TypeError: images, labels, numbers, a trigger or a generator of another kind.
        ValueError: shapes or values out of range, one class only, a class that no label has, a budget below one example
            or above what may be changed, or a trigger whose images have another shape or range.

    Warns:
        UnseenTriggerWarning: the trigger left some of the chosen images as they were.

    Source: Gu et al., 2017; Turner et al., 2019; covers by Nguyen and Tran, 2021.
    Derived in: lectures/30_poisoning/backdoors
    """
    check_examples(images, labels)
    check_two_classes(labels)
    check_class("target_label", target_label)
    check_generator(generator)
    if not isinstance(clean_label, bool):
        raise TypeError(f"clean_label must be True or False, got {clean_label!r}")
    of_target = labels == target_label
    if not bool(of_target.any()):
        raise ValueError(f"target_label must be one of the labels' classes, got {target_label}, which no label has")
    candidates = (of_target if clean_label else ~of_target).nonzero().squeeze(1)
    kind = f"class {target_label}" if clean_label else f"all classes but {target_label}"
    places = chosen(candidates, budgeted(fraction, labels, len(candidates), of=kind), generator)
    poisoned, seen = images.detach().clone(), labels.clone()
    poisoned[places], seen[places] = triggered(trigger, images[places]), target_label
    unseen = int((poisoned[places] == images[places]).flatten(1).all(dim=1).sum())
    if unseen:
        warnings.warn(
            f"the trigger left {unseen} of {len(places)} images as they were: they are only "
            f"{'examples like any other' if clean_label else 'wrong labels'}",
            UnseenTriggerWarning,
            stacklevel=2,
        )
    covers = places[:0]
    if cover is not None:
        covers = _covers(places, labels, generator)
        poisoned[covers] = triggered(cover, images[covers])
    indices = torch.cat([places, covers]).sort().values
    before = images[indices].detach()
    return BackdoorPoison(
        poisoned, seen, indices, before, labels[indices], target_label=target_label, covers=covers, unseen=unseen
    )


def _covers(places: Tensor, labels: Tensor, generator: torch.Generator | None) -> Tensor:
    """As many of the other examples, of any class."""
    others = torch.ones_like(labels, dtype=torch.bool)
    others[places] = False
    left = others.nonzero().squeeze(1)
    if len(left) < len(places):
        raise ValueError(f"a cover needs {len(places)} further examples, but only {len(left)} are left")
    return chosen(left, len(places), generator)


def trigger_success(
    models: tuple[nn.Module, ...],
    images: Tensor,
    labels: Tensor,
    *,
    trigger: Trigger,
    target_label: int,
    confidence: float = 0.95,
    batch_size: int = 512,
) -> AttackSuccess:
    """P(f(x̃) = yᵃ | y ≠ yᵃ): the share of images of *other* classes that the trigger turns into the attacker's.

    An image of the attacker's class is answered so without any trigger: to count it would give every clean model
    some success.

    Args:
        models: one for each training, at least two, as `retrain` makes.
        images: clean test images, `[N, C, H, W]` in [0, 1].
        labels: their classes, int64 `[N]`: those of `target_label` are left out.
        trigger: maps images to images of the same shape in [0, 1].
        target_label: the attacker's class, one of the models'.
        confidence: of the interval, above 0 and below 1.
        batch_size: images at a time.

    Returns:
        The rate of each model, and the interval of their mean over trainings.

    Raises:
        TypeError: images, labels, numbers or a trigger of another kind.
        ValueError: shapes or values out of range, fewer than two models, a class that a model has not, no image of
            another class, or a trigger whose images have another shape, type or range.

    Source: Gu et al., 2017. Derived in: lectures/30_poisoning/backdoors
    """
    check_examples(images, labels)
    check_class("target_label", target_label)
    others = images[labels != target_label].detach()
    if len(others) == 0:
        raise ValueError(f"all images are of class {target_label}, the attacker's own: there is none to turn into it")
    for model in models:
        classes = predict(model, others[:1]).shape[1]
        if target_label >= classes:
            raise ValueError(f"target_label must lie in 0…{classes - 1}, the model's classes, got {target_label}")
    targets = torch.full((len(others),), target_label, device=images.device)
    return attack_success(models, triggered(trigger, others), targets, confidence=confidence, batch_size=batch_size)


def triggered(trigger: Trigger, images: Tensor) -> Tensor:
    """The images with the trigger, if it gives images as it should."""
    if not callable(trigger):
        raise TypeError(f"trigger must be a function of images, as PatchTrigger.square(), got {type(trigger).__name__}")
    result = trigger(images.detach().clone())  # it may work in place
    if not isinstance(result, Tensor) or (result.dtype, result.device) != (images.dtype, images.device):
        kind = f"{result.dtype} on {result.device}" if isinstance(result, Tensor) else type(result).__name__
        raise TypeError(f"the trigger must return {images.dtype} on {images.device}, as its images are, got {kind}")
    if result.shape != images.shape:
        raise ValueError(f"the trigger must return the shape {list(images.shape)}, got {list(result.shape)}")
    if not bool(((result >= 0) & (result <= 1)).all()):  # false for NaN as well
        raise ValueError(
            f"the trigger must return images in [0, 1], got values from {float(result.min()):g} to "
            f"{float(result.max()):g}: clamp them"
        )
    return result.detach()
