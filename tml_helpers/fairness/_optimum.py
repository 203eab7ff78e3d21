"""The best mixture of threshold rules in each group, under what is kept equal between them."""

from collections.abc import Sequence

import numpy as np

from tml_helpers.fairness._roc_hull import Hull
from tml_helpers.fairness.threshold_policy import ThresholdRule

BISECTIONS = 60
"""So often halved, the ends of an interval are the same number."""
Axes = Sequence[np.ndarray]
"""For each group what its rules reach, rising from 0 to 1. The last of several rules at 0 is the best."""


def best_alone(hull: Hull, gain: float, loss: float) -> np.ndarray:
    """The chance of each rule, `[C]`, where nothing is kept equal: 1 for the best."""
    chances = np.zeros(len(hull.thresholds))
    chances[np.argmax(_value(hull, gain, loss))] = 1
    return chances


def best_of_equal(hulls: Sequence[Hull], axes: Axes, gain: float, loss: float) -> list[np.ndarray]:
    """The chance of each rule in each group, where all reach the same place on the axis.

    The value is a concave function of that place, with corners where a group has one: the best is one of these.
    """
    places = np.unique(np.concatenate(axes))
    pairs = zip(hulls, axes, strict=True)
    value = np.sum([np.interp(places, axis, _value(hull, gain, loss)) for hull, axis in pairs], axis=0)
    return [_reaching(places[np.argmax(value)], axis) for axis in axes]


def best_overlap(hulls: Sequence[Hull], gain: float, loss: float) -> list[np.ndarray]:
    """The chance of each rule in each group, where all reach the same false- and true-positive rate."""
    axes = [hull.false_positives / hull.false_positives[-1] for hull in hulls]
    heights = [hull.true_positives / hull.true_positives[-1] for hull in hulls]
    places = np.unique(np.concatenate(axes))
    reached = np.stack([np.interp(places, axis, height) for axis, height in zip(axes, heights, strict=True)])
    gain_of_all = gain * sum(hull.true_positives[-1] for hull in hulls)
    loss_of_all = loss * sum(hull.false_positives[-1] for hull in hulls)
    values = gain_of_all * reached - loss_of_all * places
    best = int(np.argmax(values.min(axis=0)))
    place, value = places[best], values[:, best].min()
    for left, right in ((best - 1, best), (best, best + 1)):  # where hulls cross between two corners
        if left >= 0 and right < len(places):
            share, crossing = _crossing(values[:, left], values[:, right])
            if crossing > value + 1e-12 * abs(value):
                place, value = (1 - share) * places[left] + share * places[right], crossing
    height = min(np.interp(place, *curve) for curve in zip(axes, heights, strict=True))
    return [_reaching_point(place, height, *curve) for curve in zip(axes, heights, strict=True)]


def rule_of(hull: Hull, chances: np.ndarray) -> ThresholdRule:
    """P(accept | score) where each rule is followed with its chance."""
    used = hull[chances > 0]
    steps = np.unique(used.thresholds[np.isfinite(used.thresholds)])
    starts = np.append(-np.inf, steps)[:, None]
    accepts = (starts >= used.thresholds) != used.turned
    return ThresholdRule(steps, np.clip(accepts @ chances[chances > 0], 0, 1))


def _value(hull: Hull, gain: float, loss: float) -> np.ndarray:
    value: np.ndarray = gain * hull.true_positives - loss * hull.false_positives
    return value


def _crossing(left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """max over t in [0, 1] of the least of lines from left to right: t and the maximum."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        least = np.argmin((1 - middle) * left + middle * right)
        low, high = (middle, high) if right[least] > left[least] else (low, middle)
    return low, float(((1 - low) * left + low * right).min())


def _reaching(place: float, axis: np.ndarray) -> np.ndarray:
    """The chances of the two neighbouring rules, `[C]`, that together reach a place on the axis."""
    chances = np.zeros(len(axis))
    left = int(np.searchsorted(axis, place, side="right")) - 1
    right = min(left + 1, len(axis) - 1)
    share = (place - axis[left]) / (axis[right] - axis[left]) if right > left else 0.0
    chances[left] += 1 - share
    chances[right] += share
    return chances


def _reaching_point(place: float, height: float, axis: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The chances, `[C]`, of the hull's rules above the point, and else of a coin that accepts with chance `place`."""
    top = float(np.interp(place, axis, heights))
    chances = _reaching(place, axis)
    if top > place:
        chances *= (height - place) / (top - place)
    coin = 1 - chances.sum()
    chances[0] += coin * (1 - place)
    chances[-1] += coin * place
    return chances
