"""The functions of lecture 0.4 on other data than the page's: autograd, PyTorch's optimisers, a proved bound."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from page_code import page_code
from torch.nn import functional as F

page = page_code("00_foundations/networks", seed=lambda: 0)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0.05, 0.5))
@settings(deadline=None, max_examples=40)
def test_a_perceptron_separates_what_can_be_separated_within_novikoffs_bound(seed: int, d: int, margin: float) -> None:
    g = generator(seed)
    direction = F.normalize(torch.randn(d, generator=g), dim=0)
    X = torch.randn(60, d, generator=g)
    X = X[(X @ direction).abs() > margin]
    y = (X @ direction).sign()
    w, mistakes = page.perceptron(X, y)
    if len(X):
        assert (y * (X @ w[:-1] + w[-1]) > 0).all()
        assert mistakes <= (X.square().sum(1).max().item() + 1) / margin**2


def test_points_that_no_line_separates_end_after_the_passes_that_were_asked_for() -> None:
    X, y = torch.tensor([[0.0], [0.0]]), torch.tensor([1.0, -1.0])
    _, mistakes = page.perceptron(X, y, passes=7)
    assert mistakes >= 7


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 5), st.integers(1, 7))
@settings(deadline=None, max_examples=40)
def test_backpropagation_by_hand_is_autograds(seed: int, d: int, classes: int, hidden: int) -> None:
    g = generator(seed)
    sizes = [(hidden, d), (hidden,), (classes, hidden), (classes,)]
    made = [torch.randn(s, dtype=torch.float64, generator=g, requires_grad=True) for s in sizes]
    x = torch.randn(3, d, dtype=torch.float64, generator=g, requires_grad=True)
    labels = torch.randint(classes, (3,), generator=g)
    loss, mine = page.two_layers(x, labels, *made)
    W1, b1, W2, b2 = made
    z = torch.relu(x @ W1.T + b1) @ W2.T + b2
    torch.testing.assert_close(loss, F.cross_entropy(z, labels))
    for found, expected in zip(mine, torch.autograd.grad(F.cross_entropy(z, labels), [*made, x]), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_the_loss_passes_gradcheck_and_bears_large_logits() -> None:
    g = generator(1)
    made = [torch.randn(s, dtype=torch.float64, generator=g, requires_grad=True) for s in [(4, 3), (4,), (2, 4), (2,)]]
    x = torch.randn(5, 3, dtype=torch.float64, generator=g)
    labels = torch.tensor([0, 1, 1, 0, 1])
    assert torch.autograd.gradcheck(lambda *p: page.two_layers(x, labels, *p)[0], made)
    loss, gradients = page.two_layers(1e4 * x, labels, *made)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(one).all() for one in gradients)


def rosenbrock(theta: torch.Tensor) -> torch.Tensor:
    return (1 - theta[0]) ** 2 + 5 * (theta[1] - theta[0] ** 2) ** 2


@pytest.mark.parametrize(
    ("step", "numbers", "make"),
    [
        (page.sgd, {"lr": 0.01}, lambda p: torch.optim.SGD(p, 0.01)),
        (page.sgd, {"lr": 0.01, "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.01, momentum=0.9)),
        (page.adam, {"lr": 0.05}, lambda p: torch.optim.Adam(p, 0.05)),
        (
            page.adam,
            {"lr": 0.05, "b1": 0.5, "b2": 0.7, "eps": 1e-3},
            lambda p: torch.optim.Adam(p, 0.05, betas=(0.5, 0.7), eps=1e-3),
        ),
    ],
    ids=["sgd", "momentum", "adam", "adam with other numbers"],
)
def test_steps_are_pytorchs_on_a_curved_function(step, numbers, make) -> None:
    mine, state = torch.tensor([-1.0, 2.0], dtype=torch.float64), {}
    theirs = mine.clone().requires_grad_(True)
    optimiser = make([theirs])
    for _ in range(30):
        point = mine.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(rosenbrock(point), point)
        mine = step(mine, slope, state, **numbers)
        optimiser.zero_grad()
        rosenbrock(theirs).backward()
        optimiser.step()
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-10, atol=1e-12)


def test_adams_first_step_is_the_learning_rate_whatever_the_slope() -> None:
    for slope in (1e-3, 1.0, 1e4):
        moved = page.adam(torch.zeros(1), torch.tensor([slope]), {}, lr=0.3)
        assert moved.item() == pytest.approx(-0.3, rel=1e-3)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    values = page.dropout(torch.ones(200_000), p, generator(3))
    assert (values == 0).float().mean().item() == pytest.approx(p, abs=0.01)
    torch.testing.assert_close(values[values > 0].unique(), torch.tensor([1 / (1 - p)]))
    assert values.mean().item() == pytest.approx(1, abs=0.02)


def test_bent_features_with_least_squares_pass_through_as_many_points_as_they_have_places() -> None:
    x = torch.linspace(0, 1, 9)
    features = page.bent(x, 8).double()
    y = torch.randn(9, 1, dtype=torch.float64, generator=generator(0))
    solution = torch.linalg.lstsq(features, y).solution
    torch.testing.assert_close(features @ solution, y, atol=1e-8, rtol=0)


def test_slopes_shrink_by_the_sigmoids_quarter_at_least() -> None:
    """With orthogonal-size weights each sigmoid layer leaves at most a quarter, up to the weights' norm of about 2."""
    profile = page.depth_profile(torch.sigmoid, depth=6, width=32)
    ratios = profile[:-1] / profile[1:]
    assert (ratios < 0.6).all()
    assert profile[-1] == 1


def test_adams_weight_decay_is_a_penalty_in_the_slope_and_not_a_decay() -> None:
    """pytorch #48793: the documentation led readers to take Adam's `weight_decay` for that of AdamW."""
    mine, state = torch.tensor([2.0], dtype=torch.float64), {}
    theirs, decays = mine.clone().requires_grad_(True), mine.clone().requires_grad_(True)
    optimisers = [torch.optim.Adam([theirs], 0.1, weight_decay=0.5), torch.optim.AdamW([decays], 0.1, weight_decay=0.5)]
    for _ in range(5):
        mine = page.adam(mine, torch.cos(mine) + 0.5 * mine, state, lr=0.1)
        for optimiser, theta in zip(optimisers, (theirs, decays), strict=True):
            optimiser.zero_grad()
            torch.sin(theta).sum().backward()
            optimiser.step()
    torch.testing.assert_close(mine, theirs.detach())
    assert (mine - decays.detach()).abs() > 0.01
