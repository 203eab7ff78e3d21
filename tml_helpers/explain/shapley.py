"""Shapley values: what each player adds to a game, on average over the orders in which the players may come."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from tml_helpers.common import check_absent, check_counts

Method = Literal["auto", "exact", "permutation", "kernel"]
Value = Callable[[np.ndarray], Any]

EXACT_PLAYERS = 20
"""So many players have a million coalitions: more are not enumerated."""


@dataclass(frozen=True, eq=False)
class Shapley:
    """Shapley values of d players in N games: base + Σⱼ valuesⱼ = prediction."""

    values: np.ndarray
    """`[N, d]`, float64, in the unit of the game."""
    standard_errors: np.ndarray
    """Theirs, `[N, d]`: 0 where they are exact."""
    base: np.ndarray
    """The value of no player, `[N]`."""
    predictions: np.ndarray
    """The value of all players, `[N]`."""


def shapley(
    predict: Callable[[np.ndarray], Any],
    instances: np.ndarray,
    background: np.ndarray,
    *,
    method: Method = "auto",
    samples: int | None = None,
    seed: int = 0,
    batch_size: int = 65_536,
) -> Shapley:
    """φⱼ = Σ_S |S|! (d−1−|S|)! / d! · (v(S ∪ {j}) − v(S)), where v(S) = mean over b of f(x_S, b_rest).

    Features outside of the coalition S are taken from the background's rows, as if they were independent of those
    inside (the marginal, or interventional, expectation).

    Args:
        predict: maps float64 rows `[M, d]` to `[M]` finite numbers.
        instances: `[N, d]`, finite, which are explained.
        background: `[B, d]`, finite, against which they are.
        method: `"exact"` asks for all 2ᵈ coalitions. `"permutation"` adds players one by one in random orders and in
            the reverse of each. `"kernel"` is Kernel SHAP: weighted least squares on coalitions, which is exact once
            `samples` allows for all. `"auto"` is exact where `samples` allows for all, else permutation.
        samples: how many coalitions are asked for, beside the empty and the full one: at most so many, but at least
            4·(d − 1) by permutation and 4·d by kernel. 2048 unless given; 4 or more; not with `"exact"`.
        seed: of the draws.
        batch_size: how many rows `predict` gets at once, but at least one coalition's, B.

    Returns:
        Values of each instance, and their standard errors.

    Raises:
        TypeError: what is no whole number.
        ValueError: shapes that do not fit, values that are not finite, an answer that is not one number a row, more
            than 20 players for `"exact"`, or `samples` with it.

    Source: Shapley, 1953; Štrumbelj and Kononenko, 2014; Lundberg and Lee, 2017.
    Derived in: lectures/40_interpretability/self_explaining
    """
    check_counts(batch_size=batch_size)
    x, rows = (_rows(name, given) for name, given in (("instances", instances), ("background", background)))
    if x.shape[1] != rows.shape[1]:
        raise ValueError(f"instances have {x.shape[1]} features but the background has {rows.shape[1]}")
    each = max(1, batch_size // len(rows))  # coalitions at once
    random = np.random.default_rng(seed)

    def game(instance: np.ndarray) -> Value:
        def value(masks: np.ndarray) -> np.ndarray:
            parts = []
            for start in range(0, len(masks), each):
                inside = masks[start : start + each, None, :]  # (m, 1, d)
                mixed = np.where(inside, instance, rows)  # (m, b, d)
                answers = _answers(predict(mixed.reshape(-1, x.shape[1])), mixed.shape[0] * len(rows), "predict")
                parts.append(answers.reshape(-1, len(rows)).mean(axis=1))
            return np.concatenate(parts)

        return value

    found = [_solve(game(instance), x.shape[1], method, samples, random) for instance in x]
    values, errors, base, full = (np.array(part) for part in zip(*found, strict=True))
    return Shapley(values, errors, base, full)


def shapley_of_game(
    value: Value, players: int, *, method: Method = "auto", samples: int | None = None, seed: int = 0
) -> Shapley:
    """φⱼ = mean over all orders of v(those before j, and j) − v(those before j), for any game v.

    The superpixels of an image are players when `value` shows those of the coalition and returns the model's logits.

    Args:
        value: v, maps coalitions, boolean masks `[M, players]`, to `[M]` finite numbers.
        players: how many, 1 or more.
        method, samples, seed: as of `shapley`.

    Returns:
        As of `shapley`, for one game: `[1, players]`.

    Raises:
        TypeError, ValueError: as of `shapley`.

    Derived in: lectures/40_interpretability/self_explaining
    """
    check_counts(players=players)
    found = _solve(value, players, method, samples, np.random.default_rng(seed))
    values, errors, base, full = (np.array([part]) for part in found)
    return Shapley(values, errors, base, full)


Solution = tuple[np.ndarray, np.ndarray, float, float]


def _solve(value: Value, players: int, method: str, samples: int | None, random: np.random.Generator) -> Solution:
    """Values, their standard errors, and what no player and all players get."""
    if method not in ("auto", "exact", "permutation", "kernel"):
        raise ValueError(f"method must be 'auto', 'exact', 'permutation' or 'kernel', got {method!r}")
    if method == "exact":
        check_absent("the method is exact", samples=samples)
    samples = 2048 if samples is None else samples
    check_counts(4, samples=samples)
    all_fit = players <= EXACT_PLAYERS and 2**players <= samples + 2
    if method == "exact" or players == 1 or (method == "auto" and all_fit):
        return _exact(value, players)
    if method == "kernel":
        return _kernel(value, players, samples, all_fit, random)
    return _permutations(value, players, samples, random)


def _worth(value: Value, masks: np.ndarray) -> np.ndarray:
    """What each coalition gets, `[M]`."""
    return _answers(value(masks), len(masks), "value")


def _exact(value: Value, players: int) -> Solution:
    if players > EXACT_PLAYERS:
        raise ValueError(
            f"{players} players have {2.0**players:.1e} coalitions, too many to enumerate (limit: {EXACT_PLAYERS} "
            "players): use method='permutation' or 'kernel'"
        )
    numbers = np.arange(2**players)
    masks = (numbers[:, None] >> np.arange(players) & 1).astype(bool)  # bit j: player j is in
    v = _worth(value, masks)
    sizes = masks.sum(axis=1)
    weights = np.array([1 / (players * math.comb(players - 1, s)) for s in range(players)])
    values = np.empty(players)
    for j in range(players):
        without = numbers[~masks[:, j]]
        values[j] = weights[sizes[without]] @ (v[without | 1 << j] - v[without])
    return values, np.zeros(players), float(v[0]), float(v[-1])


def _permutations(value: Value, players: int, samples: int, random: np.random.Generator) -> Solution:
    """Pairs of an order and its reverse: what is early in one is late in the other, so that their errors cancel."""
    pairs = max(2, samples // (2 * (players - 1)))
    orders = np.array([random.permutation(players) for _ in range(pairs)])
    orders = np.stack([orders, orders[:, ::-1]], axis=1).reshape(2 * pairs, players)
    ranks = orders.argsort(axis=1)  # when each player comes
    masks = ranks[:, None, :] < np.arange(1, players)[:, None]  # (orders, players − 1, players): the first 1, 2, …
    ends = _worth(value, np.array([[False] * players, [True] * players]))
    between = _worth(value, masks.reshape(-1, players)).reshape(2 * pairs, players - 1)
    path = np.column_stack([np.full(2 * pairs, ends[0]), between, np.full(2 * pairs, ends[1])])
    gains = np.take_along_axis(np.diff(path, axis=1), ranks, axis=1)  # (orders, players), by player
    by_pair = gains.reshape(pairs, 2, players).mean(axis=1)
    errors = by_pair.std(axis=0, ddof=1) / math.sqrt(pairs)
    return by_pair.mean(axis=0), errors, float(ends[0]), float(ends[1])


def _kernel(value: Value, players: int, samples: int, all_fit: bool, random: np.random.Generator) -> Solution:
    """min over φ of Σ_S π(S) (v(S) − v(∅) − Σ_{j∈S} φⱼ)² where Σⱼ φⱼ = v(all) − v(∅).

    π(S) = (d − 1) / (C(d, |S|) |S| (d − |S|)). The constraint is solved for the last player. Drawn coalitions come in
    pairs with their complements, by the sizes' share of π; each pair counts as one draw in the standard errors.
    """
    sizes = np.arange(1, players)
    share = 1 / (sizes * (players - sizes))  # π(S) · number of coalitions of the size, up to a factor
    if all_fit:
        masks = (np.arange(1, 2**players - 1)[:, None] >> np.arange(players) & 1).astype(bool)
        held = masks.sum(axis=1)
        weights = share[held - 1] / np.array([math.comb(players, s) for s in held])
    else:
        drawn = random.choice(sizes, size=max(2 * players, samples // 2), p=share / share.sum())
        half = random.random((len(drawn), players)).argsort(axis=1) < drawn[:, None]
        masks = np.stack([half, ~half], axis=1).reshape(-1, players)
        weights = np.ones(len(masks))
    base, full = _worth(value, np.array([[False] * players, [True] * players]))
    gain = full - base
    inside = masks.astype(np.float64)
    design = inside[:, :-1] - inside[:, -1:]
    answer = _worth(value, masks) - base - inside[:, -1] * gain
    inverse = np.linalg.pinv(design.T @ (weights[:, None] * design))
    first = inverse @ (design.T @ (weights * answer))
    values = np.append(first, gain - first.sum())
    if all_fit:
        return values, np.zeros(players), float(base), float(full)
    residuals = (answer - design @ first)[:, None] * design
    scores = residuals.reshape(-1, 2, players - 1).sum(axis=1)
    covariance = inverse @ scores.T @ scores @ inverse * len(scores) / (len(scores) - players + 1)
    variances = np.append(np.diag(covariance), covariance.sum())
    return values, np.sqrt(np.maximum(variances, 0)), float(base), float(full)  # rounding may leave −1e-20


def _rows(name: str, given: np.ndarray) -> np.ndarray:
    rows = np.asarray(given, dtype=np.float64)
    if rows.ndim != 2 or rows.size == 0 or not np.isfinite(rows).all():
        raise ValueError(f"{name} must be a non-empty matrix [N, d] of finite numbers, got shape {list(rows.shape)}")
    return rows


def _answers(given: Any, count: int, name: str) -> np.ndarray:
    answers = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given, dtype=np.float64)
    if answers.shape != (count,):
        raise ValueError(f"{name} must return one number a row, [{count}], got shape {list(answers.shape)}")
    if not np.isfinite(answers).all():
        raise ValueError(f"{name} must return finite numbers, got NaN or infinity")
    return answers
