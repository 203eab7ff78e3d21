"""LIME on photographs: hide superpixels, ask again, and fit a linear model to the answers."""

import torch
from torch import Tensor, nn

from tml_helpers.common import check_absent, check_counts, evaluating
from tml_helpers.explain._common import check_explainable, check_home, scores
from tml_helpers.explain._designs import DESIGNS
from tml_helpers.explain._local import Samples, check_masks, check_settings, cosine_distance
from tml_helpers.explain.explanation import ImageExplanation, fitted
from tml_helpers.explain.quickshift_segments import quickshift_segments
from tml_helpers.kernels.superpixels import superpixels

COMPOSED = 32  # masked images that are made at once, where the model takes fewer at a time


def lime_image(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    segments: Tensor | None = None,
    hidden: Tensor | float | None = None,
    samples: int | None = None,
    design: str | None = None,
    masks: Tensor | None = None,
    kernel_width: float = 0.25,
    alpha: float = 1.0,
    features: int | None = None,
    batch_size: int = 8,
    generator: torch.Generator | None = None,
) -> list[ImageExplanation]:
    """argmin over g of Σ π(z′) (p_target(x_z′) − g(z′))² + α|w|²: which superpixels speak for the target.

    What is explained is the target's probability, as in the package lime. π = exp(−d²/2σ²), with d the cosine
    distance between a mask and all ones.

    Args:
        model, images, targets: as of `saliency`, for K ≥ 2 classes.
        segments: int64 `[N, H, W]`, or `[H, W]` for all, where the images are, by any labels, which weights follow in
            ascending order; `quickshift_segments(images)` unless given.
        hidden: what a hidden superpixel shows: a number, a colour `[C]` or an image `[C, H, W]`; its mean colour unless
            given.
        samples: how many images the model is asked about, 2 or more, the first of which is the image itself; 1000
            unless given.
        design: what the others hide. `"coins"`, each superpixel by a fair coin, as lime does, unless given;
            `"hadamard"`, rows of a Hadamard matrix and their complements, whose weights vary less from seed to seed.
        masks: bool `[M, S]`, True where visible, where the images are, instead of a draw: without `samples`, `design`
            and `generator`.
        kernel_width: σ, above 0.
        alpha: shrinks the weights; 0 does not.
        features: how many superpixels may have a weight, 1 or more, chosen as lime's `auto` does; all unless given.
        batch_size: how many images go through the model at a time; so many, or 32, are in memory.
        generator: draws the masks, on any device.

    Returns:
        One explanation for each image; `.about(k)` explains class k from the same answers.

    Raises:
        TypeError: another kind, type or device.
        ValueError: as of `saliency`, a shape, number or name that does not fit, or an argument that would be ignored.

    Source: Ribeiro, Singh and Guestrin, 2016. Derived in: lectures/40_interpretability/lime
    """
    check_explainable(model, images, targets)
    if masks is not None:
        check_absent("masks are given", samples=samples, design=design, generator=generator)
        check_home("masks", masks, images)
    samples, design = 1000 if samples is None else samples, "coins" if design is None else design
    check_settings(samples=samples, kernel_width=kernel_width, alpha=alpha, features=features)
    check_counts(batch_size=batch_size)
    check_home("hidden", hidden, images)
    if design not in DESIGNS:
        raise ValueError(f"design must be one of {', '.join(DESIGNS)}, got {design!r}")
    parts = quickshift_segments(images) if segments is None else _segments(segments, images)
    explanations = []
    for image, target, labels in zip(images.detach(), targets.tolist(), parts, strict=True):
        _, places = labels.unique(return_inverse=True)  # labels in any order and with gaps become 0…S − 1
        count = int(places.max()) + 1
        if masks is None:
            shown = _first_is_the_image(DESIGNS[design](samples - 1, count, generator)).to(image.device)
        else:
            shown = check_masks(masks, count, "superpixel")
        answers = _probabilities(model, image, target, places, shown, hidden, batch_size)
        asked = Samples(shown, answers, cosine_distance(shown), kernel_width, alpha, features)
        names = tuple(f"superpixel {i}" for i in range(count))
        explanations.append(ImageExplanation(names=names, segments=places, **fitted(asked, target)))
    return explanations


def _probabilities(
    model: nn.Module,
    image: Tensor,
    target: int,
    segments: Tensor,
    masks: Tensor,
    hidden: Tensor | float | None,
    size: int,
) -> Tensor:
    """The probabilities `[M, K]` of the masked images, asked batch by batch."""
    fill = _mean_colours(image, segments, masks.shape[1]) if hidden is None else hidden
    on_cpu = image.device.type == "cpu"  # whose convolutions are faster with the channels last
    logits = []
    with torch.inference_mode(), evaluating(model):
        for some in masks.split(max(size, COMPOSED)):
            pictures = superpixels(image, segments, some, fill=fill, channels_last=on_cpu)
            answers = torch.cat([model(batch) for batch in pictures.split(size)])
            scores(answers, torch.full((len(some),), target, device=image.device))
            logits.append(answers)
    if logits[0].shape[1] < 2:
        raise ValueError(
            "the model must return logits [N, K] for K ≥ 2 classes, got K = 1: its probability is always 1"
        )
    return torch.cat(logits).softmax(dim=1)


def _mean_colours(image: Tensor, segments: Tensor, count: int) -> Tensor:
    """The image in which each superpixel has its mean colour, `[C, H, W]`."""
    sums = torch.zeros(len(image), count, dtype=torch.float64, device=image.device)
    sums.index_add_(1, segments.flatten(), image.flatten(1).double())
    means = sums / segments.flatten().bincount(minlength=count)
    return means.to(image.dtype)[:, segments]


def _first_is_the_image(masks: Tensor) -> Tensor:
    return torch.cat([masks.new_ones(1, masks.shape[1]), masks])


def _segments(segments: Tensor, images: Tensor) -> Tensor:
    if not isinstance(segments, Tensor) or segments.dtype != torch.int64:
        kind = segments.dtype if isinstance(segments, Tensor) else type(segments).__name__
        raise TypeError(f"segments must be an int64 tensor, got {kind}")
    size = (len(images), *images.shape[2:])
    if segments.shape not in (size, size[1:]):
        raise ValueError(f"segments must be {list(size)} or {list(size[1:])}, got shape {list(segments.shape)}")
    check_home("segments", segments, images)
    return segments.expand(size)
