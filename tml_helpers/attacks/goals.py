"""What an attacker may want of an image, and whether they got it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers.attacks.protocol import check_batch
from tml_helpers.common import check_counts, check_images, check_logits, cross_entropies, evaluating, fooled


@dataclass(frozen=True, kw_only=True, eq=False)
class Goals:
    """Four goals, from easy to hard: for each a bool tensor `[N]`, or None where it was not asked for.

    An image that was misread before the attack counts as misclassified after it, as in robust accuracy.

    Derived in: lectures/20_adversarial/honest_evaluation
    """

    confidence_reduction: Tensor
    """p(label) is smaller on the adversarial image than on the image."""
    misclassification: Tensor
    """The answer to the adversarial image is not the label."""
    targeted_misclassification: Tensor | None
    """The answer to the adversarial image is the target, whatever the label."""
    source_target_misclassification: Tensor | None
    """The same, for the images of one class only: False wherever the label is not the source."""
    from_source: Tensor | None
    """Which images are of the source class, `[N]`: those that the last goal is about."""

    def shares(self) -> dict[str, float]:
        """Of the images that a goal is about, the share that reaches it.

        Returns:
            By the goal's name, from 0 to 1; goals that were not asked for are left out.
        """
        shares = {
            "confidence reduction": self.confidence_reduction.float().mean().item(),
            "misclassification": self.misclassification.float().mean().item(),
        }
        if self.targeted_misclassification is not None:
            shares["targeted misclassification"] = self.targeted_misclassification.float().mean().item()
        if self.source_target_misclassification is not None and self.from_source is not None:
            reached = self.source_target_misclassification[self.from_source]
            shares["source/target misclassification"] = reached.float().mean().item()
        return shares


def goals(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    adversarial: Tensor,
    targets: Tensor | None = None,
    source: int | None = None,
) -> Goals:
    """Which of four goals each adversarial image reaches: lower confidence, another class, the target, source → target.

    Reaching the target implies misclassification. Misclassification does not imply lower confidence: another class may
    overtake a label that keeps its probability.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], before the attack.
        labels: `[N]`, int64, class indices below K.
        adversarial: `[N, C, H, W]` in [0, 1], after the attack.
        targets: `[N]`, int64, none of them the label; None where the attack had none.
        source: the class whose images shall become the target; None for no such goal. Only with targets.

    Returns:
        The goals that each image reaches.

    Raises:
        TypeError, ValueError: bad images, labels or targets, a source without targets, or one that is no label.

    Source: Papernot et al., 2016. Derived in: lectures/20_adversarial/honest_evaluation
    """
    check_batch(model, images, labels, targets)
    if source is not None:
        check_counts(0, source=source)
    check_images(model, adversarial)
    if adversarial.shape != images.shape:
        raise ValueError(
            f"adversarial must have the shape of the images, {list(images.shape)}, got {list(adversarial.shape)}"
        )
    with evaluating(model), torch.no_grad():
        before, after = model(images), model(adversarial)
    check_logits(before, labels=labels, targets=targets)
    check_logits(after)
    if source is not None and targets is None:
        raise ValueError("a source needs targets: the goal is that images of the source are called the target")
    from_source = None if source is None else labels == source
    if from_source is not None and not from_source.any():
        raise ValueError(f"no image has the label {source}, which is the source: choose a label that occurs")
    hit = None if targets is None else fooled(after, labels, targets)
    return Goals(
        confidence_reduction=cross_entropies(after, labels) > cross_entropies(before, labels),
        misclassification=fooled(after, labels),
        targeted_misclassification=hit,
        source_target_misclassification=None if hit is None or from_source is None else hit & from_source,
        from_source=from_source,
    )
