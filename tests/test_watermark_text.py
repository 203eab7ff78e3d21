"""Marks in text: the law of the count against all keys of a tiny vocabulary and against a hand-made urn, the paper's Z,
the writer against closed forms, and situations that public reports tell of."""

import hashlib
import math
from collections.abc import Callable
from itertools import combinations, product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from tml_helpers.watermark import TextEvidence, detect_text, green_list, text_watermark
from tml_helpers.watermark import text as module

KEY, OTHER = b"k" * 32, b"o" * 32
V = 50


class Table(nn.Module):
    """A language model that looks at the last word only: its logits are a row of a table."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, words: Tensor) -> Tensor:
        return self.table[words]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(vocabulary: int = V) -> Table:
    """Every word is as likely as any other."""
    return Table(torch.zeros(vocabulary, vocabulary))


def key_of(seed: int) -> bytes:
    return hashlib.sha256(f"a key of these tests {seed}".encode()).digest()


def fresh_keys(count: int) -> list[bytes]:
    start = int(torch.randint(2**40, (), generator=seeded(0)))
    return [key_of(start + number) for number in range(count)]


def by_hand(text: list[int], key: bytes, vocabulary: int, gamma: float) -> tuple[int, int]:
    """Green and all different pairs, from SHAKE-256 and sorting alone."""
    pairs = {(text[i], text[i + 1]) for i in range(len(text) - 1)}
    greens = 0
    for before, word in pairs:
        digest = hashlib.shake_256(bytes([len(key)]) + key + f"text green after {before}".encode())
        words = np.frombuffer(digest.digest(8 * vocabulary), dtype="<u8") >> 11
        greens += word in np.argsort(words, kind="stable")[: round(gamma * vocabulary)]
    return greens, len(pairs)


# ---- the list


@given(
    vocabulary=st.integers(4, 300), gamma=st.sampled_from([0.25, 0.5, 0.7]), previous=st.integers(0, 3), n=st.integers()
)
@settings(max_examples=30, deadline=None)
def test_a_list_has_its_share_whatever_the_word(vocabulary: int, gamma: float, previous: int, n: int) -> None:
    green = green_list(previous, key=key_of(n), vocabulary=vocabulary, gamma=gamma)
    assert green.shape == (vocabulary,)
    assert green.dtype == torch.bool
    assert int(green.sum()) == round(gamma * vocabulary)


def test_a_list_depends_on_key_and_word_and_on_nothing_else() -> None:
    lists = [green_list(word, key=key, vocabulary=400) for word, key in product((0, 1, 2), (KEY, OTHER))]
    for one, other in combinations(lists, 2):
        assert 100 < int((one ^ other).sum()) < 300  # of 400, 200 in expectation
    assert torch.equal(lists[0], green_list(0, key=KEY, vocabulary=400))


def test_every_word_is_green_as_often_as_another() -> None:
    """Chi-squared of 2,000 lists of 40 words."""
    counts = sum(green_list(0, key=key, vocabulary=40, gamma=0.25).numpy().astype(int) for key in fresh_keys(2000))
    expected = 2000 / 4
    # Each list has exactly ten words: the counts' variance is 2000·¼·¾, their covariance negative
    chi = float(((counts - expected) ** 2).sum() / (2000 * 0.25 * 0.75) * 39 / 40)
    assert stats.chi2.sf(chi, 39) > 1e-6


def test_after_word_0_the_key_still_counts() -> None:
    """lm-watermarking seeds a list by key times previous word: after word 0 every key gave the same list."""
    lists = {tuple(green_list(0, key=key, vocabulary=100).tolist()) for key in fresh_keys(20)}
    assert len(lists) == 20


def test_a_vocabulary_that_is_padded_keeps_the_mark() -> None:
    """lm-watermarking #23: the model had 50,272 logits, the tokenizer 50,265 words, and the lists differed."""
    padded = flat(507)
    with torch.no_grad():
        padded.table[:, 500:] = -math.inf
    text = text_watermark(padded, torch.tensor([1]), key=KEY, delta=4.0, length=150, generator=seeded(1))
    assert int(text.max()) < 500
    exact = detect_text(text, key=KEY, vocabulary=507)
    short = detect_text(text, key=KEY, vocabulary=500)
    assert exact.p_value < 1e-9
    assert short.p_value < 1e-9


# ---- the law of the count


def test_the_law_is_that_of_every_possible_pair_of_lists() -> None:
    """Two words before, five words, two of them green: all 10 × 10 lists, counted out."""
    text = torch.tensor([0, 1, 0, 2, 0, 3, 1, 4])  # after 0: 1, 2, 3; after 1: 0, 4; after 2: 0; after 3: 1
    follow = [{1, 2, 3}, {0, 4}, {0}, {1}]
    lists = list(combinations(range(5), 2))
    counts = np.zeros(8)
    for drawn in product(lists, repeat=4):
        counts[sum(len(set(green) & words) for green, words in zip(drawn, follow, strict=True))] += 1
    chances = counts / counts.sum()
    found = detect_text(text, key=KEY, vocabulary=5, gamma=0.4)
    assert found.bigrams == 7
    assert found.p_value == pytest.approx(chances[found.greens :].sum(), rel=1e-12)
    assert found.p_beyond == pytest.approx(chances[found.greens + 1 :].sum(), rel=1e-12)


@given(st.lists(st.integers(0, 19), min_size=0, max_size=60), st.integers(0, 10**6), st.sampled_from([0.25, 0.5]))
@settings(max_examples=40, deadline=None)
def test_counts_z_and_p_are_those_of_a_count_by_hand(text: list[int], number: int, gamma: float) -> None:
    key = key_of(number)
    found = detect_text(torch.tensor(text, dtype=torch.int64), key=key, vocabulary=20, gamma=gamma)
    greens, pairs = by_hand(text, key, 20, gamma)
    share = round(gamma * 20) / 20
    assert (found.greens, found.bigrams) == (greens, pairs)
    if pairs:
        expected = (greens - share * pairs) / math.sqrt(pairs * share * (1 - share))
        assert found.z == found.statistic == pytest.approx(expected, abs=1e-12)
    assert 0 <= found.p_beyond <= found.p_value <= 1


def test_pairs_that_share_no_word_before_are_binomial() -> None:
    text = torch.tensor([*range(30)])  # every word has one that follows
    for key in fresh_keys(5):
        found = detect_text(text, key=key, vocabulary=40, gamma=0.25)
        assert found.p_value == pytest.approx(stats.binom.sf(found.greens - 1, 29, 0.25), rel=1e-9)
        assert found.p_beyond == pytest.approx(stats.binom.sf(found.greens, 29, 0.25), rel=1e-9)


def test_pairs_after_one_word_are_an_urn() -> None:
    """A word followed by all others: exactly as many are green as the list has, less itself."""
    text = torch.tensor([number for other in range(1, 21) for number in (0, other)])
    sizes = [20, *[1] * 19]
    for key in fresh_keys(5):
        found = detect_text(text, key=key, vocabulary=21, gamma=1 / 3)
        pairs = stats.hypergeom(21, 7, 20)
        rest = stats.binom(19, 1 / 3)
        at_least = sum(pairs.pmf(k) * rest.sf(found.greens - k - 1) for k in range(21))
        assert sum(sizes) == found.bigrams == 39
        assert found.p_value == pytest.approx(at_least, rel=1e-9)


@pytest.mark.parametrize("pairs", [25, 100])
def test_the_papers_z_of_its_own_example(pairs: int) -> None:
    """Kirchenbauer et al., 2023, equation 3: all green at γ = ½ gives √T."""
    green = {word: green_list(word, key=KEY, vocabulary=400, gamma=0.5).nonzero().flatten() for word in range(400)}
    text, seen = [0], {0}
    while len(text) <= pairs:
        text.append(next(int(word) for word in green[text[-1]] if int(word) not in seen))
        seen.add(text[-1])
    found = detect_text(torch.tensor(text), key=KEY, vocabulary=400, gamma=0.5)
    assert found.greens == found.bigrams == pairs
    assert found.z == pytest.approx(math.sqrt(pairs), rel=1e-12)
    assert found.p_value == pytest.approx(0.5**pairs, rel=1e-6)


def null_p_values(texts: Callable[[int], Tensor], vocabulary: int, count: int = 400) -> list[float]:
    lots = seeded(7)
    return [
        detect_text(texts(number), key=key, vocabulary=vocabulary).randomized(generator=lots)
        for number, key in enumerate(fresh_keys(count))
    ]


def zipf(number: int) -> Tensor:
    """A text in which few words are most of it, as in every language."""
    return (torch.rand(80, generator=seeded(number)) ** 3 * V).long()


def test_uniform_on_texts_without_a_mark() -> None:
    assert stats.kstest(null_p_values(zipf, V), "uniform").pvalue > 1e-6


def test_uniform_on_a_text_that_repeats_itself() -> None:
    """The same four words over and over: counted as often as they occur, a quarter of all keys had Z > 4."""
    loop = torch.arange(4).repeat(25)
    values = null_p_values(lambda _: loop, V)
    assert stats.kstest(values, "uniform").pvalue > 1e-6
    assert (
        min(detect_text(loop, key=key, vocabulary=400, gamma=0.25).p_value for key in fresh_keys(50)) >= 1 / 256 - 1e-9
    )


def test_uniform_under_a_wrong_key_on_marked_texts() -> None:
    text = text_watermark(flat(), torch.arange(20)[:, None], key=KEY, delta=5.0, length=60, generator=seeded(3))
    assert min(detect_text(one, key=KEY, vocabulary=V).p_value for one in text) < 1e-9
    values = null_p_values(lambda number: text[number % 20], V)
    assert stats.kstest(values, "uniform").pvalue > 1e-6


def test_p_is_below_a_level_no_oftener_than_the_level() -> None:
    """800 keys: 23 or more below 0.01 have a probability of 3e-5 or less at level 0.01, 40 or more below 1e-9."""
    found = [detect_text(zipf(n), key=key, vocabulary=V).p_value for n, key in enumerate(fresh_keys(800))]
    assert sum(p <= 0.01 for p in found) < 40
    assert stats.binom.sf(39, 800, 0.01) < 1e-9


def test_a_long_text_has_a_p_value_that_is_not_0() -> None:
    """And no overflow: ten thousand pairs, all green."""
    green = [green_list(word, key=KEY, vocabulary=200, gamma=0.5).nonzero().flatten() for word in range(200)]
    rows = torch.stack([torch.tensor([word, int(other)]) for word in range(200) for other in green[word][:50]])
    found = detect_text(rows, key=KEY, vocabulary=200, gamma=0.5)
    assert found.greens == found.bigrams == 10_000
    assert 0 < found.p_value < 1e-300
    assert found.z == pytest.approx(100)


# ---- pieces, kinds and shapes


def test_rows_are_one_source_and_no_pair_crosses_from_one_to_the_next() -> None:
    rows = torch.tensor([[1, 2, 3], [4, 5, 6], [1, 2, 7]])
    found = detect_text(rows, key=KEY, vocabulary=V)
    assert found.bigrams == 5  # (1, 2) once, and neither (3, 4) nor (6, 1)
    assert detect_text(rows.flip(0), key=KEY, vocabulary=V) == found


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.uint8])
def test_every_kind_of_whole_number(dtype: torch.dtype) -> None:
    text = torch.arange(40) * 7 % V
    assert detect_text(text.to(dtype), key=KEY, vocabulary=V) == detect_text(text, key=KEY, vocabulary=V)


def test_a_text_that_is_not_contiguous() -> None:
    wide = torch.randint(V, (60, 2), generator=seeded(1))
    assert detect_text(wide[:, 0], key=KEY, vocabulary=V) == detect_text(wide[:, 0].clone(), key=KEY, vocabulary=V)


@pytest.mark.parametrize("text", [[], [3], [[1], [2]]])
def test_without_a_pair_nothing_is_shown(text: list[Any]) -> None:
    """And no division by zero, nor a score of NaN, which compares as not above any threshold."""
    found = detect_text(torch.tensor(text, dtype=torch.int64), key=KEY, vocabulary=V)
    assert (found.statistic, found.p_value, found.p_beyond, found.greens, found.bigrams) == (0, 1, 0, 0, 0)


def test_the_evidence_says_what_was_counted() -> None:
    found = detect_text(torch.arange(20), key=KEY, vocabulary=V)
    assert isinstance(found, TextEvidence)
    assert found.bigrams == 19


# ---- the writer


def test_a_green_word_has_e_to_the_delta_times_its_odds_at_any_temperature() -> None:
    """transformers #34630: whether the mark comes before or after the temperature changes its strength."""
    logits = torch.randn(V, generator=seeded(2))
    model = Table(logits.repeat(V, 1))
    green = green_list(3, key=KEY, vocabulary=V)
    for temperature in (0.5, 1.0, 2.0):
        lots, starts = seeded(11), torch.full((40_000, 1), 3)
        numbers = {"key": KEY, "delta": 1.5, "length": 1, "temperature": temperature}
        drawn = text_watermark(model, starts, **numbers, generator=lots).flatten()  # type: ignore[arg-type]
        expected = (logits / temperature + 1.5 * green).softmax(0)
        counts = torch.bincount(drawn, minlength=V).double()
        kept = expected > 1e-3
        chi = float(((counts - 40_000 * expected) ** 2 / (40_000 * expected))[kept].sum())
        assert stats.chi2.sf(chi, int(kept.sum())) > 1e-6


def test_the_smallest_temperatures_take_the_likeliest_word() -> None:
    """Logits over 1e-320 are infinite, all alike, and the first word won."""
    logits = torch.arange(V).float()
    for temperature in (1e-3, 1e-320):
        words = text_watermark(
            Table(logits.repeat(V, 1)), torch.tensor([3]), key=KEY, temperature=temperature, length=5
        )
        assert words.tolist() == [V - 1] * 5


def test_without_delta_the_model_writes_as_ever_whatever_the_key() -> None:
    model, starts = flat(), torch.arange(10)[:, None]
    texts = [text_watermark(model, starts, key=k, delta=0.0, length=30, generator=seeded(4)) for k in (KEY, OTHER)]
    assert torch.equal(*texts)


def test_it_is_found_under_its_key_and_its_gamma() -> None:
    """text-generation-inference #2474: written with γ = ½ and read with ¼, the mark was not found."""
    starts = torch.arange(20)[:, None]
    text = text_watermark(flat(400), starts, key=KEY, gamma=0.5, length=100, generator=seeded(5))
    right = [detect_text(one, key=KEY, vocabulary=400, gamma=0.5) for one in text]
    assert all(one.p_value < 1e-4 for one in right)
    wrong = detect_text(text, key=OTHER, vocabulary=400, gamma=0.5)
    assert wrong.p_value > 1e-7


def test_the_first_word_is_marked_by_the_last_of_the_beginning() -> None:
    """lm-watermarking #40: an engine that hid the prompt from the writer lost the first words' marks."""
    starts = torch.arange(V)[:, None]
    first = text_watermark(flat(), starts, key=KEY, delta=30.0, length=1, generator=seeded(6)).flatten()
    assert all(bool(green_list(word, key=KEY, vocabulary=V)[int(drawn)]) for word, drawn in enumerate(first))


def test_what_is_returned_is_what_was_written() -> None:
    """MarkLLM #65: the generator returned question and answer, and the question was judged with it."""
    start = torch.tensor([5, 6, 7])
    alone = text_watermark(flat(), start, key=KEY, length=9, generator=seeded(8))
    assert alone.shape == (9,)
    assert alone.dtype == torch.int64
    together = text_watermark(flat(), start[None], key=KEY, length=9, generator=seeded(8))
    assert torch.equal(together, alone[None])


def test_a_certain_word_is_written_whatever_its_colour() -> None:
    table = torch.full((V, V), -40.0)
    table[torch.arange(V), (torch.arange(V) + 1) % V] = 40.0
    text = text_watermark(Table(table), torch.tensor([0]), key=KEY, delta=5.0, length=60, generator=seeded(9))
    assert torch.equal(text, torch.arange(1, 61) % V)


def test_a_forbidden_word_is_never_written() -> None:
    model = flat()
    with torch.no_grad():
        model.table[:, ::2] = -math.inf
    text = text_watermark(model, torch.tensor([1]), key=KEY, delta=8.0, length=200, generator=seeded(10))
    assert (text % 2 == 1).all()


def test_each_row_is_written_after_its_own_words() -> None:
    table = torch.full((V, V), -math.inf)
    table[torch.arange(V), (torch.arange(V) + 1) % V] = 0.0
    text = text_watermark(Table(table), torch.tensor([[3], [30]]), key=KEY, length=4)
    assert text.tolist() == [[4, 5, 6, 7], [31, 32, 33, 34]]


def test_the_same_generator_writes_the_same_and_another_another() -> None:
    one, same, other = (
        text_watermark(flat(), torch.tensor([1]), key=KEY, length=40, generator=seeded(n)) for n in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_model_sees_the_whole_text_in_evaluation_mode_and_comes_back_as_it_was() -> None:
    seen: list[tuple[int, bool, bool]] = []

    class Watching(Table):
        def forward(self, words: Tensor) -> Tensor:
            seen.append((words.shape[1], self.training, torch.is_grad_enabled()))
            return super().forward(words)

    model = Watching(torch.zeros(V, V))
    model.train()
    model.table.grad = torch.ones(V, V)
    text_watermark(model, torch.tensor([[1, 2], [3, 4]]), key=KEY, length=3)
    assert seen == [(2, False, False), (3, False, False), (4, False, False)]
    assert model.training
    assert (model.table.grad == 1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_types(dtype: torch.dtype) -> None:
    text = text_watermark(flat(400).to(dtype), torch.tensor([1]), key=KEY, length=100, generator=seeded(1))
    assert detect_text(text, key=KEY, vocabulary=400).p_value < 1e-6


def test_models_that_answer_with_an_object() -> None:
    class Wrapped(nn.Module):
        def forward(self, words: Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=torch.zeros(*words.shape, V))

    plain = text_watermark(flat(), torch.tensor([1]), key=KEY, length=20, generator=seeded(1))
    assert torch.equal(text_watermark(Wrapped(), torch.tensor([1]), key=KEY, length=20, generator=seeded(1)), plain)


def test_a_text_of_two_owners_shows_both_marks() -> None:
    """The first half was written under one key, the second under another."""
    starts = torch.arange(30)[:, None]
    lots = seeded(12)
    first = text_watermark(flat(400), starts, key=KEY, gamma=0.25, delta=4.0, length=100, generator=lots)
    second = text_watermark(flat(400), first[:, -1:], key=OTHER, gamma=0.25, delta=4.0, length=100, generator=lots)
    both = torch.cat([first, second], dim=1)
    assert all(detect_text(both, key=key, vocabulary=400, gamma=0.25).p_value < 1e-9 for key in (KEY, OTHER))


# ---- what is refused

WORDS = torch.tensor([1, 2])
NAN, EMPTY = torch.full((V, V), math.nan), torch.full((V, V), -math.inf)
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "Python's hash": (lambda: detect_text(WORDS, key=hash("x"), vocabulary=V), TypeError, "hash"),  # type: ignore[arg-type]
    "a short key": (lambda: text_watermark(flat(), WORDS, key=b"short"), ValueError, "16 to 32 bytes"),
    "a key of text": (lambda: green_list(1, key="k" * 32, vocabulary=V), TypeError, "bytes"),  # type: ignore[arg-type]
    "tokens beyond": (lambda: detect_text(WORDS * 40, key=KEY, vocabulary=V), ValueError, "0…49, got 80"),
    "tokens below 0": (lambda: detect_text(-WORDS, key=KEY, vocabulary=V), ValueError, "0 or more, got -2"),
    "tokens with fractions": (lambda: detect_text(WORDS / 2, key=KEY, vocabulary=V), TypeError, "whole numbers"),
    "truth values": (lambda: detect_text(WORDS > 1, key=KEY, vocabulary=V), TypeError, "torch.bool"),
    "words": (lambda: detect_text("a text", key=KEY, vocabulary=V), TypeError, "got str"),  # type: ignore[arg-type]
    "a list": (lambda: detect_text([1, 2], key=KEY, vocabulary=V), TypeError, "got list"),  # type: ignore[arg-type]
    "three axes": (lambda: detect_text(WORDS[None, None], key=KEY, vocabulary=V), ValueError, "[1, 1, 2]"),
    "a number": (lambda: detect_text(torch.tensor(3), key=KEY, vocabulary=V), ValueError, "shape []"),
    "no vocabulary": (lambda: detect_text(WORDS, key=KEY, vocabulary=1), ValueError, "vocabulary"),
    "half a vocabulary": (lambda: detect_text(WORDS, key=KEY, vocabulary=9.5), TypeError, "vocabulary"),  # type: ignore[arg-type]
    "γ of 0": (lambda: detect_text(WORDS, key=KEY, vocabulary=V, gamma=0), ValueError, "green and a red"),
    "γ of 1": (lambda: detect_text(WORDS, key=KEY, vocabulary=V, gamma=1.0), ValueError, "green and a red"),
    "γ of NaN": (lambda: detect_text(WORDS, key=KEY, vocabulary=V, gamma=math.nan), ValueError, "nan"),
    "γ in words": (lambda: detect_text(WORDS, key=KEY, vocabulary=V, gamma="¼"), TypeError, "gamma"),  # type: ignore[arg-type]
    "no green word": (lambda: green_list(0, key=KEY, vocabulary=9, gamma=0.05), ValueError, "of 9, got 0.05"),
    "no such word": (lambda: green_list(50, key=KEY, vocabulary=V), ValueError, "0…49, got 50"),
    "a negative word": (lambda: green_list(-1, key=KEY, vocabulary=V), ValueError, "previous"),
    "δ below 0": (lambda: text_watermark(flat(), WORDS, key=KEY, delta=-1.0), ValueError, "delta"),
    "δ of NaN": (lambda: text_watermark(flat(), WORDS, key=KEY, delta=math.nan), ValueError, "delta"),
    "δ without end": (lambda: text_watermark(flat(), WORDS, key=KEY, delta=math.inf), ValueError, "delta"),
    "temperature 0": (lambda: text_watermark(flat(), WORDS, key=KEY, temperature=0), ValueError, "temperature"),
    "a true length": (lambda: text_watermark(flat(), WORDS, key=KEY, length=True), TypeError, "length"),
    "length 0": (lambda: text_watermark(flat(), WORDS, key=KEY, length=0), ValueError, "length"),
    "a seed": (lambda: text_watermark(flat(), WORDS, key=KEY, generator=3), TypeError, "torch.Generator"),  # type: ignore[arg-type]
    "no beginning": (lambda: text_watermark(flat(), WORDS[:0], key=KEY), ValueError, "at least one word"),
    "no rows": (lambda: text_watermark(flat(), WORDS[None][:0], key=KEY), ValueError, "at least one word"),
    "pixels": (lambda: text_watermark(flat(), torch.rand(1, 4), key=KEY), TypeError, "whole numbers"),
    "logits of one word": (lambda: text_watermark(nn.Embedding(V, 1), WORDS, key=KEY), ValueError, "vocabulary"),
    "another shape": (lambda: text_watermark(nn.Identity(), WORDS, key=KEY), ValueError, "[N, T, V]"),
    "logits of NaN": (lambda: text_watermark(Table(NAN), WORDS, key=KEY), ValueError, "trained"),
    "everything forbidden": (lambda: text_watermark(Table(EMPTY), WORDS, key=KEY), ValueError, "all −∞"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_sentence(kind: str) -> None:
    call, error, words = REFUSED[kind]
    with refuses(error, words):
        call()


def test_a_model_is_as_it_was_after_an_error() -> None:
    model = Table(NAN)
    with refuses(ValueError, "trained"):
        text_watermark(model, WORDS, key=KEY)
    assert model.training


def test_lists_are_drawn_once_for_each_word(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    original = module.green_list
    monkeypatch.setattr(module, "green_list", lambda word, **rest: (drawn.append(word), original(word, **rest))[1])
    text_watermark(flat(4), torch.zeros(5, 1, dtype=torch.int64), key=KEY, length=30, generator=seeded(1))
    assert sorted(drawn) == sorted(set(drawn))
