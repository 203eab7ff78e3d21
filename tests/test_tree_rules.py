"""The rules are the tree: same answers on any data, same leaves as scikit-learn prints."""

import re

import numpy as np
import pytest
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, export_text

from tml_helpers.explain.tree_rules import tree_rules

Tree = DecisionTreeClassifier | DecisionTreeRegressor


def grown(seed: int, kind: type[Tree], depth: int | None, *, whole: bool = False) -> tuple[Tree, np.ndarray]:
    """A tree on random data; whole numbers give ties and thresholds that values can hit."""
    random = np.random.default_rng(seed)
    x = random.integers(0, 8, size=(80, 4)).astype(float) if whole else random.normal(size=(80, 4))
    noise = random.normal(size=80)
    y = x[:, 0] * x[:, 1] + noise if kind is DecisionTreeRegressor else (x.sum(axis=1) + noise).round() % 3
    return kind(max_depth=depth, random_state=seed).fit(x, y), x


KINDS = st.sampled_from([DecisionTreeClassifier, DecisionTreeRegressor])


@given(st.integers(0, 10_000), KINDS, st.integers(1, 8), st.booleans())
def test_exactly_one_rule_covers_a_row_and_answers_as_the_tree(
    seed: int, kind: type[Tree], depth: int, whole: bool
) -> None:
    tree, x = grown(seed, kind, depth, whole=whole)
    rows = np.concatenate([x, x + 0.5, np.random.default_rng(seed + 1).normal(scale=4, size=(100, 4))])
    rules = tree_rules(tree)
    held = np.stack([rule.holds(rows) for rule in rules])
    assert (held.sum(axis=0) == 1).all()
    answers = np.array([rules[k].value for k in held.argmax(axis=0)])
    np.testing.assert_allclose(answers, tree.predict(rows))
    if kind is DecisionTreeClassifier:
        np.testing.assert_allclose([rules[k].probabilities for k in held.argmax(axis=0)], tree.predict_proba(rows))


def test_a_value_that_is_the_threshold_in_single_precision_goes_where_the_tree_sends_it() -> None:
    tree = DecisionTreeRegressor().fit([[0.0], [0.2]], [1.0, 2.0])
    rows = tree.tree_.threshold[0] + np.array([[-1e-12], [0.0], [1e-12], [1e-6]])
    left, right = tree_rules(tree)
    assert np.where(left.holds(rows), left.value, right.value).tolist() == tree.predict(rows).tolist()
    assert left.holds(rows).tolist() == [True, True, True, False]


@given(st.integers(0, 10_000), KINDS)
def test_shares_are_those_of_the_training_data(seed: int, kind: type[Tree]) -> None:
    tree, x = grown(seed, kind, 4)
    rules = tree_rules(tree)
    assert [rule.samples for rule in rules] == [int(rule.holds(x).sum()) for rule in rules]
    assert sum(rule.share for rule in rules) == pytest.approx(1)


def printed_paths(tree: Tree) -> list[dict[str, tuple[float, float]]]:
    """The leaves of `export_text`, read from its print: for each, the interval of every feature that it names."""
    leaves, path = [], []
    for line in export_text(tree, decimals=12, max_depth=100).splitlines():
        depth = line.count("|   ")
        del path[depth:]
        if found := re.search(r"feature_(\d+) (<=|>) +(\S+)", line):
            path.append((f"x{found[1]}", found[2], float(found[3])))
        else:
            bounds: dict[str, tuple[float, float]] = {}
            for name, sign, at in path:
                low, high = bounds.get(name, (-np.inf, np.inf))
                bounds[name] = (low, min(high, at)) if sign == "<=" else (max(low, at), high)
            leaves.append(bounds)
    return leaves


@given(st.integers(0, 10_000), KINDS)
@settings(max_examples=20)
def test_the_leaves_are_those_that_scikit_learn_prints_in_its_order(seed: int, kind: type[Tree]) -> None:
    tree, _ = grown(seed, kind, 6)
    ours = [{c.name: (c.low, c.high) for c in rule.conditions} for rule in tree_rules(tree)]
    theirs = printed_paths(tree)
    assert [list(path) for path in ours] == [list(path) for path in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(list(mine.values()), list(other.values()), atol=1e-11)


def test_conditions_on_one_feature_are_merged_and_read_as_a_sentence() -> None:
    x = np.arange(12.0)[:, None]
    tree = DecisionTreeRegressor().fit(x, np.repeat([1.0, 5.0, 2.0], 4))
    assert [str(rule) for rule in tree_rules(tree, feature_names=["temperature"])] == [
        "IF temperature ≤ 3.5 THEN 1 (33% of the samples)",
        "IF 3.5 < temperature ≤ 7.5 THEN 5 (33% of the samples)",
        "IF temperature > 7.5 THEN 2 (33% of the samples)",
    ]


def test_classes_are_called_by_their_names() -> None:
    tree = DecisionTreeClassifier().fit([[0.0, 1], [0, 2], [1, 1]], ["cat", "cat", "dog"])
    assert str(tree_rules(tree, feature_names=["a", "b"])[1]) == "IF a > 0.5 THEN dog (33% of the samples)"
    assert [rule.value for rule in tree_rules(tree, class_names=["C", "D"])] == ["C", "D"]
    assert tree_rules(tree)[0].conditions[0].name == "x0"


def test_a_tree_that_never_asks_is_one_rule_without_conditions() -> None:
    (rule,) = tree_rules(DecisionTreeRegressor().fit([[1.0], [2.0]], [3.0, 3.0]))
    assert str(rule) == "ALWAYS 3 (100% of the samples)"
    assert rule.holds(np.zeros((4, 1))).all()


def test_what_is_no_fitted_tree_is_refused() -> None:
    fitted, x = grown(0, DecisionTreeClassifier, 3)
    with refuses(TypeError, "decision tree", "RandomForestClassifier"):
        tree_rules(RandomForestClassifier())
    with refuses(ValueError, "not fitted", "fit first"):
        tree_rules(DecisionTreeClassifier())
    with refuses(ValueError, "one output", "got 2"):
        tree_rules(DecisionTreeRegressor().fit([[0.0], [1.0]], [[0, 1], [2, 3]]))
    with refuses(ValueError, "feature_names", "4 words", "got 2"):
        tree_rules(fitted, feature_names=["a", "b"])
    with refuses(ValueError, "class_names", "3 words", "got 1"):
        tree_rules(fitted, class_names=["a"])
    with refuses(ValueError, "[M, d]", "[4]"):
        tree_rules(fitted)[0].holds(x[0])
    with refuses(ValueError, "finite"):
        tree_rules(fitted)[0].holds(np.full((1, 4), np.nan))
