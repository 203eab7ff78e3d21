"""The functions of lecture 0.6 on other data than the page's: closed forms, autograd, PyTorch's own cells."""

import math

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from page_code import page_code
from torch import nn

page = page_code("00_foundations/words", V=7, seed=lambda: 0)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(2, 5000), st.integers(1, 200))
def test_the_uniform_models_perplexity_is_the_size_of_the_vocabulary(size: int, words: int) -> None:
    assert page.perplexity(torch.full((words,), 1 / size, dtype=torch.float64)) == pytest.approx(size)


def test_perplexity_is_a_geometric_mean_and_infinite_for_the_impossible() -> None:
    assert page.perplexity([0.5, 0.125]) == pytest.approx(4)
    assert page.perplexity([1.0, 1.0]) == 1
    assert page.perplexity([0.9, 0.0]) == math.inf
    assert page.perplexity([1e-300] * 3) == pytest.approx(1e300), "no product that rounds to 0"
    for none in ([], [1.5], [-0.1, 0.5], [math.nan]):
        with refuses(ValueError, "probabilities"):
            page.perplexity(none)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=60), st.floats(0.1, 100))
@settings(deadline=None)
def test_a_bigrams_rows_are_probabilities_without_a_zero(words: list[int], smoothing: float) -> None:
    table = page.bigram(torch.tensor(words), 7, smoothing)
    torch.testing.assert_close(table.sum(1), torch.ones(7, dtype=torch.float64))
    assert (table > 0).all()


def test_a_bigram_counts_what_follows_and_not_what_comes_before() -> None:
    table = page.bigram(torch.tensor([0, 1, 0, 1, 0, 2]), 3, smoothing=0)
    torch.testing.assert_close(table[0], torch.tensor([0, 2 / 3, 1 / 3], dtype=torch.float64))
    torch.testing.assert_close(table[1], torch.tensor([1.0, 0, 0], dtype=torch.float64))
    assert table[2].tolist() == [0, 0, 0], "nothing ever followed, and it is not NaN"


def test_a_vocabulary_is_the_most_frequent_words_and_keeps_0_for_the_rest() -> None:
    vocab = page.vocabulary(["b", "a", "b", "c", "b", "a"], 3)
    assert vocab == ["<unknown>", "b", "a"]
    assert page.numbered(["a", "c", "b", "new"], vocab).tolist() == [2, 0, 1, 0]


def test_pairs_are_neighbours_within_the_window_both_ways_and_known() -> None:
    found = page.pairs(torch.tensor([1, 0, 2, 3]), 2)  # the unknown word is taken out first
    expected = {(1, 2), (2, 1), (2, 3), (3, 2), (1, 3), (3, 1)}
    assert sorted(map(tuple, found.T.tolist())) == sorted(expected)
    assert page.pairs(torch.tensor([1, 2, 3]), 1).shape == (2, 4)


def test_words_with_the_same_neighbours_get_near_vectors() -> None:
    """A made-up language: 1 and 2 stand only beside 3, 4 and 5 only beside 6."""
    g = generator(0)
    first, second = torch.randint(2, (2, 4000), generator=g)
    text = torch.stack([first + 1, torch.full_like(first, 3), second + 4, torch.full_like(first, 6)], dim=1)
    near = torch.cat([text[:, :2], text[:, :2].flip(1), text[:, 2:], text[:, 2:].flip(1)]).T
    vectors = nn.functional.normalize(page.embed(near, 7, 8, g, rate=0.05, batch=512), dim=1)
    alike = [(vectors[1] @ vectors[2]).item(), (vectors[4] @ vectors[5]).item()]
    other = [(vectors[a] @ vectors[b]).item() for a in (1, 2) for b in (4, 5)]
    assert min(alike) > max(other) + 0.05


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 4), st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_backpropagation_through_time_is_autograds(seed: int, steps: int, inputs: int, hidden: int) -> None:
    g = generator(seed)
    numbers = {"dtype": torch.float64, "generator": g}
    x, U, R = (
        torch.randn(*s, **numbers).requires_grad_() for s in ((steps, inputs), (hidden, inputs), (hidden, hidden))
    )
    goal = torch.randn(hidden, **numbers)
    mine = page.through_time(x.detach(), U.detach(), R.detach(), goal)
    theirs = torch.autograd.grad(page.recurrent(x, U, R)[-1] @ goal, (U, R, x))
    for found, expected in zip(mine, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_the_recurrent_network_is_pytorchs() -> None:
    cell = nn.RNN(3, 4, bias=False, dtype=torch.float64)
    x = torch.randn(6, 3, dtype=torch.float64)
    states = page.recurrent(x, cell.weight_ih_l0.detach(), cell.weight_hh_l0.detach())
    torch.testing.assert_close(states[1:], cell(x)[0].detach())


def test_the_lstm_cell_is_pytorchs_over_a_sequence() -> None:
    """pytorch #750: which quarter of the bias is the forget gate's, and why there are two biases."""
    lstm = nn.LSTM(3, 4, dtype=torch.float64)
    x = torch.randn(9, 3, dtype=torch.float64)
    h = c = torch.zeros(4, dtype=torch.float64)
    bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
    for t, step in enumerate(x):
        h, c = page.lstm_step(step, h, c, lstm.weight_ih_l0, lstm.weight_hh_l0, bias)
        torch.testing.assert_close(h, lstm(x[: t + 1])[0][-1])


def test_windows_pair_each_word_with_the_next_one() -> None:
    inputs, follow = page.windows(torch.arange(10), 3)
    assert inputs.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert follow.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert page.windows(torch.arange(3), 3)[0].numel() == 0, "the last word has nothing after it"


def test_a_model_learns_a_text_that_repeats_and_hears_nothing_of_later_words() -> None:
    torch.manual_seed(0)
    model, text = page.LanguageModel(5, 8, 16), torch.arange(5).repeat(400)
    page.teach(model, text, generator(1), steps=10, rows=190, epochs=12)
    with torch.no_grad():
        logits = model(text[None, :20])
        assert (logits.argmax(2)[0] == text[1:21]).float().mean() > 0.9
        changed = text[None, :20].clone()
        changed[0, 10:] = 0
        torch.testing.assert_close(model(changed)[0, :10], logits[0, :10])
