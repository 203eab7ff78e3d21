"""Weights under which the label no longer depends on the group."""

from typing import Any

import numpy as np

from tml_helpers.fairness._common import read_binary, read_groups
from tml_helpers.fairness.metrics import UndefinedMetricError, said


def reweighing_weights(y_true: Any, *, sensitive_features: Any) -> np.ndarray:
    """w = P(g) P(y) / P(g, y): with these weights, label and group are independent, and each keeps its share.

    They weigh each example in a loss, as `sample_weight` does in scikit-learn. A weight is what the row's cell would
    have had without dependence, over what it has. Where labels and groups are independent, all are 1.

    Args:
        y_true: labels, 0 or 1, `[N]`; arrays, tensors, lists or columns of pandas, read by position.
        sensitive_features: the groups, `[N]`, of one attribute, or of several crossed: a frame, a dict of columns.

    Returns:
        Positive weights, float64 `[N]`, whose sum is N.

    Raises:
        TypeError: labels that are no numbers.
        ValueError: lengths that differ, missing values, or labels that are not 0 or 1.
        UndefinedMetricError: a group in which one of the labels does not occur: no weight makes up for nobody.

    Source: Kamiran and Calders, 2012. Derived in: lectures/50_fairness/mitigation
    """
    y = read_binary("y_true", y_true)
    read = read_groups(sensitive_features, len(y))
    cells = np.bincount(2 * read.codes.astype(np.int64) + y, minlength=2 * len(read)).reshape(-1, 2)
    in_group, with_label = cells.sum(axis=1), cells.sum(axis=0)
    for place, label in np.argwhere((cells == 0) & (in_group[:, None] > 0) & (with_label > 0)):
        raise UndefinedMetricError(
            f"group {said(read.index[place])} has nobody with label {label}, so no weights make label and group "
            "independent: merge the group or leave it out, and say so"
        )
    expected = in_group[:, None] * with_label / len(y)
    weights = np.divide(expected, cells, out=np.zeros(cells.shape), where=cells > 0)
    return np.asarray(weights[read.codes, y])
