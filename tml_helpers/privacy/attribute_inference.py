"""Attribute inference: try every value of what is hidden, and see which one the model's answer speaks for."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_counts, check_labels, check_logits
from tml_helpers.privacy._numbers import check_positive, kind
from tml_helpers.training import predict


class NothingInferredWarning(UserWarning):
    """The model's answers do not tell the values apart: what is returned is the prior, and no result of the attack."""


@dataclass(frozen=True, eq=False)
class InferredAttribute:
    """How probable each value is for each row, given the model.

    Args:
        probabilities: `[N, V]`; rows add up to 1.
        choices: int64 `[N]`, the number of the most probable value; of equal ones the first.
        values: `[N]` or `[N, M]`, the most probable value itself.
    """

    probabilities: Tensor
    choices: Tensor
    values: Tensor


def attribute_inference(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    feature: int | Sequence[int],
    values: Tensor,
    prior: Tensor | None = None,
    error: float | Tensor | None = None,
    batch_size: int = 512,
) -> InferredAttribute:
    """P(v | x, y) ∝ P(v | x) · P(y | f(x with v)): the values under which the model's answer fits the outcome win.

    The model is asked about each row with each value in the hidden feature's place, V · N questions. What stands there
    is never read, and may be NaN. An attack is worth what it gains over the prior: pass as `prior` the best guess that
    can be made without the model, and compare.

    Args:
        model: f, maps rows to logits `[N, K]` or, if the labels are numbers, to a number `[N]` or `[N, 1]`.
        inputs: x, rows `[N, d]`, of which all but the feature is known; where the model is.
        labels: y, what the attacker knows of the outcome, the truth or the model's own answer: classes, int64 `[N]`, or
            numbers, floating-point `[N]`.
        feature: the column that is hidden; or several, as those of one attribute in one-hot form.
        values: what it can be, `[V]`; for several columns `[V, M]`, a row for each value. Of a continuous attribute, a
            grid.
        prior: how probable each value is without the model, `[V]`, or `[N, V]` for each row; any positive scale. None
            for equal.
        error: how the outcome differs from the model's answer. For numbers the standard deviation of the difference,
            positive; it is needed. For classes `[K, K]`, in row k the probability of each class where the model says k;
            None takes the model's own probabilities.
        batch_size: rows at a time.

    Returns:
        Probabilities, and the most probable value of each row. Warns where no row's values differ in how well they
        explain the outcome, and where none explains it: such rows keep their prior.

    Raises:
        TypeError: rows, labels, values or error of another kind.
        ValueError: shapes that differ, a column that is not there, NaN, a prior or an error that is negative or 0
            throughout, or answers that are not finite.

    Source: Fredrikson et al., 2014. Derived in: lectures/60_privacy/inversion_and_stealing
    """
    check_counts(batch_size=batch_size)
    columns = _columns(inputs, feature)
    candidates = _candidates(values, columns, inputs)
    known = inputs.clone()
    known[:, columns] = 0
    if not torch.isfinite(known).all():
        raise ValueError("inputs must be finite in all columns but the feature's, but there is NaN or infinity")
    log_prior = _log_prior(prior, len(inputs), len(candidates), inputs)
    fits = []
    for candidate in candidates:
        known[:, columns] = candidate
        fits.append(_log_likelihood(predict(model, known, batch_size=batch_size), labels, error, inputs))
    fit = torch.stack(fits, dim=1).to(log_prior)  # [N, V]
    unexplained = (fit + log_prior == -torch.inf).all(dim=1)
    if bool(unexplained.any()):
        _warn(
            f"for {int(unexplained.sum())} of {len(inputs)} rows no value explains the outcome: they keep their prior"
        )
        fit = torch.where(unexplained[:, None], 0, fit)
    if bool((fit == fit[:, :1]).all()):
        _warn("the model's answers do not depend on the feature here: what is returned is the prior")
    probabilities = (log_prior + fit).softmax(dim=1)
    choices = probabilities.argmax(dim=1)
    chosen = candidates[choices]
    return InferredAttribute(probabilities, choices, chosen if values.ndim == 2 else chosen.squeeze(1))


def _columns(inputs: Tensor, feature: int | Sequence[int]) -> list[int]:
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        raise TypeError(f"inputs must be a floating-point tensor, got {kind(inputs)}")
    if inputs.ndim != 2 or inputs.numel() == 0:
        raise ValueError(f"inputs must be rows [N, d], at least one, got shape {list(inputs.shape)}")
    columns = list(feature) if isinstance(feature, Sequence) else [feature]
    for column in columns:
        if isinstance(column, bool) or not isinstance(column, int):
            raise TypeError(f"feature must be a column's number, or several, got {feature!r}")
        if not 0 <= column < inputs.shape[1]:
            raise ValueError(f"feature must lie in 0…{inputs.shape[1] - 1}, got {column}")
    if not columns or len(set(columns)) < len(columns):
        raise ValueError(f"feature must name at least one column, and none twice, got {feature!r}")
    return columns


def _candidates(values: Tensor, columns: list[int], inputs: Tensor) -> Tensor:
    """`[V, M]`, of the inputs' type."""
    if not isinstance(values, Tensor):
        raise TypeError(f"values must be a tensor, got {type(values).__name__}")
    several = values.ndim == 2
    if values.ndim not in (1, 2) or len(values) < 2 or (values.shape[1] if several else 1) != len(columns):
        form = "[V]" if len(columns) == 1 else f"[V, {len(columns)}]"
        raise ValueError(f"values must be {form} for two values or more, got shape {list(values.shape)}")
    if not torch.isfinite(values).all():
        raise ValueError("values must be finite, but there is NaN or infinity among them")
    return (values if several else values[:, None]).to(inputs)


def _log_prior(prior: Tensor | None, rows: int, values: int, inputs: Tensor) -> Tensor:
    """`[N, V]`, float64, up to a constant of each row."""
    if prior is None:
        return inputs.new_zeros(rows, values, dtype=torch.float64)
    if not isinstance(prior, Tensor) or prior.shape not in ((values,), (rows, values)):
        got = list(prior.shape) if isinstance(prior, Tensor) else type(prior).__name__
        raise ValueError(f"prior must be [{values}] or [{rows}, {values}], got {got}")
    weights = prior.to(inputs.device, torch.float64).expand(rows, values)
    if not (torch.isfinite(weights).all() and (weights >= 0).all() and (weights.sum(dim=1) > 0).all()):
        raise ValueError("prior must be finite, 0 or more, and in each row not 0 throughout")
    return (weights / weights.sum(dim=1, keepdim=True)).log()


def _log_likelihood(answers: Tensor, labels: Tensor, error: float | Tensor | None, inputs: Tensor) -> Tensor:
    """log P(y | f(x)) of each row, `[N]`, float64, up to a constant."""
    answers = answers.to(inputs.device)
    if not isinstance(labels, Tensor) or not (labels.is_floating_point() or labels.dtype == torch.int64):
        raise TypeError(f"labels must be classes, int64, or numbers, floating-point, got {kind(labels)}")
    if labels.is_floating_point():
        return _of_numbers(answers, labels, error, inputs)
    check_labels("labels", labels, inputs)
    check_logits(answers, labels=labels)
    if error is None:
        return -F.cross_entropy(answers.double(), labels, reduction="none")
    classes = answers.shape[1]
    if not isinstance(error, Tensor) or error.shape != (classes, classes):
        got = list(error.shape) if isinstance(error, Tensor) else repr(error)
        raise ValueError(f"error must be [{classes}, {classes}] for {classes} classes, got {got}")
    table = error.to(inputs.device, torch.float64)
    if not (torch.isfinite(table).all() and (table >= 0).all() and (table.sum(dim=1) > 0).all()):
        raise ValueError("error must be finite, 0 or more, and in each row not 0 throughout")
    return (table / table.sum(dim=1, keepdim=True))[answers.argmax(dim=1), labels].log()


def _of_numbers(answers: Tensor, labels: Tensor, error: float | Tensor | None, inputs: Tensor) -> Tensor:
    if answers.ndim == 2 and answers.shape[1] == 1:
        answers = answers.squeeze(1)
    if answers.shape != labels.shape or len(labels) != len(inputs):
        raise ValueError(
            f"labels must be numbers [{len(inputs)}], one for each answer, got {list(labels.shape)} for answers "
            f"{list(answers.shape)}"
        )
    if error is None or isinstance(error, Tensor):
        raise ValueError("error must be the standard deviation of the labels around the model's answers, for numbers")
    check_positive(error=error)
    difference = (labels.to(answers.device) - answers).double() / error
    if not torch.isfinite(difference).all():
        raise ValueError("labels and answers must be finite, but there is NaN or infinity among them")
    return -difference.square() / 2


def _warn(sentence: str) -> None:
    warnings.warn(sentence, NothingInferredWarning, stacklevel=3)
