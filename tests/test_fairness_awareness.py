"""The programme of fairness through awareness, against other formulations of it and against closed forms."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from tml_helpers.fairness import lipschitz_programme, lipschitz_violations


def situation(seed: int, people: int, decisions: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    places = random.random((people, 2))
    distances = random.choice([0.3, 1.0]) * np.linalg.norm(places[:, None] - places, axis=2)
    return random.normal(size=(people, decisions)), distances


def by_subsets(losses: np.ndarray, distances: np.ndarray) -> float:
    """The least loss, where two distributions differ by at most d on every set of decisions: no auxiliary variable."""
    people, decisions = losses.shape
    rows, bounds = [], []
    for one, other in combinations(range(people), 2):
        for size in range(1, decisions):
            for chosen in combinations(range(decisions), size):
                row = np.zeros((people, decisions))
                row[one, chosen], row[other, chosen] = 1, -1
                rows.append(row.ravel())
                bounds.append(distances[one, other])
    sums = np.kron(np.eye(people), np.ones(decisions))
    found = linprog(losses.ravel() / people, np.array(rows), bounds, sums, np.ones(people), bounds=(0, None))
    assert found.status == 0
    return float(found.fun)


def by_duality(losses: np.ndarray, distances: np.ndarray) -> float:
    """Of two decisions: max −Σ d f − Σ u, such that for each person the flow out less in, plus u, is ≥ −c."""
    people = len(losses)
    slope = (losses[:, 1] - losses[:, 0]) / people
    edges = [(one, other) for one in range(people) for other in range(people) if one != other]
    net = np.zeros((people, len(edges)))
    for column, (one, other) in enumerate(edges):
        net[one, column], net[other, column] = 1, -1
    cost = np.append([distances[edge] for edge in edges], np.ones(people))
    found = linprog(cost, -np.hstack([net, np.eye(people)]), slope, bounds=(0, None))
    assert found.status == 0
    return float(losses[:, 0].mean() - found.fun)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), people=st.integers(2, 7), decisions=st.integers(2, 4))
def test_the_loss_is_that_of_other_formulations(seed: int, people: int, decisions: int) -> None:
    losses, distances = situation(seed, people, decisions)
    found = lipschitz_programme(losses, distances)
    assert found.loss == pytest.approx(by_subsets(losses, distances), abs=1e-8)
    if decisions == 2:
        assert found.loss == pytest.approx(by_duality(losses, distances), abs=1e-8)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), decisions=st.integers(2, 3))
def test_the_mapping_is_one_and_treats_similar_people_similarly(seed: int, decisions: int) -> None:
    losses, distances = situation(seed, 8, decisions)
    found = lipschitz_programme(losses, distances)
    assert found.probabilities.min() >= -1e-9
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-9)
    assert len(lipschitz_violations(found.probabilities, distances, tolerance=1e-7)) == 0
    assert found.loss == pytest.approx((found.probabilities * losses).sum(axis=1).mean(), abs=1e-12)


def test_strangers_get_what_is_best_for_each_and_twins_what_is_best_for_both() -> None:
    losses = np.array([[0.0, 1.0], [3.0, 1.0], [0.2, 0.1]])
    far, same = np.ones((3, 3)) - np.eye(3), np.zeros((3, 3))
    found = lipschitz_programme(losses, far)
    np.testing.assert_allclose(found.probabilities, [[1, 0], [0, 1], [0, 1]], atol=1e-9)
    assert found.price == pytest.approx(0, abs=1e-9)
    found = lipschitz_programme(losses, same)
    np.testing.assert_allclose(found.probabilities, [[0, 1]] * 3, atol=1e-9)
    assert found.loss == pytest.approx(2.1 / 3)
    assert found.price == pytest.approx((2.1 - 1.1) / 3)


def test_two_people_at_a_distance() -> None:
    """One gains by acceptance twice what the other loses by it: p₁ = 1 and p₂ = 1 − d."""
    found = lipschitz_programme([[0.0, -2.0], [0.0, 1.0]], [[0, 0.3], [0.3, 0]])
    np.testing.assert_allclose(found.probabilities[:, 1], [1, 0.7], atol=1e-9)


def test_one_person_has_nobody_to_be_similar_to() -> None:
    assert lipschitz_programme([[2.0, 1.0, 3.0]], [[0.0]]).loss == 1


@pytest.mark.parametrize(
    ("losses", "distances", "sentence"),
    [
        ([[0.0, 1.0]] * 2, np.zeros((3, 3)), "distances must be .2, 2."),
        ([0.0, 1.0], np.zeros((2, 2)), "losses must be .N, K."),
        ([[1.0]] * 2, np.zeros((2, 2)), "K ≥ 2"),
        ([[0.0, np.nan]] * 2, np.zeros((2, 2)), "finite"),
        ([[0.0, 1.0]] * 2, [[0, np.inf], [np.inf, 0]], "finite"),
        ([[0.0, 1.0]] * 2, [[0, -1], [-1, 0]], "0 or more"),
        ([[0.0, 1.0]] * 2, [[0.1, 1], [1, 0]], "diagonal"),
        ([[0.0, 1.0]] * 2, [[0, 1], [0.5, 0]], "symmetric"),
    ],
)
def test_it_refuses(losses: Any, distances: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        lipschitz_programme(losses, distances)


def test_losses_and_distances_are_read_in_every_form() -> None:
    losses, distances = np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([[0.0, 0.25], [0.25, 0.0]])
    usual = lipschitz_programme(losses, distances).loss
    for form in (
        lambda part: torch.tensor(part, requires_grad=True),
        lambda part: torch.tensor(part).bfloat16(),
        lambda part: pandas.DataFrame(part, dtype="Float64", index=[1, 0]),
    ):
        assert lipschitz_programme(form(losses), form(distances)).loss == pytest.approx(usual, abs=1e-12)
        assert len(lipschitz_violations(form(losses / losses.max(axis=1, keepdims=True)), form(distances))) == 1


def test_what_holds_no_numbers_is_refused() -> None:
    """Words of digits were read as numbers, and what a mask hides was counted."""
    losses, distances = [[0.0, 1.0], [1.0, 0.0]], np.zeros((2, 2))
    with refuses(TypeError, "losses must be [N, K]", "strings"):
        lipschitz_programme([["0", "1"], ["1", "0"]], distances)
    with refuses(TypeError, "losses must be [N, K]", "complex"):
        lipschitz_programme(np.array(losses) + 1j, distances)
    with refuses(TypeError, "distances must be", "objects"):
        lipschitz_programme(losses, pandas.DataFrame(distances, dtype="Float64").replace(0, pandas.NA))
    with refuses(ValueError, "losses has masked entries"):
        lipschitz_programme(np.ma.masked_array(losses, mask=[[1, 0], [0, 0]]), distances)
