"""What every poisoner asks of its training set and of its budget: an error is one sentence with its remedy."""

import torch
from torch import Tensor, nn

from tml_helpers.common import check_images, check_labels, check_numbers, draw

_ANYWHERE = nn.Identity()


def check_examples(images: Tensor, labels: Tensor) -> None:
    """Images in [0, 1] `[N, C, H, W]` of float32 or float64, and the class of each."""
    check_images(_ANYWHERE, images)
    check_labels("labels", labels, images)


def check_two_classes(labels: Tensor) -> None:
    """Raises ValueError where all examples are of one class: there is nothing to confuse it with."""
    if int(labels.min()) == int(labels.max()):
        raise ValueError(f"labels must be of two classes or more, got {len(labels)} of class {int(labels[0])} alone")


def check_class(name: str, number: int) -> None:
    """A class index: a whole number of 0 or more."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{name} must be a class index, a whole number, got {number!r}")
    if number < 0:
        raise ValueError(f"{name} must be a class index of 0 or more, got {number}")


def check_epsilon(epsilon: float) -> None:
    """How much a pixel may change, above 0 and at most 1."""
    check_numbers(epsilon=epsilon)
    if not 0 < epsilon <= 1:
        raise ValueError(f"epsilon must lie above 0 and be at most 1, in the unit of the pixels, got {epsilon}")


def check_one_image(name: str, image: Tensor, images: Tensor) -> None:
    """One image of the shape, type and device of the others, in [0, 1]."""
    if not isinstance(image, Tensor) or image.dtype != images.dtype or image.device != images.device:
        kind = f"{image.dtype} on {image.device}" if isinstance(image, Tensor) else type(image).__name__
        raise TypeError(f"{name} must be {images.dtype} on {images.device}, as the images are, got {kind}")
    if image.shape != images.shape[1:]:
        raise ValueError(f"{name} must be one image of shape {list(images.shape[1:])}, got {list(image.shape)}")
    if not bool(((image >= 0) & (image <= 1)).all()):  # false for NaN as well
        raise ValueError(f"{name} must lie in [0, 1], got values from {float(image.min()):g} to {float(image.max()):g}")


def budgeted(fraction: float, labels: Tensor, available: int, *, of: str = "the training set") -> int:
    """round(fraction · N) examples: at least one, and no more than may be changed.

    Args:
        fraction: the budget, a share of all N examples, above 0 and at most 1.
        labels: of all N examples.
        available: how many of them may be changed.
        of: in words, what these are, as "class 3".
    """
    check_numbers(fraction=fraction)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie above 0 and be at most 1, a share of the training set, got {fraction}")
    count = round(fraction * len(labels))
    if count < 1:
        raise ValueError(f"fraction {fraction} of {len(labels)} examples is less than one example: raise it")
    if count > available:
        raise ValueError(
            f"fraction {fraction} of {len(labels)} examples is {count}, but {of} has only {available} to be changed"
        )
    return count


def chosen(candidates: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """`count` of the candidates, drawn without replacement, ascending."""
    order = draw(torch.randperm, len(candidates), device=candidates.device, generator=generator)
    return candidates[order[:count]].sort().values
