"""The posterior of a hidden attribute, against Bayes' rule by hand and against people who were drawn from the model."""

import math
import warnings
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tml_helpers.privacy import LimitedAPI, NothingInferredWarning, attribute_inference


@pytest.fixture(autouse=True)
def silence_is_no_warning() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", NothingInferredWarning)
        yield


def linear(weights: list[list[float]], bias: list[float]) -> nn.Linear:
    model = nn.Linear(len(weights[0]), len(weights)).double()
    model.load_state_dict({"weight": torch.tensor(weights).double(), "bias": torch.tensor(bias).double()})
    return model


def test_bayes_by_hand_for_a_dose() -> None:
    """Dose 2·gene + 1·age with errors of ½: outcome 3 at age 1 speaks for gene 1 over 0 by exp(−0) to exp(−8)."""
    model = linear([[2.0, 1.0]], [0.0])
    rows, doses = torch.tensor([[math.nan, 1.0], [math.nan, 0.0]]).double(), torch.tensor([3.0, 1.0]).double()
    found = attribute_inference(model, rows, doses, feature=0, values=torch.tensor([0.0, 1.0]), error=0.5)
    first = 1 / (1 + math.exp(-8))
    torch.testing.assert_close(found.probabilities, torch.tensor([[1 - first, first], [0.5, 0.5]]).double())
    assert found.choices.tolist() == [1, 0]
    assert found.values.tolist() == [1.0, 0.0]
    prior = torch.tensor([1.0, 3.0])
    weighed = attribute_inference(
        model, rows, doses, feature=0, values=torch.tensor([0.0, 1.0]), error=0.5, prior=prior
    )
    torch.testing.assert_close(weighed.probabilities[1], torch.tensor([0.25, 0.75]).double())
    odds = 3 * math.exp(8)
    assert weighed.probabilities[0, 1].item() == pytest.approx(odds / (1 + odds))


def test_a_value_that_the_prior_rules_out_is_never_chosen() -> None:
    model = linear([[2.0, 1.0]], [0.0])
    found = attribute_inference(
        model,
        torch.tensor([[math.nan, 1.0]]).double(),
        torch.tensor([3.0]).double(),
        feature=0,
        values=torch.tensor([0.0, 1.0]),
        error=0.5,
        prior=torch.tensor([1.0, 0.0]),
    )
    assert found.probabilities.tolist() == [[1.0, 0.0]]


def test_bayes_by_hand_for_classes() -> None:
    """The model says class 1 where the attribute is 1; 9 of 10 such answers are right, and 4 of 5 of the others."""
    model = linear([[-1.0, 0.0], [1.0, 0.0]], [0.5, -0.5])
    rows, labels = torch.full((2, 2), 7.0).double(), torch.tensor([0, 1])
    values = torch.tensor([0.0, 1.0])
    error = torch.tensor([[0.8, 0.2], [0.1, 0.9]])
    found = attribute_inference(model, rows, labels, feature=0, values=values, error=error)
    expected = torch.tensor([[0.8 / 0.9, 0.1 / 0.9], [0.2 / 1.1, 0.9 / 1.1]]).double()
    torch.testing.assert_close(found.probabilities, expected, rtol=1e-6, atol=1e-6)
    own = attribute_inference(model, rows, labels, feature=0, values=values)
    p = torch.sigmoid(torch.tensor([-1.0, 1.0]).double())  # P(1) for both values
    torch.testing.assert_close(own.probabilities[1], p / p.sum())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    values=st.integers(2, 5),
    rows=st.integers(1, 9),
    batch_size=st.integers(1, 4),
    shape=st.sampled_from([(), (1,)]),
)
def test_bayes_for_any_model(seed: int, values: int, rows: int, batch_size: int, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 3, generator=generator).double()
    prior = torch.rand(rows, values, generator=generator) + 0.01
    candidates, y = torch.randn(values, generator=generator), torch.randn(rows, generator=generator).double()

    class Model(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return (rows[:, 0] * rows[:, 1].cos() + rows[:, 2]).view(-1, *shape)

    found = attribute_inference(
        Model(), x, y, feature=1, values=candidates, prior=prior, error=0.7, batch_size=batch_size
    )
    for i in range(rows):
        weights = []
        for v, candidate in enumerate(candidates.double().tolist()):
            answer = float(x[i, 0]) * math.cos(candidate) + float(x[i, 2])
            weights.append(float(prior[i, v]) * math.exp(-((float(y[i]) - answer) ** 2) / (2 * 0.7**2)))
        expected = torch.tensor(weights).double() / sum(weights)
        torch.testing.assert_close(found.probabilities[i], expected, rtol=1e-6, atol=1e-9)


def test_probabilities_are_true_of_people_drawn_from_the_model() -> None:
    """Of the rows with a posterior near q, a share of q has the value; and nobody can guess better."""
    generator = torch.Generator().manual_seed(0)
    people = 40_000
    gene = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), people, replacement=True, generator=generator)
    age = torch.randn(people, generator=generator)
    model = linear([[1.0, 0.5]], [2.0])
    rows = torch.stack([gene.double(), age.double()], dim=1)
    doses = model(rows).detach().squeeze(1) + 0.8 * torch.randn(people, generator=generator).double()
    found = attribute_inference(
        model, rows, doses, feature=0, values=torch.arange(3.0), prior=torch.tensor([0.5, 0.3, 0.2]), error=0.8
    )
    sure = found.probabilities.amax(dim=1)
    right = (found.choices == gene).double()
    for low, high in ((0.4, 0.6), (0.6, 0.8), (0.8, 1.0)):
        some = (sure >= low) & (sure < high)
        assert abs(right[some].mean() - sure[some].mean()) < 5 * 0.5 / math.sqrt(int(some.sum()))
    assert right.mean() > (gene == 0).double().mean() + 0.05


def test_one_hot_columns_are_hidden_together() -> None:
    """ai-privacy-toolkit 25: one column of an attribute in one-hot form was attacked, its neighbour told it."""
    generator = torch.Generator().manual_seed(1)
    blood = torch.randint(3, (50,), generator=generator)
    rows = torch.cat([torch.eye(3)[blood], torch.randn(50, 1, generator=generator)], dim=1).double()
    model = linear([[0.0, 2.0, -2.0, 1.0]], [0.0])
    doses = model(rows).detach().squeeze(1)
    hidden = rows.clone()
    hidden[:, :3] = math.nan
    found = attribute_inference(model, hidden, doses, feature=[0, 1, 2], values=torch.eye(3), error=0.1)
    assert torch.equal(found.choices, blood)
    assert torch.equal(found.values, rows[:, :3])
    swapped = attribute_inference(model, hidden, doses, feature=[2, 0, 1], values=torch.eye(3)[:, [2, 0, 1]], error=0.1)
    assert torch.equal(swapped.choices, blood)
    ignorant = linear([[0.0, 0.0, 0.0, 1.0]], [0.0])
    with pytest.warns(NothingInferredWarning, match="do not depend"):
        attribute_inference(ignorant, hidden, doses, feature=[0, 1, 2], values=torch.eye(3), error=0.1)


def test_a_continuous_attribute_on_a_grid() -> None:
    """ART 1543: continuous attributes could not be inferred."""
    model = linear([[3.0, 1.0]], [0.5])
    weight = torch.linspace(-1, 1, 21).double()
    rows = torch.stack([weight, weight.flip(0)], dim=1)
    grid = torch.linspace(-1, 1, 201).double()
    doses = model(rows).detach().squeeze(1)
    found = attribute_inference(model, rows, doses, feature=0, values=grid, error=0.01)
    torch.testing.assert_close(found.values, weight)


def test_what_is_hidden_is_never_read() -> None:
    model = linear([[1.0, 2.0], [-1.0, 0.5]], [0.0, 0.1])
    rows, labels = torch.randn(6, 2, generator=torch.Generator().manual_seed(2)).double(), torch.tensor([0, 1] * 3)
    usual = attribute_inference(model, rows, labels, feature=1, values=torch.tensor([0.0, 1.0]))
    hidden = rows.clone()
    hidden[:, 1] = torch.tensor([math.nan, math.inf, -math.inf, 1e9, -5, 0])
    again = attribute_inference(model, hidden, labels, feature=1, values=torch.tensor([0.0, 1.0]))
    assert torch.equal(usual.probabilities, again.probabilities)
    assert math.isnan(hidden[0, 1])  # and is left as it was


def test_a_model_that_does_not_look_is_no_attack() -> None:
    model = linear([[0.0, 1.0], [0.0, -1.0]], [0.0, 0.0])
    rows, labels = torch.randn(8, 2, generator=torch.Generator().manual_seed(3)).double(), torch.tensor([0, 1] * 4)
    prior = torch.tensor([0.2, 0.8])
    with pytest.warns(NothingInferredWarning, match="what is returned is the prior"):
        found = attribute_inference(model, rows, labels, feature=0, values=torch.tensor([0.0, 1.0]), prior=prior)
    torch.testing.assert_close(found.probabilities, prior.double().expand(8, 2))
    assert found.choices.tolist() == [1] * 8


def test_an_outcome_that_no_value_explains_keeps_the_prior() -> None:
    model = linear([[-4.0], [4.0]], [2.0, -2.0])
    rows, labels = torch.zeros(2, 1).double(), torch.tensor([0, 1])
    error = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # class 1 is never true
    prior = torch.tensor([0.3, 0.7])
    with pytest.warns(NothingInferredWarning) as caught:
        found = attribute_inference(
            model, rows, labels, feature=0, values=torch.tensor([0.0, 1.0]), error=error, prior=prior
        )
    assert "1 of 2 rows no value explains" in str(caught[0].message)
    torch.testing.assert_close(found.probabilities[1], prior.double(), rtol=1e-6, atol=1e-6)
    certain = attribute_inference(
        model,
        rows,
        labels,
        feature=0,
        values=torch.tensor([0.0, 1.0]),
        error=torch.eye(2),
        prior=torch.tensor([1.0, 1]),
    )
    assert certain.probabilities.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_mode_gradients_and_type_are_left() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    torch.manual_seed(0)
    rows, labels = torch.rand(5, 2), torch.tensor([0, 1, 0, 1, 1])
    first = attribute_inference(model, rows, labels, feature=0, values=torch.tensor([0, 5]))
    again = attribute_inference(model, rows, labels, feature=0, values=torch.tensor([0, 5]))
    assert torch.equal(first.probabilities, again.probabilities)
    assert model.training
    assert model[1].training
    assert all(parameter.grad is None for parameter in model.parameters())
    api = LimitedAPI(model, max_queries=10)
    attribute_inference(api, rows, labels, feature=0, values=torch.tensor([0, 5]))
    assert api.queries == 10  # V · N
    apart = attribute_inference(model, rows.T.contiguous().T, labels, feature=0, values=torch.tensor([0, 5]))
    assert torch.equal(first.probabilities, apart.probabilities)


GOOD: dict[str, Any] = {
    "model": nn.Linear(3, 2),
    "inputs": torch.rand(4, 3, generator=torch.Generator().manual_seed(4)),
    "labels": torch.tensor([0, 1, 0, 1]),
    "feature": 1,
    "values": torch.tensor([0.0, 1.0]),
}
NUMBERS = {"model": nn.Linear(3, 1), "labels": torch.rand(4), "error": 0.5}


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"inputs": torch.zeros(4, 3, dtype=torch.int64)}, TypeError, "inputs must be a floating-point"),
        ({"inputs": [[0.0] * 3] * 4}, TypeError, "list"),
        ({"inputs": torch.zeros(0, 3)}, ValueError, "at least one"),
        ({"inputs": torch.zeros(4, 1, 3)}, ValueError, "[N, d]"),
        ({"inputs": torch.full((4, 3), math.nan)}, ValueError, "but the feature's"),
        ({"feature": 3}, ValueError, "0…2, got 3"),
        ({"feature": -1}, ValueError, "got -1"),
        ({"feature": True}, TypeError, "column's number"),
        ({"feature": "sex"}, TypeError, "column's number"),
        ({"feature": []}, ValueError, "at least one column"),
        ({"feature": [1, 1], "values": torch.eye(2)}, ValueError, "none twice"),
        ({"values": [0.0, 1.0]}, TypeError, "tensor"),
        ({"values": torch.tensor([1.0])}, ValueError, "two values or more"),
        ({"values": torch.tensor([0.0, math.nan])}, ValueError, "values must be finite"),
        ({"values": torch.eye(2)}, ValueError, "values must be [V]"),
        ({"feature": [0, 1]}, ValueError, "[V, 2]"),
        ({"prior": torch.tensor([0.5, 0.5, 0.0])}, ValueError, "prior must be [2] or [4, 2]"),
        ({"prior": torch.tensor([-0.5, 1.5])}, ValueError, "0 or more"),
        ({"prior": torch.zeros(2)}, ValueError, "not 0 throughout"),
        ({"prior": torch.tensor([0.5, math.nan])}, ValueError, "finite"),
        ({"labels": torch.tensor([0, 1, 0])}, ValueError, "labels"),
        ({"labels": torch.tensor([0, 1, 0, 2])}, ValueError, "labels must lie in 0…1, got 2"),
        ({"labels": torch.tensor([True] * 4)}, TypeError, "labels must be classes"),
        ({"labels": torch.tensor([0, 1, 0, 1], dtype=torch.int32)}, TypeError, "int32"),
        ({"error": 0.5}, ValueError, "error must be [2, 2]"),
        ({"error": torch.eye(3)}, ValueError, "error must be [2, 2]"),
        ({"error": torch.tensor([[0.0, 0.0], [0.5, 0.5]])}, ValueError, "error"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        (NUMBERS | {"error": None}, ValueError, "error must be the standard deviation"),
        (NUMBERS | {"error": 0.0}, ValueError, "error must be positive"),
        (NUMBERS | {"error": math.nan}, ValueError, "error must be positive"),
        (NUMBERS | {"error": True}, TypeError, "error must be a number"),
        (NUMBERS | {"labels": torch.rand(3)}, ValueError, "labels must be numbers [4]"),
        (NUMBERS | {"labels": torch.full((4,), math.nan)}, ValueError, "finite"),
        (NUMBERS | {"model": nn.Linear(3, 2)}, ValueError, "one for each answer"),
    ],
)
def test_arguments(changed: dict[str, Any], kind: type[Exception], words: str) -> None:
    with refuses(kind, words):
        attribute_inference(**GOOD | changed)


@pytest.mark.parametrize("wrong", [None, 1.5, "a"])
def test_a_feature_that_is_no_column(wrong: Any) -> None:
    with refuses(TypeError, "feature must be a column's number"):
        attribute_inference(
            nn.Linear(3, 2), torch.rand(4, 3), torch.zeros(4).long(), feature=wrong, values=torch.tensor([0.0, 1.0])
        )


def test_an_array_is_called_an_array() -> None:
    with refuses(TypeError, "inputs must be a floating-point tensor, got ndarray"):
        attribute_inference(
            nn.Linear(3, 2),
            torch.rand(4, 3).numpy(),  # type: ignore[arg-type]
            torch.zeros(4).long(),
            feature=0,
            values=torch.tensor([0.0, 1.0]),
        )
