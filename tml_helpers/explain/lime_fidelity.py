"""How faithful a local linear model is, for each number of features that it may use."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tml_helpers.explain._local import forward_path
from tml_helpers.explain.explanation import Explanation


class Fidelity(NamedTuple):
    """Both `[len(features)]`, float64: the weighted R² of the linear model, and its loss L = Σ π (f − g)²."""

    r2: Tensor
    loss: Tensor


def lime_fidelity(
    explanation: Explanation, features: Sequence[int] | None = None, *, kernel_width: float | None = None
) -> Fidelity:
    """R² = 1 − L(k) / L(0), with L(k) = min Σ π (f − g)² over linear g of k features: fidelity against complexity.

    The features are found one by one, each the one that lowers L most, and g is fitted without shrinking: R² never
    falls as k grows. `features`: the numbers k, by default 0, 1, … up to all. The samples are the explanation's,
    so the black box is not asked again. `kernel_width` replaces the explanation's: how local "local" is.

    A wide kernel asks g to be right far away; a narrow one counts so few samples that g can fit them by heart. Where
    the black box's answers do not vary, R² is 1. Raises ValueError for a number below 0 or above that of features.
    Source: Ribeiro, Singh and Guestrin, 2016. Derived in: lectures/40_interpretability/lime.
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
    loss = torch.tensor(losses, dtype=torch.float64)
    constant = losses[0] <= 1e-12 * float(proximity @ outputs**2)
    r2 = torch.ones_like(loss) if constant else 1 - loss / losses[0]
    return Fidelity(r2[wanted], loss[wanted])
