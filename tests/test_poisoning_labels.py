"""Wrong labels: exactly so many, drawn as was said, and flips against a support vector machine beside brute force."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.svm import SVC
from torch import Tensor

from tml_helpers.poisoning import Poison, adversarial_label_flips, flip_labels


def pictures(seed: int, count: int, classes: int = 3, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 4, 4, generator=generator, dtype=dtype)
    return images, torch.arange(count) % classes


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.integers(12, 60), st.floats(0.1, 1), st.integers(0, 10**6))
def test_exactly_the_budget_is_wrong_and_nothing_else_is_touched(
    classes: int, count: int, fraction: float, seed: int
) -> None:
    images, labels = pictures(seed, count, classes)
    before = (images.clone(), labels.clone())
    flips = flip_labels(
        images, labels, fraction=fraction, classes=classes, generator=torch.Generator().manual_seed(seed)
    )
    different = (flips.labels != labels).nonzero()[:, 0]
    assert len(different) == round(fraction * count)
    assert torch.equal(flips.indices, different)
    assert torch.equal(flips.clean_labels, labels[different])
    assert int(flips.labels.min()) >= 0
    assert int(flips.labels.max()) < classes
    assert torch.equal(flips.images, images)
    assert not flips.perturbation.any()
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])
    assert torch.equal(flips.clean.tensors[1], labels)
    assert flips.budget == round(fraction * count) / count


def test_all_other_classes_are_equally_likely() -> None:
    """bhanML/Co-teaching's data and many after it call "40 % symmetric" what leaves a tenth of the draws right."""
    images, labels = pictures(0, 4000, 5)
    flips = flip_labels(images, labels, fraction=0.5, classes=5, generator=torch.Generator().manual_seed(1))
    step = (flips.labels - labels)[flips.indices] % 5
    assert stats.chisquare(step.bincount(minlength=5)[1:].numpy()).pvalue > 1e-6
    hit = flips.clean_labels.bincount(minlength=5)
    assert stats.chisquare(hit.numpy()).pvalue > 1e-6


def test_a_matrix_says_who_is_hit_and_what_they_become() -> None:
    images, labels = pictures(0, 9000, 3)
    matrix = torch.tensor([[0.4, 0.6, 0.0], [0.0, 1.0, 0.0], [0.15, 0.15, 0.7]])
    flips = flip_labels(
        images, labels, fraction=0.3, classes=3, transition=matrix, generator=torch.Generator().manual_seed(1)
    )
    seen = flips.transition
    assert seen.dtype == torch.float64
    assert torch.equal(seen[1], torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    assert seen[0, 2] == 0
    assert float((seen - matrix).abs().max()) < 0.08  # 3,000 a class: 0.009 is one standard deviation
    assert float((seen.sum(dim=1) - 1).abs().max()) < 1e-12
    for a in range(3):
        for b in range(3):
            counted = ((labels == a) & (flips.labels == b)).sum() / (labels == a).sum()
            assert float(seen[a, b]) == pytest.approx(float(counted), abs=1e-6)


def test_only_the_proportions_of_a_matrix_count() -> None:
    """A matrix of 10 % noise with a budget of 40 %: four times as many, in the same proportions."""
    images, labels = pictures(0, 3000, 3)
    matrix = torch.full((3, 3), 0.05).fill_diagonal_(0.9).double()
    flips = flip_labels(
        images, labels, fraction=0.4, classes=3, transition=matrix, generator=torch.Generator().manual_seed(0)
    )
    assert len(flips.indices) == 1200
    assert float((flips.transition.diagonal() - 0.6).abs().max()) < 0.08


def test_a_class_without_examples_keeps_its_name() -> None:
    images, labels = pictures(0, 40, 2)
    flips = flip_labels(images, labels, fraction=0.5, classes=4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(flips.transition[2:], torch.eye(4, dtype=torch.float64)[2:])


def test_equal_generators_flip_alike_and_others_differ() -> None:
    images, labels = pictures(0, 100, 3, torch.float64)
    first, again, other = (
        flip_labels(images, labels, fraction=0.4, classes=3, generator=torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    )
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.labels, other.labels)
    torch.manual_seed(3)
    free = flip_labels(images, labels, fraction=0.4, classes=3)
    torch.manual_seed(3)
    assert torch.equal(free.labels, flip_labels(images, labels, fraction=0.4, classes=3).labels)


FLIPS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"fraction": 0.0}, ValueError, "fraction must lie above 0"),
    ({"fraction": 1.5}, ValueError, "fraction must lie above 0 and be at most 1"),
    ({"fraction": float("nan")}, ValueError, "fraction"),
    ({"fraction": True}, TypeError, "fraction must be a number"),
    ({"fraction": "0.4"}, TypeError, "fraction must be a number"),
    ({"fraction": 0.01}, ValueError, "less than one example"),
    ({"classes": 1}, ValueError, "classes must be a whole number of 2 or more"),
    ({"classes": 2}, ValueError, "labels must lie in 0…1, as classes is 2, got 2"),
    ({"classes": 3.0}, TypeError, "classes must be a whole number"),
    ({"labels": torch.zeros(30, dtype=torch.int64)}, ValueError, "two classes or more"),
    ({"labels": torch.full((30,), -1)}, ValueError, "0 or more"),
    ({"labels": torch.zeros(30)}, TypeError, "int64"),
    ({"labels": torch.arange(29) % 3}, ValueError, "[30]"),
    ({"images": torch.rand(30, 1, 4, 4) * 255}, ValueError, "[0, 1]"),
    ({"images": torch.rand(0, 1, 4, 4)}, ValueError, "non-empty"),
    ({"images": torch.full((30, 1, 4, 4), float("nan"))}, ValueError, "[0, 1]"),
    ({"images": torch.zeros(30, 1, 4, 4, dtype=torch.uint8)}, TypeError, "float"),
    ({"transition": torch.eye(4)}, ValueError, "shape [3, 3], got [4, 4]"),
    ({"transition": torch.eye(3)}, ValueError, "only 0 to be changed"),
    ({"transition": torch.ones(3, 3)}, ValueError, "add up to 1"),
    ({"transition": -torch.eye(3) + 2 / 3}, ValueError, "add up to 1"),
    ({"transition": torch.ones(3, 2) / 2}, ValueError, "shape [K, K]"),
    ({"transition": [[0.5, 0.5], [0.5, 0.5]]}, TypeError, "transition must be a floating-point tensor"),
    ({"transition": torch.eye(3, dtype=torch.int64)}, TypeError, "int64"),
    ({"generator": 7}, TypeError, "generator"),
]


@pytest.mark.parametrize(("change", "error", "words"), FLIPS)
def test_flips_that_cannot_be_made_are_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    images, labels = pictures(0, 30)
    given = {"images": images, "labels": labels, "fraction": 0.4, "classes": 3} | change
    with refuses(error, words):
        flip_labels(given.pop("images"), given.pop("labels"), **given)


# chosen flips


def clouds(seed: int, count: int, apart: float = 2.0) -> tuple[Tensor, Tensor]:
    """Two overlapping clouds in the plane, of classes 3 and 8."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.where(torch.arange(count) % 2 == 0, 3, 8)
    return torch.randn(count, 2, generator=generator) + apart * (labels == 8)[:, None], labels


def machine(points: Tensor, seen: np.ndarray, penalty: float, gamma: float | None) -> SVC:
    kernel = {"kernel": "linear"} if gamma is None else {"kernel": "rbf", "gamma": gamma}
    return SVC(C=penalty, **kernel).fit(points.flatten(1).double().numpy(), seen)


def hinge(points: Tensor, labels: Tensor, seen: Tensor, penalty: float, gamma: float | None) -> float:
    sides = np.where(labels.numpy() == 8, 1.0, -1.0)
    trained = machine(points, np.where(seen.numpy() == 8, 1.0, -1.0), penalty, gamma)
    values = trained.decision_function(points.flatten(1).double().numpy())
    return float(np.maximum(0, 1 - sides * values).mean())


@pytest.mark.parametrize("gamma", [None, 0.5])
@pytest.mark.parametrize("penalty", [0.1, 1.0])
def test_its_harm_is_that_of_scikit_learns_own_machine(gamma: float | None, penalty: float) -> None:
    points, labels = clouds(0, 60)
    flips = adversarial_label_flips(
        points,
        labels,
        fraction=0.2,
        penalty=penalty,
        gamma=gamma,
        restarts=5,
        generator=torch.Generator().manual_seed(0),
    )
    assert isinstance(flips, Poison)
    assert torch.equal(flips.indices, (flips.labels != labels).nonzero()[:, 0])
    assert len(flips.indices) == 12
    assert set(flips.labels.tolist()) == {3, 8}
    assert torch.equal(flips.clean_labels, labels[flips.indices])
    assert torch.equal(flips.images, points)
    assert flips.hinge == pytest.approx(hinge(points, labels, flips.labels, penalty, gamma), rel=0.02)
    assert flips.clean_hinge == pytest.approx(hinge(points, labels, labels, penalty, gamma), rel=0.02)


def test_the_cosine_is_that_of_the_normals() -> None:
    points, labels = clouds(1, 60)
    flips = adversarial_label_flips(points, labels, fraction=0.2, generator=torch.Generator().manual_seed(0))
    before, after = (
        machine(points, np.where(seen.numpy() == 8, 1.0, -1.0), 1.0, None).coef_[0] for seen in (labels, flips.labels)
    )
    cosine = before @ after / np.sqrt((before @ before) * (after @ after))
    assert flips.cosine == pytest.approx(cosine, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_beside_brute_force_over_all_pairs_of_flips(seed: int) -> None:
    """None of the 66 pairs can hurt more than the worst of them, and the heuristic is among the worse half."""
    points, labels = clouds(seed, 12)
    flips = adversarial_label_flips(
        points, labels, fraction=1 / 6, restarts=40, generator=torch.Generator().manual_seed(0)
    )
    harms = []
    for pair in combinations(range(12), 2):
        seen = labels.clone()
        seen[list(pair)] = 11 - seen[list(pair)]
        harms.append(hinge(points, labels, seen, 1.0, None))
    assert flips.hinge <= max(harms) + 1e-2
    assert flips.hinge >= np.median(harms)


@pytest.mark.parametrize("seed", range(3))
def test_chosen_flips_hurt_more_than_as_many_by_chance(seed: int) -> None:
    points, labels = clouds(seed, 100, apart=3.0)
    flips = adversarial_label_flips(points, labels, fraction=0.2, generator=torch.Generator().manual_seed(seed))
    by_chance = []
    for lot in range(10):
        seen = labels.clone()
        hit = torch.randperm(100, generator=torch.Generator().manual_seed(100 * seed + lot))[:20]
        seen[hit] = 11 - seen[hit]
        by_chance.append(hinge(points, labels, seen, 1.0, None))
    assert flips.hinge > max(by_chance)
    assert flips.hinge > flips.clean_hinge


def test_more_restarts_are_never_worse() -> None:
    points, labels = clouds(0, 60)
    harms = [
        adversarial_label_flips(
            points, labels, fraction=0.2, restarts=n, generator=torch.Generator().manual_seed(5)
        ).hinge
        for n in (1, 4, 16)
    ]
    assert harms[0] <= harms[1] <= harms[2]
    assert harms[0] < harms[2]


def test_without_a_lot_the_far_points_of_no_weight_are_flipped() -> None:
    """On a line: the far ends of both classes, which hold no plane, come before the inner points that do."""
    places = torch.tensor([-9.0, -8.0, -1.0, -0.9, 0.9, 1.0, 8.0, 9.0])[:, None]
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    flips = adversarial_label_flips(places, labels, fraction=0.25, penalty=10.0, restarts=1)
    assert torch.equal(flips.indices, torch.tensor([0, 7]))


def test_a_class_of_one_does_not_die_out() -> None:
    """adversarial-robustness-toolbox #168: one class gave no poison; here the last of a class stays, SVC needs it."""
    points = torch.tensor([[0.0], [5.0], [6.0], [7.0], [8.0], [9.0]])
    labels = torch.tensor([0, 1, 1, 1, 1, 1])
    for fraction in (1 / 6, 5 / 6):
        flips = adversarial_label_flips(points, labels, fraction=fraction, generator=torch.Generator().manual_seed(0))
        assert len(flips.indices) == round(6 * fraction)
        assert set(flips.labels.tolist()) == {0, 1}


def test_all_labels_flipped_is_the_mirrored_machine() -> None:
    points, labels = clouds(0, 40)
    flips = adversarial_label_flips(points, labels, fraction=1.0, restarts=2)
    assert torch.equal(flips.labels, 11 - labels)
    assert flips.cosine == pytest.approx(-1, abs=1e-3)


def test_images_of_any_shape_and_type_and_points_that_are_all_one() -> None:
    points, labels = clouds(0, 40)
    plain = adversarial_label_flips(points.double(), labels, fraction=0.2, restarts=1)
    folded = adversarial_label_flips(points.double()[:, None, :, None], labels, fraction=0.2, restarts=1)
    strided = adversarial_label_flips(
        points.double().repeat_interleave(2, dim=0)[::2], labels, fraction=0.2, restarts=1
    )
    assert torch.equal(plain.labels, folded.labels)
    assert torch.equal(plain.labels, strided.labels)
    same = adversarial_label_flips(torch.ones(40, 2), labels, fraction=0.2, restarts=2)
    assert len(same.indices) == 8
    assert np.isfinite([same.hinge, same.clean_hinge, same.cosine]).all()


CHOSEN: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"fraction": 0.0}, ValueError, "fraction must lie above 0"),
    ({"fraction": 0.001}, ValueError, "less than one example"),
    ({"penalty": 0.0}, ValueError, "penalty must lie above 0"),
    ({"penalty": float("inf")}, ValueError, "finite"),
    ({"penalty": "1"}, TypeError, "penalty must be a number"),
    ({"gamma": 0.0}, ValueError, "gamma must lie above 0"),
    ({"gamma": float("nan")}, ValueError, "gamma"),
    ({"gamma": "scale"}, TypeError, "gamma must be a number"),
    ({"restarts": 0}, ValueError, "restarts"),
    ({"restarts": 1.5}, TypeError, "restarts"),
    ({"labels": torch.arange(40) % 3}, ValueError, "exactly two classes, got 3"),
    ({"labels": torch.zeros(40, dtype=torch.int64)}, ValueError, "exactly two classes, got 1"),
    ({"labels": torch.zeros(40)}, TypeError, "int64"),
    ({"inputs": torch.full((40, 2), float("nan"))}, ValueError, "finite"),
    ({"inputs": torch.zeros(40, 2, dtype=torch.int64)}, TypeError, "floating-point"),
    ({"inputs": torch.rand(40)}, ValueError, "[N, …]"),
    ({"inputs": torch.rand(0, 2)}, ValueError, "non-empty"),
    ({"inputs": np.zeros((40, 2))}, TypeError, "ndarray"),
    ({"generator": 0}, TypeError, "generator"),
]


@pytest.mark.parametrize(("change", "error", "words"), CHOSEN)
def test_chosen_flips_that_cannot_be_made_are_refused(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    points, labels = clouds(0, 40)
    given = {"inputs": points, "labels": labels, "fraction": 0.2} | change
    with refuses(error, words):
        adversarial_label_flips(given.pop("inputs"), given.pop("labels"), **given)
