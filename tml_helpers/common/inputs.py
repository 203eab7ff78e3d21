"""What a method asks of its model, images and classes: an error is one sentence with its remedy."""

import itertools
from numbers import Real

import torch
from torch import Tensor, nn


def home(model: nn.Module) -> torch.device | None:
    """The device of a model.

    Args:
        model: any network.

    Returns:
        Where its parameters and buffers are; None for a model that has neither, and answers anywhere.
    """
    first = next(itertools.chain(model.parameters(), model.buffers()), None)
    return None if first is None else first.device


def check_network(model: object) -> None:
    """A network of PyTorch, no bare function.

    Args:
        model: what was given.

    Raises:
        TypeError: it is no `nn.Module`.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model must be an nn.Module, got {type(model).__name__}: wrap a function in one")


def check_images(model: nn.Module, images: Tensor) -> None:
    """Floating-point images in [0, 1], where the model is.

    Args:
        model: maps images to logits; a model without parameters is everywhere at home.
        images: `[N, C, H, W]`, float32 or float64, at least one.

    Raises:
        TypeError: a model that is no network, or images of another kind, another type or another device than its own.
        ValueError: another shape, no image, or values outside [0, 1].
    """
    check_network(model)
    if not isinstance(images, Tensor) or images.dtype not in (torch.float32, torch.float64):
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images must be a float32 or float64 tensor, got {kind}: pass images.float()")
    if images.ndim != 4 or images.numel() == 0:
        raise ValueError(f"images must be a non-empty [N, C, H, W] tensor, got shape {list(images.shape)}")
    lowest, highest = (float(bound) for bound in images.detach().aminmax())
    if not (lowest >= 0 and highest <= 1):  # false for NaN as well
        raise ValueError(
            f"images must lie in [0, 1], got values from {lowest:g} to {highest:g}: is a division missing?"
        )
    weight = next(model.parameters(), None)
    if weight is not None and (weight.dtype, weight.device) != (images.dtype, images.device):
        raise TypeError(
            f"the model is {weight.dtype} on {weight.device}, but the images are {images.dtype} on {images.device}: "
            "move one to the other's device and type"
        )


def check_labels(name: str, labels: Tensor, images: Tensor) -> None:
    """One class index for each image.

    Args:
        name: what the caller calls them, as "targets".
        labels: `[N]`, int64, 0 or more, on the images' device.
        images: `[N, …]`.

    Raises:
        TypeError: another kind or type.
        ValueError: another shape or device, or an index below 0.
    """
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(f"{name} must be an int64 tensor of class indices, got {kind}")
    if labels.shape != images.shape[:1] or labels.device != images.device:
        raise ValueError(
            f"{name} must have shape [{len(images)}] on {images.device}, got {list(labels.shape)} on {labels.device}"
        )
    if int(labels.min()) < 0:
        raise ValueError(f"{name} must be class indices of 0 or more, got {int(labels.min())}")


def check_logits(logits: Tensor, **classes: Tensor | None) -> None:
    """A model's first answer: finite logits, in which every class that is named occurs.

    Args:
        logits: `[N, K]` for K ≥ 2 classes.
        classes: by name, as `labels=…`, class indices `[N]`; None is left out.

    Raises:
        TypeError: an answer that is no tensor.
        ValueError: another shape, a logit that is not finite, or a class of K or more.
    """
    if not isinstance(logits, Tensor):
        raise TypeError(f"the model must return one tensor, of logits [N, K], got {type(logits).__name__}")
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(f"the model must return logits [N, K] for K ≥ 2 classes, got shape {list(logits.shape)}")
    if not torch.isfinite(logits).all():
        raise ValueError(
            "the model's logits are not finite on the clean images: has it been trained, and is its input in [0, 1]?"
        )
    for name, indices in classes.items():
        if indices is not None and int(indices.max()) >= logits.shape[1]:
            raise ValueError(f"{name} must lie in 0…{logits.shape[1] - 1}, got {int(indices.max())}")


def check_counts(least: int = 1, **counts: int) -> None:
    """Whole numbers of `least` or more.

    Args:
        least: the smallest that is allowed.
        counts: by name, as `steps=…`.

    Raises:
        TypeError: what is no whole number.
        ValueError: a number below `least`.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"{name} must be a whole number of {least} or more, got {count!r}")
        if count < least:
            raise ValueError(f"{name} must be a whole number of {least} or more, got {count}")


def check_numbers(**numbers: float) -> None:
    """Real numbers, of Python or NumPy: no truth values, no words, no tensors.

    Args:
        numbers: by name, as `temperature=…`.

    Raises:
        TypeError: what is no number.
    """
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Real):
            raise TypeError(f"{name} must be a number, got {number!r}")


def check_absent(because: str, **arguments: object) -> None:
    """What would be ignored is refused.

    Args:
        because: what stands in the way, as "masks are given".
        arguments: by name, as `samples=…`; None is absent.

    Raises:
        ValueError: one that is there.
    """
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(f"{name} has no effect where {because}: leave it out")
