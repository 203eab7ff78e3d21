"""Membership inference by a score of one model's answers, or by comparing those of two models."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_counts, check_labels, check_logits, evaluating, home, margin

Score = Literal["loss", "confidence", "entropy", "modified_entropy", "margin"]


def membership_inference(
    model: nn.Module, images: Tensor, labels: Tensor, *, score: Score = "loss", batch_size: int = 512
) -> Tensor:
    """log p_y for each example, or another score of the model's answer: the higher, the likelier it was a member.

    A threshold on the score makes an attack of it; `membership_roc` judges all thresholds. With p = softmax(logits):

    - `"loss"`: log p_y, the negative loss (Yeom et al.).
    - `"confidence"`: log max_k p_k; it does not look at the label (Salem et al.).
    - `"entropy"`: Σ_k p_k log p_k, the negative entropy; it does not look at the label (Salem et al.).
    - `"modified_entropy"`: (1 − p_y) log p_y + Σ_{k≠y} p_k log(1 − p_k) (Song and Mittal).
    - `"margin"`: the logit of the label minus the largest other one.

    All are computed in float64 from differences of logits, so that scores of very sure answers still differ. What the
    model returns is taken for logits: probabilities cannot be told from logits and would give other scores.

    Args:
        model: maps inputs to logits `[N, K]`; it answers in evaluation mode and comes back in its own.
        images: the examples, `[N, …]`, where the model is; also rows of a table.
        labels: their classes, int64 `[N]`.
        score: which of these.
        batch_size: examples at a time.

    Returns:
        Scores, float64 `[N]`, in the order of the examples: of any sign, in nats (for the margin, in logits).

    Raises:
        TypeError: inputs or labels of another kind, or inputs of another type or device than the model's.
        ValueError: an unknown score, no examples, shapes that differ, a label beyond the classes, logits not finite.

    Source: Yeom et al., 2018; Salem et al., 2019; Song and Mittal, 2021. Derived in:
    lectures/60_privacy/membership_inference.
    """
    if score not in get_args(Score):
        raise ValueError(f"score must be one of {', '.join(get_args(Score))}, got {score!r}")
    logits = answers(model, images, labels, batch_size=batch_size)
    if score == "loss":
        return F.logsigmoid(scaled_confidence(logits, labels))
    if score == "margin":
        return -margin(logits, labels)
    odds = all_odds(logits)
    if score == "confidence":
        return F.logsigmoid(odds.amax(dim=1))
    log_p, log_rest = F.logsigmoid(odds), F.logsigmoid(-odds)
    if score == "entropy":
        return (log_p.exp() * log_p).sum(dim=1)
    own = labels[:, None]
    terms = (log_p.exp() * log_rest).scatter(1, own, (log_rest.exp() * log_p).gather(1, own))
    return terms.sum(dim=1)


def compare_two_models(
    model: nn.Module, images: Tensor, labels: Tensor, *, other: nn.Module, batch_size: int = 512
) -> Tensor:
    """ψ(x) under one model minus ψ(x) under another: positive where the first is surer of the label.

    ψ is the scaled confidence, log p_y − log(1 − p_y). Train f on data D and f′ on D and x: whoever is asked which of
    the two saw x answers "the surer one". Over many x this is a game that guessing wins half of the time.

    Args:
        model: maps inputs to logits `[N, K]`; in question is whether it saw the examples.
        images: the examples, `[N, …]`, where both models are.
        labels: their classes, int64 `[N]`.
        other: a model that did not see them.
        batch_size: examples at a time.

    Returns:
        Differences, float64 `[N]`: the higher, the likelier it is that `model` saw the example.

    Raises:
        TypeError: inputs or labels of another kind, or inputs of another type or device than a model's.
        ValueError: no examples, shapes that differ, a label beyond the classes, logits not finite, or one model twice.

    Source: Watson et al., 2022; Carlini et al., 2022. Derived in: lectures/60_privacy/membership_inference.
    """
    if other is model:
        raise ValueError("other must be another model than the one in question, got the same one twice")
    first, second = (answers(m, images, labels, batch_size=batch_size) for m in (model, other))
    return scaled_confidence(first, labels) - scaled_confidence(second, labels)


def scaled_confidence(logits: Tensor, labels: Tensor) -> Tensor:
    """ψ = log(p_y / (1 − p_y)) = z_y − log Σ_{k≠y} exp z_k: roughly normal over training runs, without a bound.

    Args:
        logits: `[N, K]` for K ≥ 2 classes, finite.
        labels: the classes, int64 `[N]`, on the same device.

    Returns:
        ψ, float64 `[N]`. It is finite also where p_y rounds to 0 or 1.

    Raises:
        TypeError: labels of another type.
        ValueError: other shapes, a label beyond the classes, logits that are not finite.

    Source: Carlini et al., 2022. Derived in: lectures/60_privacy/membership_inference.
    """
    check_labels("labels", labels, logits)
    check_logits(logits, labels=labels)
    z, own = logits.double(), labels[:, None]
    others = z.scatter(1, own, -torch.inf).logsumexp(dim=1)
    return z.gather(1, own).squeeze(1) - others


def all_odds(logits: Tensor) -> Tensor:
    """log(p_k / (1 − p_k)) of every class, float64 `[N, K]`; the largest p_k, which may round to 1, by its rest."""
    log_p, largest = logits.double().log_softmax(dim=1), logits.argmax(dim=1)
    odds = log_p - torch.log1p(-log_p.exp())
    return odds.scatter(1, largest[:, None], scaled_confidence(logits, largest)[:, None])


@torch.no_grad()
def answers(model: nn.Module, images: Tensor, labels: Tensor, *, batch_size: int) -> Tensor:
    """The model's logits in evaluation mode, as float64 `[N, K]`, after its inputs, labels and answer were checked."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    check_counts(batch_size=batch_size)
    check_examples(images, labels)
    where = home(model)
    if where is not None and where != images.device:
        raise TypeError(f"the model is on {where}, but the images are on {images.device}: move one to the other")
    weight = next(model.parameters(), images)
    if weight.dtype != images.dtype and weight.is_floating_point() and images.is_floating_point():
        raise TypeError(f"the model is {weight.dtype}, but the images are {images.dtype}: convert one of them")
    with evaluating(model):
        parts = [model(part) for part in images.split(batch_size)]
    for part, batch in zip(parts, images.split(batch_size), strict=True):
        if not isinstance(part, Tensor) or part.ndim != 2 or len(part) != len(batch):
            got = list(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise ValueError(f"the model must return logits [{len(batch)}, K] for these images, got {got}")
    logits = torch.cat(parts).double()
    check_logits(logits, labels=labels)
    return logits


def check_examples(images: Tensor, labels: Tensor) -> None:
    """At least one input, finite, and a class for each."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a tensor, got {type(images).__name__}")
    if images.ndim < 2 or images.numel() == 0:
        raise ValueError(f"images must be a non-empty [N, …] tensor, got shape {list(images.shape)}")
    if not torch.isfinite(images).all():
        raise ValueError("images must be finite, got NaN or infinity")
    check_labels("labels", labels, images)
