"""The likelihood-ratio attack: is an example's confidence that of models that saw it, or of models that did not?"""

import torch
from torch import Tensor, nn

from tml_helpers.privacy.membership import answers, scaled_confidence
from tml_helpers.privacy.shadow_models import ShadowModels, check_target

ENOUGH_FOR_OWN = 32
"""Models on each side from which on an example's own variance is better than one that all share."""


def likelihood_ratio_attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    shadow_models: ShadowModels,
    online: bool = True,
    own_variance: bool | None = None,
    batch_size: int = 512,
) -> Tensor:
    """log of p(ψ | models that saw x) / p(ψ | models that did not), ψ the target's scaled confidence on x.

    Shadow models are told apart, for each example, by whether they were trained on it: they are looked up by the
    example's values and label among those that shadow models were drawn from. One that is not among them was seen by
    no shadow model. The rest is `likelihood_ratios`. The more the target's training resembles that of the shadow
    models, in network, epochs and number of examples, the better it works.

    Args:
        model: the target, which maps inputs to logits `[N, K]`.
        images: the examples in question, `[N, …]`, where the models are.
        labels: their classes, int64 `[N]`.
        shadow_models: of `train_shadow_models`, or your own; the target must not be one of them.
        online: False uses only shadow models that did not see the example, and asks how unusually sure the target is.
        own_variance: whether each example has a variance of its own; None decides by the number of models.
        batch_size: examples at a time.

    Returns:
        Scores, float64 `[N]`, in the order of the examples: the higher, the likelier it was a member.

    Raises:
        TypeError: inputs or labels of another kind, or inputs of another type or device than the models'.
        ValueError: no examples, shapes that differ, a label beyond the classes, logits not finite, the target among
            the shadow models, or examples that no shadow model saw (online) or that all of them saw.

    Source: Carlini et al., 2022. Derived in: lectures/60_privacy/membership_inference.
    """
    check_target(model, shadow_models)
    psi = scaled_confidence(answers(model, images, labels, batch_size=batch_size), labels)
    return likelihood_ratios(
        psi,
        shadow_confidences=shadow_models.confidences(images, labels, batch_size=batch_size),
        included=shadow_models.saw(images, labels),
        online=online,
        own_variance=own_variance,
    )


def likelihood_ratios(
    confidences: Tensor,
    *,
    shadow_confidences: Tensor,
    included: Tensor,
    online: bool = True,
    own_variance: bool | None = None,
) -> Tensor:
    """log N(ψ; μ_in, σ_in²) − log N(ψ; μ_out, σ_out²), or (ψ − μ_out) / σ_out offline, for each example.

    The means are an example's own. A variance that all examples share is the mean of their own, weighted by degrees of
    freedom, Σ (ψ − μ)² / Σ (n − 1). It is the better estimate where there are few models. Offline the score is
    one-sided: an example of which the target is unusually *un*sure is no member.

    Args:
        confidences: ψ of the target, `[N]`: see `scaled_confidence`.
        shadow_confidences: ψ of the shadow models, `[S, N]`.
        included: whether each shadow model saw each example, bool `[S, N]`.
        online: False uses only shadow models that did not see the example.
        own_variance: whether each example has a variance of its own, at least a hundredth of the shared one; None does
            so where every example has at least 32 models on each side that is used.

    Returns:
        Scores, float64 `[N]`: online log-likelihood ratios in nats, offline standard deviations.

    Raises:
        TypeError: what is no tensor, or `included` that is not bool.
        ValueError: shapes that differ, no examples, values that are not finite, examples without a model on a side, too
            few models for a variance, or confidences that do not vary.

    Source: Carlini et al., 2022. Derived in: lectures/60_privacy/membership_inference.
    """
    psi, shadows = _read("confidences", confidences), _read("shadow_confidences", shadow_confidences)
    if not isinstance(included, Tensor) or included.dtype != torch.bool:
        kind = included.dtype if isinstance(included, Tensor) else type(included).__name__
        raise TypeError(f"included must be a bool tensor, got {kind}")
    if psi.ndim != 1 or shadows.ndim != 2 or shadows.shape[1:] != psi.shape or included.shape != shadows.shape:
        raise ValueError(
            "confidences [N], shadow_confidences [S, N] and included [S, N] must agree, got "
            f"{list(psi.shape)}, {list(shadows.shape)} and {list(included.shape)}"
        )
    out_mean, out_variance = _normal(shadows, ~included, own_variance, "by every shadow model", "leave it out of some")
    if not online:
        return (psi - out_mean) / out_variance.sqrt()
    remedy = "train some with it, or pass online=False"
    in_mean, in_variance = _normal(shadows, included, own_variance, "by no shadow model", remedy)
    return _log_normal(psi, in_mean, in_variance) - _log_normal(psi, out_mean, out_variance)


def _normal(
    shadows: Tensor, used: Tensor, own_variance: bool | None, lacking: str, remedy: str
) -> tuple[Tensor, Tensor]:
    """Mean and variance of each example over the models that are used, `[N]` each."""
    count = used.sum(dim=0)
    if not count.all():
        without = (count == 0).nonzero().flatten().tolist()
        first = ", ".join(map(str, without[:5])) + (", …" if len(without) > 5 else "")
        raise ValueError(f"{len(without)} of {len(count)} examples were seen {lacking} (numbers {first}): {remedy}")
    mean = (shadows * used).sum(dim=0) / count
    squares = ((shadows - mean) ** 2 * used).sum(dim=0)
    freedom = int((count - 1).sum())
    if freedom == 0:
        raise ValueError("a variance needs an example with two models on the same side, got at most one: train more")
    shared = squares.sum() / freedom
    if shared == 0:
        raise ValueError("the shadow models' confidences do not vary: are they copies of one model?")
    if own_variance is None:
        own_variance = int(count.min()) >= ENOUGH_FOR_OWN
    if not own_variance:
        return mean, shared.expand_as(mean)
    if int(count.min()) < 2:
        raise ValueError("an example's own variance needs two models on each side, got one: pass own_variance=False")
    return mean, (squares / (count - 1)).clamp(min=shared / 100)


def _log_normal(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """log N(x; mean, variance), less the constant that cancels in a ratio."""
    return -((x - mean) ** 2) / (2 * variance) - variance.log() / 2


def _read(name: str, values: Tensor) -> Tensor:
    """Finite numbers, at least one, as float64."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"{name} must be a floating-point tensor, got {kind}")
    if values.numel() == 0:
        raise ValueError(f"{name} must hold at least one number, got shape {list(values.shape)}")
    if not torch.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return values.double()
