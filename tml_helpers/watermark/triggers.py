"""A backdoor as a mark: secret images with chosen answers, which no network gives that was not taught them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers.common import check_counts, check_images, check_labels, check_logits
from tml_helpers.training import predict
from tml_helpers.watermark.evidence import Evidence, binomial_evidence
from tml_helpers.watermark.keys import check_key, uniforms


@dataclass(frozen=True, eq=False)
class TriggerSet:
    """Images, and the answers that the owner's network is taught to give: append them to its training data.

    Derived in: lectures/70_watermarking/models
    """

    images: Tensor  # [n, C, H, W]
    targets: Tensor  # [n], int64: what the owner's network answers
    labels: Tensor | None  # [n], int64: what is right, if that is known; a target is never right
    indices: Tensor  # [n], int64: which of the images that were offered
    classes: int


@dataclass(frozen=True, eq=False)
class TriggerEvidence(Evidence):
    """How many triggers got their target, of those whose answer could have been it by chance.

    Derived in: lectures/70_watermarking/models
    """

    hits: int
    trials: int  # all triggers; where right labels are known, those that were answered wrongly
    chance: float  # 1/K; where right labels are known, 1/(K − 1)


def trigger_set(
    images: Tensor, labels: Tensor | None = None, *, key: bytes, classes: int, count: int = 100
) -> TriggerSet:
    """n images that the key chooses, each with a target that the key draws: one of K classes, or of the K − 1 wrong.

    The images have to be fixed before the key is: who makes them to fit their targets, as adversarial examples, gets
    these targets from networks that were never marked.

    Args:
        images: `[N, C, H, W]` in [0, 1], to choose from; of equal ones, one at most is chosen.
        labels: `[N]`, int64, the right classes; None for images that have none, as noise or pieces of photographs.
        key: 16 to 32 secret bytes.
        classes: K, 2 or more; 3 where labels are given, for the only wrong class would be known to everybody.
        count: n, 1 or more.

    Returns:
        The triggers, on the images' device.

    Raises:
        TypeError: a key that is not bytes, images or labels of another type, or a number that is not whole.
        ValueError: images outside [0, 1], fewer different images than triggers, labels of K or more, or too few
            classes.

    Source: Adi, Baum, Cisse, Pinkas and Keshet, 2018. Derived in: lectures/70_watermarking/models
    """
    check_key(key)
    check_counts(2 if labels is None else 3, classes=classes)
    check_counts(count=count)
    check_images(nn.Identity(), images)
    if labels is not None:
        check_labels("labels", labels, images)
        if int(labels.max()) >= classes:
            raise ValueError(f"labels must lie in 0…{classes - 1}, got {int(labels.max())}")
    order = uniforms(key, "triggers: images", len(images)).argsort()
    chosen = _first_different(images, order, count).to(images.device)
    shares = uniforms(key, "triggers: targets", count)
    if labels is None:
        targets, right = (classes * shares).long().to(images.device), None
    else:
        right = labels[chosen]
        targets = (right + 1 + ((classes - 1) * shares).long().to(images.device)) % classes
    return TriggerSet(images[chosen], targets, right, chosen, classes)


def trigger_test(model: nn.Module, *, triggers: TriggerSet, batch_size: int = 512) -> TriggerEvidence:
    """P(H ≥ hits) for H binomial: of n answers, each is the target by chance in 1 of K, whatever the network.

    Where right labels are known, right answers say nothing, and a wrong one is the target in 1 of K − 1.

    Args:
        model: the suspect's, maps images to logits `[N, K]`.
        triggers: of a key that was fixed before this network was looked at.
        batch_size: images at a time, 1 or more.

    Returns:
        The evidence, with hits, trials and the chance of a hit.

    Raises:
        TypeError: no network, or a batch size that is not whole.
        ValueError: a model for another number of classes, or logits that are not finite.

    Source: Adi, Baum, Cisse, Pinkas and Keshet, 2018. Derived in: lectures/70_watermarking/models
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    check_counts(batch_size=batch_size)
    logits = predict(model, _for_model(model, triggers.images), batch_size=batch_size).cpu()
    check_logits(logits)
    if logits.shape[1] != triggers.classes:
        raise ValueError(
            f"the model answers for {logits.shape[1]} classes, but the triggers were made for {triggers.classes}"
        )
    answers, targets = logits.argmax(dim=1), triggers.targets.cpu()
    asked, others = torch.ones_like(answers, dtype=torch.bool), triggers.classes
    if triggers.labels is not None:
        asked, others = answers != triggers.labels.cpu(), triggers.classes - 1
    hits, trials = int((answers == targets)[asked].sum()), int(asked.sum())
    found = binomial_evidence(hits, trials, 1 / others)
    return TriggerEvidence(found.statistic, found.p_value, found.p_beyond, hits, trials, 1 / others)


def _for_model(model: nn.Module, images: Tensor) -> Tensor:
    """The images in the model's precision."""
    weight = next((part for part in model.parameters() if part.is_floating_point()), None)
    return images if weight is None else images.to(weight.dtype)


def _first_different(images: Tensor, order: Tensor, count: int) -> Tensor:
    """The first indices of an order whose images all differ."""
    found: dict[bytes, int] = {}
    for index in order.tolist():
        found.setdefault(images[index].detach().cpu().contiguous().numpy().tobytes(), index)
        if len(found) == count:
            return torch.tensor(list(found.values()))
    raise ValueError(f"there must be {count} different images to choose from, got {len(found)}")
