"""A model behind a counter: what it shows of its confidences, and how often it answers."""

import math
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_counts, check_logits, evaluating
from tml_helpers.privacy._numbers import check_rate


class QueryLimitError(RuntimeError):
    """The interface was asked more often than it answers; it answered nothing."""


class LimitedAPI(nn.Module):
    """x ↦ log p̃(x), what an interface shows of p = softmax(f(x)): clipped, rounded, the largest only, so many times.

    In this order: `clip` moves each confidence into [(1 − c) / (K − 1), c], `decimals` rounds it, and `top` hides all
    but the largest. What is hidden or shown as 0 gets an even share of what is left of 1, the most that a reader can
    make of it (at least half a unit of the last digit, so that no logarithm is of 0, and no more than what is shown).
    So the exponential of an answer is the confidence where one is shown, and attacks and metrics take the answer for
    logits. Its class is the model's: of equal confidences the model's first choice is a hair larger.

    It answers in evaluation mode, each input by itself, and gives no gradient: a white-box attack gets zeros, and says
    so. `queries` counts the inputs answered. A call that would bring it above `max_queries` is refused as a whole, and
    does not count. Copies of the interface share its count, and weights that are loaded do not change it.

    Args:
        model: f, maps inputs `[N, …]` to logits `[N, K]`.
        top: how many classes get a confidence, 1 or more; None for all.
        decimals: digits after the point, 0 to 15; None for all. With `top=1, decimals=0` it names the class alone.
        clip: c, the largest confidence shown, from 0.5 to below 1, with no more digits than `decimals`; None for none.
        max_queries: the most inputs that it answers, 0 or more; None for any number.

    Raises:
        TypeError: no model, numbers of classes, digits or queries that are not whole, or a clip that is no number.
        ValueError: a number outside its range.

    Derived in: lectures/60_privacy/inversion_and_stealing
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        top: int | None = None,
        decimals: int | None = None,
        clip: float | None = None,
        max_queries: int | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        if top is not None:
            check_counts(top=top)
        if decimals is not None:
            check_counts(0, decimals=decimals)
            if decimals > 15:
                raise ValueError(f"decimals must be at most 15, all that a float64 has, got {decimals}")
        if clip is not None:
            check_rate(clip=clip)
            if not 0.5 <= clip < 1:
                raise ValueError(f"clip, the largest confidence shown, must lie in [0.5, 1), got {clip}")
            if decimals is not None and round(clip, decimals) != clip:
                raise ValueError(f"clip must have at most {decimals} decimals, as what is shown has, got {clip}")
        if max_queries is not None:
            check_counts(0, max_queries=max_queries)
        super().__init__()
        self.model, self.top, self.decimals, self.clip, self.max_queries = model, top, decimals, clip, max_queries
        self._meter = _Meter()

    @property
    def queries(self) -> int:
        """How many inputs were answered, by this interface and its copies."""
        return self._meter.count

    def reset(self) -> None:
        """Count from 0 again: a new day, or a new client."""
        self._meter.count = 0

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Logarithms of what is shown `[N, K]`, float32 or float64; or QueryLimitError."""
        if self.max_queries is not None and self.queries + len(images) > self.max_queries:
            raise QueryLimitError(
                f"{self.queries:,} of {self.max_queries:,} queries are spent: there is no answer for "
                f"{len(images):,} more"
            )
        with evaluating(self.model):
            logits = self.model(images)
        check_logits(logits)
        if self.top is not None and self.top > logits.shape[1]:
            raise ValueError(f"top must be at most {logits.shape[1]}, the model's classes, got {self.top}")
        self._meter.count += len(images)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if self.top is self.decimals is self.clip is None:
            return F.log_softmax(logits, dim=1)
        return self._shown(logits)

    def _shown(self, logits: Tensor) -> Tensor:
        """log p̃: each confidence as it is shown, or as a reader completes it."""
        p = logits.softmax(dim=1)
        order = logits.argsort(dim=1, descending=True, stable=True)
        least = torch.finfo(p.dtype).tiny
        if self.clip is not None:
            p = p.clamp((1 - self.clip) / (p.shape[1] - 1), self.clip)
        if self.decimals is not None:
            p = p.round(decimals=self.decimals)
            least = 10.0**-self.decimals / 2
        seen = p > 0
        if self.top is not None:
            seen &= torch.zeros_like(seen).scatter(1, order[:, : self.top], True)
        smallest = torch.where(seen, p, math.inf).amin(dim=1)  # infinite where nothing is shown
        left = (1 - torch.where(seen, p, 0).sum(dim=1)).clamp_min(least)
        share = torch.minimum(left / (~seen).sum(dim=1), smallest)
        return first_ahead(torch.where(seen, p, share[:, None]).log(), order[:, :1])


def first_ahead(logits: Tensor, first: Tensor) -> Tensor:
    """The same `[N, K]`, where the first choice `[N, 1]` is one float above any class that is as large."""
    others = logits.scatter(1, first, -math.inf).amax(dim=1, keepdim=True)
    above = torch.nextafter(others, torch.full_like(others, math.inf))
    ahead: Tensor = logits.scatter(1, first, torch.maximum(logits.gather(1, first), above))
    return ahead


class _Meter:
    """A count that copies share: whoever copies an interface does not get its questions again."""

    def __init__(self) -> None:
        self.count = 0

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self
