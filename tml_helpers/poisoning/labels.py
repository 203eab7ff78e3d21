"""Wrong labels, by chance or by an enemy: images stay as they are, and exactly so many labels are changed."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tml_helpers.common import check_counts, check_labels, check_numbers, draw, own_generator
from tml_helpers.poisoning._checks import budgeted, check_examples, check_two_classes
from tml_helpers.poisoning.noisy_labels import check_transition
from tml_helpers.poisoning.poison import Poison

__all__ = ["AdversarialFlips", "FlippedLabels", "adversarial_label_flips", "flip_labels"]

WEIGHT = 0.1
"""Of the margin, and of the random plane, beside the share α / C in the order of flips: β₁ and β₂ of the paper."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class FlippedLabels(Poison):
    """A training set some of whose labels are wrong, and how often each class is called what."""

    transition: Tensor
    """`[K, K]`, float64 on the CPU: the share of class a that is now called b; one without examples keeps its name."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AdversarialFlips(Poison):
    """A training set of two classes whose flipped labels were chosen against a support vector machine."""

    hinge: float
    """The mean hinge loss, on the labels as they were, of the machine that is trained on the flipped ones."""
    clean_hinge: float
    """The same of the machine that is trained on the labels as they were: the attack made of it `hinge`."""
    cosine: float
    """Of the angle between the normals of the two machines: 1 where nothing was turned, −1 where all was."""


def flip_labels(
    images: Tensor,
    labels: Tensor,
    *,
    fraction: float,
    classes: int,
    transition: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> FlippedLabels:
    """Exactly round(fraction · N) labels become *wrong* ones, drawn among the other classes.

    A label that is drawn anew among all K classes is right again once in K times: of 40 % redrawn labels, 36 % are
    wrong where there are ten classes. Here 40 % are wrong.

    Args:
        images: `[N, C, H, W]` in [0, 1]; they stay as they are.
        labels: `[N]`, int64, the true classes, of two or more.
        fraction: the share of all labels that becomes wrong, above 0 and at most 1.
        classes: K, of which the wrong ones are drawn.
        transition: `[K, K]`, T_ab = P(seen b | true a): the wrong class b of an example of class a is drawn in
            proportion to T_ab, and which examples are hit in proportion to 1 − T_aa. None for all alike.
        generator: draws; on any device.

    Returns:
        The training set with its wrong labels, and the shares that came out.

    Raises:
        TypeError: images, labels or a matrix of another kind, or numbers that are none.
        ValueError: shapes or values out of range, one class only, a label of `classes` or more, a fraction of less than
            one label, or more than may be changed, or rows that are no probabilities.

    Source: Biggio, Nelson and Laskov, 2011. Derived in: lectures/30_poisoning/labels
    """
    check_examples(images, labels)
    check_two_classes(labels)
    check_counts(2, classes=classes)
    if int(labels.max()) >= classes:
        raise ValueError(f"labels must lie in 0…{classes - 1}, as classes is {classes}, got {int(labels.max())}")
    chances = torch.full((classes, classes), 1 / (classes - 1), dtype=torch.float64)
    if transition is not None:
        check_transition(transition)
        if len(transition) != classes:
            raise ValueError(f"transition must have shape [{classes}, {classes}], got {list(transition.shape)}")
        chances = transition.detach().double().cpu().clone()
    chances.fill_diagonal_(0)
    true, own = labels.cpu(), own_generator(generator)
    weights = chances.sum(dim=1)[true]
    count = budgeted(fraction, labels, int((weights > 0).sum()))
    lots = draw(torch.rand, len(true), device="cpu", generator=own, dtype=torch.float64)
    indices = _heaviest(weights, lots, count)
    steps = chances[true[indices]].cumsum(dim=1)
    aim = draw(torch.rand, count, 1, device="cpu", generator=own, dtype=torch.float64)
    wrong = (aim >= steps / steps[:, -1:]).sum(dim=1)
    flipped = labels.clone()
    flipped[indices.to(labels.device)] = wrong.to(labels.device)
    return FlippedLabels(
        images.clone(),
        flipped,
        indices.to(labels.device),
        images[indices.to(labels.device)],
        labels[indices.to(labels.device)],
        transition=_shares(true, flipped.cpu(), classes),
    )


def adversarial_label_flips(
    inputs: Tensor,
    labels: Tensor,
    *,
    fraction: float,
    penalty: float = 1.0,
    gamma: float | None = None,
    restarts: int = 20,
    generator: torch.Generator | None = None,
) -> AdversarialFlips:
    """The round(fraction · N) flips that turn a support vector machine: first of all those that it never looked at.

    Of the machine on the true labels, an example that lies far on its own side has α = 0: it does not hold the plane.
    Called wrong, it becomes a support vector with the largest α there is. So the examples are ordered by
    α_i / C − 0.1 · margin_i − 0.1 · margin of i to a random plane, and the first ones are flipped. Each restart draws
    another plane and trains a machine; kept is the set whose machine is worst on the true labels, by its hinge loss.
    (The paper keeps the one of the largest angle.)

    Args:
        inputs: `[N, …]`, floating point, finite; they stay as they are.
        labels: `[N]`, int64, of exactly two classes, whatever their numbers.
        fraction: the share of all labels that is flipped, above 0 and at most 1.
        penalty: C of the machine, above 0: what a point on the wrong side costs.
        gamma: of the kernel exp(−γ ‖x − x′‖²), above 0; None for the linear kernel.
        restarts: how many orders are tried, 1 or more; the first is without a random plane.
        generator: draws the planes; on any device.

    Returns:
        The training set with its flipped labels, and how much they harm the machine on the labels as they were.

    Raises:
        TypeError: inputs or labels of another kind, or numbers that are none.
        ValueError: shapes or values out of range, another number of classes than two, or a fraction of less than one
            label.

    Source: after Biggio, Nelson and Laskov, 2011. Derived in: lectures/30_poisoning/labels
    """
    rows = _rows(inputs)
    check_labels("labels", labels, inputs)
    named = labels.unique()
    if len(named) != 2:
        raise ValueError(f"labels must be of exactly two classes, got {len(named)}: take two of them")
    check_numbers(penalty=penalty)
    if not 0 < penalty < float("inf"):
        raise ValueError(f"penalty must lie above 0 and be finite, got {penalty}")
    check_counts(restarts=restarts)
    kernel = _kernel(rows, gamma)
    count = budgeted(fraction, labels, len(labels))
    sides = np.where((labels == named[1]).cpu().numpy(), 1.0, -1.0)
    weights, offset = _machine(kernel, sides, penalty)
    order = np.abs(weights) / penalty - WEIGHT * _scaled(sides * (kernel @ weights + offset))
    own, tried = own_generator(generator), []
    for restart in range(restarts):
        coefficients = draw(torch.rand, len(sides), device="cpu", generator=own, dtype=torch.float64).numpy() * 2 - 1
        plane = kernel @ coefficients
        score = order - WEIGHT * _scaled(sides * (plane - plane.mean())) if restart else order
        flipped = _flipped(sides, np.argsort(score, kind="stable"), count)
        turned, shift = _machine(kernel, flipped, penalty)
        tried.append((_hinge(kernel, sides, turned, shift), flipped, turned))
    hinge, flipped, turned = max(tried, key=lambda one: one[0])
    indices = torch.from_numpy((flipped != sides).nonzero()[0]).to(labels.device)
    poisoned = torch.where(torch.from_numpy(flipped > 0).to(labels.device), named[1], named[0])
    return AdversarialFlips(
        inputs.clone(),
        poisoned,
        indices,
        inputs[indices],
        labels[indices],
        hinge=hinge,
        clean_hinge=_hinge(kernel, sides, weights, offset),
        cosine=_cosine(kernel, weights, turned),
    )


def _heaviest(weights: Tensor, lots: Tensor, count: int) -> Tensor:
    """`count` places drawn without replacement in proportion to their weights, ascending: never one of weight 0."""
    waiting = -torch.log1p(-lots) / weights  # the first of exponential clocks that ring at these rates
    waiting[weights == 0] = torch.inf
    return waiting.topk(count, largest=False).indices.sort().values


def _shares(true: Tensor, seen: Tensor, classes: int) -> Tensor:
    """The share of each class that is called each class; a class without examples keeps its name."""
    counts = torch.bincount(true * classes + seen, minlength=classes**2).view(classes, classes).double()
    there = counts.sum(dim=1, keepdim=True)
    return torch.where(there > 0, counts / there.clamp(min=1), torch.eye(classes, dtype=torch.float64))


def _rows(inputs: Tensor) -> Numbers:
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        kind = inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__
        raise TypeError(f"inputs must be a floating-point tensor [N, …], got {kind}")
    if inputs.ndim < 2 or inputs.numel() == 0:
        raise ValueError(f"inputs must be a non-empty tensor [N, …], got shape {list(inputs.shape)}")
    if not bool(inputs.isfinite().all()):
        raise ValueError("inputs must be finite, got NaN or an infinite number")
    rows: Numbers = inputs.detach().flatten(1).double().cpu().numpy()
    return rows


def _kernel(rows: Numbers, gamma: float | None) -> Numbers:
    products = rows @ rows.T
    if gamma is None:
        return products
    check_numbers(gamma=gamma)
    if not 0 < gamma < float("inf"):
        raise ValueError(f"gamma must lie above 0 and be finite, or be None for the linear kernel, got {gamma}")
    lengths = np.diag(products)
    distances = np.maximum(lengths[:, None] + lengths - 2 * products, 0)
    kernel: Numbers = np.exp(-gamma * distances)
    return kernel


def _machine(kernel: Numbers, sides: Numbers, penalty: float) -> tuple[Numbers, float]:
    """y_i α_i of every example, and the offset: f(x) = Σ_i y_i α_i k(x_i, x) + offset."""
    from sklearn.svm import SVC

    machine = SVC(C=penalty, kernel="precomputed").fit(kernel, sides)
    weights = np.zeros(len(sides))
    weights[machine.support_] = machine.dual_coef_[0]
    return weights, float(machine.intercept_[0])


def _scaled(margins: Numbers) -> Numbers:
    """Divided by the largest size, where that is not 0."""
    size = np.abs(margins).max()
    scaled: Numbers = margins / size if size else margins
    return scaled


def _flipped(sides: Numbers, order: NDArray[np.intp], count: int) -> Numbers:
    """The first of the order flipped; a class that would die out keeps one, and one of the other is flipped instead."""
    flipped = sides.copy()
    flipped[order[:count]] *= -1
    if len(np.unique(flipped)) == 1:
        flipped[order[count - 1]] *= -1
        flipped[order[count]] *= -1
    return flipped


def _hinge(kernel: Numbers, sides: Numbers, weights: Numbers, offset: float) -> float:
    return float(np.maximum(0, 1 - sides * (kernel @ weights + offset)).mean())


def _cosine(kernel: Numbers, first: Numbers, second: Numbers) -> float:
    size = (first @ kernel @ first) * (second @ kernel @ second)
    return float(first @ kernel @ second / size**0.5) if size > 0 else 0.0
