"""What the explanations share: checked inputs, and the score that is explained."""

import torch
from torch import Tensor, nn

from tml_helpers._checks import check_images, check_labels
from tml_helpers.training import evaluating


def check(model: nn.Module, images: Tensor, targets: Tensor) -> None:
    """Raises TypeError or ValueError, in one sentence, for images and targets that cannot be explained."""
    check_images(model, images)
    check_labels("targets", targets, images)


def scores(logits: Tensor, targets: Tensor) -> Tensor:
    """The target's logit of each image, `[N]`; ValueError where the model has no such class or no finite answer."""
    if logits.ndim != 2:
        raise ValueError(f"the model must return logits [N, K], got shape {list(logits.shape)}")
    if int(targets.max()) >= logits.shape[1]:
        raise ValueError(f"targets must lie in 0…{logits.shape[1] - 1}, got {int(targets.max())}")
    chosen = logits.gather(1, targets[:, None]).squeeze(1)
    if not torch.isfinite(chosen).all():
        raise ValueError("the model's logits are not finite: is it trained, and its input in [0, 1]?")
    return chosen


@torch.no_grad()
def answers(model: nn.Module, images: Tensor, targets: Tensor, *, batch_size: int) -> Tensor:
    """The target's logit of each image, `[N]`, asked in batches, in evaluation mode, without gradients."""
    parts = zip(images.split(batch_size), targets.split(batch_size), strict=True)
    with evaluating(model):
        return torch.cat([scores(model(part.clone()), chosen).to(images.dtype) for part, chosen in parts])


def input_gradients(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """∂(target's logit)/∂x of each image, `[N, C, H, W]`: zeros where the logit does not depend on it.

    The parameters' gradients are left alone. The model sees a copy, lest it change the images in place.
    """
    with evaluating(model), torch.enable_grad():
        leaf = images.detach().requires_grad_()
        value = scores(model(leaf.clone()), targets).sum()
        gradient = torch.autograd.grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
    if gradient is None:
        return torch.zeros_like(images)
    return finite(gradient)


def finite(gradient: Tensor) -> Tensor:
    """The gradient, unless it holds what is no number."""
    if not torch.isfinite(gradient).all():
        raise ValueError("the model's gradient is not a number for some images: does it divide by zero or take log(0)?")
    return gradient


def baseline_like(baseline: Tensor | float, images: Tensor) -> Tensor:
    """The picture that stands for "nothing there", `[N, C, H, W]`: a number, or a tensor that broadcasts to it."""
    spread = torch.as_tensor(baseline, dtype=images.dtype, device=images.device).detach()
    if not torch.isfinite(spread).all():
        raise ValueError("baseline must be finite: a number, or images")
    try:
        return spread.expand(images.shape)
    except RuntimeError:
        raise ValueError(
            f"baseline must be a number or broadcast to the images {list(images.shape)}, got shape {list(spread.shape)}"
        ) from None


def check_counts(**counts: int) -> None:
    """Raises ValueError for a count below 1."""
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} must be a whole number of 1 or more, got {count!r}")
