"""Which few explanations show most of what matters to a model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tml_helpers.explain.explanation import Explanation


def submodular_pick(weights: Tensor, count: int) -> Tensor:
    """max over `count` rows of the coverage Σ_j 1[some picked row has W_ij ≠ 0] √(Σ_i |W_ij|), greedily.

    Each pick adds as much importance as any could; of several equals the last is taken, as in the package lime.
    Coverage is submodular, so at least 1 − 1/e ≈ 63 % of the best is reached.

    Args:
        weights: W, finite `[N, F]`, a row for each explanation, as `explanation_matrix` gives them.
        count: how many rows are picked, from 1 to N.

    Returns:
        The picked rows in their order, int64 `[count]`.

    Raises:
        ValueError: another count, or weights that are no finite matrix.

    Source: Ribeiro, Singh and Guestrin, 2016; Nemhauser, Wolsey and Fisher, 1978.
    Derived in: lectures/40_interpretability/lime
    """
    if not isinstance(weights, Tensor) or weights.ndim != 2 or not bool(torch.isfinite(weights).all()):
        kind = list(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise ValueError(f"weights must be a finite matrix [N, F], got {kind}")
    if not 1 <= count <= len(weights):
        raise ValueError(f"count must lie in 1…{len(weights)}, the number of explanations, got {count}")
    importance = weights.abs().double().sum(dim=0).sqrt()
    used = weights != 0
    covered = torch.zeros_like(used[0])
    free = torch.ones(len(weights), dtype=torch.bool, device=weights.device)
    picked = []
    for _ in range(count):
        coverage = ((used | covered) * importance).sum(dim=1)
        coverage[~free] = -1
        best = int((coverage == coverage.max()).nonzero()[-1])
        picked.append(best)
        free[best] = False
        covered |= used[best]
    return torch.tensor(picked, device=weights.device)


@dataclass(frozen=True, eq=False)
class ExplanationMatrix:
    """The weights of N explanations of F features, by name."""

    weights: Tensor
    """`[N, F]`, float64: a row for each explanation, 0 for a feature that it lacks."""
    names: tuple[str, ...]
    """What the columns are called."""


def explanation_matrix(explanations: Sequence[Explanation]) -> ExplanationMatrix:
    """The weights of all explanations in one matrix, a column for each name that occurs.

    Words, or conditions on a table, that two explanations share have one column.

    Args:
        explanations: of any inputs, for instance as `lime_text` or `lime_tabular` give them.

    Returns:
        The matrix and the names of its columns, in the order in which they first occur.

    Derived in: lectures/40_interpretability/lime
    """
    names = tuple(dict.fromkeys(name for explanation in explanations for name in explanation.names))
    columns = {name: column for column, name in enumerate(names)}
    matrix = torch.zeros(len(explanations), len(names), dtype=torch.float64, device="cpu")
    for row, explanation in zip(matrix, explanations, strict=True):
        row[[columns[name] for name in explanation.names]] = explanation.weights.cpu()
    return ExplanationMatrix(matrix, names)
