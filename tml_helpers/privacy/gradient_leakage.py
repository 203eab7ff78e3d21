"""What a gradient gives away about the data that it was computed from."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tml_helpers.common import check_counts, check_labels, check_logits, draw, evaluating
from tml_helpers.privacy._numbers import check_not_negative, check_positive, kind
from tml_helpers.training import Loss, cross_entropy

Objective = Literal["cosine", "l2"]


class UncertainLabelWarning(UserWarning):
    """The gradient does not show its label by its signs: what was taken for it is a guess."""


@dataclass(frozen=True, eq=False)
class LinearLeak:
    """The input of a linear layer, read off its gradient.

    Args:
        inputs: `[d]`; of one example it is the input itself, of several a mixture.
        residual: the share of the weight's gradient that the input does not explain, from 0 to 1.
        one_example: whether it explains all, up to rounding.
    """

    inputs: Tensor
    residual: float
    one_example: bool


@dataclass(frozen=True, eq=False)
class GradientLeak:
    """Images whose gradient is near the one that was seen.

    Args:
        images: `[N, …]` in [0, 1].
        labels: `[N]`, given, or read off the gradient.
        matching_loss: 1 − cos of the two gradients, or their squared distance relative to the one that was seen.
        losses: the same after each step.
        converged: whether it is below the tolerance. Another image may have this gradient, too.
    """

    images: Tensor
    labels: Tensor
    matching_loss: float
    losses: tuple[float, ...]
    converged: bool


def linear_gradient_leakage(weight_gradient: Tensor, bias_gradient: Tensor) -> LinearLeak:
    """x = ∂L/∂W_i ÷ ∂L/∂b_i, for every unit i of a linear layer whose bias has a gradient.

    For z = W x + b, the chain rule gives ∂L/∂W = (∂L/∂b) xᵀ. All units are used, by least squares.

    Args:
        weight_gradient: ∂L/∂W, `[units, d]`.
        bias_gradient: ∂L/∂b, `[units]`.

    Returns:
        The input, and whether it explains the gradient.

    Raises:
        TypeError: what is no tensor of floating-point numbers.
        ValueError: other shapes, gradients that are not finite, or a gradient of zeros: no unit was active, or nothing
            was left to learn.

    Source: Phong et al., 2018. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    for name, value in (("weight_gradient", weight_gradient), ("bias_gradient", bias_gradient)):
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise TypeError(f"{name} must be a floating-point tensor, got {kind(value)}")
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} must be finite")
    if weight_gradient.ndim != 2 or bias_gradient.shape != weight_gradient.shape[:1] or weight_gradient.numel() == 0:
        raise ValueError(
            f"gradients must be [units, d] of the weight and [units] of the bias, got {list(weight_gradient.shape)} "
            f"and {list(bias_gradient.shape)}"
        )
    weight, bias = weight_gradient.detach().double(), bias_gradient.detach().double()
    if not bias.any():
        raise ValueError("the bias has a gradient of zeros: no unit was active, or the loss is at its minimum")
    bias_size = bias.norm()
    inputs = (bias / bias_size) @ weight / bias_size
    whole = float(weight.norm())
    residual = float((weight - torch.outer(bias, inputs)).norm()) / whole if whole else 0.0
    tolerance = 100 * torch.finfo(weight_gradient.dtype).eps
    return LinearLeak(inputs.to(weight_gradient), min(residual, 1.0), residual <= tolerance)


def gradient_leakage(
    model: nn.Module,
    *,
    gradients: Sequence[Tensor] | Mapping[str, Tensor],
    shape: Sequence[int],
    labels: Tensor | None = None,
    objective: Objective = "cosine",
    steps: int = 300,
    learning_rate: float | None = None,
    total_variation: float = 0.0,
    tolerance: float = 1e-3,
    loss: Loss = cross_entropy,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> GradientLeak:
    """min over x of d(∇_θ L(x, y), g) + w · TV(x): the images whose gradient is the one that was seen.

    - `"l2"`: d = ‖∇ − g‖² / ‖g‖², by L-BFGS ("deep leakage"); it needs a network that is smooth, as with sigmoids.
    - `"cosine"`: d = 1 − cos(∇, g), by Adam on the signs of the gradient, inside [0, 1]; also for ReLU.

    Args:
        model: the network that the gradient was computed with, as it was then; it is used in evaluation mode.
        gradients: g, of all parameters that can be trained: in their order, or by their names.
        shape: `[N, …]`, of the images that are looked for.
        labels: `[N]`, int64. None reads the label off the last layer, which can be done for one image, where the loss
            is a cross-entropy: its entry alone is negative in the bias's gradient.
        objective: how gradients are compared.
        steps: of the search, 1 or more.
        learning_rate: of the search, positive; None for 1 (`"l2"`) or 0.1 (`"cosine"`).
        total_variation: w, 0 or more: the weight of the mean difference of neighbouring pixels.
        tolerance: below which matching loss the search has converged, and ends; positive.
        loss: of the model and a batch, a scalar.
        generator: draws the images to start from; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        The best images found, with how well they match.

    Raises:
        TypeError: gradients that are no tensors, labels that are not int64, or numbers that are not whole.
        ValueError: gradients of other shapes than the parameters', of zeros, or not finite; labels that cannot be read;
            or numbers outside of their range.

    Source: Zhu, Liu and Han, 2019 (`"l2"`); Zhao, Mopuri and Bilen, 2020 (the label); Geiping et al., 2020
    (`"cosine"`). Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    check_counts(steps=steps)
    if objective not in get_args(Objective):
        raise ValueError(f"objective must be one of {', '.join(get_args(Objective))}, got {objective!r}")
    rate = (1.0 if objective == "l2" else 0.1) if learning_rate is None else learning_rate
    check_positive(learning_rate=rate, tolerance=tolerance)
    check_not_negative(total_variation=total_variation)
    if not isinstance(shape, Sequence):
        raise TypeError(f"shape must be [N, …], the shape of the images, got {shape!r}")
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"shape must be [N, …], the shape of the images with their number first, got {list(shape)}")
    seen = _read_gradients(model, gradients)
    start = draw(torch.rand, *shape, device=seen[0].device, generator=generator, dtype=seen[0].dtype)
    if labels is None:
        labels = _label(model, seen, len(start))
    check_labels("labels", labels, start)
    with evaluating(model):
        if loss is cross_entropy:
            with torch.no_grad():
                check_logits(model(start), labels=labels)
        search = _Search(model, seen, labels, objective, total_variation, loss)
        run = search.by_lbfgs if objective == "l2" else search.by_adam
        bar = tqdm(range(steps), desc="steps", disable=None if progress is None else not progress)
        run(start, bar, rate, tolerance)
    if search.best_loss == math.inf:
        raise ValueError("the gradient of no image tried is finite: does the loss divide by zero or take log(0)?")
    return GradientLeak(
        search.best.clamp(0, 1), labels, search.best_loss, tuple(search.losses), search.best_loss < tolerance
    )


class _Search:
    """A search for images with a gradient, which keeps the best that it has seen."""

    def __init__(
        self,
        model: nn.Module,
        seen: Sequence[Tensor],
        labels: Tensor,
        objective: Objective,
        total_variation: float,
        loss: Loss,
    ) -> None:
        self.model, self.labels, self.loss = model, labels, loss
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.seen = torch.cat([part.flatten() for part in seen])
        self.seen = self.seen / self.seen.norm() if objective == "cosine" else self.seen
        self.objective, self.total_variation = objective, total_variation
        self.best, self.best_loss = torch.empty(0), math.inf
        self.losses: list[float] = []

    def value_and_gradient(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What is made small, and how it grows with each pixel."""
        leaf = images.detach().requires_grad_()
        value = self.loss(self.model, leaf, self.labels)
        parts = torch.autograd.grad(value, self.parameters, create_graph=True, allow_unused=True)
        flat = [torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, parts, strict=True)]
        made = torch.cat([part.flatten() for part in flat])
        if self.objective == "cosine":
            distance = 1 - made @ self.seen / made.norm().clamp_min(1e-12)
        else:
            distance = (made - self.seen).square().sum() / self.seen.square().sum()
        if float(distance.detach()) < self.best_loss:
            self.best, self.best_loss = images.detach().clone(), float(distance.detach())
        total = distance + self.total_variation * variation(leaf) if self.total_variation else distance
        (gradient,) = torch.autograd.grad(total, leaf)
        return total.detach(), gradient

    def by_adam(self, start: Tensor, bar: "tqdm[int]", rate: float, tolerance: float) -> None:
        images = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([images], lr=rate)
        drops = [int(part * (bar.total or 1)) for part in (0.4, 0.65, 0.85)]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [drop for drop in drops if drop], gamma=0.1)
        for _ in bar:
            _, gradient = self.value_and_gradient(images)
            self.losses.append(self.best_loss)
            if self.best_loss < tolerance:
                return
            images.grad = gradient.sign()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                images.clamp_(0, 1)
        self.value_and_gradient(images)

    def by_lbfgs(self, start: Tensor, bar: "tqdm[int]", rate: float, tolerance: float) -> None:
        images = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS(
            [images],
            lr=rate,
            max_iter=1,
            max_eval=20,
            history_size=50,
            tolerance_grad=0,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            value, images.grad = self.value_and_gradient(images)
            return value

        for _ in bar:
            before = images.detach().clone()
            optimizer.step(closure)
            self.losses.append(self.best_loss)
            stuck = torch.equal(before, images) or not torch.isfinite(images).all()
            if self.best_loss < tolerance or stuck:
                return


def variation(images: Tensor) -> Tensor:
    """The mean absolute difference of neighbours along the last two dimensions."""
    return sum((images.diff(dim=dim).abs().mean() for dim in (-1, -2)), torch.zeros((), device=images.device))


def _read_gradients(model: nn.Module, gradients: Sequence[Tensor] | Mapping[str, Tensor]) -> list[Tensor]:
    """One gradient for each parameter that can be trained, in order."""
    named = {name: value for name, value in model.named_parameters() if value.requires_grad}
    if isinstance(gradients, Mapping):
        if set(gradients) != set(named):
            raise ValueError(f"gradients must be those of {', '.join(named)}, got {', '.join(gradients)}")
        gradients = [gradients[name] for name in named]
    if not isinstance(gradients, Sequence) or not all(isinstance(gradient, Tensor) for gradient in gradients):
        raise TypeError("gradients must be tensors, as torch.autograd.grad returns them")
    wanted = [list(value.shape) for value in named.values()]
    if not wanted or [list(gradient.shape) for gradient in gradients] != wanted:
        raise ValueError(
            f"gradients must have the shapes of the {len(wanted)} parameters that can be trained, got {len(gradients)} "
            "tensors of other shapes"
        )
    found = [gradient.detach().to(value) for gradient, value in zip(gradients, named.values(), strict=True)]
    if not all(torch.isfinite(gradient).all() for gradient in found):
        raise ValueError("gradients must be finite")
    if not any(gradient.any() for gradient in found):
        raise ValueError("the gradients are zero throughout: they show nothing")
    return found


def _label(model: nn.Module, seen: Sequence[Tensor], count: int) -> Tensor:
    """The class whose logit the step would raise: ∂L/∂z = p − onehot(y) is negative there alone."""
    if count > 1:
        raise ValueError(f"the labels of {count} images cannot be read off one gradient: pass labels")
    last = seen[-1]
    names = [name for name, value in model.named_parameters() if value.requires_grad]
    if last.ndim == 2:
        last = last.sum(dim=1)  # no bias: of inputs that are positive, each row has the sign of ∂L/∂z
    elif last.ndim != 1 or not names[-1].endswith("bias"):
        raise ValueError(f"the label cannot be read off {names[-1]}, which is no linear layer's: pass labels")
    if int((last < 0).sum()) != 1:
        warnings.warn(
            f"{int((last < 0).sum())} classes have a negative gradient where one should: the label is a guess. Was the "
            "gradient of several images, or was noise added?",
            UncertainLabelWarning,
            stacklevel=3,
        )
    return last.argmin().view(1)
