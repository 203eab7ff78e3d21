"""Which small patch turns every image into class k? For a backdoored model, one class needs far less (Wang et al.)."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from tml_helpers.common import (
    check_counts,
    check_generator,
    check_gradient,
    check_images,
    check_logits,
    check_numbers,
    differentiable,
    draw,
    warn_of_masking,
)
from tml_helpers.training import predict

__all__ = ["ReconstructedTriggers", "TriggerNotReachedWarning", "reconstruct_trigger"]

DEVIATION = 1.4826
"""The standard deviation of normal numbers, in units of their median distance from the median."""

FASTER, SLOWER = 1.1, 1.1**1.5
"""By what λ is multiplied after a step with success, and divided after one without."""

MEMORY = 0.7
"""Share of the past in the running mean of the success."""

GROWTH, GROWTHS = 1.05, 20
"""A mask whose success is short over all images grows by such steps, at most so often."""


class TriggerNotReachedWarning(UserWarning):
    """For some classes no trigger with the success that was asked for was found: their masks have no size to compare.

    Derived in: lectures/30_poisoning/defenses
    """


@dataclass(frozen=True, eq=False)
class ReconstructedTriggers:
    """For every class k the smallest trigger that was found, x ↦ (1 − m) x + m τ, and how it stands out."""

    masks: Tensor
    """m, `[K, H, W]` in [0, 1]."""
    patterns: Tensor
    """τ, `[K, C, H, W]` in [0, 1]; where the mask is 0, it means nothing."""
    successes: Tensor
    """`[K]`, float64: the share of the images not of class k beforehand that the trigger turns into class k.

    NaN for a class that the model gives to all images as they are: there is nothing to turn.
    """
    demanded: float
    """The success that was asked for."""

    @property
    def sizes(self) -> Tensor:
        """‖m_k‖₁, `[K]`, float64, in pixels: only where `reached` is the size of a trigger."""
        return self.masks.double().sum(dim=(1, 2))

    @property
    def reached(self) -> Tensor:
        """`[K]`, bool: whether the trigger has the success that was asked for."""
        return self.successes >= self.demanded

    @property
    def suspect(self) -> int | None:
        """The class with the smallest mask among those that were reached, an answer for *every* model; None for none.

        Whether it is small enough to accuse somebody, `p_value` says.
        """
        if not bool(self.reached.any()):
            return None
        return int(self.sizes.where(self.reached, self.sizes.new_tensor(math.inf)).argmin())

    @property
    def log_ratio(self) -> float:
        """r = log(second smallest size / smallest size), of the classes that were reached; NaN for fewer than two."""
        sizes = self.sizes[self.reached].sort().values
        return float((sizes[1] / sizes[0]).log()) if len(sizes) > 1 else math.nan

    @property
    def anomaly_index(self) -> Tensor:
        """(median − size) / (1.4826 · MAD), `[K]`, float64: the paper's rule accuses a class above 2.

        Over the classes that were reached, NaN for the others. For few classes it is no test: clean models exceed 2.
        """
        sizes = self.sizes.where(self.reached, self.sizes.new_tensor(math.nan))
        below = sizes.nanquantile(0.5) - sizes
        deviation = DEVIATION * below.abs().nanquantile(0.5)
        return torch.where(below == 0, below, below / deviation)  # 0 / 0, where most sizes are equal, is no anomaly

    def p_value(self, clean: Sequence["ReconstructedTriggers"]) -> float:
        """(1 + #{clean models with r at least as large}) / (1 + #clean models).

        Exact for a model that was trained as the clean ones were, on clean data: then all places in the order of the
        r are equally likely. It can't be smaller than 1 / (1 + #clean models).

        Args:
            clean: reconstructions of models that are known to be clean, of the same build, data and training, made with
                the same settings; one or more.

        Returns:
            The p-value, above 0 and at most 1.

        Raises:
            TypeError: clean is something else.
            ValueError: no clean model, another number of classes or another success than this one's, or a model of
                which fewer than two classes were reached.
        """
        if not isinstance(clean, Sequence) or not all(isinstance(one, ReconstructedTriggers) for one in clean):
            raise TypeError("clean must be a list of ReconstructedTriggers, one for each clean model")
        if not clean:
            raise ValueError("clean must have a model or more: without clean models there is no p-value")
        for one in clean:
            if (len(one.masks), one.demanded) != (len(self.masks), self.demanded):
                raise ValueError(
                    f"clean models must be searched alike, for {len(self.masks)} classes and a success of "
                    f"{self.demanded}, got {len(one.masks)} and {one.demanded}"
                )
        ratios = [one.log_ratio for one in (self, *clean)]
        if any(math.isnan(ratio) for ratio in ratios):
            raise ValueError("of some model fewer than two classes were reached: search with more steps")
        return sum(ratio >= ratios[0] for ratio in ratios) / len(ratios)

    def stamped(self, images: Tensor, label: int) -> Tensor:
        """(1 − m_k) x + m_k τ_k: images with the trigger that was found for one class.

        Args:
            images: `[N, C, H, W]` in [0, 1], of the size that was searched.
            label: k, which class.

        Returns:
            `[N, C, H, W]` in [0, 1].

        Raises:
            TypeError: images or a label of another kind.
            ValueError: images of another shape or range, or no such class.
        """
        check_images(nn.Identity(), images)
        check_counts(0, label=label)
        if label >= len(self.masks):
            raise ValueError(f"label must be one of the {len(self.masks)} classes that were searched, got {label}")
        if images.shape[1:] != self.patterns.shape[1:]:
            raise ValueError(
                f"images must have the shape that was searched, {list(self.patterns.shape[1:])}, "
                f"got {list(images.shape[1:])}"
            )
        return _stamp(images, self.masks[label, None].to(images), self.patterns[label].to(images))


def reconstruct_trigger(
    model: nn.Module,
    images: Tensor,
    *,
    success: float = 0.95,
    steps: int = 100,
    per_step: int = 32,
    penalty: float = 1.0,
    norm: int = 1,
    learning_rate: float = 0.1,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> ReconstructedTriggers:
    """min over m, τ of CE(f((1 − m) x + m τ), k) + λ ‖m‖ / (H·W), for every class k.

    All classes are searched in one pass. λ rises while the trigger works and falls while it doesn't, for every class by
    itself; the smallest mask that worked is kept. At the end each is tried on all images, and grows until it works on
    the share that was asked for: then the sizes of different classes can be compared.

    Images that the model gives class k as they are don't count for k: they would flatter every trigger.

    Args:
        model: maps images to logits `[N, K]`.
        images: clean ones, `[N, C, H, W]` in [0, 1]: a hundred are few, a thousand are many. No labels are needed.
        success: the share of images that a trigger must turn, above 0 and at most 1.
        steps: of Adam, 1 or more.
        per_step: images drawn for each step, the same for all classes, 1 or more.
        penalty: λ at the beginning, above 0.
        norm: 1 for the sum of the mask, 2 for the sum of its squares. `sizes` are sums in any case.
        learning_rate: Adam's, above 0; it moves logits of masks and patterns.
        batch_size: images at a time in the model: classes are searched in groups of batch_size / per_step, one at
            least. It changes memory and speed, and no result beyond rounding.
        generator: draws the images of each step; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        Masks, patterns and what they reach.

    Raises:
        TypeError: images, numbers or a generator of another kind.
        ValueError: shapes or values out of range, logits that are not finite, or no gradients to ask for.

    Warns:
        TriggerNotReachedWarning: for some classes no trigger with this success was found.
        GradientMaskingWarning: for some classes the model shows no gradient.

    Source: Wang et al., 2019 (Neural Cleanse). Derived in: lectures/30_poisoning/defenses
    """
    _check_settings(success, penalty, norm, learning_rate)
    check_counts(steps=steps, per_step=per_step, batch_size=batch_size)
    check_generator(generator)
    check_images(model, images)
    if torch.is_inference_mode_enabled():
        raise ValueError("there are no gradients under torch.inference_mode(): leave it")
    images = images.detach()
    logits = predict(model, images, batch_size=batch_size)
    check_logits(logits)
    before = logits.argmax(dim=1)
    order = draw(torch.randint, len(images), (steps, per_step), device=images.device, generator=generator)
    settings = _Settings(success, penalty, norm, learning_rate)
    groups = torch.arange(logits.shape[1], device=images.device).split(max(1, batch_size // per_step))
    with (
        differentiable(model),
        tqdm(total=len(groups) * steps, desc="triggers", disable=None if progress is None else not progress) as bar,
    ):
        found = [_search(model, images, before, group, order, settings, bar) for group in groups]
    masks, patterns = (torch.cat(parts) for parts in zip(*found, strict=True))
    masks, successes = _grown(model, images, before, masks, patterns, success, batch_size)
    result = ReconstructedTriggers(masks.squeeze(1), patterns, successes, float(success))
    _warn_of_missing(result)
    return result


@dataclass(frozen=True)
class _Settings:
    success: float
    penalty: float
    norm: int
    learning_rate: float


def _search(
    model: nn.Module,
    images: Tensor,
    before: Tensor,
    classes: Tensor,
    order: Tensor,
    settings: _Settings,
    bar: "tqdm[None]",
) -> tuple[Tensor, Tensor]:
    """The smallest masks `[K, 1, H, W]` that worked in the running mean, and their patterns `[K, C, H, W]`."""
    shape = images.shape[1:]
    leaves = [images.new_zeros(len(classes), channels, *shape[1:]).requires_grad_() for channels in (1, shape[0])]
    optimizer = torch.optim.Adam(leaves, lr=settings.learning_rate, betas=(0.5, 0.9))
    weight = images.new_full((len(classes),), settings.penalty)
    running = images.new_zeros(len(classes))
    best = images.new_full((len(classes),), math.inf)
    kept: tuple[Tensor, Tensor] | None = None
    for step, chosen in enumerate(order):
        masks, patterns = (leaf.sigmoid() for leaf in leaves)
        loss, worked = _loss(model, images[chosen], before[chosen] != classes[:, None], classes, masks, patterns)
        size = masks.pow(settings.norm).mean(dim=(1, 2, 3))
        optimizer.zero_grad()
        found = torch.autograd.grad((loss + weight * size).sum(), leaves, allow_unused=True)
        gradients = [torch.zeros_like(leaf) if one is None else one for one, leaf in zip(found, leaves, strict=True)]
        if step == 0:
            warn_of_masking(gradients[1], loss > 0, so="nothing is searched there, and its trigger means nothing")
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = check_gradient(gradient)
        now = (masks.detach(), patterns.detach())
        running = MEMORY * running + (1 - MEMORY) * worked
        area = now[0].sum(dim=(1, 2, 3))
        better = (running >= settings.success) & (worked >= settings.success) & (area < best)
        best = torch.where(better, area, best)
        kept = now if kept is None else _where(better, now, kept)
        weight = torch.where(worked >= settings.success, weight * FASTER, weight / SLOWER)
        optimizer.step()
        bar.update()
    assert kept is not None  # there is a step
    last = (leaves[0].detach().sigmoid(), leaves[1].detach().sigmoid())
    return _where(best.isfinite(), kept, last)


def _loss(
    model: nn.Module, images: Tensor, others: Tensor, classes: Tensor, masks: Tensor, patterns: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and success of each class's trigger on the images not of its class, `[K]` both."""
    count = others.sum(dim=1).clamp(min=1)
    logits = model(_stamp(images, masks[:, None], patterns[:, None]).flatten(0, 1))
    targets = classes.repeat_interleave(len(images))
    losses = F.cross_entropy(logits, targets, reduction="none").view_as(others)
    hits = (logits.argmax(dim=1) == targets).view_as(others)
    return (losses * others).sum(dim=1) / count, ((hits & others).sum(dim=1) / count).to(images)


def _grown(
    model: nn.Module,
    images: Tensor,
    before: Tensor,
    masks: Tensor,
    patterns: Tensor,
    success: float,
    batch_size: int,
) -> tuple[Tensor, Tensor]:
    """Masks that work on the share of *all* images that was asked for, where that can be had; and their success."""
    found, successes = masks.clone(), torch.zeros(len(masks), dtype=torch.float64, device=masks.device)
    for k in range(len(masks)):
        others = images[before != k]
        if len(others) == 0:
            successes[k] = math.nan
            continue
        for growth in range(GROWTHS + 1):
            found[k] = (GROWTH**growth * masks[k]).clamp(max=1)
            answers = predict(model, _stamp(others, found[k], patterns[k]), batch_size=batch_size).argmax(dim=1)
            successes[k] = (answers == k).double().mean()
            if successes[k] >= success:
                break
    return found, successes


def _stamp(images: Tensor, masks: Tensor, patterns: Tensor) -> Tensor:
    return (1 - masks) * images + masks * patterns


def _where(chosen: Tensor, these: tuple[Tensor, Tensor], those: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Mask and pattern of the classes that are chosen from these, of the rest from those."""
    picked = chosen.view(-1, 1, 1, 1)
    return torch.where(picked, these[0], those[0]), torch.where(picked, these[1], those[1])


def _check_settings(success: float, penalty: float, norm: int, learning_rate: float) -> None:
    check_numbers(success=success, penalty=penalty, norm=norm, learning_rate=learning_rate)
    if not 0 < success <= 1:
        raise ValueError(f"success must lie above 0 and be at most 1, a share of the images, got {success}")
    if norm not in (1, 2):
        raise ValueError(f"norm must be 1 or 2, got {norm}")
    for name, number in (("penalty", penalty), ("learning_rate", learning_rate)):
        if not 0 < number < math.inf:
            raise ValueError(f"{name} must be a number above 0, got {number}")


def _warn_of_missing(result: ReconstructedTriggers) -> None:
    missing = (result.successes < result.demanded).nonzero().squeeze(1).tolist()
    if missing:
        warnings.warn(
            f"no trigger with a success of {result.demanded} was found for classes {missing}: their sizes say nothing, "
            "search with more steps",
            TriggerNotReachedWarning,
            stacklevel=3,
        )
