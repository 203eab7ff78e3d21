"""Reweighing and derived decisions against AIF360."""

from typing import Any

import numpy as np
import pandas
import pytest

from tml_helpers import data
from tml_helpers.fairness import equalized_odds_postprocessing, reweighing_weights

pytest.importorskip("aif360", reason="the extra [peers] is not installed")
from aif360.algorithms.postprocessing import EqOddsPostprocessing
from aif360.algorithms.preprocessing import Reweighing
from aif360.datasets import BinaryLabelDataset

GROUPS = {"unprivileged_groups": [{"group": 0.0}], "privileged_groups": [{"group": 1.0}]}


def dataset(label: np.ndarray, group: np.ndarray) -> Any:
    frame = pandas.DataFrame({"group": group, "label": label}, dtype=float)
    return BinaryLabelDataset(df=frame, label_names=["label"], protected_attribute_names=["group"])


def simulated(seed: int, rows: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    group = random.integers(2, size=rows)
    label = (random.random(rows) < 0.3 + 0.3 * group).astype(int)
    decision = (random.random(rows) < 0.2 + (0.3 + 0.2 * group) * label).astype(int)
    return label, decision, group


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_theirs(seed: int) -> None:
    label, _, group = simulated(seed)
    found = Reweighing(**GROUPS).fit_transform(dataset(label, group)).instance_weights
    np.testing.assert_allclose(reweighing_weights(label, sensitive_features=group), found, rtol=1e-14)


def test_weights_of_mortgage_applicants_are_theirs() -> None:
    loans = data.loan_applications()
    white = (loans["race"] == "White").to_numpy().astype(int)
    label = loans["approve"].to_numpy()
    found = Reweighing(**GROUPS).fit_transform(dataset(label, white)).instance_weights
    np.testing.assert_allclose(reweighing_weights(label, sensitive_features=white), found, rtol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_derived_decisions_have_the_rates_of_theirs(seed: int) -> None:
    """Theirs minimises the sum of the groups' error rates, which is a choice of costs, since rates are equal."""
    label, decision, group = simulated(seed)
    program = EqOddsPostprocessing(**GROUPS, seed=0).fit(dataset(label, group), dataset(decision, group)).model_params
    accepts = {1: program.x[1::-1], 0: program.x[3:1:-1]}  # of decisions 0 and 1: theirs begins with 1
    positives = label.mean()
    policy = equalized_odds_postprocessing(
        label,
        decision,
        sensitive_features=group,
        false_positive_cost=1 / (1 - positives),
        false_negative_cost=1 / positives,
    )
    for g in (0, 1):
        chance = policy.probabilities([0, 1], sensitive_features=[g, g])
        np.testing.assert_allclose(chance, accepts[g], atol=1e-9)
