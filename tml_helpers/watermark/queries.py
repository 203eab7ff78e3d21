"""A mark in a model's answers: who trains a copy on them trains the owner's deliberate mistakes into it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tml_helpers.common import check_counts, check_logits, check_numbers, evaluating
from tml_helpers.kernels import keyed_hash, keyed_select
from tml_helpers.kernels.keyed_select import check_key, picked
from tml_helpers.training import predict
from tml_helpers.watermark.evidence import Evidence, binomial_evidence


@dataclass(frozen=True)
class QueryEvidence(Evidence):
    """How many of the owner's own wrong answers a suspect gives; the statistic counts them.

    Args:
        statistic: the suspect's answers that are the marked ones.
        p_value: P(as many or more | a key drawn after the suspect was made).
        p_beyond: P(more | the same).
        selected: distinct inputs that the key picks.
        disagreements: those of them to which the suspect does not give the owner's unmarked answer.

    Derived in: lectures/70_watermarking/models
    """

    selected: int
    disagreements: int


class QueryWatermark(nn.Module):
    """x ↦ f(x), but where hκ(x) picks x, the top class changes places with another one that hκ(x) picks, too.

    The same query gets the same wrong answer, however often somebody asks. Who trains on enough answers learns
    wrong ones by heart, and they are the owner's: another model errs elsewhere and in other ways. Each honest user gets
    a wrong answer to the marked fraction of queries. The copy of a model whose weights were stolen carries no mark.

    It answers in evaluation mode, and gives no gradient. Keep it where the key is safe: what is pickled has it inside.

    Args:
        model: f, maps inputs `[N, …]` to logits `[N, K]`, K ≥ 3.
        key: 16 to 32 secret bytes, κ.
        fraction: of inputs that are answered wrongly, above 0 and at most 1.

    Raises:
        TypeError: no model, a key that is not bytes, or a fraction that is no number.
        ValueError: a key too short or too long, or a fraction outside its range.

    Source: Szyller et al., 2021. Derived in: lectures/70_watermarking/models
    """

    def __init__(self, model: nn.Module, *, key: bytes, fraction: float) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        check_key(key)
        check_numbers(fraction=fraction)
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction must be above 0 and at most 1, got {fraction}")
        super().__init__()
        self.model, self.fraction, self._key = model, float(fraction), key

    def selected(self, inputs: Tensor) -> Tensor:
        """hκ(x)₀ < fraction · 2³²: which inputs are answered wrongly, by the bytes of each; see `kernels.keyed_select`.

        Args:
            inputs: `[N, …]`, of any dtype, on any device.

        Returns:
            bool `[N]`, on the inputs' device.

        Raises:
            TypeError: inputs that are no dense tensor.
            ValueError: one number without a batch.

        Source: Szyller et al., 2021. Derived in: lectures/70_watermarking/models
        """
        return keyed_select(inputs, key=self._key, fraction=self.fraction)

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `[N, K]`: the model's, two of them exchanged where the input is selected."""
        with evaluating(self.model):
            logits = self.model(inputs)
        _check_classes(logits)
        top = logits.argmax(dim=1, keepdim=True)
        words = keyed_hash(inputs, key=self._key).to(logits.device)
        other = _another(top, words, logits.shape[1])
        swapped = logits.scatter(1, top, logits.gather(1, other)).scatter(1, other, _ahead(logits))
        return torch.where(picked(words, self.fraction)[:, None], swapped, logits)

    def test(self, model: nn.Module, inputs: Tensor, *, batch_size: int = 512) -> QueryEvidence:
        """P(Binomial(disagreements, 1/(K − 1)) ≥ matches): a mistake matches the key's by chance once in K − 1.

        Only selected inputs count, each once however often it is among them: equal bytes have one hash. Whatever the
        suspect says there, a key drawn after it was made picks each of the K − 1 other classes alike, so the count of
        matches is binomial, exactly. A suspect that agrees everywhere disagrees never, and gets a p-value of 1.

        Args:
            model: the suspect's, maps the same inputs to logits `[N, K]`; only its top class is read.
            inputs: `[N, …]`, at least one: queries that were answered, byte for byte as they came.
            batch_size: inputs at a time, 1 or more.

        Returns:
            The evidence: matches, their p-value, and how many inputs were selected and disagreed upon.

        Raises:
            TypeError: a model that is no module, or inputs that are no tensor.
            ValueError: no inputs, logits that are not finite, fewer than three classes, or a suspect with others.

        Source: Szyller et al., 2021. Derived in: lectures/70_watermarking/models
        """
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        check_counts(batch_size=batch_size)
        words = keyed_hash(inputs, key=self._key).cpu()
        if len(words) == 0:
            raise ValueError(f"inputs must be at least one query, got shape {list(inputs.shape)}")
        _, first = np.unique(words.numpy(), axis=0, return_index=True)
        once = torch.zeros(len(words), dtype=torch.bool, device="cpu")
        once[torch.from_numpy(first)] = True
        once &= picked(words, self.fraction)
        if not once.any():
            return QueryEvidence(0.0, 1.0, 0.0, selected=0, disagreements=0)
        queries, words = inputs[once.to(inputs.device)], words[once]
        logits, claimed = (predict(one, queries, batch_size=batch_size).cpu() for one in (self.model, model))
        _check_classes(logits)
        if claimed.shape != logits.shape or not claimed.isfinite().all():
            raise ValueError(
                f"the suspect must return finite logits {list(logits.shape)}, as the model does, got "
                f"{'NaN or infinity' if claimed.shape == logits.shape else list(claimed.shape)}"
            )
        top, answers = logits.argmax(dim=1, keepdim=True), claimed.argmax(dim=1, keepdim=True)
        hits = int((answers == _another(top, words, logits.shape[1])).sum())
        found = binomial_evidence(hits, int((answers != top).sum()), 1 / (logits.shape[1] - 1))
        return QueryEvidence(**vars(found), selected=len(queries), disagreements=int((answers != top).sum()))


def _another(top: Tensor, words: Tensor, classes: int) -> Tensor:
    """`[N, 1]`: the second word of each hash picks one of the K − 1 classes that are not the top one."""
    step = 1 + words[:, 1:2] * (classes - 1) // 2**32
    return (top + step) % classes


def _ahead(logits: Tensor) -> Tensor:
    """`[N, 1]`: the top logit; where several classes share it, one float more, for the marked class to be alone."""
    top = logits.amax(dim=1, keepdim=True)
    shared = (logits == top).sum(dim=1, keepdim=True) > 1
    return torch.where(shared, torch.nextafter(top, torch.full_like(top, torch.inf)), top)


def _check_classes(logits: Any) -> None:
    check_logits(logits)
    if logits.shape[1] < 3:
        raise ValueError("the model must have at least 3 classes, got 2: there is only one wrong answer, the suspect's")
