"""Fairness: what a decision does to groups and to single people, measured and mended.

Measures are called `metric(y_true, y_pred, *, sensitive_features)`, as those of scikit-learn and Fairlearn are.
"""

from tml_helpers.fairness.adversarial_debiasing import (
    AdversarialDebiasing,
    AdversarialHistory,
    AdversaryAccuracy,
    CollapseWarning,
)
from tml_helpers.fairness.audit import Audit, audit
from tml_helpers.fairness.awareness import LipschitzMapping, lipschitz_programme
from tml_helpers.fairness.calibration import GroupCalibration, calibration_by_group
from tml_helpers.fairness.embeddings import Weat, weat
from tml_helpers.fairness.individual import LipschitzViolations, lipschitz_violations
from tml_helpers.fairness.intervals import bootstrap_counts
from tml_helpers.fairness.losses import MissingGroupWarning, acceptance_gap, error_rate_gap, group_balanced_loss
from tml_helpers.fairness.metrics import (
    GroupMetrics,
    UndefinedMetricError,
    demographic_parity_difference,
    demographic_parity_ratio,
    equal_opportunity_difference,
    equalized_odds_difference,
    group_metrics,
    predictive_parity_difference,
)
from tml_helpers.fairness.postprocessing import equalized_odds_postprocessing, group_thresholds
from tml_helpers.fairness.proportional import ProportionalFairness, proportional_fairness
from tml_helpers.fairness.reweighing import reweighing_weights
from tml_helpers.fairness.threshold_policy import ThresholdPolicy, ThresholdRule

__all__ = [
    "AdversarialDebiasing",
    "AdversarialHistory",
    "AdversaryAccuracy",
    "Audit",
    "CollapseWarning",
    "GroupCalibration",
    "GroupMetrics",
    "LipschitzMapping",
    "LipschitzViolations",
    "MissingGroupWarning",
    "ProportionalFairness",
    "ThresholdPolicy",
    "ThresholdRule",
    "UndefinedMetricError",
    "Weat",
    "acceptance_gap",
    "audit",
    "bootstrap_counts",
    "calibration_by_group",
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "equalized_odds_postprocessing",
    "error_rate_gap",
    "group_balanced_loss",
    "group_metrics",
    "group_thresholds",
    "lipschitz_programme",
    "lipschitz_violations",
    "predictive_parity_difference",
    "proportional_fairness",
    "reweighing_weights",
    "weat",
]
