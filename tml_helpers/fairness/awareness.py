"""Fairness through awareness: the best decisions that treat similar people similarly, by linear programming."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, eye_array, hstack, kron, vstack

from tml_helpers.fairness._common import read_matrix


@dataclass(frozen=True, eq=False)
class LipschitzMapping:
    """A randomised decision for each person, of which no two are further apart than the people."""

    probabilities: np.ndarray
    """P(decision | person), `[N, K]`; rows sum to 1."""
    loss: float
    """The mean expected loss."""
    price: float
    """How much of it the constraint costs: the loss less that of the best decision for each person alone."""


def lipschitz_programme(losses: Any, distances: Any) -> LipschitzMapping:
    """min (1/N) Σ_x Σ_a μ_x(a) L(x, a), such that ½ Σ_a |μ_x(a) − μ_z(a)| ≤ d(x, z) for all people x and z.

    The distance d says who is similar for this task, in units of chance: at 0 two people are treated alike, from 1 on
    they may be treated as one likes. To say it is the hard part, and no computation does it. With two decisions the
    constraint is |p_x − p_z| ≤ d(x, z). There are N (N − 1) / 2 pairs: a few hundred people are much.

    Args:
        losses: L, `[N, K]`, finite, of each of K ≥ 2 decisions on each person.
        distances: d, `[N, N]`, finite, 0 or more, symmetric, 0 on the diagonal.

    Returns:
        The mapping from people to chances of decisions, its loss, and the price of similar treatment.

    Raises:
        TypeError: what holds no numbers.
        ValueError: other shapes, what is not finite, or distances that are negative or not symmetric.
        RuntimeError: the solver finds no solution, though there is one.

    Source: Dwork et al., 2012. Derived in: lectures/50_fairness/individuals_and_audits
    """
    loss, apart = _read(losses, distances)
    people, decisions = loss.shape
    first, second = np.nonzero(np.triu(apart < 1, 1))  # the distance of two distributions is at most 1
    pairs = len(first)
    signs = np.repeat([1.0, -1.0], pairs)
    difference = coo_array((signs, (np.tile(np.arange(pairs), 2), np.append(first, second))), shape=(pairs, people))
    # μ_x(a) − μ_z(a) ≤ excess of the pair at a; the excesses of a pair sum to its total variation, at most d
    exceeds = hstack([kron(difference, eye_array(decisions)), -eye_array(pairs * decisions)])
    one_row = csr_array(np.ones((1, decisions)))
    within = hstack([csr_array((pairs, people * decisions)), kron(eye_array(pairs), one_row)])
    sums = hstack([kron(eye_array(people), one_row), csr_array((people, pairs * decisions))])
    found = linprog(
        np.append(loss.ravel() / people, np.zeros(pairs * decisions)),
        A_ub=vstack([exceeds, within]).tocsr() if pairs else None,
        b_ub=np.append(np.zeros(pairs * decisions), apart[first, second]) if pairs else None,
        A_eq=sums.tocsr(),
        b_eq=np.ones(people),
        bounds=(0, None),
    )
    if found.status != 0:
        raise RuntimeError(f"the linear programme was not solved: {found.message}")
    probabilities = found.x[: people * decisions].reshape(people, decisions)
    mean = float((probabilities * loss).sum() / people)
    return LipschitzMapping(probabilities, mean, mean - float(loss.min(axis=1).mean()))


def _read(losses: Any, distances: Any) -> tuple[np.ndarray, np.ndarray]:
    meaning = "[N, K] of N people and K ≥ 2 decisions"
    loss, apart = read_matrix("losses", losses, meaning), read_matrix("distances", distances, "[N, N] of N people")
    if loss.shape[1] < 2:
        raise ValueError(f"losses must be {meaning}, got shape {list(loss.shape)}")
    if apart.shape != (len(loss), len(loss)):
        raise ValueError(f"distances must be [{len(loss)}, {len(loss)}], got shape {list(apart.shape)}")
    if not (np.isfinite(loss).all() and np.isfinite(apart).all()):
        raise ValueError("losses and distances must be finite")
    if apart.min() < 0 or np.diag(apart).any() or not np.allclose(apart, apart.T, rtol=0, atol=1e-12):
        raise ValueError("distances must be 0 or more, 0 on the diagonal, and symmetric")
    return loss, apart
