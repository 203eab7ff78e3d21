"""An attack on training is judged over several trainings from scratch: with intervals, and beside its controls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from tml_helpers.common import (
    check_counts,
    check_images,
    check_labels,
    check_logits,
    check_numbers,
    draw,
    own_generator,
    seeded,
)
from tml_helpers.poisoning.poison import Poison
from tml_helpers.training import fit, predict

__all__ = ["AttackSuccess", "Interval", "attack_success", "mean_interval", "retrain"]


@dataclass(frozen=True)
class Interval:
    """A mean over trainings, and between which bounds it lies with the confidence that was asked for."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class AttackSuccess:
    """How often an attack did what it was made for, over R trainings from scratch."""

    rates: Tensor
    """`[R]`, float64: the share of the images that each model gave the attacker's class."""
    interval: Interval
    """Of the mean of the rates, over trainings."""


def retrain(
    build: Callable[[], nn.Module],
    data: Dataset[Any],
    *,
    runs: int = 5,
    epochs: int,
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> tuple[nn.Module, ...]:
    """R networks, each trained from scratch on the same data with its own first weights and its own order.

    A poisoned training set is judged by these: one training may have been lucky. Calls with equal generators give model
    by model the same weights and orders, so that two training sets of one size are compared in pairs.

    Args:
        build: makes an untrained network, on the device where it is trained; it draws from PyTorch's own generator.
        data: a data set of images and labels, as `Poison.data`.
        runs: R, 1 or more.
        epochs: of each training, 0 or more.
        learning_rate: Adam's.
        batch_size: 1 or more.
        generator: draws the seed of each run; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        The models, in evaluation mode.

    Raises:
        TypeError: counts that are not whole, a generator that is none, or a `Poison` in place of its data.
        ValueError: a number of runs below 1, of epochs below 0, an empty data set, a loss that is not finite, or a
            `build` that gives one network twice.

    Derived in: lectures/30_poisoning/backdoors
    """
    check_counts(runs=runs, batch_size=batch_size)
    check_counts(0, epochs=epochs)
    if isinstance(data, Poison):
        raise TypeError("data must be a data set: pass poison.data, or poison.clean for the control")
    seeds = draw(torch.randint, 2**62, (runs,), device="cpu", generator=own_generator(generator)).tolist()
    models: list[nn.Module] = []
    for seed in tqdm(seeds, desc="trainings", disable=None if progress is None else not progress):
        with seeded(seed):
            model = build()
        if any(model is other for other in models):
            raise ValueError("build must make a new network at each call, but gave the same one again")
        own = torch.Generator().manual_seed(seed)
        with seeded(seed + 1):  # dropout and the like
            fit(
                model,
                data,
                epochs=epochs,
                learning_rate=learning_rate,
                batch_size=batch_size,
                generator=own,
                progress=False,
            )
        models.append(model.eval())
    return tuple(models)


def attack_success(
    models: Sequence[nn.Module],
    images: Tensor,
    targets: Tensor,
    *,
    confidence: float = 0.95,
    batch_size: int = 512,
) -> AttackSuccess:
    """The share of images that each model gives the attacker's class, and the interval of its mean over trainings.

    The unit is the training, not the image: a thousand images under one model are one trial. For a single image the
    interval is Clopper and Pearson's, of so many flips in so many trainings; for several it is Student's, over rates.

    Args:
        models: one for each training, at least two, as `retrain` makes.
        images: what the attack is about, `[N, C, H, W]` in [0, 1]: one target, or images with a trigger.
        targets: int64 `[N]`, the class that the attacker wants for each.
        confidence: of the interval, above 0 and below 1.
        batch_size: images at a time.

    Returns:
        The rates and the interval.

    Raises:
        TypeError: images or targets of another kind.
        ValueError: fewer than two models, one of them twice, shapes or values out of range, logits that are not finite,
            or a confidence outside of (0, 1).

    Source: Clopper and Pearson, 1934. Derived in: lectures/30_poisoning/backdoors
    """
    if len(models) < 2:
        raise ValueError(f"an attack on training is judged over two trainings or more, got {len(models)}")
    if len({id(model) for model in models}) < len(models):
        raise ValueError("models must be one for each training, but one of them stands there twice")
    for model in models:
        check_images(model, images)
    check_labels("targets", targets, images)
    rates = []
    for model in models:
        logits = predict(model, images, batch_size=batch_size)
        check_logits(logits, targets=targets)
        rates.append(float((logits.argmax(dim=1) == targets).double().mean()))
    shares = torch.tensor(rates, dtype=torch.float64)
    if len(images) > 1:
        return AttackSuccess(shares, _within_shares(mean_interval(shares, confidence=confidence)))
    _check_confidence(confidence)
    hits = int(shares.sum())
    exact = stats.binomtest(hits, len(models)).proportion_ci(confidence, method="exact")
    return AttackSuccess(shares, Interval(hits / len(models), float(exact.low), float(exact.high)))


def mean_interval(values: Tensor, *, confidence: float = 0.95) -> Interval:
    """mean ± t · s / √R: Student's interval of a mean over R trainings.

    For two ways to train, give the differences run by run: what the seeds have in common then cancels.

    Args:
        values: `[R]`, one number for each training, at least two.
        confidence: above 0 and below 1.

    Returns:
        The mean and its bounds. Where all values are equal, so are the bounds: that many runs showed no spread.

    Raises:
        TypeError: a confidence that is no number.
        ValueError: fewer than two values, values that are not finite, or a confidence outside of (0, 1).

    Source: Student, 1908. Derived in: lectures/30_poisoning/backdoors
    """
    _check_confidence(confidence)
    values = torch.as_tensor(values, dtype=torch.float64).cpu()
    if values.ndim != 1 or len(values) < 2 or not bool(values.isfinite().all()):
        raise ValueError(f"values must be two finite numbers or more, one for each training, got {values.tolist()}")
    mean = float(values.mean())
    reach = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * float(values.std()) / len(values) ** 0.5
    return Interval(mean, mean - reach, mean + reach)


def _within_shares(interval: Interval) -> Interval:
    return Interval(interval.mean, max(0.0, interval.low), min(1.0, interval.high))


def _check_confidence(confidence: float) -> None:
    check_numbers(confidence=confidence)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie above 0 and below 1, got {confidence}")
