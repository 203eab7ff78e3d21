"""A decision tree as rules: each leaf is what it takes to get there, joined by AND."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tml_helpers._console import legible

Interval = tuple[float, float]


@dataclass(frozen=True)
class Condition:
    """low < x[feature] ≤ high, where either bound may be infinite."""

    feature: int
    """The column."""
    name: str
    """What it is called."""
    low: float
    """The bound that is not included."""
    high: float
    """The bound that is included."""

    def holds(self, features: np.ndarray) -> np.ndarray:
        """Whether low < x[feature] ≤ high.

        Args:
            features: `[M, d]`.

        Returns:
            Which rows it is true for, bool `[M]`.
        """
        column = features[:, self.feature]
        return np.asarray((column > self.low) & (column <= self.high))

    def __str__(self) -> str:
        if self.high == np.inf:
            return legible(f"{self.name} > {self.low:.4g}")
        below = "" if self.low == -np.inf else f"{self.low:.4g} < "
        return legible(f"{below}{self.name} ≤ {self.high:.4g}")


@dataclass(frozen=True)
class Rule:
    """IF all conditions hold THEN value."""

    conditions: tuple[Condition, ...]
    """One for each feature that the tree asks about on the way; none for a tree that asks nothing."""
    value: object
    """A class label or its name, or a mean."""
    share: float
    """The part of the training samples that the rule covers, from 0 to 1."""
    samples: int
    """Their number."""
    probabilities: tuple[float, ...] = ()
    """Those of the classes; empty for a regression."""

    def holds(self, features: np.ndarray) -> np.ndarray:
        """Whether all conditions hold.

        Args:
            features: `[M, d]`, finite.

        Returns:
            Which rows the rule covers, bool `[M]`.

        Raises:
            ValueError: what is no matrix, or not finite.
        """
        # scikit-learn compares float32 values with float64 thresholds, and so must whoever wants its answers
        rows = np.asarray(features, dtype=np.float32).astype(np.float64)
        if rows.ndim != 2 or not np.isfinite(rows).all():
            raise ValueError(f"features must be a matrix [M, d] of finite numbers, got shape {list(rows.shape)}")
        covered = np.ones(len(rows), dtype=bool)
        for condition in self.conditions:
            covered &= condition.holds(rows)
        return covered

    def __str__(self) -> str:
        value = f"{self.value:.4g}" if isinstance(self.value, float) else str(self.value)
        when = " AND ".join(map(str, self.conditions))
        return legible(f"{f'IF {when} THEN' if when else 'ALWAYS'} {value} ({self.share:.0%} of the samples)")


def tree_rules(
    tree: Any, *, feature_names: Sequence[str] | None = None, class_names: Sequence[str] | None = None
) -> list[Rule]:
    """leaf ⇔ c₁ AND c₂ AND …: one rule for each leaf of a tree.

    Conditions on one feature are merged to one interval, and named in the order in which the tree first asks. Every
    row is covered by exactly one rule, which answers as the tree does. Rules say nothing of missing values.

    Args:
        tree: a fitted decision tree of scikit-learn, classifier or regressor, with one output.
        feature_names: `[d]`, instead of x0, x1, …
        class_names: `[K]`, in the order of `tree.classes_`, instead of the labels.

    Returns:
        The rules in the order of scikit-learn's `export_text`.

    Raises:
        TypeError: what is no decision tree.
        ValueError: a tree that is not fitted or has several outputs, or another number of names.

    Derived in: lectures/40_interpretability/self_explaining
    """
    from sklearn.tree import BaseDecisionTree

    if not isinstance(tree, BaseDecisionTree):
        raise TypeError(f"tree must be a decision tree of scikit-learn, got {type(tree).__name__}")
    if not hasattr(tree, "tree_"):
        raise ValueError("the tree is not fitted: call its fit first")
    nodes = tree.tree_
    if nodes.n_outputs != 1:
        raise ValueError(f"the tree must have one output, got {nodes.n_outputs}: fit one tree for each")
    names = _names("feature_names", feature_names, nodes.n_features) or [f"x{j}" for j in range(nodes.n_features)]
    labels = tree.classes_.tolist() if hasattr(tree, "classes_") else []
    given = _names("class_names", class_names, len(labels))
    return [
        Rule(
            conditions=tuple(Condition(j, names[j], *bounds) for j, bounds in path.items()),
            value=(given or labels)[int(nodes.value[leaf][0].argmax())] if labels else float(nodes.value[leaf][0, 0]),
            share=float(nodes.n_node_samples[leaf] / nodes.n_node_samples[0]),
            samples=int(nodes.n_node_samples[leaf]),
            probabilities=tuple((nodes.value[leaf][0] / nodes.value[leaf][0].sum()).tolist()) if labels else (),
        )
        for leaf, path in _paths(tree)
    ]


def _names(what: str, names: Sequence[str] | None, count: int) -> list[str]:
    if names is not None and len(names) != count:
        raise ValueError(f"{what} must be {count} words, got {len(names)}")
    return [str(name) for name in names] if names is not None else []


def _paths(tree: Any) -> Iterator[tuple[int, dict[int, Interval]]]:
    """Every leaf, from left to right, with the interval of each feature on the way to it."""
    nodes = tree.tree_
    waiting: list[tuple[int, dict[int, Interval]]] = [(0, {})]
    while waiting:
        node, path = waiting.pop()
        if nodes.children_left[node] == nodes.children_right[node]:  # both −1: a leaf
            yield node, path
            continue
        feature, threshold = int(nodes.feature[node]), float(nodes.threshold[node])
        low, high = path.get(feature, (-np.inf, np.inf))
        waiting.append((nodes.children_right[node], {**path, feature: (max(low, threshold), high)}))
        waiting.append((nodes.children_left[node], {**path, feature: (low, min(high, threshold))}))
