"""A mark in generated text: which words may follow is green or red by the key, and the writer prefers green.

The null is over the key. Whatever the text, the words that follow one word in it are k different words of V, of which a
fresh key makes G green: their green ones are hypergeometric, and those after different words are independent. That is
the exact law of the count, as long as each pair of words counts once.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from tml_helpers.common import check_counts, check_generator, check_numbers, draw, evaluating
from tml_helpers.watermark.evidence import SMALLEST, Evidence
from tml_helpers.watermark.keys import check_key, uniforms

LISTS = 1024  # how many green lists a writer keeps: 50 MB of a vocabulary of 50,000


@dataclass(frozen=True)
class TextEvidence(Evidence):
    """How many different pairs of neighbouring words are green; the statistic is Z, the p-value that of the count."""

    greens: int  # s: different pairs whose second word is green
    bigrams: int  # T: different pairs

    @property
    def z(self) -> float:
        """Z = (s − γT) / √(T γ (1 − γ)), the standard score of the paper; 0 without pairs."""
        return self.statistic


def green_list(previous: int, *, key: bytes, vocabulary: int, gamma: float = 0.5) -> Tensor:
    """The round(γV) words of V to which the key gives the smallest numbers after the previous word.

    A list of a vocabulary that is a little larger, as of a model whose last logits belong to no word, differs in few
    of the words that both have.

    Args:
        previous: the word before, 0 or more.
        key: 16 to 32 bytes.
        vocabulary: V, how many words there are.
        gamma: γ, the share that is green, strictly between 0 and 1.

    Returns:
        `[V]`, bool, on the CPU.

    Raises:
        TypeError: a key that is not bytes, or what is no number.
        ValueError: a word outside the vocabulary, or a share that leaves no green or no red word.

    Source: Kirchenbauer et al., 2023. Derived in: lectures/70_watermarking/generated
    """
    check_counts(0, previous=previous)
    count = _green_count(vocabulary, gamma)
    if previous >= vocabulary:
        raise ValueError(f"previous must be a word of 0…{vocabulary - 1}, got {previous}")
    return torch.from_numpy(_greens(previous, key, vocabulary, count))


def text_watermark(
    model: nn.Module,
    inputs: Tensor,
    *,
    key: bytes,
    gamma: float = 0.5,
    delta: float = 2.0,
    length: int = 100,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Words drawn from softmax(logits / temperature + δ · green), one after the other.

    A green word has e^δ times the odds that it had, at any temperature; where only one word is possible, it is written
    whatever its colour.

    Args:
        model: a language model: words `[N, T]`, int64, to logits of each next word `[N, T, V]`, or to an object with
            such `.logits`. It is asked for the whole text at each word, in evaluation mode and without gradients. A
            logit of −∞ forbids a word.
        inputs: the beginnings, `[T]` or `[N, T]`, int64, where the model is, at least one word each.
        key: 16 to 32 bytes.
        gamma: γ, the share of words that is green, strictly between 0 and 1.
        delta: δ, 0 or more; 0 writes without a mark.
        length: how many words are written.
        temperature: positive; below 1 likely words become likelier.
        generator: draws the words.

    Returns:
        The words that were written, without the beginnings: `[length]` or `[N, length]`, int64.

    Raises:
        TypeError: words that are not int64, a key that is not bytes, or what is no number.
        ValueError: no beginning, a δ, temperature or γ out of range, or a model that answers in another shape, with
            NaN, or forbids every word.

    Source: Kirchenbauer et al., 2023. Derived in: lectures/70_watermarking/generated
    """
    check_key(key)
    check_generator(generator)
    check_counts(length=length)
    check_numbers(delta=delta, temperature=temperature, gamma=gamma)
    if not 0 <= delta < math.inf or not 0 < temperature < math.inf:
        raise ValueError(f"delta must be 0 or more and temperature positive, got {delta} and {temperature}")
    words = _check_words("inputs", inputs)
    if words.numel() == 0:
        raise ValueError(f"inputs must begin with at least one word, got shape {list(inputs.shape)}")

    @functools.lru_cache(maxsize=LISTS)
    def greens_after(previous: int, vocabulary: int) -> Tensor:
        return green_list(previous, key=key, vocabulary=vocabulary, gamma=gamma)

    start = words.shape[1]
    with evaluating(model), torch.no_grad():
        for _ in range(length):
            logits = _next_logits(model, words)
            before = words[:, -1].tolist()
            green = torch.stack([greens_after(word, logits.shape[1]) for word in before]).to(logits.device)
            scores = (logits - logits.amax(dim=1, keepdim=True)) / temperature + delta * green
            chance = draw(torch.rand, *scores.shape, device=scores.device, generator=generator, dtype=torch.float64)
            drawn = (scores - (-chance.log()).log()).argmax(dim=1)  # Gumbel's way to draw from a softmax
            words = torch.cat([words, drawn[:, None].to(words.device)], dim=1)
    written = words[:, start:]
    return written[0] if inputs.ndim == 1 else written


def detect_text(tokens: Tensor, *, key: bytes, vocabulary: int, gamma: float = 0.5) -> TextEvidence:
    """P(as many green pairs or more | a key drawn after the text), exact, each different pair of neighbours once.

    Args:
        tokens: a text `[T]`, integers, or several `[N, T]` that are judged together, as one source: no pair goes from
            one to the next, and one that is in two of them counts once.
        key: 16 to 32 bytes.
        vocabulary: V, as many as the model had logits.
        gamma: γ, the share that was green when it was written.

    Returns:
        The evidence: Z, the count s of green pairs among the T different ones. Without a pair the p-value is 1.

    Raises:
        TypeError: tokens that are no integers, or a key that is not bytes.
        ValueError: another shape, a token outside the vocabulary, or a share that leaves no green or no red word.

    Source: Kirchenbauer et al., 2023; Fernandez et al., 2023. Derived in: lectures/70_watermarking/generated
    """
    check_key(key)
    count = _green_count(vocabulary, gamma)
    words = _check_words("tokens", tokens).cpu()
    if words.numel() and int(words.max()) >= vocabulary:
        raise ValueError(f"tokens must lie in 0…{vocabulary - 1}, got {int(words.max())}")
    following: dict[int, list[int]] = {}
    pairs = torch.stack([words[:, :-1], words[:, 1:]], dim=-1).reshape(-1, 2).unique(dim=0)
    for previous, word in pairs.tolist():
        following.setdefault(previous, []).append(word)
    greens = sum(int(_greens(word, key, vocabulary, count)[nexts].sum()) for word, nexts in following.items())
    chances = _law_of_greens([len(nexts) for nexts in following.values()], vocabulary, count)
    p_value, p_beyond = float(chances[greens:].sum()), float(chances[greens + 1 :].sum())
    share = count / vocabulary
    z = (greens - share * len(pairs)) / math.sqrt(max(len(pairs), 1) * share * (1 - share))
    return TextEvidence(z, min(max(p_value, SMALLEST), 1.0), min(p_beyond, 1.0), greens, len(pairs))


def _greens(previous: int, key: bytes, vocabulary: int, count: int) -> np.ndarray:
    """Which words are green after the previous one, bool `[V]`."""
    numbers = uniforms(key, f"text green after {previous}", vocabulary).numpy()
    green: np.ndarray = numbers <= np.partition(numbers, count - 1)[count - 1]  # of 52 bits, so none are equal
    return green


def _law_of_greens(sizes: list[int], vocabulary: int, count: int) -> np.ndarray:
    """P(s green) for s = 0, 1, …: a sum of independent hypergeometric numbers, one for each word that goes before."""
    laws = {size: stats.hypergeom.pmf(np.arange(size + 1), vocabulary, count, size) for size in set(sizes)}
    return functools.reduce(lambda law, size: np.convolve(law, laws[size]), sizes, np.ones(1))


def _green_count(vocabulary: int, gamma: float) -> int:
    """round(γV), with at least one green and one red word."""
    check_counts(2, vocabulary=vocabulary)
    check_numbers(gamma=gamma)
    if not 0 < gamma < 1 or not 0 < round(gamma * vocabulary) < vocabulary:
        raise ValueError(
            f"gamma must lie between 0 and 1 and leave a green and a red word of {vocabulary}, got {gamma}"
        )
    return round(gamma * vocabulary)


def _check_words(name: str, words: Tensor) -> Tensor:
    """Texts of integers as rows `[N, T]`, int64."""
    whole = isinstance(words, Tensor) and not (words.is_floating_point() or words.is_complex())
    if not whole or words.dtype == torch.bool:
        kind = words.dtype if isinstance(words, Tensor) else type(words).__name__
        raise TypeError(f"{name} must be a tensor of whole numbers, the words' places in the vocabulary, got {kind}")
    if words.ndim not in (1, 2):
        raise ValueError(f"{name} must be one text [T] or several [N, T], got shape {list(words.shape)}")
    if words.numel() and int(words.min()) < 0:
        raise ValueError(f"{name} must be 0 or more, got {int(words.min())}")
    return (words[None] if words.ndim == 1 else words).long()


def _next_logits(model: nn.Module, words: Tensor) -> Tensor:
    """The logits `[N, V]` of the next word, in float64."""
    answer = model(words)
    logits = getattr(answer, "logits", answer)
    if not isinstance(logits, Tensor) or logits.ndim != 3 or logits.shape[:2] != words.shape:
        got = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model must answer words {list(words.shape)} with logits [N, T, V], got {got}")
    last = logits[:, -1].double()
    if last.isnan().any() or (last == math.inf).any() or (last.amax(dim=1) == -math.inf).any():
        raise ValueError("the model's logits must be numbers or −∞, and not all −∞: has it been trained?")
    return last
