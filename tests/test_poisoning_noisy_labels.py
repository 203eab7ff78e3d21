"""Training that bears wrong labels: losses beside their formulas, estimates beside counting, what each network saw."""

from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.poisoning import (
    co_teaching,
    confident_transition,
    estimate_transition,
    flip_labels,
    forward_correction,
    mixup,
)
from tml_helpers.training import accuracy, cross_entropy, fit


class Table(nn.Module):
    """Answers with logits that are written in the images: image `[K, 1, 1]` is its own row of logits, times ten."""

    def forward(self, images: Tensor) -> Tensor:
        return 10 * images.flatten(1)


def written(probabilities: list[list[float]]) -> Tensor:
    """Images for which `Table` answers with these probabilities: their logarithms, shifted into [0, 1]."""
    logs = torch.tensor(probabilities, dtype=torch.float64).log() / 10
    return (logs - logs.amin(dim=1, keepdim=True))[:, :, None, None]


def random_matrix(seed: int, classes: int) -> Tensor:
    rows = torch.rand(classes, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return rows / rows.sum(dim=1, keepdim=True)


def problem(seed: int, count: int = 60, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    images = 0.3 * torch.rand(count, 1, 4, 4, generator=generator)
    images[torch.arange(count), 0, labels] += 0.6
    return images, labels


def small(seed: int, classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return MLP(8, in_features=16, classes=classes)


# forward correction


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 8), st.integers(1, 20), st.integers(0, 10**6))
def test_the_loss_is_the_papers_formula(classes: int, count: int, seed: int) -> None:
    """T-Revision PR #3: a matrix that grew within the loop made the loss depend on the size of the batch."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, classes, 1, 1, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (count,), generator=generator)
    matrix = random_matrix(seed, classes)
    loss = forward_correction(matrix)
    expected = 0.0
    for image, label in zip(images, labels, strict=True):
        exponentials = [float(np.exp(10 * value)) for value in image.flatten().tolist()]
        seen = sum(e / sum(exponentials) * float(matrix[a, label]) for a, e in enumerate(exponentials))
        expected -= np.log(seen) / count
    for _ in range(2):
        assert float(loss(Table(), images, labels)) == pytest.approx(expected, rel=1e-9)


def test_without_noise_it_is_cross_entropy_and_its_gradient() -> None:
    images, labels = problem(0)
    model = small(0)
    for matrix in (torch.eye(3), torch.eye(3, dtype=torch.float64)):
        plain = torch.autograd.grad(cross_entropy(model, images, labels), list(model.parameters()))
        corrected = torch.autograd.grad(forward_correction(matrix)(model, images, labels), list(model.parameters()))
        for a, b in zip(plain, corrected, strict=True):
            assert float((a - b).norm()) <= 1e-5 * float(a.norm()) + 1e-8


def test_its_minimum_is_the_answer_for_the_true_class() -> None:
    """Free logits, fitted to what class 1 is called: cross-entropy finds the row of T, the correction finds class 1."""
    matrix = torch.tensor([[0.6, 0.4, 0.0], [0.1, 0.5, 0.4], [0.0, 0.4, 0.6]], dtype=torch.float64)
    seen = torch.tensor([0] + [1] * 5 + [2] * 4)
    found = {}
    for name, loss in (("corrected", forward_correction(matrix)), ("plain", cross_entropy)):
        free = nn.Sequential(nn.Flatten(), nn.Linear(1, 3)).double()
        optimizer = torch.optim.LBFGS(free.parameters(), max_iter=100, line_search_fn="strong_wolfe")
        images = torch.ones(10, 1, 1, 1, dtype=torch.float64)

        def closure(
            loss: Any = loss, free: nn.Module = free, optimizer: Any = optimizer, images: Tensor = images
        ) -> Tensor:
            optimizer.zero_grad()
            value: Tensor = loss(free, images, seen)
            value.backward()
            return value

        optimizer.step(closure)
        found[name] = free(images[:1]).softmax(dim=1)[0].detach()
    assert float((found["plain"] - matrix[1]).abs().max()) < 1e-3
    assert float(found["corrected"][1]) > 0.99


def test_sure_answers_give_no_nan_where_the_matrix_has_zeros() -> None:
    """A product of 0 and a logarithm of 0 was NaN in loops that wrote log(p @ T)."""
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[:, :, None, None] * 1.0
    leaf = (100 * images).requires_grad_()
    loss = forward_correction(torch.tensor([[1.0, 0.0], [0.3, 0.7]]))
    value = loss(Table(), leaf, torch.tensor([1, 0]))
    assert bool(value.isfinite())
    assert float(value.detach()) == pytest.approx((1000 - np.log(0.7) - np.log(0.3)) / 2, rel=1e-4)
    value.backward()
    assert leaf.grad is not None
    assert bool(leaf.grad.isfinite().all())


MATRICES: list[tuple[Any, type[Exception], str]] = [
    (torch.ones(3, 3), ValueError, "add up to 1"),
    (torch.full((3, 3), float("nan")), ValueError, "add up to 1"),
    (torch.tensor([[1.5, -0.5], [0.0, 1.0]]), ValueError, "add up to 1"),
    (torch.tensor([[0.9, 0.3], [0.1, 0.7]]), ValueError, "row a is what class a is called"),
    (torch.ones(1, 1), ValueError, "K ≥ 2"),
    (torch.ones(2, 3) / 3, ValueError, "[2, 3]"),
    (torch.eye(3, dtype=torch.int64), TypeError, "int64"),
    (np.eye(3), TypeError, "ndarray"),
]


@pytest.mark.parametrize(("matrix", "error", "words"), MATRICES)
def test_matrices_that_are_none_are_refused(matrix: Any, error: type[Exception], words: str) -> None:
    with refuses(error, "transition", words):
        forward_correction(matrix)


def test_a_matrix_of_other_classes_and_a_label_that_is_never_seen() -> None:
    images, labels = problem(0)
    with refuses(ValueError, "transition is of 4 classes, but the model has 3"):
        forward_correction(torch.eye(4))(small(0), images, labels)
    never = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    with refuses(ValueError, "labels has class 2"):
        forward_correction(never)(small(0), images, labels)


# estimates of the matrix

ROWS = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]


def test_anchors_give_the_matrix_of_a_model_that_knows_the_noise() -> None:
    weak = [[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4]]
    images = written(ROWS * 4 + weak * 4)
    found = estimate_transition(Table(), images, quantile=1.0)
    assert float((found.transition - torch.tensor(ROWS, dtype=torch.float64)).abs().max()) < 1e-9
    assert found.support.tolist() == [1, 1, 1]
    lower = estimate_transition(Table(), images, quantile=0.8)  # the 19th of 24: of p_a, four are larger
    assert torch.equal(lower.transition.argmax(dim=1), torch.arange(3))
    assert lower.transition[0, 0] == pytest.approx(0.4)


def counted(chances: Tensor, labels: Tensor) -> Tensor:
    """Confident counts, word by word: seen b in rows, guessed a in columns, rows brought to the labels' own counts."""
    count, classes = chances.shape
    usual = [float(np.mean([float(chances[i, a]) for i in range(count) if labels[i] == a])) for a in range(classes)]
    joint = np.zeros((classes, classes))
    for i in range(count):
        sure = [a for a in range(classes) if float(chances[i, a]) >= usual[a] - 1e-9]
        if sure:
            joint[int(labels[i]), max(sure, key=lambda a: float(chances[i, a]))] += 1
    for b in range(classes):
        joint[b] *= int((labels == b).sum()) / max(joint[b].sum(), 1)
    return torch.from_numpy((joint / joint.sum(axis=0)).T)


@pytest.mark.parametrize("seed", range(5))
def test_confident_counts_are_those_of_a_plain_loop(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    true = torch.arange(300) % 3
    images = 0.25 * torch.rand(300, 3, 1, 1, generator=generator, dtype=torch.float64)
    images[torch.arange(300), true] += 0.3
    labels = torch.where(torch.rand(300, generator=generator) < 0.3, (true + 1) % 3, true)
    found = confident_transition(Table(), images, labels)
    expected = counted((10 * images.flatten(1)).softmax(dim=1), labels)
    assert float((found.transition - expected).abs().max()) < 1e-12
    assert float((found.transition.sum(dim=1) - 1).abs().max()) < 1e-12
    assert int(found.support.sum()) <= 300


def test_a_model_that_knows_the_truth_gives_the_shares_that_were_made() -> None:
    true = torch.arange(600) % 3
    images = torch.zeros(600, 3, 1, 1, dtype=torch.float64)
    images[torch.arange(600), true] = 1
    flips = flip_labels(images, true, fraction=0.3, classes=3, generator=torch.Generator().manual_seed(0))
    found = confident_transition(Table(), images, flips.labels, batch_size=7)
    assert float((found.transition - flips.transition).abs().max()) < 1e-9
    assert found.support.tolist() == [200, 200, 200]


def test_a_class_of_which_nothing_is_confident_is_said_and_gets_no_invented_row() -> None:
    """cleanlab #158: a class without one confident example spoilt the estimate; #41, #44: classes without labels."""
    images = written([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]] * 10)
    labels = torch.arange(20) % 2  # class 2 is never seen
    found = confident_transition(Table(), images, labels)
    assert found.support.tolist() == [10, 10, 0]
    assert torch.equal(found.transition, torch.eye(3, dtype=torch.float64))
    assert bool(found.transition.isfinite().all())
    forward_correction(found.transition)(Table(), images, labels)  # it can be used


def test_the_model_is_asked_in_evaluation_mode_and_comes_back_as_it_was() -> None:
    images, labels = problem(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(16, 3)).train()
    model[2].weight.grad = torch.ones_like(model[2].weight)
    first = (confident_transition(model, images, labels), estimate_transition(model, images))
    again = (confident_transition(model, images, labels), estimate_transition(model, images))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.transition, other.transition)
    assert model.training
    assert torch.equal(model[2].weight.grad, torch.ones_like(model[2].weight))


def test_estimates_that_cannot_be_made_are_refused() -> None:
    images, labels = problem(0)
    model = small(0)
    for quantile in (0.0, 1.5, float("nan")):
        with refuses(ValueError, "quantile must lie above 0 and be at most 1"):
            estimate_transition(model, images, quantile=quantile)
    with refuses(TypeError, "quantile must be a number"):
        estimate_transition(model, images, quantile="0.97")  # type: ignore[arg-type]
    with refuses(ValueError, "[0, 1]"):
        estimate_transition(model, 255 * images)
    with refuses(ValueError, "two classes or more"):
        confident_transition(model, images, torch.zeros_like(labels))
    with refuses(ValueError, "labels must lie in 0…2"):
        confident_transition(model, images, labels + 1)
    with refuses(ValueError, "[60]"):
        confident_transition(model, images, labels[:3])
    with refuses(TypeError, "float64"):
        confident_transition(model, images.double(), labels)
    with refuses(ValueError, "batch_size"):
        confident_transition(model, images, labels, batch_size=0)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with refuses(ValueError, "not finite"):
        estimate_transition(model, images)


# co-teaching


def test_one_step_is_made_on_what_the_other_chose_and_by_its_mean() -> None:
    """coteaching_plus #1: the loss was divided twice, and a gate multiplied a mean instead of the single losses."""
    images, labels = problem(0, 20)
    pair, hand = [small(1), small(2)], [small(1), small(2)]
    order = torch.randperm(20, generator=torch.Generator().manual_seed(4))
    settings = {"epochs": 1, "ramp": 1, "learning_rate": 0.01, "batch_size": 20}
    for _ in range(2):  # the second call starts at a rate of 0 again: every example is kept
        taught = co_teaching(
            pair[0],
            images,
            labels,
            partner=pair[1],
            forget_rate=0.5,
            generator=torch.Generator().manual_seed(4),
            **settings,
        )
        assert bool(taught.kept.all())
    for model in hand:
        for _ in range(2):
            optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
            F.cross_entropy(model(images[order]), labels[order]).backward()
            optimizer.step()
            optimizer.zero_grad()
    for one, other in zip(pair, hand, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert float((a - b).norm()) <= 1e-4 * float(b.norm())


def test_the_rate_rises_from_nothing_and_each_keeps_the_others_smallest_losses() -> None:
    """bhanML/Co-teaching #6: forgetting the full share from the first step on makes it plain training."""
    images, labels = problem(0, 20)
    pair, hand = [small(1), small(2)], [small(1), small(2)]
    optimizers = [torch.optim.Adam(model.parameters(), lr=0.01) for model in hand]
    generator = torch.Generator().manual_seed(4)
    taught = co_teaching(
        pair[0],
        images,
        labels,
        partner=pair[1],
        forget_rate=0.5,
        epochs=3,
        ramp=2,
        learning_rate=0.01,
        batch_size=20,
        generator=torch.Generator().manual_seed(4),
    )
    for keep in (20, 15, 10):
        order = torch.randperm(20, generator=generator)
        losses = [F.cross_entropy(model(images[order]), labels[order], reduction="none") for model in hand]
        best = [values.argsort()[:keep] for values in losses]
        for number in range(2):
            optimizers[number].zero_grad()
            losses[number][best[1 - number]].mean().backward()
            optimizers[number].step()
    for number in range(2):
        assert int(taught.kept[number].sum()) == 10
        assert set(order[best[1 - number]].tolist()) == set(taught.kept[number].nonzero()[:, 0].tolist())
        for a, b in zip(pair[number].parameters(), hand[number].parameters(), strict=True):
            assert float((a - b).norm()) <= 1e-4 * float(b.norm())
    assert taught.losses.shape == (3, 2)
    assert all(model.training for model in pair)


def test_equal_generators_teach_alike() -> None:
    images, labels = problem(0)
    settings = {"forget_rate": 0.3, "epochs": 2, "batch_size": 16}
    made = []
    for seed in (0, 0, 1):
        model, partner = small(1), small(2)
        co_teaching(model, images, labels, partner=partner, generator=torch.Generator().manual_seed(seed), **settings)
        made.append(torch.cat([weight.flatten() for weight in model.parameters()]).detach())
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_pairs_that_cannot_be_taught_are_refused() -> None:
    images, labels = problem(0)
    model, partner = small(1), small(2)
    usual = {"partner": partner, "forget_rate": 0.3, "epochs": 1}

    def teach(**change: Any) -> None:
        given = {"images": images, "labels": labels} | usual | change
        co_teaching(model, given.pop("images"), given.pop("labels"), **given)

    for rate in (-0.1, 1.0, float("nan")):
        with refuses(ValueError, "forget_rate must be 0 or more and below 1"):
            teach(forget_rate=rate)
    with refuses(TypeError, "forget_rate must be a number"):
        teach(forget_rate=True)
    with refuses(ValueError, "partner must be another network"):
        teach(partner=model)
    with refuses(ValueError, "partner has the model's weights"):
        teach(partner=small(1))
    shared = nn.Sequential(model, nn.Linear(3, 3))
    with refuses(ValueError, "shares some with the model"):
        teach(partner=shared)
    with refuses(ValueError, "labels must lie in 0…1"):
        teach(partner=small(3, classes=2))
    for name, value in (("epochs", 0), ("ramp", 0), ("batch_size", 1)):
        with refuses(ValueError, name):
            teach(**{name: value})
    with refuses(ValueError, "two classes or more"):
        teach(labels=torch.zeros_like(labels))
    with refuses(ValueError, "[0, 1]"):
        teach(images=255 * images)
    with refuses(TypeError, "generator"):
        teach(generator=3)
    with refuses(ValueError, "not finite in epoch", "lower the learning rate"):
        teach(learning_rate=1e30, epochs=4)


# mixup


def test_mixed_images_have_both_labels() -> None:
    """A model that is linear in probabilities of its image: the loss of every mixture, counted from the draws."""
    seen = []

    class Recording(Table):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return super().forward(images)

    images = torch.rand(8, 3, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(8) % 3
    value = mixup(1.0, generator=torch.Generator().manual_seed(5))(Recording(), images, labels)
    (mixed,) = seen
    partners = []
    weights = []
    for row in range(8):
        for other in range(8):
            step = (images[other] - images[row]).flatten()
            moved = (mixed[row] - images[row]).flatten()
            along = float(moved @ step / (step @ step)) if other != row else 0.0
            if float((moved - along * step).norm()) < 1e-12 and (other != row or float(moved.norm()) < 1e-12):
                partners.append(other)
                weights.append(1 - along)
                break
    assert sorted(partners) == list(range(8)) or len(partners) == 8
    weight = next(w for w, (row, other) in zip(weights, enumerate(partners), strict=True) if row != other)
    logs = (10 * mixed.flatten(1)).log_softmax(dim=1)
    rows = torch.arange(8)
    expected = -(weight * logs[rows, labels] + (1 - weight) * logs[rows, labels[torch.tensor(partners)]]).mean()
    assert float(value) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_weights_follow_the_beta_law(alpha: float) -> None:
    """Two images, 0 and 1, of which the model shows the mixture: w or 1 − w, which have the same law."""
    seen = []

    class Showing(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(float(images[0]))
            return images.flatten(1).expand(-1, 2)

    images = torch.tensor([0.0, 1.0], dtype=torch.float64)[:, None, None, None]
    loss = mixup(alpha, generator=torch.Generator().manual_seed(3))
    for _ in range(1500):
        loss(Showing(), images, torch.tensor([0, 1]))
    mixed = [value for value in seen if 0 < value < 1]  # in every second call, an image meets itself
    assert 600 < len(mixed) < 900
    assert stats.kstest(mixed, stats.beta(alpha, alpha).cdf).pvalue > 1e-6


def test_mixtures_that_cannot_be_made_are_refused() -> None:
    for alpha in (0.0, -1.0, float("inf"), float("nan")):
        with refuses(ValueError, "alpha must lie above 0 and be finite"):
            mixup(alpha)
    with refuses(TypeError, "alpha must be a number"):
        mixup("1")  # type: ignore[arg-type]
    with refuses(TypeError, "generator"):
        mixup(1.0, generator=1)  # type: ignore[arg-type]


# on digits


def test_remedies_beat_plain_training_to_the_end_at_40_per_cent_wrong() -> None:
    train, test = mnist("train", source="default").select(slice(2000)), mnist("test", source="default")
    flips = flip_labels(
        train.images, train.labels, fraction=0.4, classes=10, generator=torch.Generator().manual_seed(0)
    )
    matrix = torch.full((10, 10), 0.4 / 9).fill_diagonal_(0.6)
    read = {}
    for name, loss in (("plain", cross_entropy), ("corrected", forward_correction(matrix))):
        torch.manual_seed(1)
        model = MLP(128)
        fit(
            model,
            TensorDataset(flips.images, flips.labels),
            epochs=25,
            loss=loss,
            learning_rate=2e-3,
            batch_size=64,
            generator=torch.Generator().manual_seed(2),
            progress=False,
        )
        read[name] = accuracy(model, test)
    torch.manual_seed(1)
    model, partner = MLP(128), MLP(128)
    taught = co_teaching(
        model,
        flips.images,
        flips.labels,
        partner=partner,
        forget_rate=0.4,
        epochs=25,
        learning_rate=2e-3,
        batch_size=64,
        generator=torch.Generator().manual_seed(2),
        progress=False,
    )
    assert read["corrected"] - read["plain"] > 0.05
    assert accuracy(model, test) - read["plain"] > 0.1
    right = flips.labels == train.labels
    assert float(right[taught.kept[0]].double().mean()) > 0.85
