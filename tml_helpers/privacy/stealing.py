"""Stealing a linear model: its answers are equations in its weights, and d + 1 of them are enough."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_absent, check_counts
from tml_helpers.privacy._numbers import check_positive

Answers = Literal["values", "probabilities", "log_probabilities"]

ROUNDED = 4
"""Probabilities none of which has more decimals than this were rounded: by chance that does not happen."""


class StealingWarning(UserWarning):
    """What was stolen does not explain what was observed, or not as exactly as it looks."""


@dataclass(frozen=True, eq=False)
class StolenLinearModel:
    """What the answers say of the weights: call it with rows, and it answers as the model does.

    Args:
        weights: float64: `[d]` for one column of answers and for two of probabilities, else `[K, d]`.
        bias: float64: `[]` or `[K]`.
        answers: what the model answers with.
        columns: of its answers.
        queries: how many rows it was asked about.
        residual: the largest distance between the two sides of an equation, in units of a value or a logit; it says
            nothing where there were no more questions than unknowns.
    """

    weights: Tensor
    bias: Tensor
    answers: Answers
    columns: int
    queries: int
    residual: float

    def __call__(self, rows: Tensor) -> Tensor:
        """The stolen model's answers to rows `[M, d]`: `[M]` or `[M, K]`, float64."""
        values = torch.einsum("md,...d->m...", torch.as_tensor(rows).to(self.weights), self.weights) + self.bias
        if self.answers == "values":
            return values
        if self.columns == 1:
            logs = F.logsigmoid(values)
        else:
            logits = torch.stack([torch.zeros_like(values), values], dim=1) if self.columns == 2 else values
            logs = logits.log_softmax(dim=1)
        return logs if self.answers == "log_probabilities" else logs.exp()


def steal_linear_model(
    query: Callable[[Tensor], Any],
    *,
    features: int,
    answers: Answers | None = None,
    rows: Tensor | None = None,
    scale: float | None = None,
    checks: int | None = None,
) -> StolenLinearModel:
    """Solve f(x) = wᵀx + b for w and b: d + 1 answers, to 0 and to a unit vector for each feature, are enough.

    Probabilities are made equations first: log p₁/p₀ is linear in a logistic model, and log p_k/p_j in a softmax model.
    The weights of the latter are known up to a vector that is added to those of all classes and changes no probability:
    returned are those that add up to 0 over the classes, which an L2 penalty chooses as well. Two columns of
    probabilities are a logistic model; its weights are those of class 1 against class 0.

    To d + 1 questions, any answers are those of some linear model. One more tells whether the model is one, and whether
    its answers are rounded, clipped or hidden; where they do not fit, it warns.

    Args:
        query: the model, or the way to ask it: takes rows `[M, d]`, float64 (for a module: of its parameters' type and
            on their device), and returns a tensor or an array. Values `[M]`, `[M, 1]` or `[M, K]`, as logits or
            distances from a boundary; or probabilities, `[M]` of class 1 or `[M, K]`; or their logarithms.
        features: d, 1 or more.
        answers: which of these. None reads it off them: rows of several columns that add up to 1 are probabilities. One
            column within [0, 1] can be either, and has to be said.
        rows: the attacker's own questions `[M, d]`, M above d, in place of 0 and unit vectors.
        scale: the length of the unit vectors, positive; 1 unless given. Take less where probabilities are 0 or 1.
        checks: how many questions beyond d + 1, 0 or more; 1 unless given.

    Returns:
        Weights, bias, the number of questions, and how well the equations hold. Warns where they do not, and where
        probabilities are rounded.

    Raises:
        TypeError: numbers that are not whole, or answers that are no numbers.
        ValueError: questions that do not determine the weights, answers of another shape or not finite, probabilities
            of 0 or 1, whose logit is infinite, one column within [0, 1] of which nothing is said, or scale or checks
            beside rows.

    Source: Tramèr et al., 2016. Derived in: lectures/60_privacy/inversion_and_stealing
    """
    check_counts(features=features)
    if answers is not None and answers not in get_args(Answers):
        raise ValueError(f"answers must be one of {', '.join(get_args(Answers))}, or None, got {answers!r}")
    if rows is None:
        asked = questions(features, 1.0 if scale is None else scale, 1 if checks is None else checks)
    else:
        check_absent("rows are given", scale=scale, checks=checks)
        asked = own_questions(rows, features)
    left = F.pad(asked, (0, 1), value=1.0)  # [M, d + 1]
    rank = int(torch.linalg.matrix_rank(left))
    if rank <= features:
        raise ValueError(
            f"{len(asked)} questions determine {rank} of {features + 1} unknowns: ask about more rows, which differ "
            "independently in every feature"
        )
    told = ask(query, asked)
    kind = answers or kind_of(told)
    right = right_sides(told.to(left), kind)
    solution = torch.linalg.lstsq(left, right).solution.T  # [K, d + 1]
    residual = float((left @ solution.T - right).abs().max())
    warn_of_answers(told, kind, residual, largest=float(right.abs().max()))
    solution = solution.squeeze(0) if len(solution) == 1 else solution
    columns = told.shape[1] if told.ndim == 2 else 1
    return StolenLinearModel(solution[..., :-1].clone(), solution[..., -1].clone(), kind, columns, len(asked), residual)


def questions(features: int, scale: float, checks: int) -> Tensor:
    """0, a multiple of each unit vector, and rows as long that mix all features: `[d + 1 + checks, d]`, float64."""
    check_positive(scale=scale)
    check_counts(0, checks=checks)
    rows = torch.zeros(features + 1 + checks, features, dtype=torch.float64, device="cpu")
    rows[1 : features + 1].fill_diagonal_(scale)
    for check in range(checks):
        mixed = torch.cos(torch.arange(1, features + 1, dtype=torch.float64, device="cpu") * (check + 1))
        rows[features + 1 + check] = scale * mixed / mixed.norm()
    return rows


def own_questions(rows: Tensor, features: int) -> Tensor:
    """The attacker's rows, float64."""
    if not isinstance(rows, Tensor) or rows.ndim != 2 or rows.shape[1] != features or len(rows) == 0:
        got = list(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
        raise ValueError(f"rows must be a tensor [M, {features}], got {got}")
    if not torch.isfinite(rows).all():
        raise ValueError("rows must be finite, but there is NaN or infinity among them")
    return rows.detach().double()


@torch.no_grad()
def ask(query: Callable[[Tensor], Any], rows: Tensor) -> Tensor:
    """The answers to all rows, in one call: `[M]` or, of several columns, `[M, K]`."""
    weight = next(query.parameters(), None) if isinstance(query, nn.Module) else None
    told = query(rows if weight is None else rows.to(weight))
    if not isinstance(told, Tensor):
        array = np.asarray(told)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"the answers must be numbers, got {array.dtype}")
        told = torch.tensor(array, device="cpu")
    if told.ndim not in (1, 2) or len(told) != len(rows) or told.numel() == 0:
        count = len(rows)
        raise ValueError(f"the answers to {count} rows must be [{count}] or [{count}, K], got {list(told.shape)}")
    if told.isnan().any():
        raise ValueError("the answers must be numbers, but some are NaN")
    return told.squeeze(1) if told.ndim == 2 and told.shape[1] == 1 else told


def kind_of(told: Tensor) -> Answers:
    """What the answers are, unless they can be two things."""
    if told.ndim == 1:
        if told.min() >= 0 and told.max() <= 1:
            raise ValueError(
                "one column of answers within [0, 1] may be probabilities or values: say which, as "
                'answers="probabilities"'
            )
        return "values"
    if told.min() >= 0 and (told.sum(dim=1) - 1).abs().max() < 0.1:  # rounded ones add up to nearly 1
        return "probabilities"
    if told.max() <= 0 and told.double().logsumexp(dim=1).abs().max() < 0.1:
        return "log_probabilities"
    return "values"


def right_sides(told: Tensor, kind: Answers) -> Tensor:
    """What is linear in the rows, `[M, 1]` or `[M, K]`."""
    if kind == "values":
        right = told
    elif told.ndim == 1:
        right = torch.logit(told) if kind == "probabilities" else told - torch.log(-torch.expm1(told))
    else:
        logs = told.log() if kind == "probabilities" else told
        right = logs[:, 1] - logs[:, 0] if told.shape[1] == 2 else logs - logs.mean(dim=1, keepdim=True)
    if not torch.isfinite(right).all():
        said = "finite" if kind == "values" else "above 0 and below 1, for their logits to be finite"
        remedy = "" if kind == "values" else ": take a smaller scale; if only the class is shown, no equation is left"
        raise ValueError(f"the answers must be {said}{remedy}")
    return right[:, None] if right.ndim == 1 else right


def warn_of_answers(told: Tensor, kind: Answers, residual: float, *, largest: float) -> None:
    """Warn where the equations do not hold, or where what they hold for was rounded."""
    exact = torch.finfo(told.dtype).eps if told.is_floating_point() else 1e-16
    if residual > exact**0.5 * (1 + largest):
        warnings.warn(
            f"the answers are not those of a linear model: one is off by {residual:.2g}. The model is none, or its "
            "answers are rounded, clipped or hidden",
            StealingWarning,
            stacklevel=3,
        )
    elif kind == "probabilities" and torch.equal(told.round(decimals=ROUNDED), told):
        warnings.warn(
            f"no probability has more than {ROUNDED} decimals: they seem to be rounded, and the weights are as inexact",
            StealingWarning,
            stacklevel=3,
        )
