"""Several teachers: one student learns from the answers of all, and what a mean of answers is."""

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.common import check_labels, check_logits
from tml_helpers.distillation._checks import check_blend, check_floating
from tml_helpers.kernels import distillation_loss

__all__ = ["min_logit", "multi_teacher_loss"]


def multi_teacher_loss(
    student_logits: Tensor,
    teacher_logits: Tensor | Sequence[Tensor],
    labels: Tensor | None,
    *,
    temperature: float,
    alpha: float,
    weights: Sequence[float] | Tensor | None = None,
) -> Tensor:
    """α·T²·Σ_m w_m·KL(softmax(z_m/T) ‖ softmax(z_s/T)) + (1 − α)·cross-entropy(z_s, y), means over the batch.

    It costs one pass, however many teachers there are: with the mean answer q̄ = Σ w_m·q_m,
    Σ w_m·KL(q_m ‖ p) = KL(q̄ ‖ p) + Σ w_m·KL(q_m ‖ q̄), and the last term, how far the teachers disagree, knows no
    student. The student's gradient is therefore that of one teacher who gives the mean of the answers; the mean of the
    logits is another answer.

    Args:
        student_logits: `[N, K]`, floating-point, not empty.
        teacher_logits: `[M, N, K]`, or M tensors `[N, K]`; constants, no gradient flows into a teacher.
        labels: `[N]`, class indices in 0…K−1; may be None when `alpha` is 1.
        temperature: T > 0, for all networks.
        alpha: α in [0, 1], the weight of the teachers.
        weights: w, M numbers of 0 or more, which are divided by their sum; None for equal ones.

    Returns:
        A scalar of float32 (float64 if a network's logits are), with a gradient for the student. With one teacher it is
        `distillation_loss`.

    Raises:
        TypeError: logits that are not floating-point, or numbers that are none.
        ValueError: no teacher, shapes or devices that differ, an empty batch, weights that are negative, not finite,
            all 0 or not one for each teacher, T ≤ 0, alpha outside [0, 1], or labels out of range.

    Source: You, Xu, Xu and Tao, 2017. Derived in: lectures/10_distillation/many_at_once.
    """
    check_blend(temperature, alpha)
    check_floating("student_logits", student_logits)
    with torch.no_grad():
        log_q = F.log_softmax(_stacked(teacher_logits, student_logits) / temperature, dim=2)
        log_w = _log_weights(weights, log_q)
        log_mean = (log_w + log_q).logsumexp(dim=0)
        apart = (log_q - log_mean).masked_fill_(log_q == -math.inf, 0)  # 0·log 0 = 0
        disagreement = (log_w.exp() * log_q.exp() * apart).sum() / len(student_logits)
    loss = distillation_loss(student_logits, temperature * log_mean, labels, temperature=temperature, alpha=alpha)
    return loss + alpha * temperature**2 * disagreement


def min_logit(teacher_logits: Tensor | Sequence[Tensor], labels: Tensor) -> Tensor:
    """min_m (z_m,k − z_m,y) for each class k: of every class but the label's, the least that a network believes.

    The answer that these logits give to the label is at least as likely as that of every single network: its
    cross-entropy is no larger than the smallest of theirs.

    Args:
        teacher_logits: `[M, N, K]`, or M tensors `[N, K]`, finite.
        labels: `[N]`, class indices in 0…K−1.

    Returns:
        `[N, K]`, 0 at the label; no gradient flows into a network.

    Raises:
        TypeError: logits that are not floating-point, or labels that are not int64.
        ValueError: no network, shapes or devices that differ, logits that are not finite, or labels out of range.

    Source: Guo et al., 2020 (KDCL-MinLogit). Derived in: lectures/10_distillation/many_at_once.
    """
    logits = _stacked(teacher_logits)
    if logits.numel() == 0:
        raise ValueError(f"teacher_logits must be of at least one image, got shape {list(logits.shape)}")
    check_logits(logits.flatten(0, 1))
    check_labels("labels", labels, logits[0])
    check_logits(logits[0], labels=labels)
    of_label = logits.gather(2, labels.expand(len(logits), -1)[..., None])
    return (logits - of_label).amin(dim=0)


def _stacked(teacher_logits: Tensor | Sequence[Tensor], student_logits: Tensor | None = None) -> Tensor:
    """The teachers' logits as constants `[M, N, K]`, of one shape and device, float32 or float64."""
    if not isinstance(teacher_logits, Tensor | Sequence):
        kind = type(teacher_logits).__name__
        raise TypeError(f"teacher_logits must be a tensor [M, N, K] or M tensors [N, K], got {kind}")
    teachers = list(teacher_logits)
    if not teachers:
        raise ValueError("teacher_logits must hold the answers of at least one teacher, got none")
    model, whose = (teachers[0], "first teacher") if student_logits is None else (student_logits, "student")
    for m, logits in enumerate(teachers):
        check_floating(f"teacher_logits[{m}]", logits)
        if logits.ndim != 2 or logits.shape != model.shape or logits.device != model.device:
            raise ValueError(
                f"teacher_logits[{m}] must be [N, K], as the {whose}'s {list(model.shape)} on {model.device}, "
                f"got {list(logits.shape)} on {logits.device}"
            )
    wide = torch.float64 if any(logits.dtype == torch.float64 for logits in teachers) else torch.float32
    return torch.stack([logits.detach().to(wide) for logits in teachers])


def _log_weights(weights: Sequence[float] | Tensor | None, logits: Tensor) -> Tensor:
    """log w `[M, 1, 1]`, of weights that add up to 1, where the logits `[M, N, K]` are."""
    teachers = len(logits)
    given = [1.0] * teachers if weights is None else list(weights.tolist() if isinstance(weights, Tensor) else weights)
    if any(isinstance(w, bool) or not isinstance(w, Real) for w in given):
        raise TypeError(f"weights must be numbers, got {given}")
    if len(given) != teachers or not all(0 <= w < math.inf for w in given) or not 0 < sum(given) < math.inf:
        raise ValueError(
            f"weights must be one number of 0 or more for each of the {teachers} teachers, not all 0, got {given}"
        )
    scaled = torch.tensor([w / sum(given) for w in given], dtype=logits.dtype, device=logits.device)
    return scaled.log().view(-1, 1, 1)
