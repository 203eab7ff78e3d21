"""Submodular pick: greedy against exhaustive search, laws of coverage, and the matrix that it is given."""

import math
from itertools import combinations

import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tml_helpers.explain import explanation_matrix, lime_text, submodular_pick


def coverage(weights: Tensor, rows: list[int]) -> float:
    """c(V, W, I) of the paper, term by term."""
    total = 0.0
    for column in weights.T.tolist():
        if any(column[row] != 0 for row in rows):
            total += math.sqrt(sum(abs(value) for value in column))
    return total


@st.composite
def matrices(draw: st.DrawFn) -> Tensor:
    rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 10))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    density = draw(st.sampled_from([0.1, 0.3, 0.6, 1.0]))
    values = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    return values * (torch.rand(rows, columns, generator=generator) < density)


@given(weights=matrices(), data=st.data())
def test_greedy_reaches_63_per_cent_of_the_best(weights, data):
    count = data.draw(st.integers(1, len(weights)))
    picked = submodular_pick(weights, count).tolist()
    assert len(set(picked)) == count
    best = max(coverage(weights, list(rows)) for rows in combinations(range(len(weights)), count))
    assert coverage(weights, picked) >= (1 - 1 / math.e) * best - 1e-9


@given(weights=matrices())
def test_each_pick_adds_as_much_as_any_could(weights):
    picked = submodular_pick(weights, len(weights)).tolist()
    for step, row in enumerate(picked):
        before = picked[:step]
        best = max(coverage(weights, [*before, other]) for other in range(len(weights)) if other not in before)
        assert coverage(weights, [*before, row]) == pytest.approx(best)


@given(weights=matrices())
def test_fewer_picks_are_the_first_of_more(weights):
    everything = submodular_pick(weights, len(weights))
    for count in range(1, len(weights) + 1):
        assert torch.equal(submodular_pick(weights, count), everything[:count])


def test_signs_do_not_matter_and_importance_is_a_root():
    # Column 0 is a little important to four rows, column 1 very much to one: √(4 · 0.5) > √1.9.
    weights = torch.tensor([[0.5, 0.0], [-0.5, 0.0], [0.5, 0.0], [-0.5, 0.0], [0.0, 1.9]])
    assert submodular_pick(weights, 2).tolist() == [3, 4]
    assert submodular_pick(-weights, 2).tolist() == [3, 4]
    assert submodular_pick(weights * torch.tensor([1.0, 2.1 / 1.9]), 2).tolist() == [4, 3]


def test_of_several_equals_the_last_is_taken():
    """The second row covers most; the first and the last would then add one column of importance 1 each."""
    weights = torch.tensor([[1, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1.0]])
    assert submodular_pick(weights, 2).tolist() == [1, 4]
    assert submodular_pick(weights.flip(0), 2).tolist() == [3, 4]


def test_words_that_explanations_share_have_one_column():
    def predict(texts: list[str]) -> list[list[float]]:
        scores = [0.5 + 0.2 * ("good" in text) - 0.1 * ("bad" in text) for text in texts]
        return [[1 - score, score] for score in scores]

    generator = torch.Generator().manual_seed(0)
    found = lime_text(predict, ["good film", "bad film", "good"], [1, 1, 1], samples=100, alpha=0, generator=generator)
    matrix = explanation_matrix(found)
    assert matrix.names == ("good", "film", "bad")
    expected = torch.tensor([[0.2, 0, 0], [0, 0, -0.1], [0.2, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(matrix.weights, expected, rtol=0, atol=1e-9)
    assert submodular_pick(matrix.weights.round(decimals=6), 2).tolist() == [2, 1]


def test_what_is_no_matrix_or_too_much_is_refused():
    weights = torch.eye(3)
    for count in (0, 4):
        with refuses(ValueError, "1…3", str(count)):
            submodular_pick(weights, count)
    with refuses(ValueError, "finite matrix", "[3]"):
        submodular_pick(torch.ones(3), 1)
    with refuses(ValueError, "finite matrix"):
        submodular_pick(weights * math.nan, 1)
    with refuses(ValueError, "finite matrix", "list"):
        submodular_pick([[1.0]], 1)
