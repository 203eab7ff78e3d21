"""Training by interval bounds: the loss of the worst logits that the intervals allow."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_ball, check_images, check_labels, check_logits, check_numbers, evaluating
from tml_helpers.defenses.interval_bounds import box_between, interval_margins, propagate
from tml_helpers.defenses.layers import chain


def interval_loss(model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float, weight: float = 0.5) -> Tensor:
    """(1 − w)·CE(z, y) + w·CE(ẑ, y), where ẑ_k = −(the least z_y − z_k on the intervals) and ẑ_y = 0.

    The second term is never below the loss of any image in the ball. Let ε grow from 0 in the first epochs, for at once
    it is too much: `fit(model, data, loss=functools.partial(interval_loss, epsilon=…))` trains for one ε. A BatchNorm's
    intervals use its running statistics.

    Args:
        model: as of `interval_bounds`.
        images: `[N, C, H, W]` in [0, 1].
        labels: `[N]`, int64.
        epsilon: ε, the ball's radius in L∞, from 0 to 1.
        weight: w, of the worst case, from 0 to 1.

    Returns:
        A scalar, with a gradient.

    Raises:
        TypeError, ValueError: as of `interval_bounds`; a weight out of its range.

    Source: Gowal et al., 2018. Derived in: lectures/20_adversarial/proofs
    """
    steps = chain(model)
    check_images(model, images)
    check_labels("labels", labels, images)
    check_numbers(epsilon=epsilon, weight=weight)
    check_ball(epsilon, "linf", images)
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be from 0 to 1, got {weight}")
    with evaluating(model), torch.no_grad():
        check_logits(model(images[:1]), labels=labels)
    boxes = propagate(steps, box_between((images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1)))
    margins = interval_margins(steps, boxes, labels)
    worst = torch.where(margins.isinf(), 0.0, -margins)
    return (1 - weight) * F.cross_entropy(model(images), labels) + weight * F.cross_entropy(worst, labels)
