"""Training that bears wrong labels: the loss of what the noise makes of an answer, two networks, and mixed images."""

from dataclasses import dataclass

import torch
from scipy.special import betaincinv
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset
from tqdm.auto import tqdm

from tml_helpers.common import (
    check_counts,
    check_images,
    check_labels,
    check_logits,
    check_numbers,
    draw,
    own_generator,
)
from tml_helpers.poisoning._checks import check_two_classes
from tml_helpers.training import Loss, batches, own_optimizer, predict

__all__ = [
    "CoTeaching",
    "TransitionEstimate",
    "co_teaching",
    "confident_transition",
    "estimate_transition",
    "forward_correction",
    "mixup",
]


@dataclass(frozen=True, eq=False)
class TransitionEstimate:
    """What a network says of the noise, and on how many images each row rests."""

    transition: Tensor
    """`[K, K]`, float64: T_ab, how often class a is called b; rows add up to 1."""
    support: Tensor
    """`[K]`, int64: the images that row a was read off. Where there are none, the row is the identity's: no noise."""


@dataclass(frozen=True, eq=False)
class CoTeaching:
    """How two networks taught each other; both were trained in place."""

    losses: Tensor
    """`[epochs, 2]`, float64: the mean loss of each network on what the other chose for it."""
    kept: Tensor
    """`[2, N]`, bool: the examples that each network was trained on in the last epoch."""


def forward_correction(transition: Tensor) -> Loss:
    """−log Σ_a p_a T_ay, the mean over the batch: the loss of what the noise makes of the answer.

    The network answers p for the true class, the noise turns a into b with probability T_ab, and only the result is
    compared with the label that was seen. If T is right, the best network for this loss on wrong labels is the best
    one for cross-entropy on right ones.

    Args:
        transition: `[K, K]`, T_ab = P(seen b | true a): rows add up to 1.

    Returns:
        A loss for `training.fit`: of the model, images `[N, C, H, W]` and the labels seen, `[N]`.

    Raises:
        TypeError: what is no tensor of floating-point numbers.
        ValueError: another shape, rows that are no probabilities, and, from the loss, another number of classes or a
            label that T says is never seen.

    Source: Patrini et al., 2017. Derived in: lectures/30_poisoning/labels
    """
    check_transition(transition)
    logs = transition.detach().double().log()
    possible = (transition > 0).any(dim=0)

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        logits = model(images)
        if logits.shape[1] != len(logs):
            raise ValueError(f"transition is of {len(logs)} classes, but the model has {logits.shape[1]}")
        if not bool(possible.to(labels.device)[labels].all()):
            never = sorted({int(y) for y in labels if not possible[y]})
            raise ValueError(f"labels has class {never[0]}, which no class becomes by transition: its column is 0")
        columns = logs.T.to(logits)[labels]  # row i: log T_ay over a
        return -torch.logsumexp(logits.log_softmax(dim=1) + columns, dim=1).mean()

    return loss


def estimate_transition(
    model: nn.Module, images: Tensor, *, quantile: float = 0.97, batch_size: int = 512
) -> TransitionEstimate:
    """T_ab = p_b(x^a), where x^a is an image that the network takes for class a with hardly a doubt.

    Of a network that was trained on the labels as they are, the probabilities are those of labels *seen*. On an image
    that is surely of class a they are row a of T. Such an image is called an anchor; as x^a stands the image whose p_a
    is at this quantile, since the very largest is the largest by luck as well.

    Args:
        model: maps images to logits; trained on the labels that were seen, and stopped before it knows them by heart.
        images: `[N, C, H, W]` in [0, 1]; best such as it was not trained on.
        quantile: which image of those ordered by p_a: above 0 and at most 1, the largest.
        batch_size: images at a time.

    Returns:
        The estimate; each row rests on one image.

    Raises:
        TypeError: images of another kind, type or device than the model's, or a quantile that is no number.
        ValueError: images or a quantile out of range, or answers that are not finite.

    Source: Patrini et al., 2017. Derived in: lectures/30_poisoning/labels
    """
    check_images(model, images)
    check_numbers(quantile=quantile)
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile must lie above 0 and be at most 1, got {quantile}")
    chances = _chances(model, images, None, batch_size)
    places = chances.sort(dim=0).indices[max(0, round(quantile * len(images)) - 1)]
    return TransitionEstimate(chances[places], torch.ones(len(places), dtype=torch.int64))


def confident_transition(
    model: nn.Module, images: Tensor, labels: Tensor, *, batch_size: int = 512
) -> TransitionEstimate:
    """T_ab = C_ab / Σ_b C_ab, where C_ab counts the images seen as b that the network is confident are of class a.

    It is confident of class a where p_a is at least its mean over the images that are labelled a; of several such
    classes the most probable counts. The rows are weighed so that each label is counted as often as it was seen.

    Args:
        model: maps images to logits; trained on the labels that were seen, and stopped before it knows them by heart.
        images: `[N, C, H, W]` in [0, 1], such as it was not trained on: of what it was, it repeats the labels.
        labels: those seen, int64 `[N]`.
        batch_size: images at a time.

    Returns:
        The estimate, and how many images each row was counted on.

    Raises:
        TypeError: images or labels of another kind, type or device than the model's.
        ValueError: shapes or values out of range, one class only, or answers that are not finite.

    Source: Northcutt, Jiang and Chuang, 2021. Derived in: lectures/30_poisoning/labels
    """
    check_images(model, images)
    check_labels("labels", labels, images)
    check_two_classes(labels)
    chances, labels = _chances(model, images, labels, batch_size), labels.cpu()
    classes = chances.shape[1]
    seen = F.one_hot(labels, classes).double()
    mean = (chances * seen).sum(dim=0) / seen.sum(dim=0)  # NaN where nobody is called so: nobody is confident of it
    above = chances >= mean - 1e-9
    guess = torch.where(above, chances, -1.0).argmax(dim=1)
    sure = above.any(dim=1)
    joint = torch.zeros(classes, classes, dtype=torch.float64)  # rows seen b, columns true a
    joint.index_put_((labels[sure], guess[sure]), torch.ones(int(sure.sum()), dtype=torch.float64), accumulate=True)
    support = joint.sum(dim=0).to(torch.int64)
    joint *= (seen.sum(dim=0) / joint.sum(dim=1).clamp(min=1))[:, None]
    known = support > 0
    rows = torch.eye(classes, dtype=torch.float64)
    rows[known] = (joint / joint.sum(dim=0).clamp(min=1e-300)).T[known]
    return TransitionEstimate(rows, support)


def co_teaching(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    partner: nn.Module,
    forget_rate: float,
    epochs: int,
    ramp: int = 5,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> CoTeaching:
    """Each network chooses, of every batch, the (1 − r) of the smallest loss: on these the *other* one is trained.

    Networks learn what many examples share before they learn single ones by heart, so that a large loss speaks of a
    wrong label. A network that chose for itself would repeat its own mistakes; two of different first weights make
    different ones. r grows from 0 to `forget_rate` over the first epochs, while both still learn what is common.

    Args:
        model: maps images to logits `[N, K]`; it is trained.
        images: `[N, C, H, W]` in [0, 1], where the model is.
        labels: those seen, int64 `[N]`.
        partner: another network of the same classes, with other first weights; it is trained, too.
        forget_rate: what is left out of a batch in the end, from 0 to below 1: the share of wrong labels.
        epochs: 1 or more.
        ramp: after so many epochs that rate is reached, 1 or more.
        learning_rate: Adam's, of both.
        batch_size: 2 or more.
        generator: shuffles; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        The losses, and what each was trained on at last. Both networks are left in training mode.

    Raises:
        TypeError: numbers, images or labels of another kind, or another type or device than the models'.
        ValueError: shapes or values out of range, one class only, one network or equal weights given twice, so that
            nothing is learnt of the other, or a loss that is not finite.

    Source: Han et al., 2018. Derived in: lectures/30_poisoning/labels
    """
    for network in (model, partner):
        check_images(network, images)
    check_labels("labels", labels, images)
    check_two_classes(labels)
    check_counts(epochs=epochs, ramp=ramp)
    check_counts(2, batch_size=batch_size)
    check_numbers(forget_rate=forget_rate)
    if not 0 <= forget_rate < 1:
        raise ValueError(f"forget_rate must be 0 or more and below 1, got {forget_rate}")
    _check_pair(model, partner)
    pair = (model, partner)
    for network in pair:
        check_logits(predict(network, images[:1]), labels=labels)
    optimizers = [own_optimizer(network, optimizer=None, learning_rate=learning_rate) for network in pair]
    generator, places = own_generator(generator), torch.arange(len(images), device=images.device)
    data, history = TensorDataset(images, labels, places), []
    for network in pair:
        network.train()
    for epoch in tqdm(range(epochs), desc="epochs", disable=None if progress is None else not progress):
        forget = forget_rate * min(epoch / ramp, 1.0)
        kept = torch.zeros(2, len(images), dtype=torch.bool)
        total = torch.zeros(2, dtype=torch.float64)
        for x, y, at in batches(data, batch_size=batch_size, generator=generator):
            each = [F.cross_entropy(network(x), y, reduction="none") for network in pair]
            if not all(bool(values.isfinite().all()) for values in each):
                raise ValueError(f"the loss is not finite in epoch {epoch + 1}: lower the learning rate")
            count = max(1, round((1 - forget) * len(x)))
            chosen = [values.detach().topk(count, largest=False).indices for values in each]
            for number, other in ((0, 1), (1, 0)):
                value = each[number][chosen[other]].mean()
                optimizers[number].zero_grad(set_to_none=True)
                value.backward()
                optimizers[number].step()
                kept[number, at[chosen[other]].cpu()] = True
                total[number] += float(value.detach()) * len(x)
        history.append(total / len(images))
    return CoTeaching(torch.stack(history), kept)


def mixup(alpha: float, *, generator: torch.Generator | None = None) -> Loss:
    """w · CE(y) + (1 − w) · CE(y′) at w x + (1 − w) x′: two images laid over each other, and both of their labels.

    The weight w is drawn from Beta(α, α) for each batch, and x′, y′ are the batch in another order. What lies between
    two images must then have an answer between two labels, which makes a single label hard to learn by heart.

    Args:
        alpha: of the beta law, above 0: near 0 hardly anything is mixed, at 1 every weight is equally likely.
        generator: draws the weights and the order; on any device.

    Returns:
        A loss for `training.fit`: of the model, images `[N, C, H, W]` and labels `[N]`.

    Raises:
        TypeError: an alpha that is no number, or a generator that is none.
        ValueError: an alpha of 0 or less, or not finite.

    Source: Zhang et al., 2018. Derived in: lectures/30_poisoning/labels
    """
    check_numbers(alpha=alpha)
    if not 0 < alpha < float("inf"):
        raise ValueError(f"alpha must lie above 0 and be finite, got {alpha}")
    own = own_generator(generator)

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        share = draw(torch.rand, (), device="cpu", generator=own, dtype=torch.float64)
        weight = float(betaincinv(alpha, alpha, float(share)))
        order = draw(torch.randperm, len(images), device=images.device, generator=own)
        logits = model(weight * images + (1 - weight) * images[order])
        return weight * F.cross_entropy(logits, labels) + (1 - weight) * F.cross_entropy(logits, labels[order])

    return loss


def check_transition(transition: Tensor) -> None:
    """T_ab = P(seen b | true a), `[K, K]`: rows of probabilities that add up to 1.

    Args:
        transition: float32 or float64, on any device.

    Raises:
        TypeError: what is no tensor of floating-point numbers.
        ValueError: another shape, fewer than two classes, or rows that are no probabilities.
    """
    if not isinstance(transition, Tensor) or not transition.is_floating_point():
        kind = transition.dtype if isinstance(transition, Tensor) else type(transition).__name__
        raise TypeError(f"transition must be a floating-point tensor [K, K], got {kind}")
    if transition.ndim != 2 or transition.shape[0] != transition.shape[1] or len(transition) < 2:
        raise ValueError(f"transition must have shape [K, K] for K ≥ 2 classes, got {list(transition.shape)}")
    sums = transition.detach().double().sum(dim=1)
    if not (bool((transition >= 0).all()) and bool(((sums - 1).abs() < 1e-4).all())):  # false for NaN as well
        raise ValueError("transition must have rows of probabilities that add up to 1: row a is what class a is called")


def _chances(model: nn.Module, images: Tensor, labels: Tensor | None, batch_size: int) -> Tensor:
    """The model's probabilities, float64 on the CPU."""
    check_counts(batch_size=batch_size)
    logits = predict(model, images, batch_size=batch_size)
    check_logits(logits, labels=labels)
    return logits.double().softmax(dim=1).cpu()


def _check_pair(model: nn.Module, partner: nn.Module) -> None:
    if model is partner:
        raise ValueError("partner must be another network than the model: one that teaches itself repeats its mistakes")
    ours, theirs = list(model.parameters()), list(partner.parameters())
    shared = {id(weight) for weight in ours} & {id(weight) for weight in theirs}
    if shared:
        raise ValueError("partner must have weights of its own, but shares some with the model")
    same = [weight.shape for weight in ours] == [weight.shape for weight in theirs]
    if same and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)):
        raise ValueError("partner has the model's weights: give it others, or the two remain the same network")
