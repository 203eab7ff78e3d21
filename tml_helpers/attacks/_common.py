"""What all attacks share: checked inputs, a model that comes back as it was, balls, and what counts as success."""

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers._checks import check_images, check_labels
from tml_helpers.training import evaluating

Loss = Callable[[Tensor, Tensor], Tensor]
"""`loss(logits, labels)`: one number for each image, `[N]`."""


class GradientMaskingWarning(UserWarning):
    """The gradient says nothing about where to go: the model may be constant, untrained, or hide its gradients."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−log p(label) of each image, `[N]`."""
    return F.cross_entropy(logits, labels, reduction="none")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The largest other logit minus the label's, `[N]`: positive where the image is misclassified."""
    others = logits.scatter(1, labels[:, None], -math.inf).amax(dim=1)
    return others - logits.gather(1, labels[:, None]).squeeze(1)


def fooled(logits: Tensor, labels: Tensor, targets: Tensor | None) -> Tensor:
    """Whether each image is no longer called its label or, if there are targets, is called its target, `[N]`."""
    answers = logits.argmax(dim=1)
    return answers != labels if targets is None else answers == targets


@contextlib.contextmanager
def attacked(model: nn.Module) -> Iterator[None]:
    """Inside, the model answers in evaluation mode and gradients are on; afterwards each layer is in its own mode.

    Attacks differentiate with respect to images alone, by `torch.autograd.grad`: parameters keep their gradients.
    """
    with evaluating(model), torch.enable_grad():
        yield


def input_gradient(value: Tensor, leaf: Tensor, *, again: bool = False) -> Tensor:
    """∂value/∂leaf; zeros where the value does not depend on the leaf, or only through an argmax or the like.

    With `again` the graph is kept, to be asked for another value's gradient.
    """
    gradient = None
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value, leaf, retain_graph=again, allow_unused=True)
    return torch.zeros_like(leaf) if gradient is None else gradient


def norms(delta: Tensor, norm: str) -> Tensor:
    """The size of each perturbation, `[N]`, in the norm `"linf"`, `"l2"`, `"l1"` or `"l0"` (pixels that changed)."""
    if norm == "l0":
        return (delta != 0).any(dim=1).flatten(1).sum(dim=1)
    order = {"linf": math.inf, "l2": 2.0, "l1": 1.0}[norm]
    sizes: Tensor = torch.linalg.vector_norm(delta.flatten(1), order, dim=1)
    return sizes


def per_image(values: Tensor) -> Tensor:
    """`[N]` → `[N, 1, 1, 1]`, to be multiplied with images."""
    return values.view(-1, 1, 1, 1)


def project(delta: Tensor, epsilon: float, norm: str) -> Tensor:
    """The nearest perturbation within the ball of radius ε, in the norm `"linf"` or `"l2"`."""
    if norm == "linf":
        return delta.clamp(-epsilon, epsilon)
    return delta * per_image((epsilon / norms(delta, "l2").clamp_min(1e-12)).clamp_max(1.0))


def random_start(images: Tensor, epsilon: float, norm: str, generator: torch.Generator | None) -> Tensor:
    """A point drawn uniformly from the ball around each image, cut to [0, 1]."""
    empty = torch.empty_like(images, memory_format=torch.contiguous_format)  # drawn in the same order for all strides
    if norm == "linf":
        noise = empty.uniform_(-epsilon, epsilon, generator=generator)
    else:
        direction = empty.normal_(generator=generator)
        radius = torch.empty(len(images), device=images.device, dtype=images.dtype).uniform_(generator=generator)
        radius = epsilon * radius ** (1 / images[0].numel())  # uniform in the volume: most of it is near the surface
        noise = direction * per_image(radius / norms(direction, "l2"))
    return (images + noise).clamp(0, 1)


def channels_last(images: Tensor) -> Tensor:
    """The same images `[N, C, H, W]`, laid out as [N, H, W, C] on the CPU, whose convolutions are faster so."""
    if images.device.type != "cpu":
        return images
    _, c, h, w = images.shape  # strides in full: for one channel, PyTorch's memory format leaves them as they are
    return torch.empty_strided(images.shape, (c * h * w, 1, w * c, c), dtype=images.dtype).copy_(images)


def check(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    targets: Tensor | None = None,
    epsilon: float | None = None,
    norm: str | None = None,
    known_norms: tuple[str, ...] = ("linf", "l2"),
) -> None:
    """Raises TypeError or ValueError, in one sentence, for what an attack is not defined on."""
    check_images(model, images)
    check_labels("labels", labels, images)
    if targets is not None:
        check_labels("targets", targets, images)
        if (same := (targets == labels).nonzero().flatten()).numel():
            raise ValueError(
                f"a target must differ from the label; image {int(same[0])} has both {int(labels[same[0]])}: "
                "leave it out, or aim at another class"
            )
    if norm is not None and norm not in known_norms:
        raise ValueError(f"norm must be one of {', '.join(known_norms)}, got {norm!r}")
    if epsilon is not None:
        check_epsilon(epsilon, norm or "linf", images)


def check_epsilon(epsilon: float, norm: str, images: Tensor) -> None:
    """Pixels lie in [0, 1], so a ball has a largest useful radius: 1 in L∞, √(C·H·W) in L2."""
    largest = {"linf": 1.0, "l2": math.sqrt(images[0].numel()), "l1": float(images[0].numel())}[norm]
    if not 0 <= epsilon <= largest:
        hint = f": for {epsilon:g} grey levels pass {epsilon:g}/255" if norm == "linf" and 1 < epsilon <= 255 else ""
        raise ValueError(f"epsilon must lie between 0 and {largest:g} for {norm}, got {epsilon}{hint}")


def check_logits(logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> None:
    """To be called on a model's first answer: finite logits `[N, K]`, and every label and target among the classes."""
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(f"the model must return logits [N, K] for K ≥ 2 classes, got shape {list(logits.shape)}")
    if not torch.isfinite(logits).all():
        raise ValueError(
            "the model's logits are not finite on the clean images: is it trained, and its input in [0, 1]?"
        )
    for name, classes in (("labels", labels), ("targets", targets)):
        if classes is not None and int(classes.max()) >= logits.shape[1]:
            raise ValueError(f"{name} must lie in 0…{logits.shape[1] - 1}, got {int(classes.max())}")


def warn_of_masking(gradient: Tensor, needed: Tensor) -> None:
    """Warn where an image that is `needed` to move (`[N]`, bool) has a gradient of zeros only."""
    lost = int(((gradient.flatten(1) == 0).all(dim=1) & needed).sum())
    if lost:
        warnings.warn(
            f"the gradient is zero for {lost} of {len(gradient)} images: the model is constant there or masks its "
            "gradients, so a failed attack proves nothing; try one without gradients, as attacks.square",
            GradientMaskingWarning,
            stacklevel=4,
        )


def check_finite(adversarial: Tensor) -> Tensor:
    """The adversarial images, unless the model's gradients were no numbers."""
    if not torch.isfinite(adversarial).all():
        raise ValueError("the model's gradient is not a number for some images: does it divide by zero or take log(0)?")
    return adversarial
