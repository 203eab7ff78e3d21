"""Influence: against retraining without each sample, closed forms for ridge regression, and what it must not touch."""

import numpy as np
import pytest
import torch
from bad_input import refuses
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.explain import influence

STRENGTH = 0.01


def halved_squares(parameters: dict[str, Tensor]) -> Tensor:
    """λ/2 ‖w‖² of the weights, not of the biases: what scikit-learn penalises."""
    return STRENGTH / 2 * parameters["weight"].square().sum()


def digits(*classes: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    chosen = np.isin(labels, classes)
    return images[chosen] / 16, np.searchsorted(classes, labels[chosen])


def logistic(x: np.ndarray, y: np.ndarray, total: int) -> LogisticRegression:
    """The minimum of 1/total · Σ cross-entropy + λ/2 ‖w‖²."""
    return LogisticRegression(C=1 / (STRENGTH * total), tol=1e-10, max_iter=10_000).fit(x, y)


def as_torch(fitted: LogisticRegression) -> nn.Linear:
    """The same model as a linear layer of double precision; two classes as logits (0, z)."""
    weight, bias = torch.tensor(fitted.coef_), torch.tensor(fitted.intercept_)
    if len(weight) == 1:
        weight, bias = torch.cat([0 * weight, weight]), torch.cat([0 * bias, bias])
    layer = nn.Linear(weight.shape[1], len(weight)).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def losses(fitted: LogisticRegression, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -fitted.predict_log_proba(x)[np.arange(len(y)), y]


def asked(inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The samples whose loss is asked about."""
    return {"test_inputs": inputs, "test_labels": labels}


def tensors(x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.tensor(x), torch.tensor(y)


@pytest.fixture(scope="module")
def retrained() -> tuple[np.ndarray, ...]:
    """Ten classes: the true changes of six test losses when each of 60 training samples is left out."""
    x, y = digits(*range(10))
    train, test = slice(0, 200), slice(200, 206)
    full = logistic(x[train], y[train], 200)
    before = losses(full, x[test], y[test])
    changes = np.empty((6, 60))
    for left_out in range(60):
        rest = np.arange(200) != left_out
        changes[:, left_out] = losses(logistic(x[train][rest], y[train][rest], 200), x[test], y[test]) - before
    return x, y, changes


@pytest.mark.parametrize("solver", ["exact", "conjugate_gradients"])
def test_it_predicts_what_retraining_without_each_sample_gives(retrained: tuple[np.ndarray, ...], solver: str) -> None:
    x, y, changes = retrained
    model = as_torch(logistic(x[:200], y[:200], 200))
    estimate = influence(
        model,
        *tensors(x[:200], y[:200]),
        **asked(*tensors(x[200:206], y[200:206])),
        regulariser=halved_squares,
        damping=1e-8,  # the biases may all move together: without it H is singular
        solver=solver,
    )
    assert estimate.shape == (6, 200)
    estimate = estimate[:, :60].numpy()
    for row, truth in zip(estimate, changes, strict=True):
        assert np.corrcoef(row, truth)[0, 1] > 0.95
        slope = row @ truth / (truth @ truth)
        assert 0.5 < slope < 1.2, "the size matters as well: a factor of n or of 2, or a sign, is lost"


def test_removing_a_sample_raises_its_own_loss(retrained: tuple[np.ndarray, ...]) -> None:
    x, y, _ = retrained
    model = as_torch(logistic(x[:200], y[:200], 200))
    data = tensors(x[:200], y[:200])
    own = influence(model, *data, **asked(*data), regulariser=halved_squares, damping=1e-6).diagonal()
    assert (own > 0).all(), "H is positive definite, so gᵀ H⁻¹ g is positive"


def ridge(n: int, features: int, seed: int = 0) -> tuple[nn.Linear, Tensor, Tensor, Tensor]:
    """Minimum of 1/n Σ ½ (wᵀx − y)² + λ/2 ‖w‖², its data, and its Hessian XᵀX/n + λI."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, features, generator=generator, dtype=torch.float64)
    y = x @ torch.randn(features, 1, generator=generator, dtype=torch.float64)
    y = y + torch.randn(n, 1, generator=generator, dtype=torch.float64)
    hessian = x.T @ x / n + STRENGTH * torch.eye(features, dtype=torch.float64)
    model = nn.Linear(features, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.linalg.solve(hessian, x.T @ y / n).T)
    return model, x, y, hessian


def halved_error(outputs: Tensor, labels: Tensor) -> Tensor:
    return 0.5 * (outputs - labels).square().mean()


@pytest.mark.parametrize("solver", ["exact", "conjugate_gradients"])
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_ridge_regression_has_a_closed_form(solver: str, damping: float) -> None:
    model, x, y, hessian = ridge(40, 7)
    residual = (model(x) - y).detach()
    gradients = residual * x
    solved = torch.linalg.solve(hessian + damping * torch.eye(7, dtype=torch.float64), gradients[:3].T)
    how = {"damping": damping, "solver": solver, "tolerance": 1e-12 if solver == "conjugate_gradients" else None}
    got = influence(model, x, y, **asked(x[:3], y[:3]), loss=halved_error, regulariser=halved_squares, **how)
    torch.testing.assert_close(got, solved.T @ gradients.T / 40)


def test_leave_one_out_of_ridge_regression_is_the_estimate_up_to_its_leverage() -> None:
    """w₋ᵢ − w = H⁻¹ xᵢ rᵢ / n / (1 − hᵢ) exactly: to first order the test loss changes by the estimate / (1 − hᵢ)."""
    model, x, y, hessian = ridge(40, 7)
    residual = (model(x) - y).detach()
    leverage = (x @ torch.linalg.inv(hessian) * x).sum(dim=1) / 40
    estimate = influence(model, x, y, **asked(x[:5], y[:5]), loss=halved_error, regulariser=halved_squares)
    for left_out in range(40):
        rest = torch.arange(40) != left_out
        reduced = x[rest].T @ x[rest] / 40 + STRENGTH * torch.eye(7, dtype=torch.float64)
        without = torch.linalg.solve(reduced, x[rest].T @ y[rest] / 40)
        moved = x[:5] @ without - x[:5] @ model.weight.T.detach()
        first_order = (residual[:5] * moved).squeeze(1)
        torch.testing.assert_close(estimate[:, left_out] / (1 - leverage[left_out]), first_order)


def test_the_solvers_agree_on_a_network_and_batches_do_not_matter() -> None:
    torch.manual_seed(0)
    x, y = tensors(*digits(0, 1, 2))
    x, y = x[:90], y[:90]
    model = nn.Sequential(nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    setting = {"damping": 2.0, "regulariser": lambda p: 0.01 * sum(v.square().sum() for v in p.values())}
    exact = influence(model, x, y, **asked(x[:4], y[:4]), **setting)
    for batch_size in (7, 1000):
        iterated = influence(
            model,
            x,
            y,
            **asked(x[:4], y[:4]),
            solver="conjugate_gradients",
            tolerance=1e-10,
            batch_size=batch_size,
            **setting,
        )
        torch.testing.assert_close(iterated, exact)


def test_the_last_layer_alone_is_a_linear_model_on_its_inputs() -> None:
    torch.manual_seed(0)
    x, y = tensors(*digits(0, 1, 2))
    body, head = nn.Sequential(nn.Linear(64, 5), nn.Tanh()).double(), nn.Linear(5, 3).double()
    with torch.no_grad():
        codes = body(x)
    whole = influence(
        nn.Sequential(body, head), x, y, **asked(x[:3], y[:3]), parameters=["1.weight", "1.bias"], damping=0.1,
        regulariser=lambda p: p["1.weight"].square().sum(),
    )  # fmt: skip
    alone = influence(
        head, codes, y, **asked(codes[:3], y[:3]), damping=0.1, regulariser=lambda p: p["weight"].square().sum()
    )
    torch.testing.assert_close(whole, alone)


def test_the_model_comes_back_as_it_was() -> None:
    x, y = tensors(*digits(0, 1))
    model = nn.Sequential(nn.Linear(64, 4), nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    model[1].eval()
    F.cross_entropy(model(x), y).backward()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [p.grad.clone() for p in model.parameters()]
    first = influence(model, x, y, **asked(x[:2], y[:2]), damping=1.0, parameters=["3.weight"])
    assert [m.training for m in model] == [True, False, True, True]
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert not first.requires_grad
    assert torch.equal(first, influence(model, x, y, **asked(x[:2], y[:2]), damping=1.0, parameters=["3.weight"]))


def test_non_contiguous_inputs_and_one_sample() -> None:
    model, x, y, _ = ridge(20, 3)
    strided = x.T.contiguous().T
    assert not strided.is_contiguous()
    setting = {"loss": halved_error, "regulariser": halved_squares}
    torch.testing.assert_close(
        influence(model, strided, y, **asked(strided[:1], y[:1]), **setting),
        influence(model, x, y, **asked(x[:1], y[:1]), **setting),
    )


@pytest.mark.parametrize("solver", ["exact", "conjugate_gradients"])
def test_it_refuses_a_point_that_is_no_minimum(solver: str) -> None:
    x, y = tensors(*digits(0, 1))
    model = as_torch(logistic(x.numpy(), y.numpy(), len(x)))
    with refuses(ValueError, "positive definite", "damping"):
        influence(model, x, y, **asked(x[:2], y[:2]), regulariser=lambda p: -p["weight"].square().sum(), solver=solver)


def test_it_refuses_a_singular_hessian() -> None:
    x, y = tensors(*digits(0, 1))
    model = as_torch(logistic(x.numpy(), y.numpy(), len(x)))
    with refuses(ValueError, "positive definite", "eigenvalue", "damping"):
        influence(
            model, x, y, **asked(x[:2], y[:2])
        )  # pixels in the corners are always 0, and no regulariser holds them


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"inputs": torch.zeros(3, 2)}, ValueError, ["inputs", "[3, 2]"]),
        ({"inputs": [[0.0]]}, TypeError, ["inputs", "list"]),
        ({"inputs": torch.zeros(4, 2, dtype=torch.int64)}, TypeError, ["floats", "int64"]),
        ({"test_inputs": torch.zeros(1, 3)}, ValueError, ["one shape", "[2]", "[3]"]),
        ({"test_inputs": torch.full((1, 2), torch.nan)}, ValueError, ["test_inputs", "finite"]),
        ({"labels": torch.zeros(4)}, TypeError, ["labels", "int64"]),
        ({"test_labels": torch.tensor([3])}, ValueError, ["largest label, 3", "[1, 3]"]),
        (
            {"inputs": torch.zeros(4, 2).double(), "test_inputs": torch.zeros(1, 2).double()},
            TypeError,
            ["float64"],
        ),
        ({"inputs": torch.zeros(0, 2), "labels": torch.zeros(0, dtype=torch.int64)}, ValueError, ["one"]),
        ({"damping": -1.0}, ValueError, ["damping", "-1"]),
        ({"damping": float("nan")}, ValueError, ["damping", "nan"]),
        ({"iterations": 0, "solver": "conjugate_gradients"}, ValueError, ["iterations"]),
        ({"tolerance": 0.0, "solver": "conjugate_gradients"}, ValueError, ["tolerance"]),
        ({"batch_size": 0}, ValueError, ["batch_size"]),
        ({"tolerance": 1e-3}, ValueError, ["tolerance", "exact", "leave it out"]),
        ({"iterations": 10}, ValueError, ["iterations", "exact", "leave it out"]),
        ({"test_inputs": torch.zeros(1, 2, device="meta")}, ValueError, ["test_inputs", "cpu", "meta"]),
        ({"solver": "lissa"}, ValueError, ["exact", "conjugate_gradients", "lissa"]),
        ({"parameters": ["bias", "weights"]}, ValueError, ["weight, bias", "weights"]),
        ({"parameters": []}, ValueError, ["names"]),
        ({"loss": lambda z, y: F.cross_entropy(z, y, reduction="none")[:, None].expand(-1, 2)}, ValueError, ["mean"]),
    ],
)
def test_bad_input(change: dict[str, object], kind: type[Exception], words: list[str]) -> None:
    arguments = {
        "inputs": torch.zeros(4, 2),
        "labels": torch.zeros(4, dtype=torch.int64),
        "test_inputs": torch.zeros(1, 2),
        "test_labels": torch.zeros(1, dtype=torch.int64),
        "damping": 1.0,
    }
    with refuses(kind, *words):
        influence(nn.Linear(2, 3), **arguments | change)


def test_too_many_parameters_for_an_exact_hessian() -> None:
    model = nn.Linear(200, 100)
    data = torch.zeros(2, 200), torch.zeros(2, dtype=torch.int64)
    with refuses(ValueError, "20100 parameters", "conjugate_gradients", "last layer"):
        influence(model, *data, **asked(*data))


def test_conjugate_gradients_that_do_not_arrive_are_refused() -> None:
    model, x, y, _ = ridge(40, 7)
    with refuses(ValueError, "1 iterations", "damping"):
        influence(
            model,
            x,
            y,
            **asked(x[:1], y[:1]),
            loss=halved_error,
            solver="conjugate_gradients",
            iterations=1,
            tolerance=1e-10,
        )


@pytest.mark.parametrize("solver", ["exact", "conjugate_gradients"])
def test_what_is_not_a_number_is_an_error(solver: str) -> None:
    class Root(nn.Module):
        """√|w·x|, whose gradient at 0 is none."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 3, bias=False)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.layer(inputs).abs().sqrt()

    data = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)
    with refuses(ValueError, "finite"):
        influence(Root(), *data, **asked(*data), damping=1.0, solver=solver)
