"""LIME on text: leave words out, ask again, and fit a linear model to the answers."""

import re
from collections.abc import Callable, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

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
    samples: int = 5000,
    masks: Tensor | None = None,
    kernel_width: float = 0.25,
    alpha: float = 1.0,
    features: int | None = None,
    generator: torch.Generator | None = None,
) -> list[TextExplanation]:
    """argmin over g of Σ π(z) (p_target(z) − g(z′))² + α|w|²: which words speak for the target, and which against.

    `predict` maps a list of texts to probabilities `[M, K]`, as a scikit-learn pipeline's `predict_proba`. Targets:
    one class for each text. A feature is a word (what `\\w+` finds, capitals count) in all its places; a hidden word is
    left out, what stands around it stays. The first of `samples` is the text itself; each other one leaves out
    1, 2, … or all words, as many as is drawn, each number as likely. `masks`, bool `[M, F]`, True where a word stays,
    words in the order in which they first appear, are taken instead of a draw. π = exp(−d²/2σ²) with
    σ = `kernel_width` and d the cosine distance between a mask and all ones (the package lime has both 100-fold).
    `alpha` and `features` as in `lime_image`.

    Raises ValueError for a text without a word and for shapes and ranges that do not fit; TypeError for other types.
    Source: Ribeiro, Singh and Guestrin, 2016. Derived in: lectures/40_interpretability/lime.
    """
    check_settings(samples=samples, kernel_width=kernel_width, alpha=alpha, features=features)
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise TypeError("texts must be a sequence of strings: for one text pass [text]")
    explanations = []
    for text, target in zip(texts, check_targets(targets, len(texts)), strict=True):
        words = tuple(dict.fromkeys(re.findall(r"\w+", text)))
        if not words:
            raise ValueError(f"a text must have at least one word, got {text!r}")
        kept = _draw(samples, len(words), generator) if masks is None else check_masks(masks, len(words), "word").cpu()
        answers = check_answers(predict(_leave_out(text, words, kept)), len(kept), target)
        asked = Samples(kept, answers, cosine_distance(kept), kernel_width, alpha, features)
        explanations.append(TextExplanation(names=words, text=text, **fitted(asked, target)))
    return explanations


def _draw(samples: int, words: int, generator: torch.Generator | None) -> Tensor:
    """Masks `[samples, words]`: first all ones, then rows in which 1, 2, … or all words are hidden."""
    device = torch.device("cpu") if generator is None else generator.device
    size = (samples - 1, 1)
    hidden = torch.randint(1, words + 1, size, generator=generator, device=device)
    order = torch.rand(samples - 1, words, generator=generator, device=device).argsort(dim=1)
    return torch.cat([torch.ones(1, words, dtype=torch.bool), (order >= hidden).cpu()])


def _leave_out(text: str, words: Sequence[str], masks: Tensor) -> list[str]:
    parts = split(text)
    columns = {word: column for column, word in enumerate(words)}
    always = len(words)  # what stands between words stays
    places = [columns.get(part, always) for part in parts]
    rows = [[*row, True] for row in masks.tolist()]
    return ["".join(part for part, place in zip(parts, places, strict=True) if row[place]) for row in rows]
