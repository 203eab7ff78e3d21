"""Individual fairness: are similar people treated similarly?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tml_helpers.fairness._common import check_lengths, read_array, read_matrix, read_scores

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class LipschitzViolations:
    """The pairs of people whose outputs differ by more than their distance allows."""

    table: "pandas.DataFrame"
    """A row for each, the worst first: `first` and `second` (rows of the input, first < second), `difference` of their
    outputs, `allowed`, their distance, and `excess`, the one less the other."""
    pairs: int
    """How many pairs there are in all, N (N − 1) / 2."""

    def __len__(self) -> int:
        return len(self.table)

    @property
    def share(self) -> float:
        """Of all pairs, those that are violations: in [0, 1]."""
        return len(self.table) / self.pairs


def lipschitz_violations(predictions: Any, distances: Any, *, tolerance: float = 1e-9) -> LipschitzViolations:
    """All pairs i < j with D(Mᵢ, Mⱼ) > dᵢⱼ, where D is the total variation ½ Σₖ |Mᵢₖ − Mⱼₖ|.

    M is fair to individuals when there is none. All depends on d, which says who is similar for this task: it is not
    measured but decided, and whoever decides it decides what is fair.

    Args:
        predictions: the probability of outcome 1, `[N]` in [0, 1], whose D is |Mᵢ − Mⱼ|; or of each of K outcomes,
            `[N, K]`, rows that sum to 1.
        distances: d, `[N, N]`: 0 or more, symmetric, 0 on the diagonal; 1 and more allow for everything.
        tolerance: a smaller excess is taken for rounding.

    Returns:
        The pairs in a table, and how many there are in all.

    Raises:
        TypeError: what holds no numbers.
        ValueError: fewer than two people, outputs that are no probabilities, distances that are no distances.

    Source: Dwork, Hardt, Pitassi, Reingold and Zemel, 2012.
    Derived in: lectures/50_fairness/individuals_and_audits
    """
    import pandas

    outputs, allowed = _outputs(predictions), _distances(distances)
    check_lengths(predictions=outputs, distances=allowed)
    if len(outputs) < 2:
        raise ValueError("two people or more can be compared, got one")
    difference = np.stack([np.abs(outputs - one).sum(axis=1) / 2 for one in outputs])
    first, second = np.nonzero(np.triu(difference - allowed > tolerance, k=1))
    too_far, near = difference[first, second], allowed[first, second]
    columns = {"first": first, "second": second, "difference": too_far, "allowed": near, "excess": too_far - near}
    table = pandas.DataFrame(columns)
    table = table.sort_values("excess", ascending=False, kind="stable", ignore_index=True)
    return LipschitzViolations(table, len(outputs) * (len(outputs) - 1) // 2)


def _outputs(predictions: Any) -> np.ndarray:
    """Distributions `[N, K]`."""
    array = read_array("predictions", predictions)
    if array.ndim == 1:
        scores = read_scores("predictions", array).astype(np.float64)
        return np.stack([1 - scores, scores], axis=1)
    rows = read_matrix("predictions", array, "probabilities [N] or [N, K]")
    if not (rows.min() >= 0 and np.allclose(rows.sum(axis=1), 1, atol=1e-5)):  # false for NaN as well
        raise ValueError("predictions [N, K] must be distributions: 0 or more, and 1 in sum in each row")
    return rows


def _distances(distances: Any) -> np.ndarray:
    meaning = "a matrix of numbers [N, N]"
    matrix = read_matrix("distances", distances, meaning)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"distances must be {meaning}, got shape {list(matrix.shape)}")
    if not matrix.min() >= 0:  # false for NaN as well
        raise ValueError("distances must be 0 or more, and none is missing")
    if not (np.allclose(matrix, matrix.T) and np.allclose(np.diag(matrix), 0)):
        raise ValueError("distances must be symmetric, and 0 from each person to itself")
    return matrix
