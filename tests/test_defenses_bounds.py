"""What is proven: bounds against sampling, closed forms, exhaustive search and linear programs of SciPy's."""

import itertools
import math

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import OptimizeResult, linprog
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.attacks import pgd
from tml_helpers.defenses import exact_radius, interval_bounds, interval_loss, linear_bounds
from tml_helpers.models import MLP, Normalize, SmallCNN

BOTH = [interval_bounds, linear_bounds]


def filled(network: nn.Module, seed: int, scale: float = 1.0) -> nn.Module:
    """A network of float64 with random weights."""
    generator = torch.Generator().manual_seed(seed)
    network = network.double().eval()
    with torch.no_grad():
        for values in network.parameters():
            values.copy_(scale * torch.randn(values.shape, generator=generator, dtype=torch.float64))
    return network


def small(seed: int, pixels: int = 4, hidden: tuple[int, ...] = (6, 5), classes: int = 3) -> nn.Module:
    sizes = [pixels, *hidden]
    layers = [layer for one, next_ in itertools.pairwise(sizes) for layer in (nn.Linear(one, next_), nn.ReLU())]
    return filled(nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], classes)), seed)


def batch(seed: int, shape: tuple[int, ...], classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(shape, generator=generator, dtype=torch.float64)
    return images, torch.randint(classes, shape[:1], generator=generator)


def lead(logits: Tensor, labels: Tensor) -> Tensor:
    """z_y − z_k, ∞ for k = y."""
    own = logits.gather(1, labels[:, None])
    return (own - logits).scatter(1, labels[:, None], math.inf)


def anywhere(images: Tensor, epsilon: float, seed: int, count: int = 60) -> Tensor:
    """Images of the ball, half of them at its corners, `[count, *images.shape]`."""
    generator = torch.Generator().manual_seed(seed)
    step = 2 * torch.rand((count, *images.shape), generator=generator, dtype=images.dtype) - 1
    step[::2] = step[::2].sign()
    return (images + epsilon * step).clamp(0, 1)


def convolutional() -> nn.Module:
    """Every kind of layer that bounds are known for."""
    norm = nn.BatchNorm2d(4)
    norm.running_mean, norm.running_var = torch.tensor([0.1, -0.2, 0.3, 0.0]), torch.tensor([0.5, 1.0, 2.0, 0.7])
    flat = nn.BatchNorm1d(5)
    flat.running_mean, flat.running_var = torch.linspace(-1, 1, 5), torch.linspace(0.5, 1.5, 5)
    return nn.Sequential(
        Normalize([0.3, 0.5], [0.4, 0.2]),
        nn.Conv2d(2, 4, 3, padding=1, groups=2),
        norm,
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 2, stride=2, bias=False),
        nn.Dropout2d(0.5),
        nn.AvgPool2d(1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 5),
        flat,
        nn.Identity(),
        nn.ReLU(),
        nn.Linear(5, 3),
    )


@pytest.mark.parametrize("bounds", BOTH)
@given(seed=st.integers(0, 9999), epsilon=st.sampled_from([0.0, 0.01, 0.1, 0.5]))
@settings(max_examples=12, deadline=None)
def test_nothing_in_the_ball_leaves_the_bounds(bounds, seed: int, epsilon: float) -> None:
    images, labels = batch(seed, (3, 1, 2, 2))
    network = small(seed)
    found = bounds(network, images, labels, epsilon=epsilon)
    for shifted in anywhere(images, epsilon, seed):
        logits = network(shifted).detach()
        assert (logits >= found.lower - 1e-9).all()
        assert (logits <= found.upper + 1e-9).all()
        assert (lead(logits, labels) >= found.margins - 1e-9).all()


@pytest.mark.parametrize("bounds", BOTH)
@pytest.mark.parametrize("seed", range(3))
def test_nor_does_it_through_every_kind_of_layer(bounds, seed: int) -> None:
    images, labels = batch(seed, (2, 2, 8, 8))
    network = filled(convolutional(), seed, scale=0.5)
    found = bounds(network, images, labels, epsilon=0.05)
    logits = network(anywhere(images, 0.05, seed).flatten(0, 1)).detach().view(60, 2, 3)
    assert (logits >= found.lower - 1e-9).all()
    assert (logits <= found.upper + 1e-9).all()
    assert (logits.amax(0) > found.lower).all()  # on the right side of each other, not only apart
    assert ((found.upper - found.lower) < 100 * (logits.amax(0) - logits.amin(0)) + 1).all()


@given(seed=st.integers(0, 9999), epsilon=st.sampled_from([0.02, 0.1, 0.3]))
@settings(max_examples=15, deadline=None)
def test_lines_are_never_wider_than_intervals_and_a_linear_program_never_wider_than_lines(
    seed: int, epsilon: float
) -> None:
    """The triangle between the three lines of a ReLU, by SciPy: no linear bound can be narrower (one hidden layer)."""
    images, labels = batch(seed, (1, 1, 2, 2))
    network = small(seed, hidden=(6,))
    wide, narrow = (bounds(network, images, labels, epsilon=epsilon) for bounds in BOTH)
    assert (narrow.margins >= wide.margins - 1e-12).all()
    assert (narrow.lower >= wide.lower - 1e-12).all()
    assert (narrow.upper <= wide.upper + 1e-12).all()
    for rival in range(3):
        if rival != labels[0]:
            best = triangle(network, images[0], int(labels[0]), rival, epsilon)
            assert best >= narrow.margins[0, rival] - 1e-7


def triangle(network: nn.Module, image: Tensor, label: int, rival: int, epsilon: float) -> float:
    """min z_y − z_k where each ReLU may be anywhere in the triangle of its ends, as a linear program."""
    first, last = network[1], network[3]
    w, b = first.weight.detach().numpy(), first.bias.detach().numpy()
    x = image.flatten().numpy()
    low, high = np.clip(x - epsilon, 0, 1), np.clip(x + epsilon, 0, 1)
    least = b + np.minimum(w * low, w * high).sum(1)
    most = b + np.maximum(w * low, w * high).sum(1)
    rows, ends = [], []
    for unit in range(len(b)):
        one = np.eye(len(b))[unit]
        rows.append([*w[unit], *-one]), ends.append(-b[unit])  # h ≥ w x + b
        if least[unit] < 0 < most[unit]:
            slope = most[unit] / (most[unit] - least[unit])
            rows.append([*-slope * w[unit], *one]), ends.append(slope * (b[unit] - least[unit]))
        elif least[unit] >= 0:
            rows.append([*-w[unit], *one]), ends.append(b[unit])
    top = [(0, max(0.0, end)) for end in most]
    cost = (last.weight[label] - last.weight[rival]).detach().numpy()
    found = linprog([*np.zeros(len(x)), *cost], rows, ends, bounds=[*zip(low, high, strict=True), *top])
    return float(found.fun + (last.bias[label] - last.bias[rival]).detach())


@pytest.mark.parametrize("bounds", BOTH)
def test_of_an_affine_network_they_are_the_closed_form(bounds) -> None:
    """z_y − z_k loses ε · ‖w_y − w_k‖₁ away from the edges of [0, 1]."""
    network = filled(nn.Sequential(nn.Flatten(), nn.Linear(9, 4)), 1)
    images, labels = 0.4 + 0.2 * batch(2, (5, 1, 3, 3))[0], torch.tensor([0, 1, 2, 3, 0])
    found = bounds(network, images, labels, epsilon=0.1)
    weight = network[1].weight.detach()
    difference = weight[labels][:, None] - weight
    exact = lead(network(images).detach(), labels) - 0.1 * difference.abs().sum(2)
    others = ~F.one_hot(labels, 4).bool()
    assert torch.allclose(found.margins[others], exact[others], atol=1e-10)
    reach = 0.1 * weight.abs().sum(1)
    assert torch.allclose(found.upper - found.lower, (2 * reach).expand(5, 4), atol=1e-10)
    assert found.margins[~others].isinf().all()


def test_by_hand() -> None:
    """x in [0.3, 0.7]; u = ReLU(x − 0.5) in [0, 0.2], v = ReLU(0.5 − x) in [0, 0.2]; z₀ = u + v, z₁ = 0.3."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        network[1].bias.copy_(torch.tensor([-0.5, 0.5]))
        network[3].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
        network[3].bias.copy_(torch.tensor([0.0, 0.3]))
    image, label = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64), torch.tensor([1])
    intervals, lines = (bounds(network, image, label, epsilon=0.2) for bounds in BOTH)
    assert intervals.margins[0, 0] == pytest.approx(0.3 - 0.4)  # as if u and v could both be 0.2
    assert lines.margins[0, 0] == pytest.approx(0.3 - 0.2)  # u + v ≤ (x − 0.3) / 2 + (0.7 − x) / 2
    assert not intervals.proven[0]
    assert lines.proven[0]


def exhaustive(network: nn.Module, image: Tensor, label: int, count: int = 301) -> tuple[float, float]:
    """Bounds of an image's radius in two dimensions, by a grid over all of [0, 1]²."""
    axis = torch.linspace(0, 1, count, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis).view(-1, 1, 1, 2)
    with torch.no_grad():
        others = network(grid).argmax(1) != label
    far = (grid - image).abs().flatten(1).amax(1)
    nearest = float(far[others].min()) if others.any() else math.inf
    return nearest - 1 / (count - 1), nearest


@pytest.mark.parametrize("seed", range(6))
def test_attack_exact_lines_intervals_stand_in_this_order_in_two_dimensions(seed: int) -> None:
    network = small(seed, pixels=2, hidden=(8, 6))
    images = batch(seed, (3, 1, 1, 2))[0]
    labels = network(images).argmax(1)
    exact = exact_radius(network, images, labels, max_epsilon=1.0)
    assert exact.solved.all()
    for i, label in enumerate(labels.tolist()):
        low, high = exhaustive(network, images[i], label)
        if high <= 1:
            assert low - 1e-5 <= exact.upper[i] <= high + 1e-5
        below = max(0.0, min(1.0, float(exact.lower[i])) - 1e-4)
        hit = pgd(network, images[i : i + 1], labels[i : i + 1], epsilon=below, steps=30, random_start=False)
        assert network(hit).argmax() == label
        for epsilon in np.linspace(0.01, 0.5, 8):
            proven = [bool(bounds(network, images, labels, epsilon=epsilon).proven[i]) for bounds in BOTH]
            assert proven[0] <= proven[1]
            assert not proven[1] or epsilon <= exact.upper[i] + 1e-6


def test_the_nearest_image_is_on_the_border_and_as_far_as_is_said() -> None:
    network = small(11, pixels=9, hidden=(10, 8))
    images = batch(4, (4, 1, 3, 3))[0]
    labels = network(images).argmax(1)
    labels[3] = (labels[3] + 1) % 3  # one that is misread
    found = exact_radius(network, images, labels, max_epsilon=0.9)
    assert found.solved.all()
    assert (found.lower[3], found.upper[3]) == (0, 0)
    near = (found.adversarial - images).abs().flatten(1).amax(1)
    there = near[:3] > 0
    assert there.any()
    assert torch.allclose(near[:3][there], found.upper[:3][there], atol=1e-6)
    gap = lead(network(found.adversarial).detach(), labels).amin(1)[:3][there]
    assert (gap.abs() < 1e-4).all()


def test_the_radius_of_an_affine_network_is_the_margin_over_the_dual_norm() -> None:
    network = filled(nn.Sequential(nn.Flatten(), nn.Linear(9, 4)), 3, scale=3.0)
    images = 0.4 + 0.2 * batch(5, (3, 1, 3, 3))[0]
    labels = network(images).argmax(1)
    weight = network[1].weight.detach()
    norms = (weight[labels][:, None] - weight).abs().sum(2)
    radius = (lead(network(images).detach(), labels) / norms).amin(1)
    inside = radius < 0.4
    assert inside.any()
    found = exact_radius(network, images, labels, max_epsilon=0.4)
    assert torch.allclose(found.upper[inside], radius[inside], atol=1e-6)
    assert torch.allclose(found.lower[inside], radius[inside], atol=1e-5)
    assert (found.lower[~inside] == 0.4).all()


def test_without_time_nothing_is_claimed_and_with_a_short_reach_its_end_is() -> None:
    network = small(12, pixels=16, hidden=(30, 30))
    images = batch(6, (1, 1, 4, 4))[0]
    labels = network(images).argmax(1)
    hasty = exact_radius(network, images, labels, max_epsilon=0.9, time_limit=1e-6)
    assert not hasty.solved[0]
    assert hasty.lower[0] == 0
    assert hasty.upper[0] == math.inf
    assert torch.equal(hasty.adversarial, images)
    near = exact_radius(network, images, labels, max_epsilon=1e-4)
    assert near.solved[0]
    assert near.lower[0] == 1e-4


@pytest.mark.parametrize("bounds", BOTH)
def test_at_radius_zero_they_are_the_logits(bounds) -> None:
    network = filled(convolutional(), 5)
    images, labels = batch(3, (2, 2, 8, 8))
    found = bounds(network, images, labels, epsilon=0.0)
    logits = network(images).detach()
    assert torch.allclose(found.lower, logits, rtol=1e-9, atol=1e-9)
    assert torch.allclose(found.upper, logits, rtol=1e-9, atol=1e-9)
    assert torch.equal(found.proven, logits.argmax(1) == labels)


@pytest.mark.parametrize("bounds", BOTH)
def test_a_larger_ball_has_wider_bounds(bounds) -> None:
    network = small(7, pixels=9)
    images, labels = batch(8, (4, 1, 3, 3))
    found = [bounds(network, images, labels, epsilon=epsilon).margins for epsilon in (0.0, 0.02, 0.1, 0.4, 1.0)]
    for near, far in itertools.pairwise(found):
        assert (near >= far).all()


@pytest.mark.parametrize("bounds", BOTH)
def test_an_image_is_judged_alone(bounds) -> None:
    network = small(9, pixels=9)
    images, labels = batch(9, (5, 1, 3, 3))
    whole = bounds(network, images, labels, epsilon=0.1, batch_size=2)
    for i in range(5):
        alone = bounds(network, images[i : i + 1], labels[i : i + 1], epsilon=0.1)
        assert torch.allclose(alone.margins[0], whole.margins[i], rtol=0, atol=1e-12)


@pytest.mark.parametrize("bounds", BOTH)
def test_the_ball_ends_where_images_end(bounds) -> None:
    """At a pixel of 0 only rising is possible: the bound is half as wide."""
    network = filled(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), 2)
    black, middle = torch.zeros(1, 1, 2, 2).double(), torch.full((1, 1, 2, 2), 0.5).double()
    label = torch.tensor([0])
    widths = [
        (found.upper - found.lower) for x in (black, middle) for found in [bounds(network, x, label, epsilon=0.2)]
    ]
    assert torch.allclose(widths[1], 2 * widths[0])


@pytest.mark.parametrize("bounds", BOTH)
def test_a_proof_of_a_float32_network_holds_for_the_one_that_runs(bounds) -> None:
    """Large weights that cancel: float32 rounds by more than the margin, so nothing may be called proven."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[3e7, -3e7], [0.0, 0.0]]))
        network[1].bias.copy_(torch.tensor([0.5, 0.0]))
    image, label = torch.full((1, 1, 1, 2), 0.7), torch.tensor([0])
    assert not bounds(network, image, label, epsilon=0.0).proven[0]
    assert bounds(network.double(), image.double(), label, epsilon=0.0).proven[0]


@pytest.mark.parametrize("network", [SmallCNN(width=2), MLP(8)], ids=["convolutions", "dense"])
def test_the_books_networks_come_back_as_they_went_in(network: nn.Module) -> None:
    network.train()
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for bounds in BOTH:
        bounds(network, images, torch.tensor([1, 2]), epsilon=0.01)
    assert all(layer.training for layer in network.modules())
    assert all(value.grad is None for value in network.parameters())


@given(seed=st.integers(0, 9999))
@settings(max_examples=8, deadline=None)
def test_the_interval_loss_is_never_below_the_loss_of_an_attack(seed: int) -> None:
    network, (images, labels) = small(seed), batch(seed, (4, 1, 2, 2))
    worst = interval_loss(network, images, labels, epsilon=0.1, weight=1.0)
    for shifted in anywhere(images, 0.1, seed, count=20):
        assert F.cross_entropy(network(shifted), labels) <= worst + 1e-9


def test_the_interval_loss_is_the_mixture_that_is_written_and_has_its_gradient() -> None:
    network, (images, labels) = small(3), batch(3, (4, 1, 2, 2))
    plain = F.cross_entropy(network(images), labels)
    for weight in (0.0, 0.3, 1.0):
        assert torch.allclose(interval_loss(network, images, labels, epsilon=0.0, weight=weight), plain)
    ends = [interval_loss(network, images, labels, epsilon=0.2, weight=w) for w in (0.0, 1.0)]
    assert torch.allclose(interval_loss(network, images, labels, epsilon=0.2, weight=0.25), torch.lerp(*ends, 0.25))
    assert ends[1] > ends[0]
    margins = interval_bounds(network, images, labels, epsilon=0.2).margins
    assert torch.allclose(ends[1], torch.log1p((-margins).exp().sum(1)).mean())
    bias = network[-1].bias
    (slope,) = torch.autograd.grad(interval_loss(network, images, labels, epsilon=0.2), bias)
    with torch.no_grad():
        bias[1] += 1e-5
        more = interval_loss(network, images, labels, epsilon=0.2)
        bias[1] -= 2e-5
        less = interval_loss(network, images, labels, epsilon=0.2)
    assert slope[1] == pytest.approx(float(more - less) / 2e-5, rel=1e-4)


class Branched(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x.flatten(1)) + self.two(x.flatten(1))


class Doubled(nn.Module):
    """Its layers say one thing, and its forward another."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.layer(x.flatten(1))


class Regrouped(nn.Module):
    """Its view makes channels of pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 2, 1), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x.view(-1, 4, 1, 1)).flatten(1))


SMALL = {"images": torch.rand(2, 1, 2, 2), "labels": torch.tensor([0, 1])}


@pytest.mark.parametrize("bounds", [*BOTH, exact_radius, interval_loss])
@pytest.mark.parametrize(
    ("network", "kind", "words"),
    [
        (Branched(), ValueError, ["branches"]),
        (Doubled(), ValueError, ["one layer after the other"]),
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Sigmoid()), ValueError, ["Sigmoid"]),
        (Regrouped(), ValueError, ["view", "4 axes"]),
        (nn.Sequential(nn.Flatten(), nn.Linear(9, 3)), ValueError, ["cannot read its input"]),
        (nn.Identity(), ValueError, ["logits"]),
        (filled(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), 1, math.nan).float(), ValueError, ["finite"]),
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), ValueError, ["2 classes"]),
        (lambda x: x, TypeError, ["nn.Module"]),
    ],
)
def test_networks_without_a_bound_are_one_sentence(bounds, network, kind: type[Exception], words: list[str]) -> None:
    size = {"max_epsilon": 0.1} if bounds is exact_radius else {"epsilon": 0.1}
    with refuses(kind, *words):
        bounds(network, *SMALL.values(), **size)


@pytest.mark.parametrize("bounds", [*BOTH, exact_radius, interval_loss])
def test_a_label_that_the_network_does_not_know_is_refused(bounds) -> None:
    size = {"max_epsilon": 0.1} if bounds is exact_radius else {"epsilon": 0.1}
    with refuses(ValueError, "labels", "0…2"):
        bounds(small(1).float(), SMALL["images"], torch.tensor([0, 3]), **size)


@pytest.mark.parametrize("bounds", [*BOTH, interval_loss])
@pytest.mark.parametrize("epsilon", [-0.1, 1.5, math.nan, "0.1", None])
def test_radii_out_of_range_are_refused(bounds, epsilon: object) -> None:
    with refuses((TypeError, ValueError), "epsilon"):
        bounds(small(1).float(), *SMALL.values(), epsilon=epsilon)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_epsilon": 0.0}, ["max_epsilon"]),
        ({"max_epsilon": 1.1}, ["max_epsilon"]),
        ({"time_limit": 0.0}, ["time_limit"]),
        ({"time_limit": math.nan}, ["time_limit"]),
    ],
)
def test_numbers_of_the_search_are_checked(change: dict[str, float], words: list[str]) -> None:
    with refuses(ValueError, *words):
        exact_radius(small(1).float(), *SMALL.values(), **{"max_epsilon": 0.1} | change)


def test_a_maximum_has_no_exact_program() -> None:
    network = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 3))
    with refuses(ValueError, "MaxPool2d"):
        exact_radius(network, *SMALL.values(), max_epsilon=0.1)


@pytest.mark.parametrize("weight", [-0.1, 1.1, math.nan])
def test_weights_of_the_loss_are_checked(weight: float) -> None:
    with refuses(ValueError, "weight"):
        interval_loss(small(1).float(), *SMALL.values(), epsilon=0.1, weight=weight)


def test_one_relu_that_bends_is_solved_exactly() -> None:
    """alpha-beta-CROWN #48: z₀ = |x − 0.5| against 0.3; an answer "unknown" was given for one ReLU."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        network[1].bias.copy_(torch.tensor([-0.5, 0.5]))
        network[3].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
        network[3].bias.copy_(torch.tensor([0.0, 0.3]))
    images = torch.tensor([0.5, 0.6, 0.45]).double().view(3, 1, 1, 1)
    found = exact_radius(network, images, torch.tensor([1, 1, 1]), max_epsilon=0.5)
    assert found.solved.all()
    assert torch.allclose(found.upper, torch.tensor([0.3, 0.2, 0.25]).double(), atol=1e-5)


@pytest.mark.parametrize("bounds", BOTH)
def test_what_overflows_is_never_proven(bounds) -> None:
    """auto_LiRPA #63 and nnv #446: bounds that were NaN, and a NaN that was read as a proof."""
    network = filled(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), 1, scale=1e200)
    images = torch.full((1, 1, 2, 2), 0.5).double()
    with refuses(ValueError, "finite"):
        bounds(network, images, torch.tensor([0]), epsilon=0.3)


def test_no_attack_finds_an_image_in_a_ball_that_is_called_proven() -> None:
    """alpha-beta-CROWN #83: every instance was called safe, and two had a counterexample."""
    network = small(21, pixels=9, hidden=(12, 8))
    images = batch(22, (40, 1, 3, 3))[0]
    labels = network(images).argmax(1)
    for epsilon in (0.02, 0.05, 0.1):
        proven = linear_bounds(network, images, labels, epsilon=epsilon).proven
        assert 0 < proven.sum() < 40
        for start in range(3):
            generator = torch.Generator().manual_seed(start)
            hit = pgd(network, images, labels, epsilon=epsilon, steps=20, generator=generator)
            assert (network(hit).argmax(1) == labels)[proven].all()


def test_a_solution_that_was_found_before_the_end_of_time_is_kept() -> None:
    """scipy #16545: what a solver had found was dropped when time ran out. Bounds stay bounds at every limit."""
    network = small(23, pixels=16, hidden=(24, 24))
    images = batch(24, (1, 1, 4, 4))[0]
    labels = network(images).argmax(1)
    for limit in (0.02, 0.2, 2.0):
        found = exact_radius(network, images, labels, max_epsilon=0.8, time_limit=limit)
        assert found.lower <= found.upper + 1e-9
        if found.upper < math.inf:
            moved = (found.adversarial - images).abs().max()
            assert moved == pytest.approx(float(found.upper), abs=1e-6)
            assert lead(network(found.adversarial).detach(), labels).amin() < 1e-4


@pytest.mark.parametrize("factor", [1e-8, 1e8])
@pytest.mark.parametrize("layer", ["first", "last"])
def test_the_radius_does_not_depend_on_the_scale_of_a_layer(layer: str, factor: float) -> None:
    """NeuralVerification.jl #107 and #118: "holds" for networks whose units reach beyond what the program allowed.

    A first layer times c, and the next one by c, are the same network; so is a last layer times c, up to the logits'
    scale. The solver's tolerances are numbers, and must not be felt.
    """
    network = small(6, pixels=4, hidden=(7, 5))
    images = batch(25, (3, 1, 2, 2))[0]
    labels = network(images).argmax(1)
    before = exact_radius(network, images, labels, max_epsilon=0.9)
    assert (before.upper < 0.9).all()
    with torch.no_grad():
        for values in network[1 if layer == "first" else -1].parameters():
            values *= factor
        if layer == "first":
            network[3].weight /= factor
    after = exact_radius(network, images, labels, max_epsilon=0.9)
    assert after.solved.all()
    assert torch.allclose(after.lower, before.lower, atol=1e-5)
    assert torch.allclose(after.upper, before.upper, atol=1e-5)


def test_an_image_that_is_not_misread_is_no_answer_whatever_the_solver_says(monkeypatch) -> None:
    """scipy #22812 and MIPVerify.jl #158: "optimal", and the point is outside, or the network reads it right."""
    network = small(6, pixels=4, hidden=(7, 5))
    images = batch(25, (1, 1, 2, 2))[0]
    labels = network(images).argmax(1)
    pixels = images.flatten().numpy()

    def dreaming(cost, **program):
        rest = np.zeros(len(cost) - 1 - len(pixels))
        return OptimizeResult(status=0, fun=0.0, x=np.concatenate([[0.0], pixels, rest]), mip_dual_bound=0.0)

    monkeypatch.setattr("scipy.optimize.milp", dreaming)
    found = exact_radius(network, images, labels, max_epsilon=0.5)
    assert found.upper[0] == math.inf
    assert not found.solved[0]
    assert torch.equal(found.adversarial, images)
