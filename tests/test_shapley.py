"""Shapley's axioms, the definition written out in three loops, and the closed form of a linear model."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st

from tml_helpers.explain.shapley import shapley, shapley_of_game

Game = Callable[[np.ndarray], np.ndarray]


def table_game(seed: int, players: int) -> tuple[Game, np.ndarray]:
    """A game with a random value for each coalition, and these values by the number whose bits are the players."""
    worth = np.random.default_rng(seed).normal(size=2**players)
    return (lambda masks: worth[masks @ (1 << np.arange(players))]), worth


def by_orders(worth: np.ndarray, players: int) -> np.ndarray:
    """The definition: the mean gain over all orders in which the players may come."""
    total = np.zeros(players)
    for order in itertools.permutations(range(players)):
        here = 0
        for player in order:
            total[player] += worth[here | 1 << player] - worth[here]
            here |= 1 << player
    return total / math.factorial(players)


def budget(method: str, samples: int) -> dict[str, int]:
    """The argument that limits what is asked for, where there is a limit."""
    return {} if method == "exact" else {"samples": samples}


SEEDS, PLAYERS = st.integers(0, 10_000), st.integers(1, 6)


@given(SEEDS, PLAYERS)
def test_exact_values_are_the_mean_over_all_orders(seed: int, players: int) -> None:
    game, worth = table_game(seed, players)
    found = shapley_of_game(game, players, method="exact")
    np.testing.assert_allclose(found.values[0], by_orders(worth, players), atol=1e-12)
    assert (found.standard_errors == 0).all()
    assert (found.base[0], found.predictions[0]) == (worth[0], worth[-1])


@given(SEEDS, st.integers(2, 6))
def test_kernel_shap_on_all_coalitions_is_exact(seed: int, players: int) -> None:
    game, worth = table_game(seed, players)
    found = shapley_of_game(game, players, method="kernel", samples=2**6)
    np.testing.assert_allclose(found.values[0], by_orders(worth, players), atol=1e-8)


@given(SEEDS, st.integers(2, 6), st.sampled_from(["exact", "permutation", "kernel"]))
def test_efficiency_the_values_add_up_to_the_gain(seed: int, players: int, method: str) -> None:
    game, worth = table_game(seed, players)
    found = shapley_of_game(game, players, method=method, seed=seed, **budget(method, 8))
    assert found.values.sum() == pytest.approx(worth[-1] - worth[0], abs=1e-9)


@given(SEEDS)
def test_symmetry_players_that_can_be_exchanged_get_the_same(seed: int) -> None:
    a, b, c, d = np.random.default_rng(seed).normal(size=4)
    game = lambda m: a * m[:, 0] * m[:, 1] + b * (m[:, 0] | m[:, 1]) + c * m[:, 2] * (m[:, 0] ^ m[:, 1]) + d  # noqa: E731
    values = shapley_of_game(game, 3).values[0]
    assert values[0] == pytest.approx(values[1], abs=1e-12)


@given(SEEDS, st.sampled_from(["exact", "permutation"]))
def test_dummy_who_changes_nothing_gets_nothing(seed: int, method: str) -> None:
    game, _ = table_game(seed, 4)
    found = shapley_of_game(lambda m: game(m[:, :4]), 5, method=method, **budget(method, 32))
    assert found.values[0, 4] == pytest.approx(0, abs=1e-12)


@given(SEEDS, st.sampled_from(["exact", "permutation", "kernel"]), st.floats(-3, 3))
def test_additivity_values_of_a_sum_of_games_are_the_sum(seed: int, method: str, factor: float) -> None:
    one, two = table_game(seed, 5)[0], table_game(seed + 1, 5)[0]

    def values(game: Game) -> np.ndarray:
        return shapley_of_game(game, 5, method=method, **budget(method, 12)).values

    both = values(lambda m: one(m) + factor * two(m))
    np.testing.assert_allclose(both, values(one) + factor * values(two), atol=1e-8)


@pytest.mark.parametrize("method", ["permutation", "kernel"])
def test_the_standard_errors_are_the_spread_between_seeds(method: str) -> None:
    game, _ = table_game(3, 8)
    runs = [shapley_of_game(game, 8, method=method, samples=140, seed=s) for s in range(200)]
    values = np.concatenate([run.values for run in runs])
    truth = shapley_of_game(game, 8, method="exact").values[0]
    spread = values.std(axis=0, ddof=1)
    said = np.sqrt(np.mean([run.standard_errors[0] ** 2 for run in runs], axis=0))
    np.testing.assert_allclose(said, spread, rtol=0.3)
    assert (np.abs(values.mean(axis=0) - truth) < 4.5 * spread / math.sqrt(200) + 0.02).all(), "and they are unbiased"


def test_an_order_with_its_reverse_is_exact_where_players_act_in_pairs() -> None:
    """For a game of single players and pairs, an order and its reverse give each value exactly."""
    pairs = np.random.default_rng(0).normal(size=(7, 7))
    found = shapley_of_game(lambda m: np.einsum("mi,ij,mj->m", m, pairs, m), 7, method="permutation", samples=24)
    exact = np.diag(pairs) + ((pairs + pairs.T).sum(axis=0) - 2 * np.diag(pairs)) / 2
    np.testing.assert_allclose(found.values[0], exact, atol=1e-10)
    np.testing.assert_allclose(found.standard_errors, 0, atol=1e-10)


@pytest.mark.parametrize("samples", [4, 30, 100])
@pytest.mark.parametrize(("method", "least"), [("permutation", 4 * 7), ("kernel", 4 * 8)])
def test_the_budget_is_spent_and_no_more(method: str, least: int, samples: int) -> None:
    """Beside no player and all; one pair of orders costs 2·7 coalitions, one pair of complements 2."""
    asked: list[int] = []

    def game(masks: np.ndarray) -> np.ndarray:
        asked.append(len(masks))
        return masks.sum(axis=1)

    shapley_of_game(game, 8, method=method, samples=samples)
    spent, step = sum(asked) - 2, 14 if method == "permutation" else 2
    assert max(samples, least) - step < spent <= max(samples, least)


def test_two_thousand_coalitions_are_asked_for_where_nothing_is_said() -> None:
    asked: list[int] = []
    shapley_of_game(lambda m: asked.append(len(m)) or m.sum(axis=1), 12)
    assert sum(asked) == 2 + 22 * (2048 // 22)


@pytest.mark.parametrize(("samples", "exact"), [(13, False), (14, True)])
@pytest.mark.parametrize("method", ["auto", "kernel"])
def test_all_coalitions_are_asked_for_as_soon_as_the_budget_allows(method: str, samples: int, exact: bool) -> None:
    asked: list[np.ndarray] = []
    game, _ = table_game(0, 4)

    def watched(masks: np.ndarray) -> np.ndarray:
        asked.append(masks)
        return game(masks)

    found = shapley_of_game(watched, 4, method=method, samples=samples)
    different = {tuple(row) for row in np.concatenate(asked)}
    assert (len(different) == 16 and sum(map(len, asked)) == 16) == exact
    assert (found.standard_errors == 0).all() == exact


# --- features as players ---

RANDOM = np.random.default_rng(0)
X, BACKGROUND = RANDOM.normal(size=(4, 5)), RANDOM.normal(size=(30, 5)) + 1


def curved(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.sin(x[:, 0] * x[:, 1]) + x[:, 2] * x[:, 3] ** 2 - x[:, 4])


def by_three_loops(instance: np.ndarray) -> np.ndarray:
    """Players, coalitions, background rows: nothing shared with the code under test."""
    d = len(instance)
    values = []
    for j in range(d):
        total = 0.0
        for bits in itertools.product([False, True], repeat=d):
            if bits[j]:
                continue
            size = sum(bits)
            weight = math.factorial(size) * math.factorial(d - size - 1) / math.factorial(d)
            for row in BACKGROUND:
                without = np.where(bits, instance, row)
                with_j = without.copy()
                with_j[j] = instance[j]
                total += weight * (curved(with_j[None]) - curved(without[None]))[0] / len(BACKGROUND)
        values.append(total)
    return np.array(values)


@pytest.mark.parametrize("method", ["auto", "exact", "kernel"])
def test_features_by_three_loops(method: str) -> None:
    found = shapley(curved, X, BACKGROUND, method=method)
    np.testing.assert_allclose(found.values[0], by_three_loops(X[0]), atol=1e-9)
    np.testing.assert_allclose(found.predictions, curved(X))
    np.testing.assert_allclose(found.base, curved(BACKGROUND).mean())


@pytest.mark.parametrize("method", ["exact", "permutation", "kernel"])
def test_a_linear_model_gives_weight_times_distance_from_the_mean(method: str) -> None:
    w = np.arange(1.0, 6)
    found = shapley(lambda x: x @ w + 3, X, BACKGROUND, method=method, **budget(method, 20))
    np.testing.assert_allclose(found.values, w * (X - BACKGROUND.mean(axis=0)), atol=1e-8)


def test_batches_change_nothing_and_are_no_larger_than_asked() -> None:
    sizes = []

    def watched(x: np.ndarray) -> np.ndarray:
        sizes.append(len(x))
        return curved(x)

    small = shapley(watched, X, BACKGROUND, batch_size=95).values
    assert max(sizes) == 90, "three coalitions of thirty rows"
    np.testing.assert_allclose(small, shapley(curved, X, BACKGROUND).values)


def test_one_feature_gets_all_of_it_and_one_row_suffices() -> None:
    for method in ("auto", "permutation", "kernel"):
        found = shapley(lambda x: x[:, 0] ** 2, [[3.0]], [[1.0]], method=method)
        assert found.values.tolist() == [[8.0]]


def test_the_same_seed_gives_the_same_values() -> None:
    wide = RANDOM.normal(size=(2, 30))
    run = lambda seed: shapley(curved, wide, wide, method="permutation", samples=200, seed=seed).values  # noqa: E731
    assert np.array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))


def test_a_network_of_torch_may_answer() -> None:
    layer = torch.nn.Linear(5, 1).double()
    found = shapley(lambda x: layer(torch.from_numpy(x)).squeeze(1), X, BACKGROUND)
    w = layer.weight.detach().numpy()[0]
    np.testing.assert_allclose(found.values, w * (X - BACKGROUND.mean(axis=0)), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"method": "exact", "instances": np.zeros((1, 21)), "background": np.ones((1, 21))},
            ("21 players", "limit: 20", "kernel"),
        ),
        ({"method": "lime"}, ("method", "'lime'")),
        ({"samples": 3}, ("samples", "4 or more")),
        ({"samples": 99, "method": "exact"}, ("samples", "exact", "leave it out")),
        ({"batch_size": 0}, ("batch_size", "1 or more")),
        ({"instances": X[0]}, ("instances", "[N, d]", "[5]")),
        ({"background": BACKGROUND[:0]}, ("background", "non-empty")),
        ({"background": BACKGROUND[:, :3]}, ("5 features", "3")),
        ({"instances": X * np.nan}, ("finite",)),
        ({"predict": lambda x: x}, ("predict", "one number a row", ", 5]")),
        ({"predict": lambda x: curved(x) * np.nan}, ("finite", "NaN")),
    ],
)
def test_bad_input_is_one_sentence(change: dict[str, object], words: tuple[str, ...]) -> None:
    with refuses(ValueError, *words):
        shapley(**{"predict": curved, "instances": X, "background": BACKGROUND, **change})


def test_a_game_without_players_or_with_one_answer_is_refused() -> None:
    with refuses(ValueError, "players", "1 or more"):
        shapley_of_game(lambda m: m.sum(axis=1), 0)
    with refuses(ValueError, "value", "one number a row"):
        shapley_of_game(lambda m: 1.0, 3)
