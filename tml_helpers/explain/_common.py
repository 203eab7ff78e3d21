"""What explanations share: what can be explained, the score that is explained, and its gradient."""

import torch
from torch import Tensor, nn

from tml_helpers.common import (
    answer_and_gradient,
    check_gradient,
    check_images,
    check_labels,
    differentiable,
    evaluating,
    warn_of_masking,
)


def check_explainable(model: nn.Module, images: Tensor, targets: Tensor) -> None:
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
        raise ValueError("the model's logits are not finite: has it been trained, and is its input in [0, 1]?")
    return chosen


@torch.no_grad()
def answers(model: nn.Module, images: Tensor, targets: Tensor, *, batch_size: int) -> Tensor:
    """The target's logit of each image, `[N]`, asked in batches, in evaluation mode, without gradients."""
    parts = zip(images.split(batch_size), targets.split(batch_size), strict=True)
    with evaluating(model):
        return torch.cat([scores(model(part.clone()), chosen).to(images.dtype) for part, chosen in parts])


def input_gradients(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """∂(target's logit)/∂x of each image, `[N, C, H, W]`: zeros where the logit does not depend on it."""
    with differentiable(model):
        _, gradient = answer_and_gradient(model, images, lambda logits: scores(logits, targets))
    return check_gradient(gradient)


def warn_of_no_gradient(gradient: Tensor) -> None:
    """Warn of images whose gradient `[N, …]` is zero everywhere, which says nothing about what they rest on."""
    warn_of_masking(gradient, so="it does not say what the answer rests on; try explain.occlusion, which needs none")


def baseline_like(baseline: Tensor | float, images: Tensor) -> Tensor:
    """The picture that stands for "nothing there", `[N, C, H, W]`: a number, or a tensor that broadcasts to it."""
    check_home("baseline", baseline, images)
    spread = torch.as_tensor(baseline, dtype=images.dtype, device=images.device).detach()
    if not torch.isfinite(spread).all():
        raise ValueError("baseline must be finite: a number, or images")
    try:
        return spread.expand(images.shape)
    except RuntimeError:
        raise ValueError(
            f"baseline must be a number or broadcast to the images {list(images.shape)}, got shape {list(spread.shape)}"
        ) from None


def check_home(name: str, value: object, images: Tensor) -> None:
    """Raises ValueError for a tensor that lies on another device than the images."""
    if isinstance(value, Tensor) and value.device != images.device:
        raise ValueError(f"{name} must be on {images.device}, as the images are, got {value.device}")
