"""Adversarial debiasing: its step against the formula, its measure against counts, and what training reaches."""

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.fairness import AdversarialDebiasing, CollapseWarning
from tml_helpers.fairness.adversarial_debiasing import without_help
from tml_helpers.training import cross_entropy, fit, predict


def society(rows: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Merit and a proxy of the group; labels that favour group 1 beyond merit."""
    generator = torch.Generator().manual_seed(seed)
    group = (torch.rand(rows, generator=generator) < 0.4).long()
    merit, *noise = torch.randn(4, rows, generator=generator)
    label = (merit + (2 * group - 1) + 0.5 * noise[0] > 0).long()
    inputs = torch.stack([merit + 0.3 * noise[1], (2 * group - 1) + 0.5 * noise[2]], dim=1)
    return inputs, label, group


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(2, 2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- the step ---


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), strength=st.floats(0, 5))
def test_the_step_leaves_out_what_helps_and_goes_against_it(seed: int, strength: float) -> None:
    """⟨step, b⟩ = −α ⟨b, b⟩: to first order the adversary's loss rises by that; the rest is l, orthogonal to b."""
    learn, betray = torch.randn(2, 7, generator=seeded(seed), dtype=torch.float64)
    step = torch.cat(without_help(learn.split([3, 4]), betray.split([3, 4]), strength))
    torch.testing.assert_close(step @ betray, -strength * betray @ betray)
    onto = betray / betray.norm()
    torch.testing.assert_close(step + strength * betray, learn - (learn @ onto) * onto)


def test_where_nothing_helps_the_adversary_the_step_is_the_predictors_own() -> None:
    learn = [torch.ones(2), torch.ones(3)]
    for one, other in zip(without_help(learn, [torch.zeros(2), torch.zeros(3)], 1.0), learn, strict=True):
        assert torch.equal(one, other)


def test_the_gradients_are_of_the_predictors_weights_and_of_both_losses() -> None:
    """A port of this method took the projection on the adversary's own parameters at first; the paper's is on W."""
    inputs, label, group = society(50, 0)
    debiased = AdversarialDebiasing(linear(), generator=seeded())
    weights = torch.rand(50, generator=seeded(1))
    debiased._gradients([inputs, label, group, weights], 0.7)
    logits = debiased(inputs)
    z = torch.sigmoid(logits[:, 1] - logits[:, 0])
    guesses = torch.stack([z, z * label, z * (1 - label)], dim=1) @ debiased.weight.T + debiased.bias
    guess = (weights * nn.functional.cross_entropy(guesses, group, reduction="none")).mean()
    own, adversary = list(debiased.model.parameters()), [debiased.weight, debiased.bias]
    learn = torch.autograd.grad(cross_entropy(debiased, inputs, label), own)
    betray = torch.autograd.grad(guess, own, retain_graph=True)
    for parameter, step in zip(own, without_help(learn, betray, 0.7), strict=True):
        torch.testing.assert_close(parameter.grad, step)
    for parameter, gradient in zip(adversary, torch.autograd.grad(guess, adversary), strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


# --- what is reached ---


@pytest.mark.parametrize("constraint", ["equalized_odds", "demographic_parity"])
def test_the_adversary_falls_to_chance_and_the_rates_come_together(constraint: Any) -> None:
    """Also where the predictor begins with wrong answers: without a warm-up it may keep them, for they are fair."""
    train, test = society(2000, 100), society(4000, 200)
    begins = linear()
    with torch.no_grad():
        begins.weight.copy_(torch.tensor([[1.0, 0.5], [-1.0, -0.5]]))

    def gaps(model: nn.Module) -> Tensor:
        accepted, (_, label, group) = predict(model, test[0]).argmax(dim=1).float(), test
        if constraint == "demographic_parity":
            return (accepted[group == 1].mean() - accepted[group == 0].mean()).abs()
        shares = torch.stack([accepted[(group == g) & (label == y)].mean() for g in (0, 1) for y in (0, 1)])
        return (shares[2:] - shares[:2]).abs().max()

    plain = linear()
    fit(plain, TensorDataset(*train[:2]), epochs=10, learning_rate=0.03, generator=seeded())
    debiased = AdversarialDebiasing(begins, constraint=constraint, generator=seeded())
    history = debiased.fit(*train, epochs=20, generator=seeded())
    assert len(history.predictor) == len(history.adversary) == 25
    assert gaps(plain) > 0.2
    assert gaps(debiased) < 0.1
    found = debiased.adversary_accuracy(*test)
    assert found.accuracy < 0.54
    assert found.low < 0.515
    assert history.adversary[-1] == pytest.approx(math.log(2), abs=0.06)
    right = (predict(debiased, test[0]).argmax(dim=1) == test[1]).float().mean()
    assert right > (0.75 if constraint == "equalized_odds" else 0.6)


def test_an_adversary_of_an_open_secret_is_far_from_chance() -> None:
    """The predictor's answer is the group, which small steps do not change: the last adversary is the best."""
    group = torch.arange(200) % 2
    label = torch.arange(200) // 2 % 2
    inputs = (4.0 * group - 2)[:, None]
    model = nn.Linear(1, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        model.bias.zero_()
    debiased = AdversarialDebiasing(model, constraint="demographic_parity", generator=seeded())
    debiased.fit(inputs, label, group, epochs=1, warm_up=0, learning_rate=1e-6, generator=seeded())
    found = debiased.adversary_accuracy(inputs, label, group)
    assert found.accuracy == 1
    assert not found.at_chance


# --- the measure ---


def test_accuracy_is_the_mean_over_groups_and_its_interval_that_of_a_mean() -> None:
    """The adversary guesses group 1 where the score is above ½: 9 of 12 and 5 of 8 are right."""
    debiased = AdversarialDebiasing(nn.Linear(1, 2), constraint="demographic_parity")
    with torch.no_grad():
        debiased.model.weight.copy_(torch.tensor([[0.0], [1.0]]))
        debiased.model.bias.zero_()
        debiased.weight.copy_(torch.tensor([[0.0], [2.0]]))
        debiased.bias.copy_(torch.tensor([0.0, -1.0]))
    inputs = torch.tensor([-1.0] * 9 + [1.0] * 3 + [1.0] * 5 + [-1.0] * 3)[:, None]
    group = torch.tensor([0] * 12 + [1] * 8)
    found = debiased.adversary_accuracy(inputs, torch.tensor([0, 1] * 10), group)
    assert found.accuracy == pytest.approx((9 / 12 + 5 / 8) / 2)
    error = math.sqrt((10 / 14 * 4 / 14) / 12 + (6 / 10 * 4 / 10) / 8) / 2
    assert found.high == pytest.approx(found.accuracy + 1.96 * error, abs=1e-4)
    assert found.low == pytest.approx(found.accuracy - 1.96 * error, abs=1e-4)
    assert found.chance == 0.5
    assert found.at_chance == (found.low <= 0.5)


def test_for_equalized_odds_labels_count_alike_so_that_base_rates_tell_nothing() -> None:
    """Labels tell the groups apart here, 9 to 1; who guesses by them is no better than by chance."""
    label, group = torch.tensor([0] * 9 + [1] + [1] * 9 + [0]), torch.tensor([0] * 10 + [1] * 10)
    debiased = AdversarialDebiasing(nn.Linear(1, 2), groups=2)
    with torch.no_grad():
        debiased.model.weight.zero_()
        debiased.weight.copy_(torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))  # group = label
    assert debiased.adversary_accuracy(torch.zeros(20, 1), label, group).accuracy == 0.5
    weights = debiased._weights(label, group)
    assert weights.mean() == pytest.approx(1)
    torch.testing.assert_close(weights[[0, 9, 10, 19]], torch.tensor([5 / 9, 5.0, 5 / 9, 5.0]))


# --- what goes wrong ---


def test_the_same_generators_give_the_same_training() -> None:
    def trained() -> Tensor:
        debiased = AdversarialDebiasing(linear(), generator=seeded(3))
        debiased.fit(*society(200, 0), epochs=2, batch_size=50, generator=seeded(4))
        return torch.cat([parameter.detach().flatten() for parameter in debiased.parameters()])

    assert torch.equal(trained(), trained())


class WithFrozenAndSpareLayers(nn.Module):
    """Its first layer is not to be trained, and another has no part in the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(2, 4).requires_grad_(False)
        self.head, self.spare = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        answer: Tensor = self.head(self.frozen(inputs).relu())
        return answer


def test_only_what_can_be_trained_is_trained() -> None:
    """A layer that was frozen beforehand, or that the answer does not need, ended in an error of autograd."""
    torch.manual_seed(0)
    model = WithFrozenAndSpareLayers()
    before = copy.deepcopy(model.state_dict())
    AdversarialDebiasing(model, generator=seeded(3)).fit(*society(200, 0), epochs=2, generator=seeded(4))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}


def test_the_adversary_has_the_models_type() -> None:
    debiased = AdversarialDebiasing(linear().double(), groups=3)
    assert {parameter.dtype for parameter in debiased.parameters()} == {torch.float64}


def test_training_does_not_depend_on_pytorchs_defaults() -> None:
    def trained() -> Tensor:
        debiased = AdversarialDebiasing(model, generator=seeded(3))
        debiased.fit(*people, epochs=2, batch_size=50, generator=seeded(4))
        return torch.tensor(
            list(vars(debiased.adversary_accuracy(*people)).values()), dtype=torch.float64, device="cpu"
        )

    people, start = society(200, 0), linear()
    model = copy.deepcopy(start)
    usual = trained()
    model = copy.deepcopy(start)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            assert torch.equal(trained(), usual)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_collapse_is_said() -> None:
    """The step size is so small that the model stays as it is: it accepts everybody."""
    model = linear()
    with torch.no_grad():
        model.bias.copy_(torch.tensor([-50.0, 50.0]))
    with pytest.warns(CollapseWarning, match="answers 1 to everybody"):
        AdversarialDebiasing(model, generator=seeded()).fit(*society(100, 0), epochs=1, learning_rate=1e-6)


def test_a_divergence_is_said() -> None:
    class Squared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = linear()

        def forward(self, inputs: Tensor) -> Tensor:
            return self.layer(inputs) ** 9

    debiased = AdversarialDebiasing(Squared(), generator=seeded())
    with pytest.raises(ValueError, match="diverge in epoch"):
        debiased.fit(*society(200, 0), epochs=5, learning_rate=1e6, generator=seeded())


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"groups": 1}, ValueError, "2 or more"),
        ({"groups": 2.0}, TypeError, "whole number"),
        ({"constraint": "parity"}, ValueError, "constraint must be one of"),
        ({"strength": -1}, ValueError, "strength must be 0 or more"),
        ({"strength": math.nan}, ValueError, "strength must be 0 or more"),
        ({"generator": 3}, TypeError, "generator"),
        ({"model": nn.Flatten()}, ValueError, "no parameters"),
        ({"model": nn.Linear(2, 2).requires_grad_(False)}, ValueError, "no parameters to train"),
    ],
)
def test_it_is_not_made_of(settings: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        AdversarialDebiasing(**{"model": linear()} | settings)


@pytest.mark.parametrize(
    ("wrong", "error", "sentence"),
    [
        ({"inputs": torch.full((4, 2), torch.nan)}, ValueError, "finite"),
        ({"inputs": torch.zeros(4, 2, dtype=torch.int64)}, TypeError, "floating point"),
        ({"labels": torch.tensor([0, 1, 2, 1])}, ValueError, "labels must lie in 0…1, got 2"),
        ({"labels": torch.tensor([0.0, 1.0, 0.0, 1.0])}, TypeError, "labels must be an int64"),
        ({"labels": torch.tensor([0, 1, 0])}, ValueError, "labels must have shape"),
        ({"groups": torch.tensor([0, 0, 1, 3])}, ValueError, "groups must lie in 0…1, got 3"),
        ({"groups": torch.tensor([0, 0, 0, 0])}, ValueError, "group 1 has nobody"),
        ({"labels": torch.tensor([0, 1, 0, 0])}, ValueError, "group 1 has nobody with label 1"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"warm_up": -1}, ValueError, "warm_up"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be positive"),
        ({"generator": 1}, TypeError, "generator"),
    ],
)
def test_fit_refuses(wrong: dict[str, Any], error: type[Exception], sentence: str) -> None:
    good: dict[str, Any] = {
        "inputs": torch.zeros(4, 2),
        "labels": torch.tensor([0, 1, 0, 1]),
        "groups": torch.tensor([0, 0, 1, 1]),
        "epochs": 1,
    }
    with pytest.raises(error, match=sentence):
        AdversarialDebiasing(linear(), generator=seeded()).fit(**good | wrong)


def test_logits_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="N, 2"):
        AdversarialDebiasing(nn.Linear(2, 3)).fit(*society(50, 0), epochs=1)
