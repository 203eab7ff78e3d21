"""Thresholds for each group against Fairlearn's ThresholdOptimizer: as fair, and never less accurate."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from tml_helpers import data
from tml_helpers.fairness import ThresholdPolicy, equalized_odds_postprocessing, group_thresholds

pytest.importorskip("fairlearn", reason="the extra [peers] is not installed")
from fairlearn.metrics import MetricFrame, equalized_odds_difference, false_positive_rate, true_positive_rate
from fairlearn.postprocessing import ThresholdOptimizer

GRID = 1000
"""Fairlearn looks at so many places on the axis."""
CLOSE = 5 / GRID
"""What it may miss between two places where a curve is steep."""
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


class Scores(BaseEstimator):
    """A fitted estimator whose prediction is its only column."""

    def fit(self, *_: Any) -> "Scores":
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, rows: Any) -> np.ndarray:
        return np.asarray(rows)[:, 0]


def theirs(rows: Rows, constraint: str, objective: str = "accuracy_score", *, flip: bool = False) -> np.ndarray:
    """Fairlearn's probability of acceptance of each row."""
    label, score, group = rows
    optimizer = ThresholdOptimizer(
        estimator=Scores(),
        constraints=constraint,
        objective=objective,
        grid_size=GRID,
        flip=flip,
        prefit=True,
        predict_method="predict",
    )
    optimizer.fit(score[:, None], label, sensitive_features=group)
    return optimizer._pmf_predict(score[:, None], sensitive_features=group)[:, 1]


def simulated(seed: int, values: int | None, groups: int = 3) -> Rows:
    random = np.random.default_rng(seed)
    group = random.integers(groups, size=3000)
    label = (random.random(3000) < 0.25 + 0.1 * group).astype(int)
    score = 1 / (1 + np.exp(-(label - 0.5) * (1 + 0.4 * group) - random.normal(size=3000)))
    return label, score if values is None else np.round(score * values) / values, group


def applicants() -> Rows:
    """Real rows: German applicants for credit; the score is how long and how much, the groups are by age."""
    credit = data.german_credit()
    numbers = credit.select_dtypes("number")
    amount = next(numbers[name] for name in numbers if "amount" in name)
    months = next(numbers[name] for name in numbers if "duration" in name)
    score = 1 / (1 + (amount / amount.mean() + months / months.mean()) / 2)
    return credit["good"].to_numpy(), score.to_numpy(), np.where(credit["age"] <= 25, "young", "older")


def accuracy(rows: Rows, chance: np.ndarray) -> float:
    return float(np.where(rows[0] == 1, chance, 1 - chance).mean())


def gap(rows: Rows, chance: np.ndarray, labels: tuple[int, ...]) -> float:
    label, _, group = rows
    return max(np.ptp([chance[(group == g) & (label == y)].mean() for g in np.unique(group)]) for y in labels)


CASES = {
    "distinct scores": lambda: simulated(0, None),
    "two decimals": lambda: simulated(1, 100),
    "few values, two groups": lambda: simulated(2, 5, groups=2),
    "decisions": lambda: simulated(3, 1),
    "German credit": applicants,
}


def mine(rows: Rows, policy: ThresholdPolicy) -> np.ndarray:
    return policy.probabilities(rows[1], sensitive_features=rows[2])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("flip", [False, True])
def test_equalized_odds_is_as_fair_and_no_less_accurate(case: str, flip: bool) -> None:
    rows = CASES[case]()
    policy = equalized_odds_postprocessing(rows[0], rows[1], sensitive_features=rows[2])
    chance, other = mine(rows, policy), theirs(rows, "equalized_odds", flip=flip)
    assert gap(rows, chance, (0, 1)) <= 1e-12
    assert gap(rows, other, (0, 1)) <= 1e-9
    assert accuracy(rows, chance) >= accuracy(rows, other) - 1e-12
    if flip:  # then both look at the same rules, and theirs misses the best place by part of a step of its grid
        assert accuracy(rows, chance) <= accuracy(rows, other) + CLOSE


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("constraint", "name", "rate"),
    [
        ("demographic_parity", "demographic_parity", "selection_rate"),
        ("equal_opportunity", "true_positive_rate_parity", "true_positive_rate"),
    ],
)
def test_one_equal_rate_is_as_fair_and_no_less_accurate(case: str, constraint: Any, name: str, rate: str) -> None:
    rows = CASES[case]()
    policy = group_thresholds(rows[0], rows[1], sensitive_features=rows[2], constraint=constraint)
    chance, other = mine(rows, policy), theirs(rows, name, flip=True)
    assert np.ptp(policy.rates[rate].to_numpy(dtype=float)) <= 1e-12
    assert accuracy(rows, other) - 1e-12 <= accuracy(rows, chance) <= accuracy(rows, other) + CLOSE


def test_balanced_accuracy_is_a_choice_of_costs() -> None:
    rows = simulated(4, None)
    positives = rows[0].mean()
    policy = equalized_odds_postprocessing(
        rows[0],
        rows[1],
        sensitive_features=rows[2],
        false_positive_cost=1 / (1 - positives),
        false_negative_cost=1 / positives,
    )
    other = theirs(rows, "equalized_odds", "balanced_accuracy_score", flip=True)

    def balanced(chance: np.ndarray) -> float:
        return (chance[rows[0] == 1].mean() + 1 - chance[rows[0] == 0].mean()) / 2

    assert balanced(other) - 1e-12 <= balanced(mine(rows, policy)) <= balanced(other) + CLOSE


def test_their_metrics_of_decisions_drawn_by_the_policy() -> None:
    """Of ten draws for each person: what is left is chance, with a standard error below 0.01."""
    label, score, group = (np.tile(column, 10) for column in simulated(5, None))
    policy = equalized_odds_postprocessing(label, score, sensitive_features=group)
    drawn = policy.predict(score, sensitive_features=group, seed=0)
    assert equalized_odds_difference(label, drawn, sensitive_features=group) < 0.04
    assert equalized_odds_difference(label, (score > 0.5).astype(int), sensitive_features=group) > 0.06
    metrics = {"true_positive_rate": true_positive_rate, "false_positive_rate": false_positive_rate}
    frame = MetricFrame(metrics=metrics, y_true=label, y_pred=drawn, sensitive_features=group)
    for name in metrics:
        np.testing.assert_allclose(frame.by_group[name], policy.rates[name].to_numpy(dtype=float), atol=0.05)
