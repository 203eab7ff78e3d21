"""LIME on tables: draw each value anew from a quarter of its column, ask again, and fit a linear model."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.special import ndtr, ndtri

from tml_helpers.common import check_absent, draw
from tml_helpers.explain._local import Samples, check_answers, check_settings, check_targets
from tml_helpers.explain.explanation import Explanation, fitted


def lime_tabular(
    predict: Callable[[np.ndarray], ArrayLike],
    rows: ArrayLike,
    targets: Sequence[int] | Tensor,
    *,
    training: ArrayLike,
    categorical: Sequence[int] = (),
    names: Sequence[str] | None = None,
    samples: int | None = None,
    neighbours: ArrayLike | None = None,
    kernel_width: float | None = None,
    alpha: float = 1.0,
    features: int | None = None,
    generator: torch.Generator | None = None,
) -> list[Explanation]:
    """argmin over g of Σ π(z′) (p_target(x_z′) − g(z′))² + α|w|²: which values of a row speak for the target.

    A numeric column is cut at its quartiles into bins; a feature is "the value lies in the row's bin", or, in a
    categorical column, "the value is the row's". Weights say what that is worth; a constant column has weight 0.
    π = exp(−d²/2σ²), where d² is the number of features that differ.

    Args:
        predict: maps rows float64 `[M, F]` to probabilities `[M, K]`, or to one number each `[M]`, then target 0.
        rows: `[N, F]`, finite numbers.
        targets: one class for each row, from 0 to K − 1.
        training: `[n, F]`, finite numbers, from which bins and frequencies are taken.
        categorical: the columns, from 0 to F − 1, whose numbers are codes.
        names: of the F columns; an explanation's names are conditions on them.
        samples: how many rows are asked about, 2 or more, the first of which is the row itself; the others draw each
            column by itself, a bin or code as often as `training` has it, and in a bin a normal variable with the bin's
            mean and deviation, cut at its ends. 5000 unless given.
        neighbours: `[M, F]`, M ≥ 2, the rows that are asked about instead: without `samples` and `generator`.
        kernel_width: σ, above 0; ¾√F unless given.
        alpha, features: as of `lime_image`.
        generator: draws the rows, on any device.

    Returns:
        One explanation for each row.

    Raises:
        TypeError: what is no table of numbers, or another kind.
        ValueError: a shape or number that does not fit, or an argument that would be ignored.

    Source: Ribeiro, Singh and Guestrin, 2016. Derived in: lectures/40_interpretability/lime
    """
    if neighbours is not None:
        check_absent("neighbours are given", samples=samples, generator=generator)
    samples = 5000 if samples is None else samples
    table, inputs = _numbers("training", training), _numbers("rows", rows)
    count = table.shape[1]
    if inputs.shape[1] != count:
        raise ValueError(f"rows must have the {count} columns of training, got {inputs.shape[1]}")
    width = 0.75 * count**0.5 if kernel_width is None else kernel_width
    check_settings(samples=samples, kernel_width=width, alpha=alpha, features=features)
    titles = tuple(f"column {i}" for i in range(count)) if names is None else tuple(names)
    if len(titles) != count or not set(categorical) <= set(range(count)):
        raise ValueError(f"names must be {count} and categorical in 0…{count - 1}, got {len(titles)} and {categorical}")
    kinds = [_Codes if i in set(categorical) else _Bins for i in range(count)]
    columns = [kind(values, title) for kind, values, title in zip(kinds, table.T.contiguous(), titles, strict=True)]
    explanations = []
    for row, target in zip(inputs, check_targets(targets, len(inputs)), strict=True):
        near = _draw(row, columns, samples, generator) if neighbours is None else _given(neighbours, count)
        masks = torch.stack([c.same(near[:, i].contiguous(), row[i]) for i, c in enumerate(columns)], dim=1)
        said = np.asarray(predict(near.numpy()))
        answers = check_answers(said[:, None] if said.ndim == 1 else said, len(near), target)
        distances = (~masks).sum(dim=1).double().sqrt()
        conditions = tuple(c.condition(row[i]) for i, c in enumerate(columns))
        asked = Samples(masks, answers, distances, width, alpha, features)
        explanations.append(Explanation(names=conditions, **fitted(asked, target)))
    return explanations


class _Bins:
    """A numeric column, cut at its quartiles."""

    def __init__(self, values: Tensor, name: str) -> None:
        self.name = name
        self.cuts = torch.from_numpy(np.unique(np.percentile(values.numpy(), [25, 50, 75])))
        bins = torch.bucketize(values, self.cuts)
        self.counts = bins.bincount(minlength=len(self.cuts) + 1)
        self.low = torch.cat([values.min()[None], self.cuts])
        self.high = torch.cat([self.cuts, values.max()[None]])
        members = [values[bins == i] for i in range(len(self.counts))]
        self.mean = torch.stack([m.mean() if len(m) else m.sum() for m in members])
        self.deviation = torch.stack([m.std(correction=0) if len(m) else m.sum() for m in members])

    def draw(self, count: int, generator: torch.Generator | None) -> Tensor:
        bins = _chosen(self.counts, count, generator)
        low, high, mean, deviation = (part[bins] for part in (self.low, self.high, self.mean, self.deviation))
        from_, to = (ndtr((end - mean) / deviation.clamp_min(1e-300)) for end in (low, high))
        uniform = draw(torch.rand, count, device="cpu", generator=generator, dtype=torch.float64)
        drawn = mean + deviation * ndtri(from_ + uniform * (to - from_))
        return torch.where(deviation > 0, drawn, mean).clamp(low, high)

    def same(self, values: Tensor, value: Tensor) -> Tensor:
        shared: Tensor = torch.bucketize(values, self.cuts) == torch.bucketize(value, self.cuts)
        return shared

    def condition(self, value: Tensor) -> str:
        place, cuts = int(torch.bucketize(value, self.cuts)), [f"{cut:.2f}" for cut in self.cuts.tolist()]
        if place == 0:
            return f"{self.name} ≤ {cuts[0]}"
        if place == len(cuts):
            return f"{self.name} > {cuts[-1]}"
        return f"{cuts[place - 1]} < {self.name} ≤ {cuts[place]}"


class _Codes:
    """A categorical column."""

    def __init__(self, values: Tensor, name: str) -> None:
        self.name = name
        self.codes, self.counts = values.unique(return_counts=True)

    def draw(self, count: int, generator: torch.Generator | None) -> Tensor:
        drawn: Tensor = self.codes[_chosen(self.counts, count, generator)]
        return drawn

    def same(self, values: Tensor, value: Tensor) -> Tensor:
        shared: Tensor = values == value
        return shared

    def condition(self, value: Tensor) -> str:
        return f"{self.name} = {float(value):g}"


def _chosen(counts: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """Indices, each as often as its count says: int64 `[count]`."""

    def sampler(device: torch.device, generator: torch.Generator | None) -> Tensor:
        drawn: Tensor = counts.double().to(device).multinomial(count, replacement=True, generator=generator)
        return drawn

    return draw(sampler, device="cpu", generator=generator)


def _draw(row: Tensor, columns: Sequence[_Bins | _Codes], count: int, generator: torch.Generator | None) -> Tensor:
    """Rows `[count, F]`: first the row itself, then each column drawn by itself."""
    drawn = torch.stack([column.draw(count - 1, generator) for column in columns], dim=1)
    return torch.cat([row[None], drawn])


def _given(neighbours: ArrayLike, count: int) -> Tensor:
    table = _numbers("neighbours", neighbours)
    if table.shape[1] != count or len(table) < 2:
        raise ValueError(f"neighbours must be [M, {count}] with M ≥ 2, got {list(table.shape)}")
    return table


def _numbers(name: str, values: ArrayLike) -> Tensor:
    """A table of finite numbers as float64 `[n, F]`."""
    try:
        table = torch.from_numpy(np.array(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a table of numbers: write categories as codes 0, 1, …") from error
    if table.ndim != 2 or table.numel() == 0:
        raise ValueError(f"{name} must be a non-empty table [n, F], got shape {list(table.shape)}")
    if not bool(torch.isfinite(table).all()):
        raise ValueError(f"{name} must be finite, got NaN or infinity: fill the gaps first")
    return table
