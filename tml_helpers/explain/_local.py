"""The local linear model of LIME: weights by distance, weighted ridge regression, and a choice of few features."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tml_helpers.common import check_counts

COLUMNS = 4096  # features that are looked at together where there are more features than samples
FEW = 6  # up to so many features are found by forward selection, as in the package lime


@dataclass(frozen=True, eq=False)
class Samples:
    """What a black box answered around one input, and how the linear model is to be fitted to it."""

    masks: Tensor
    """Which features each sample shares with the input, bool `[M, F]`."""
    answers: Tensor
    """`[M, K]`."""
    distances: Tensor
    """From the input, `[M]`."""
    kernel_width: float
    """σ, in the unit of the distances."""
    alpha: float
    """How much the weights are shrunk, 0 or more."""
    features: int | None
    """How many may have a weight; None for all."""

    def proximity(self, kernel_width: float | None = None) -> Tensor:
        """π = exp(−distance² / 2σ²).

        Args:
            kernel_width: σ, above 0; that of the samples unless given.

        Returns:
            What each sample counts, `[M]`, float64, from 0 to 1.

        Raises:
            ValueError: a width at which no perturbed sample counts.
        """
        width = self.kernel_width if kernel_width is None else kernel_width
        proximity = torch.exp(-(self.distances.double() ** 2) / (2 * width**2))
        perturbed = ~self.masks.all(dim=1)
        if bool(perturbed.any()) and float(proximity[perturbed].sum()) == 0:
            raise ValueError(
                f"kernel_width {width:g} is so small that no sample counts: raise it above "
                f"{float(self.distances[perturbed].min()) / 30:.2g}"
            )
        return proximity


@dataclass(frozen=True, eq=False)
class Line:
    """g = intercept + weights · mask, its weighted R² on the samples, and its value where nothing is hidden."""

    weights: Tensor
    intercept: float
    r2: float
    prediction: float


def cosine_distance(masks: Tensor) -> Tensor:
    """1 − cos(mask, all ones) = 1 − √(share of ones), `[M]`: 0 for the input itself, 1 where all is hidden."""
    return 1 - masks.double().mean(dim=1).sqrt()


def fit_line(samples: Samples, target: int) -> Line:
    """min over w, b of Σ π (f − b − w·mask)² + α|w|², with f the answers for the target."""
    outputs, proximity = samples.answers[:, target].double(), samples.proximity()
    chosen = _choose(samples, outputs, proximity)
    masks = samples.masks if chosen is None else samples.masks[:, chosen]
    found, intercept = ridge(masks, outputs, proximity, samples.alpha)
    errors = outputs - intercept - masks.to(found.dtype) @ found
    weights = found
    if chosen is not None:
        weights = found.new_zeros(samples.masks.shape[1])
        weights[chosen] = found
    return Line(weights, intercept, r_squared(errors, outputs, proximity), intercept + float(found.sum()))


def ridge(masks: Tensor, outputs: Tensor, proximity: Tensor, alpha: float) -> tuple[Tensor, float]:
    """Weighted ridge regression with an intercept, which is not shrunk: weights `[F]` and the intercept.

    Solves for features or for samples, whichever are fewer. α = 0 gives the least-squares solution of least norm.
    """
    total = proximity.sum()
    mean = proximity @ outputs / total
    target = (outputs - mean) * proximity.sqrt()
    if masks.shape[1] <= len(masks):
        inputs = _centred(masks, proximity)
        weights = _solve(inputs.T @ inputs, inputs.T @ target, alpha)
    else:
        gram = torch.zeros(len(masks), len(masks), dtype=torch.float64, device=masks.device)
        for inputs in _blocks(masks, proximity):
            gram += inputs @ inputs.T
        dual = _solve(gram, target, alpha)
        weights = torch.cat([inputs.T @ dual for inputs in _blocks(masks, proximity)])
    means = proximity @ masks.double() / total
    return weights, float(mean - means @ weights)


def r_squared(errors: Tensor, outputs: Tensor, proximity: Tensor) -> float:
    """1 − Σπ·error² / Σπ·(output − mean)²; 1 where the outputs do not vary beyond float32's digits."""
    mean = proximity @ outputs / proximity.sum()
    total = float(proximity @ (outputs - mean) ** 2)
    scale = float(proximity @ outputs**2)
    return 1.0 if total <= 1e-12 * scale else 1 - float(proximity @ errors**2) / total


def forward_path(masks: Tensor, outputs: Tensor, proximity: Tensor, count: int) -> tuple[list[int], list[float]]:
    """Features one by one, each the one that lowers Σπ·error² most, and the loss after 0, 1, …, `count` of them."""
    inputs = _centred(masks, proximity)
    rest = (outputs - proximity @ outputs / proximity.sum()) * proximity.sqrt()
    tiny = 1e-10 * (inputs**2).sum(dim=0)
    path: list[int] = []
    losses = [float(rest @ rest)]
    for _ in range(count):
        lengths = (inputs**2).sum(dim=0)
        gains = torch.where(lengths > tiny, (rest @ inputs) ** 2 / lengths, -1.0)
        gains[path] = -2.0
        best = int(gains.argmax())
        path.append(best)
        if lengths[best] > tiny[best]:  # else it is constant, or a sum of features that are in already
            direction = inputs[:, best] / lengths[best].sqrt()
            rest = rest - (direction @ rest) * direction
            inputs = inputs - torch.outer(direction, direction @ inputs)
        losses.append(float(rest @ rest))
    return path, losses


def _choose(samples: Samples, outputs: Tensor, proximity: Tensor) -> Tensor | None:
    """The features that may have a weight, as lime's `auto` takes them; None for all."""
    count = samples.features
    if count is None or count >= samples.masks.shape[1]:
        return None
    if count <= FEW:
        path, _ = forward_path(samples.masks, outputs, proximity, count)
        return torch.tensor(path, device=samples.masks.device)
    weights, _ = ridge(samples.masks, outputs, proximity, alpha=0.01)
    chosen: Tensor = weights.abs().topk(count).indices
    return chosen


def _centred(masks: Tensor, proximity: Tensor) -> Tensor:
    """The masks less their weighted mean, times √π: float64 `[M, F]`."""
    inputs = masks.double()
    return (inputs - proximity @ inputs / proximity.sum()) * proximity.sqrt()[:, None]


def _blocks(masks: Tensor, proximity: Tensor) -> Iterator[Tensor]:
    for block in masks.split(COLUMNS, dim=1):
        yield _centred(block, proximity)


def _solve(gram: Tensor, target: Tensor, alpha: float) -> Tensor:
    solution: Tensor
    if alpha == 0:
        solution = torch.linalg.pinv(gram, rtol=1e-10, hermitian=True) @ target
    else:
        gram.diagonal().add_(alpha)
        solution = torch.linalg.solve(gram, target)
    return solution


def check_settings(*, samples: int, kernel_width: float, alpha: float, features: int | None) -> None:
    """Raises TypeError or ValueError, in one sentence, for settings that no kind of LIME can work with."""
    check_counts(2, samples=samples)
    if features is not None:
        check_counts(features=features)
    if not kernel_width > 0:
        raise ValueError(f"kernel_width must be above 0, got {kernel_width}")
    if not alpha >= 0:
        raise ValueError(f"alpha must be 0 or more, got {alpha}")


def check_masks(masks: Tensor, count: int, feature: str) -> Tensor:
    """The masks, if they are bool `[M, count]` with at least two rows."""
    if not isinstance(masks, Tensor) or masks.dtype != torch.bool:
        kind = masks.dtype if isinstance(masks, Tensor) else type(masks).__name__
        raise TypeError(f"masks must be a bool tensor, True where a {feature} is visible, got {kind}")
    if masks.ndim != 2 or masks.shape[1] != count or len(masks) < 2:
        raise ValueError(
            f"masks must be [M, {count}] with M ≥ 2 and a column for each {feature}, got {list(masks.shape)}"
        )
    return masks


def check_targets(targets: Sequence[int] | Tensor, count: int) -> list[int]:
    """The targets as integers, if there is one for each of `count` inputs."""
    found = targets.tolist() if isinstance(targets, Tensor) else [int(target) for target in targets]
    if len(found) != count or count == 0:
        raise ValueError(f"there must be one target for each input, and at least one; got {len(found)} for {count}")
    return found


def check_answers(answers: ArrayLike, count: int, target: int) -> Tensor:
    """What `predict` answered, float64 `[M, K]`; ValueError where it is not finite or has no such class."""
    found = torch.from_numpy(np.asarray(answers, dtype=np.float64))
    if found.ndim != 2 or len(found) != count:
        raise ValueError(f"predict must return probabilities [{count}, K], got shape {list(found.shape)}")
    if not bool(torch.isfinite(found).all()):
        raise ValueError("what predict returns must be finite, got NaN or infinity")
    if not 0 <= target < found.shape[1]:
        raise ValueError(f"targets must lie in 0…{found.shape[1] - 1}, got {target}")
    return found
