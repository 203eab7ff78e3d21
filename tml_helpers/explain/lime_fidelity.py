"""How faithful a local linear model is, for each number of features that it may use."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tml_helpers.explain._local import forward_path
from tml_helpers.explain.explanation import Explanation


@dataclass(frozen=True, eq=False)
class Fidelity:
    """How faithful the linear models of k features are, for each k that was asked for."""

    r2: Tensor
    """The weighted R², `[len(features)]`, float64, from 0 to 1."""
    loss: Tensor
    """L = Σ π (f − g)², `[len(features)]`, float64."""


def lime_fidelity(
    explanation: Explanation, features: Sequence[int] | None = None, *, kernel_width: float | None = None
) -> Fidelity:
    """R² = 1 − L(k) / L(0), with L(k) = min Σ π (f − g)² over linear g of k features: fidelity against complexity.

    The features are found one by one, each the one that lowers L most, and g is fitted without shrinking: R² never
    falls as k grows. A wide kernel asks g to be right far away; a narrow one counts so few samples that g can pass
    through each.

    Args:
        explanation: whose samples are used: the black box is not asked again.
        features: the numbers k, from 0 to that of the features; 0, 1, … up to all unless given.
        kernel_width: σ, above 0, how local "local" is; the explanation's unless given.

    Returns:
        R² and loss for each number. Where the black box's answers do not vary, R² is 1.

    Raises:
        ValueError: a number out of its range, or a width at which no sample counts.

    Source: Ribeiro, Singh and Guestrin, 2016. Derived in: lectures/40_interpretability/lime
    """
    asked = explanation.samples
    count = asked.masks.shape[1]
    wanted = list(range(count + 1)) if features is None else list(features)
    if not wanted or min(wanted) < 0 or max(wanted) > count:
        raise ValueError(f"features must be numbers from 0 to {count}, got {wanted}")
    if kernel_width is not None and not kernel_width > 0:
        raise ValueError(f"kernel_width must be above 0, got {kernel_width}")
    outputs, proximity = asked.answers[:, explanation.target].double(), asked.proximity(kernel_width)
    _, losses = forward_path(asked.masks, outputs, proximity, max(wanted))
    loss = torch.tensor(losses, dtype=torch.float64, device="cpu")
    constant = losses[0] <= 1e-12 * float(proximity @ outputs**2)
    r2 = torch.ones_like(loss) if constant else 1 - loss / losses[0]
    return Fidelity(r2[wanted], loss[wanted])
