"""A model that can be asked and not looked into, and that counts what it is asked."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Answers = Literal["logits", "labels"]


class BlackBox(nn.Module):
    """x ↦ model(x), without gradients: `queries` is the number of images asked so far, `asked` that of each call.

    A call that would bring `queries` above the limit gets no answer but QueryLimitReached, and does not count.

    Args:
        model: maps images to logits `[N, K]`.
        answers: `"logits"`, or `"labels"` for the class alone: 1 for the class that the model chose and 0 for the
            others, in place of logits.
        limit: the most images that it answers, 0 or more; None for no limit.

    Raises:
        ValueError: an unknown kind of answer, or a limit below 0.

    Derived in: lectures/20_adversarial/black_box
    """

    def __init__(self, model: nn.Module, *, answers: Answers = "logits", limit: int | None = None) -> None:
        if answers not in ("logits", "labels"):
            raise ValueError(f"answers must be logits or labels, got {answers!r}")
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more, or None for no limit; got {limit}")
        super().__init__()
        self.model, self.answers, self.limit = model, answers, limit
        self.asked: list[int] = []

    @property
    def queries(self) -> int:
        return sum(self.asked)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """The answers to images `[N, C, H, W]`: `[N, K]`, or QueryLimitReached."""
        if self.limit is not None and self.queries + len(images) > self.limit:
            raise QueryLimitReached(
                f"{self.queries:,} of {self.limit:,} queries are spent: there is no answer for {len(images):,} more"
            )
        self.asked.append(len(images))
        logits: Tensor = self.model(images)
        return logits if self.answers == "logits" else F.one_hot(logits.argmax(dim=1), logits.shape[1]).to(logits.dtype)


class QueryLimitReached(RuntimeError):
    """The black box was asked more often than its limit allows; it answered nothing."""
