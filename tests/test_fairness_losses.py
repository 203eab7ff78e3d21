"""The penalties against their definitions, pair by pair, and their gradients against differences."""

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.fairness import MissingGroupWarning, acceptance_gap, error_rate_gap, group_balanced_loss
from tml_helpers.training import fit


def batch(rows: int = 40, groups: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    label = torch.randint(2, (rows,), generator=generator)
    group = torch.randint(groups, (rows,), generator=generator)
    return logits, label, group


def pairs(means: list[Tensor]) -> Tensor:
    """The mean of (a − b)² over all pairs, by its words."""
    return torch.stack([(a - b) ** 2 for a, b in itertools.combinations(means, 2)]).mean()


def test_equal_loss_is_the_mean_of_the_groups_means() -> None:
    logits, label, group = batch()
    means = [F.cross_entropy(logits[group == g], label[group == g]) for g in range(3)]
    torch.testing.assert_close(group_balanced_loss(logits, label, group), sum(means) / 3)


def test_equal_loss_of_three_classes_and_codes_that_do_not_begin_at_0() -> None:
    logits = torch.eye(3, dtype=torch.float64)[[0, 1, 2, 2]]
    label, group = torch.tensor([0, 1, 2, 0]), torch.tensor([7, 7, 7, -2])
    right, wrong = (F.cross_entropy(logits[:1], torch.tensor([k])) for k in (0, 1))
    torch.testing.assert_close(group_balanced_loss(logits, label, group), (right + wrong) / 2)


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_gaps_are_means_over_pairs_of_groups(groups: int) -> None:
    logits, label, group = batch(200, groups)
    scores = torch.sigmoid(logits[:, 1] - logits[:, 0])
    means = [scores[group == g].mean() for g in range(groups)]
    torch.testing.assert_close(acceptance_gap(logits, group), pairs(means))
    false_positive = [scores[(group == g) & (label == 0)].mean() for g in range(groups)]
    false_negative = [(1 - scores[(group == g) & (label == 1)]).mean() for g in range(groups)]
    torch.testing.assert_close(error_rate_gap(logits, label, group), pairs(false_positive) + pairs(false_negative))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_large_group_in_half_precision_has_the_same_penalty(dtype: torch.dtype) -> None:
    """Added up in bfloat16, ones stay at 256: a group of 4,000 had half of its loss, and gaps between groups were 0."""
    logits, label, group = batch(12_000)
    logits[:, 1] += group == 2
    narrow = logits.to(dtype)
    for penalty in (
        lambda x: group_balanced_loss(x, label, group),
        lambda x: acceptance_gap(x, group),
        lambda x: error_rate_gap(x, label, group),
    ):
        torch.testing.assert_close(penalty(narrow), penalty(narrow.double()).float(), rtol=1e-3, atol=0)


def test_the_largest_gaps() -> None:
    group, label = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    logits = torch.tensor([[0.0, 50.0]] * 2 + [[50.0, 0.0]] * 2)
    assert acceptance_gap(logits, group) == 1
    assert error_rate_gap(logits, label, group) == 2
    assert acceptance_gap(logits[[0, 2]].repeat(2, 1), torch.tensor([0, 0, 1, 1])) == 0


@pytest.mark.parametrize(
    "penalty",
    [
        lambda logits, label, group: group_balanced_loss(logits, label, group),
        lambda logits, _, group: acceptance_gap(logits, group),
        lambda logits, label, group: error_rate_gap(logits, label, group),
    ],
    ids=["equal loss", "equal acceptance", "equal mistakes"],
)
def test_gradients(penalty: Callable[..., Tensor]) -> None:
    logits, label, group = batch(12)
    assert torch.autograd.gradcheck(lambda z: penalty(z, label, group), logits.requires_grad_())


def test_a_batch_with_one_group_says_so_and_has_no_gradient() -> None:
    logits, _, group = batch(6)
    logits.requires_grad_()
    with pytest.warns(MissingGroupWarning, match="people of group 4 only"):
        penalty = acceptance_gap(logits, torch.full_like(group, 4))
    assert penalty == 0
    (gradient,) = torch.autograd.grad(penalty, logits)
    assert (gradient == 0).all()


def test_equal_mistakes_where_one_label_has_too_few_groups() -> None:
    """Group 1 has no positives: false negatives are not compared, false positives are."""
    logits, _, _ = batch(4)
    label, group = torch.tensor([0, 1, 0, 0]), torch.tensor([0, 0, 1, 1])
    scores = logits.softmax(dim=1)[:, 1]
    with pytest.warns(MissingGroupWarning, match="positives of group 0 only"):
        penalty = error_rate_gap(logits, label, group)
    torch.testing.assert_close(penalty, (scores[0] - scores[2:].mean()) ** 2)
    with pytest.warns(MissingGroupWarning, match="no positives"):
        error_rate_gap(logits, torch.zeros_like(label), group)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a third group that lacks positives is left out, as is documented
        error_rate_gap(*batch(4)[:1], torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 2]))


LABELLED = {"group_balanced_loss": group_balanced_loss, "error_rate_gap": error_rate_gap}


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize(
    ("place", "wrong", "error", "sentence"),
    [
        (0, torch.zeros(4), ValueError, "N, K"),
        (0, torch.zeros(0, 2), ValueError, "N ≥ 1"),
        (0, torch.zeros(4, 2, dtype=torch.int64), TypeError, "floating point"),
        (0, [[0.0, 1.0]] * 4, TypeError, "got list"),
        (0, torch.tensor([[0.0, torch.nan]] * 4), ValueError, "finite"),
        (1, torch.tensor([0, 1, 2, 0]), ValueError, "labels must"),
        (1, torch.tensor([0, -1, 1, 0]), ValueError, "labels must"),
        (1, torch.tensor([0.0, 1.0, 1.0, 0.0]), TypeError, "labels must be a tensor of whole numbers"),
        (1, torch.tensor([[0], [1], [1], [0]]), ValueError, "shape .4."),
        (2, torch.tensor([0, 1, 1]), ValueError, "groups must have shape"),
        (2, torch.tensor([0.0, 1.0, 1.0, 0.0]), TypeError, "groups must be a tensor of whole numbers"),
        (2, torch.zeros(4, dtype=torch.int64, device="meta"), ValueError, "on cpu"),
    ],
)
def test_they_refuse(name: str, place: int, wrong: Any, error: type[Exception], sentence: str) -> None:
    good = [torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 1])]
    good[place] = wrong
    with pytest.raises(error, match=sentence):
        LABELLED[name](*good)


def test_acceptance_needs_two_classes() -> None:
    with pytest.raises(ValueError, match="reject and accept"):
        acceptance_gap(torch.zeros(4, 3), torch.tensor([0, 0, 1, 1]))


def test_a_penalty_in_training_closes_the_gap_that_it_names() -> None:
    """Who is in group 1 has higher inputs: a logistic regression accepts more of them, the penalised one does not."""
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(600) % 2
    inputs = torch.randn(600, 2, generator=generator) + group[:, None]
    label = (inputs.sum(dim=1) + torch.randn(600, generator=generator) > 1).long()

    def trained(strength: float) -> Tensor:
        model = nn.Linear(2, 2)
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)

        def loss(model: nn.Module, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
            logits = model(x)
            return F.cross_entropy(logits, y) + strength * acceptance_gap(logits, g)

        data = TensorDataset(inputs, label, group)
        fit(model, data, epochs=8, batch_size=100, learning_rate=0.05, loss=loss, generator=generator)
        return acceptance_gap(model(inputs), group)

    free, penalised = trained(0), trained(20)
    assert free > 0.1
    assert penalised < free / 10
