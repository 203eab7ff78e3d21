"""LIME on text: leave words out, ask again, and fit a linear model to the answers."""

import re
from collections.abc import Callable, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tml_helpers.common import check_absent, draw
from tml_helpers.explain._local import (
    Samples,
    check_answers,
    check_masks,
    check_settings,
    check_targets,
    cosine_distance,
)
from tml_helpers.explain.explanation import TextExplanation, fitted, split


def lime_text(
    predict: Callable[[list[str]], ArrayLike],
    texts: Sequence[str],
    targets: Sequence[int] | Tensor,
    *,
    samples: int | None = None,
    masks: Tensor | None = None,
    kernel_width: float = 0.25,
    alpha: float = 1.0,
    features: int | None = None,
    generator: torch.Generator | None = None,
) -> list[TextExplanation]:
    """argmin over g of Σ π(z′) (p_target(x_z′) − g(z′))² + α|w|²: which words speak for the target, and which against.

    A feature is a word (what `\\w+` finds, capitals count) in all its places; a hidden word is left out, what stands
    around it stays. π = exp(−d²/2σ²), with d the cosine distance between a mask and all ones (the package lime has d
    and σ 100-fold).

    Args:
        predict: maps a list of texts to probabilities `[M, K]`, as a scikit-learn pipeline's `predict_proba`.
        texts: each with one word or more.
        targets: one class for each text, from 0 to K − 1.
        samples: how many texts are asked about, 2 or more, the first of which is the text itself; each other one leaves
            out 1, 2, … or all words, each number as likely. 5000 unless given.
        masks: bool `[M, F]`, True where a word stays, words in the order in which they first appear, instead of a draw:
            without `samples` and `generator`.
        kernel_width, alpha, features: as of `lime_image`.
        generator: draws what is left out, on any device.

    Returns:
        One explanation for each text.

    Raises:
        TypeError: another kind or type.
        ValueError: a text without a word, a shape or number that does not fit, or an argument that would be ignored.

    Source: Ribeiro, Singh and Guestrin, 2016. Derived in: lectures/40_interpretability/lime
    """
    if masks is not None:
        check_absent("masks are given", samples=samples, generator=generator)
    samples = 5000 if samples is None else samples
    check_settings(samples=samples, kernel_width=kernel_width, alpha=alpha, features=features)
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise TypeError("texts must be a sequence of strings: for one text pass [text]")
    explanations = []
    for text, target in zip(texts, check_targets(targets, len(texts)), strict=True):
        words = tuple(dict.fromkeys(re.findall(r"\w+", text)))
        if not words:
            raise ValueError(f"a text must have at least one word, got {text!r}")
        kept = _draw(samples, len(words), generator) if masks is None else check_masks(masks, len(words), "word")
        answers = check_answers(predict(_leave_out(text, words, kept)), len(kept), target)
        asked = Samples(kept, answers, cosine_distance(kept), kernel_width, alpha, features)
        explanations.append(TextExplanation(names=words, text=text, **fitted(asked, target)))
    return explanations


def _draw(samples: int, words: int, generator: torch.Generator | None) -> Tensor:
    """Masks `[samples, words]`: first all ones, then rows in which 1, 2, … or all words are hidden."""
    hidden = draw(torch.randint, 1, words + 1, (samples - 1, 1), device="cpu", generator=generator)
    ranks = draw(torch.rand, samples - 1, words, device="cpu", generator=generator, dtype=torch.float32)
    order = ranks.argsort(dim=1)
    return torch.cat([order.new_ones(1, words).bool(), order >= hidden])


def _leave_out(text: str, words: Sequence[str], masks: Tensor) -> list[str]:
    parts = split(text)
    columns = {word: column for column, word in enumerate(words)}
    always = len(words)  # what stands between words stays
    places = [columns.get(part, always) for part in parts]
    rows = [[*row, True] for row in masks.tolist()]
    return ["".join(part for part, place in zip(parts, places, strict=True) if row[place]) for row in rows]
