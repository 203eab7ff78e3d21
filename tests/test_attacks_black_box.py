"""Attacks that may only ask: laws, closed forms on linear models, exact numbers of questions, and no gradient."""

import copy
import itertools
import math

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.attacks import (
    BlackBox,
    QueryLimitReached,
    boundary,
    estimate_gradient,
    estimate_hessian,
    fgsm,
    margin,
    pgd,
    square,
    substitute,
    train_substitute,
    zoo,
)
from tml_helpers.attacks.boundary import step_around
from tml_helpers.attacks.square import bump, propose_l2, propose_linf, tiles
from tml_helpers.attacks.zoo import adam
from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.training import predict, seed_everything

ASKING = {
    "square": lambda *given, **how: square(*given, epsilon=0.3, queries=60, **how),
    "square, L2": lambda *given, **how: square(*given, epsilon=4.0, norm="l2", queries=60, **how),
    "zoo": lambda *given, **how: zoo(*given, queries=700, coordinates=50, **how),
    "boundary": lambda *given, **how: boundary(*given, queries=60, **how),
}
each_attack = pytest.mark.parametrize("attack", ASKING.values(), ids=ASKING)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def net(mlp: MLP) -> MLP:
    return mlp


@pytest.fixture(scope="module")
def digits(net: MLP) -> tuple[Tensor, Tensor]:
    """Twelve test images that the network reads correctly."""
    test = mnist("test", source="default")
    right = (predict(net, test.images).argmax(dim=1) == test.labels).nonzero().flatten()[::70][:12]
    return test.images[right], test.labels[right]


class Watched(nn.Module):
    """Remembers the extremes of what it is asked, and hides its gradient."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.lowest, self.highest = model, math.inf, -math.inf

    def forward(self, images: Tensor) -> Tensor:
        self.lowest, self.highest = min(self.lowest, float(images.min())), max(self.highest, float(images.max()))
        with torch.no_grad():
            return self.model(images).detach()


class Halves(nn.Module):
    """Two classes on the two sides of a plane: f(x) = w·x − b is the lead of class 1."""

    def __init__(self, weight: Tensor, bias: float) -> None:
        super().__init__()
        self.weight, self.bias = weight.flatten(), bias

    def lead(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight - self.bias

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(images), dtype=images.dtype), self.lead(images)], dim=1)


# --- the black box ---


def test_a_black_box_answers_as_its_model_and_counts_images(net: MLP, digits: tuple[Tensor, Tensor]) -> None:
    images, _ = digits
    box = BlackBox(net)
    torch.testing.assert_close(box(images), net(images).detach())
    box(images[:5])
    assert box.asked == [12, 5]
    assert box.queries == 17


def test_a_black_box_gives_no_gradient(net: MLP, digits: tuple[Tensor, Tensor]) -> None:
    assert not BlackBox(net)(digits[0].clone().requires_grad_()).requires_grad


def test_beyond_its_limit_a_black_box_says_nothing_and_counts_nothing(net: MLP, digits: tuple[Tensor, Tensor]) -> None:
    box = BlackBox(net, limit=20)
    box(digits[0])
    with refuses(QueryLimitReached, "12 of 20", "12 more"):
        box(digits[0])
    assert box.queries == 12
    box(digits[0][:8])  # exactly what is left
    assert box.queries == 20


def test_a_black_box_may_say_the_class_alone(net: MLP, digits: tuple[Tensor, Tensor]) -> None:
    said = BlackBox(net, answers="labels")(digits[0])
    assert said.argmax(dim=1).tolist() == digits[1].tolist()
    assert said.sum(dim=1).tolist() == [1.0] * 12
    assert set(said.unique().tolist()) == {0.0, 1.0}


# --- what all of them share ---


@each_attack
def test_they_ask_for_no_gradient_and_never_about_what_is_no_image(attack, net, digits) -> None:
    watched = Watched(net)
    adversarial = attack(watched, *digits, generator=seeded())
    assert torch.equal(adversarial, attack(net, *digits, generator=seeded()))
    assert watched.lowest >= 0
    assert watched.highest <= 1
    assert adversarial.shape == digits[0].shape
    assert float(adversarial.min()) >= 0
    assert float(adversarial.max()) <= 1


@each_attack
def test_the_model_comes_back_as_it_went_in(attack, net, digits) -> None:
    model = nn.Sequential(net, nn.Dropout(0.5)).train()
    net.eval()
    marked = next(net.parameters())
    marked.grad = torch.ones_like(marked)
    kept = digits[0].clone()
    attack(model, *digits, generator=seeded())
    assert (model.training, net.training) == (True, False)
    assert torch.equal(marked.grad, torch.ones_like(marked))
    assert torch.equal(digits[0], kept)
    marked.grad = None


@each_attack
def test_an_image_that_is_misread_already_costs_one_question_and_stays(attack, net, digits) -> None:
    images, labels = digits
    box = BlackBox(net)
    assert torch.equal(attack(box, images, (labels + 1) % 10, generator=seeded()), images)
    assert box.asked == [12]


@each_attack
def test_one_image_that_is_not_contiguous(attack, net, digits) -> None:
    images, labels = digits
    turned = images.transpose(2, 3).contiguous().transpose(2, 3)
    assert not turned[:1].is_contiguous()
    straight = attack(net, images[:1], labels[:1], generator=seeded())
    assert torch.equal(attack(net, turned[:1], labels[:1], generator=seeded()), straight)


@each_attack
def test_a_model_that_always_says_the_same_stops_nothing(attack, digits) -> None:
    images, labels = digits
    constant = Halves(torch.zeros(784), bias=1.0)  # always class 0
    assert torch.isfinite(attack(constant, images, labels * 0, generator=seeded())).all()


@each_attack
def test_it_takes_double_precision(attack, net, digits) -> None:
    adversarial = attack(copy.deepcopy(net).double(), digits[0].double(), digits[1], generator=seeded())
    assert adversarial.dtype == torch.float64


@each_attack
@pytest.mark.parametrize(
    ("change", "kind", "word"),
    [
        (lambda images, labels: (images.half(), labels), TypeError, "float32"),
        (lambda images, labels: (255 * images, labels), ValueError, "[0, 1]"),
        (lambda images, labels: (images / images.sum(0), labels), ValueError, "[0, 1]"),  # NaN
        (lambda images, labels: (images[:0], labels[:0]), ValueError, "non-empty"),
        (lambda images, labels: (images, labels[:3]), ValueError, "labels"),
        (lambda images, labels: (images, labels.float()), TypeError, "int64"),
        (lambda images, labels: (images, labels + 10), ValueError, "0…9"),
    ],
)
def test_bad_images_and_labels(attack, change, kind, word, net, digits) -> None:
    with refuses(kind, word):
        attack(net, *change(*digits))


@pytest.mark.parametrize(
    ("ask", "word"),
    [
        (lambda *given: square(*given, epsilon=-0.1), "epsilon"),
        (lambda *given: square(*given, epsilon=0.1, norm="l1"), "norm"),
        (lambda *given: square(*given, epsilon=0.1, queries=0), "queries"),
        (lambda *given: square(*given, epsilon=0.1, initial_share=1.5), "initial_share"),
        (lambda *given: boundary(*given, queries=0), "queries"),
        (lambda *given: boundary(*given, tries=-1), "tries"),
        (lambda *given: boundary(*given, start=given[1][:2]), "start"),
        (lambda *given: boundary(*given, targets=given[2]), "target"),
        (lambda *given: zoo(*given, queries=0), "queries"),
        (lambda *given: zoo(*given, solver="sgd"), "solver"),
        (lambda *given: zoo(*given, h=0.0), "h must be above 0"),
        (lambda *given: zoo(*given, coordinates=0), "coordinates"),
        (lambda *given: zoo(*given, confidence=-1.0), "confidence"),
        (lambda *given: zoo(*given, constant=math.nan), "constant"),
        (lambda *given: train_substitute(MLP(), given[1], oracle=given[0], rounds=0), "rounds"),
        (lambda *given: train_substitute(MLP(), given[1], oracle=given[0], step_size=0.0), "step_size"),
        (lambda *given: substitute(*given, epsilon=2.0, network=MLP(), seed_images=given[1]), "epsilon"),
        (lambda *given: BlackBox(given[0], answers="probabilities"), "answers"),
        (lambda *given: BlackBox(given[0], limit=-1), "limit"),
        (lambda *given: estimate_gradient(torch.sum, given[1], h=-1.0), "h,"),
    ],
)
def test_bad_choices(ask, word, net, digits) -> None:
    with refuses(ValueError, word):
        ask(net, *digits)


# --- square attack ---


@settings(max_examples=25)
@given(
    norm=st.sampled_from(["linf", "l2"]),
    shape=st.sampled_from([(1, 7, 12), (3, 9, 6), (2, 3, 3), (1, 1, 1), (1, 30, 28)]),
    epsilon=st.floats(0, 1),
    queries=st.integers(1, 25),
    seed=st.integers(0, 99),
)
def test_square_stays_in_the_ball_and_within_its_budget(norm, shape, epsilon, queries, seed) -> None:
    generator = seeded(seed)
    images = torch.rand(4, *shape, generator=generator)
    box = BlackBox(Halves(torch.randn(math.prod(shape), generator=generator), bias=0.3))
    adversarial = square(box, images, images.new_ones(4).long(), epsilon=epsilon, norm=norm, queries=queries)
    delta = (adversarial - images).flatten(1)
    size = delta.abs().amax(dim=1) if norm == "linf" else delta.norm(dim=1)
    assert float(size.max()) <= epsilon + 1e-6
    assert 0 <= float(adversarial.min()) <= float(adversarial.max()) <= 1
    assert len(box.asked) <= queries
    assert box.asked == sorted(box.asked, reverse=True)  # who has fallen is not asked about again


def test_square_finds_the_best_corner_of_the_ball_of_a_linear_model() -> None:
    """On f = w·x the worst perturbation is −ε·sign(w), pixel by pixel: single pixels, kept where f falls, reach it."""
    weight = torch.randn(25, generator=seeded(3))
    images = torch.full((2, 1, 5, 5), 0.5)
    model = Halves(weight, bias=-100.0)  # so far away that no image falls
    labels = torch.ones(2, dtype=torch.int64)
    adversarial = square(model, images, labels, epsilon=0.1, queries=1500, generator=seeded())
    torch.testing.assert_close(adversarial - images, -0.1 * weight.sign().view(1, 1, 5, 5).expand(2, -1, -1, -1))


def test_square_in_l2_spends_all_of_epsilon_and_gathers_it() -> None:
    weight = torch.randn(1, 12, 12, generator=seeded(4))
    images, labels = torch.full((3, 1, 12, 12), 0.5), torch.ones(3, dtype=torch.int64)
    model = Halves(weight, bias=-100.0)
    short, long = (
        square(model, images, labels, epsilon=0.4, norm="l2", queries=queries, generator=seeded())
        for queries in (2, 600)
    )
    for adversarial in (short, long):
        torch.testing.assert_close((adversarial - images).flatten(1).norm(dim=1), torch.full((3,), 0.4))
    fall, best = model.lead(images) - model.lead(long), 0.4 * weight.norm()
    assert bool((fall > model.lead(images) - model.lead(short)).all())
    assert bool((fall > 0.3 * best).all())  # smooth bumps, against noise
    assert bool((fall <= best).all())


def test_square_starts_from_stripes() -> None:
    images, labels = torch.full((2, 3, 6, 8), 0.5), torch.ones(2, dtype=torch.int64)
    delta = square(Halves(torch.zeros(144), bias=-1.0), images, labels, epsilon=0.2, queries=2) - images
    torch.testing.assert_close(delta.abs(), torch.full_like(delta, 0.2))
    torch.testing.assert_close(delta, delta[:, :, :1].expand_as(delta))
    assert len(delta[0, :, 0].unique()) == 2


def test_square_in_l2_starts_from_tiles_in_the_middle() -> None:
    """Five along the shorter side, so 3 pixels wide: 5 × 6 of them on 17 × 20 pixels, which leaves a border."""
    images = torch.full((4, 2, 17, 20), 0.5, dtype=torch.float64)
    delta = (tiles(images, 0.1, seeded()) - images) * math.sqrt(2 * 5 * 6) / 0.1
    pattern = bump(3, images).abs()
    found = delta[:, :, 1:16, 1:19].abs().unfold(2, 3, 3).unfold(3, 3, 3)  # [N, C, 5, 6, 3, 3]
    as_it_is, transposed = (torch.isclose(found, one).all(dim=-1).all(dim=-1) for one in (pattern, pattern.T))
    assert bool((as_it_is | transposed).all())
    assert 0.3 < float(as_it_is.double().mean()) < 0.7
    delta[:, :, 1:16, 1:19] = 0
    assert float(delta.abs().max()) == 0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_square_returns_the_best_that_it_asked_about_from_its_start_on(norm: str) -> None:
    asked = []

    class Notes(Halves):
        def forward(self, images: Tensor) -> Tensor:
            asked.append(-self.lead(images))
            return super().forward(images)

    images, labels = torch.full((40, 1, 9, 9), 0.5), torch.ones(40, dtype=torch.int64)
    model = Notes(torch.randn(81, generator=seeded(2)), bias=-100.0)  # so far away that no image falls
    adversarial = square(model, images, labels, epsilon=0.2, norm=norm, queries=4, generator=seeded())
    best = torch.stack(asked[1:]).amax(dim=0)
    torch.testing.assert_close(-model.lead(adversarial), best)
    assert len(set(torch.stack(asked[1:]).argmax(dim=0).tolist())) == 3  # the start, or what came later


def test_the_batch_of_square_is_who_still_stands(net, digits) -> None:
    """The box's log is the curve of success: after t questions, as many images stand as are asked about next."""
    box = BlackBox(net)
    adversarial = square(box, *digits, epsilon=0.3, queries=300, generator=seeded())
    standing = int((predict(net, adversarial).argmax(dim=1) == digits[1]).sum())
    assert standing < len(digits[1]) / 2
    assert box.asked[0] == len(digits[1])
    assert len(box.asked) == 300 if standing else len(box.asked) < 300
    assert box.asked[-1] >= max(standing, 1)


def test_square_never_asks_about_what_it_has() -> None:
    """A square of a sign that is there already would be a wasted question: it takes the other sign."""
    generator = seeded()
    images = torch.rand(200, 1, 4, 4, generator=generator)
    current = (images + 0.1).clamp(0, 1)  # half of all signs would change nothing
    for side in (1, 4):
        candidate = propose_linf(current, images, 0.1, side, generator)
        assert bool((candidate != current).flatten(1).any(dim=1).all())


@given(seed=st.integers(0, 999), channels=st.sampled_from([1, 2, 3]), spent=st.floats(0.1, 1))
def test_a_step_of_square_in_l2_spends_what_is_left_and_touches_two_squares_alone(seed, channels, spent) -> None:
    """Of ε = 0.5 a part is spent. Each channel gets its share of the rest, so no other pixel has to make room."""
    generator = seeded(seed)
    images = torch.full((3, channels, 12, 12), 0.5, dtype=torch.float64)
    delta = torch.randn(images.shape, dtype=torch.float64, generator=generator)
    current = images + spent * 0.5 * delta / delta.flatten(1).norm(dim=1)[:, None, None, None]
    moved = propose_l2(current, images, 0.5, 3, generator)
    torch.testing.assert_close((moved - images).flatten(1).norm(dim=1), torch.full((3,), 0.5, dtype=torch.float64))
    touched = ((moved - current).abs() > 1e-9).any(dim=1)
    assert bool((touched.sum(dim=(1, 2)) <= 2 * 3 * 3).all())


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_square_hits_targets(norm, net, digits) -> None:
    images, labels = digits
    targets = (labels + 1) % 10
    epsilon = 0.4 if norm == "linf" else 8.0
    adversarial = square(
        net, images, labels, epsilon=epsilon, norm=norm, queries=800, targets=targets, generator=seeded()
    )
    hit = predict(net, adversarial).argmax(dim=1) == targets
    assert hit.float().mean() > 0.6


# --- estimates ---


@given(h=st.floats(1e-3, 0.5), seed=st.integers(0, 99))
def test_the_slope_of_a_parabola_and_the_curvature_of_a_cubic_are_exact_for_every_h(h: float, seed: int) -> None:
    generator = seeded(seed)
    images = torch.rand(2, 1, 2, 3, dtype=torch.float64, generator=generator)
    matrix = torch.randn(6, 6, dtype=torch.float64, generator=generator)

    def parabola(x: Tensor) -> Tensor:
        return torch.einsum("ni,ij,nj->n", x.flatten(1), matrix, x.flatten(1))

    def cubic(x: Tensor) -> Tensor:
        return parabola(x) + (x.flatten(1) ** 3 @ matrix[0])

    slopes = images.flatten(1) @ (matrix + matrix.T)
    torch.testing.assert_close(estimate_gradient(parabola, images, h=h), slopes, rtol=0, atol=1e-9)
    curvatures = 2 * matrix.diagonal() + 6 * images.flatten(1) * matrix[0]
    torch.testing.assert_close(estimate_hessian(cubic, images, h=h), curvatures, rtol=0, atol=1e-7)


def test_the_estimates_are_autograds_on_a_smooth_network() -> None:
    seed_everything(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 4)).double()
    images = torch.rand(3, 3, 2, 2, dtype=torch.float64, generator=seeded())
    labels = torch.tensor([0, 1, 3])

    def score(x: Tensor) -> Tensor:
        logits = network(x).log_softmax(dim=1)
        return logits.gather(1, labels.repeat_interleave(len(x) // 3)[:, None]).squeeze(1)

    leaf = images.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(score(leaf).sum(), leaf)
    hessian = torch.autograd.functional.hessian(lambda x: score(x).sum(), images).view(3, 12, 3, 12)
    curvatures = torch.stack([hessian[n, :, n].diagonal() for n in range(3)])
    torch.testing.assert_close(estimate_gradient(score, images, h=1e-4), slopes.flatten(1), rtol=0, atol=1e-8)
    torch.testing.assert_close(estimate_hessian(score, images, h=1e-3), curvatures, rtol=0, atol=1e-6)


def test_halving_h_quarters_the_error() -> None:
    images = torch.rand(1, 1, 3, 3, dtype=torch.float64, generator=seeded())

    def wave(x: Tensor) -> Tensor:
        return (3 * x).sin().flatten(1).sum(dim=1)

    truths = {estimate_gradient: 3 * (3 * images).cos(), estimate_hessian: -9 * (3 * images).sin()}
    for estimate, truth in truths.items():
        wide, narrow = (estimate(wave, images, h=h) - truth.flatten(1) for h in (2e-2, 1e-2))
        torch.testing.assert_close(wide / narrow, torch.full((1, 9), 4.0, dtype=torch.float64), rtol=1e-2, atol=0)


def test_in_single_precision_the_papers_h_drowns_the_curvature() -> None:
    images = torch.rand(32, 1, 3, 3, generator=seeded())

    def wave(x: Tensor) -> Tensor:
        return 5 + (3 * x).sin().flatten(1).sum(dim=1)

    truth = -9 * (3 * images).sin().flatten(1)
    small, default = ((estimate_hessian(wave, images, **how) - truth).abs().max() for how in ({"h": 1e-4}, {}))
    assert small > 20
    assert default < 0.2


def test_chosen_coordinates_are_columns_of_the_whole_and_cost_two_questions_each() -> None:
    images = torch.rand(2, 1, 3, 3, dtype=torch.float64, generator=seeded())
    asked = []

    def product(x: Tensor) -> Tensor:
        asked.append(len(x))
        return (1 + x).flatten(1).prod(dim=1)

    coordinates = torch.tensor([[0, 8, 4], [5, 1, 2]])
    for estimate in (estimate_gradient, estimate_hessian):
        whole = estimate(product, images)
        torch.testing.assert_close(estimate(product, images, coordinates=coordinates), whole.gather(1, coordinates))
    assert asked == [36, 12, 36, 2, 12, 2]


# --- zoo ---


@pytest.mark.parametrize("solver", ["adam", "newton"])
def test_zoo_comes_near_the_plane_of_a_linear_model(solver: str) -> None:
    """Nothing misclassified is nearer than f(x)/‖w‖, and ZOO finds something that is little farther."""
    generator = seeded(5)
    weight = torch.randn(16, dtype=torch.float64, generator=generator)
    images = 0.5 + 0.05 * torch.rand(3, 1, 4, 4, dtype=torch.float64, generator=generator)
    model = Halves(weight, bias=float(images.flatten(1).matmul(weight).min()) - 0.3)
    labels = torch.ones(3, dtype=torch.int64)
    nearest = model.lead(images) / weight.norm()
    adversarial = zoo(
        model, images, labels, queries=8000, coordinates=8, learning_rate=0.005, solver=solver, generator=generator
    )
    ratio = (adversarial - images).flatten(1).norm(dim=1) / nearest
    assert bool((model.lead(adversarial) < 0).all())
    assert bool((ratio > 1 - 1e-9).all())
    assert bool((ratio < 1.25).all())


def test_each_pixel_of_zoo_has_an_adam_of_its_own_that_counts_its_own_visits() -> None:
    moments, slopes = torch.zeros(3, 1, 4).double(), torch.randn(5, 2, generator=seeded()).double()
    pixels = [torch.zeros(1, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    adams = [torch.optim.Adam([pixel], lr=1.0) for pixel in pixels]
    for chosen, slope in zip([[0, 2], [2, 3], [2, 0], [1, 2], [3, 0]], slopes, strict=True):
        before = [pixels[i].item() for i in chosen]
        for i, one in zip(chosen, slope, strict=True):
            pixels[i].grad = one.view(1)
            adams[i].step()
        move = adam(moments, torch.tensor([chosen]), slope[None])
        expected = [[was - pixels[i].item() for i, was in zip(chosen, before, strict=True)]]
        torch.testing.assert_close(move, torch.tensor(expected, dtype=torch.float64))


def test_one_step_of_newton_lands_at_the_lowest_point_of_a_parabola() -> None:
    """‖x' − x‖² + c·Σ a·x'² is least at x' = x / (1 + a·c): slope over curvature leads there at once."""
    steepness = torch.linspace(0.5, 2, 9, dtype=torch.float64)

    class Bowl(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            lead = images.flatten(1) ** 2 @ steepness - 1.0
            return torch.stack([torch.zeros_like(lead), lead], dim=1)

    images = torch.linspace(0.3, 0.7, 9, dtype=torch.float64).view(1, 1, 3, 3)
    landed = zoo(
        Bowl(),
        images,
        torch.ones(1).long(),
        queries=20,
        constant=3,
        solver="newton",
        learning_rate=1,
        generator=seeded(),
    )
    torch.testing.assert_close(landed, images / (1 + 3 * steepness).view(1, 1, 3, 3))


@pytest.mark.parametrize("solver", ["adam", "newton"])
def test_zoo_fools_the_network_within_its_budget_and_more_questions_bring_it_nearer(solver, net, digits) -> None:
    images, labels = digits
    distances = []
    for queries in (1200, 6000):
        box = BlackBox(net)
        adversarial = zoo(box, images, labels, queries=queries, solver=solver, generator=seeded())
        steps = (queries - 1) // (2 * 128 + 1)
        assert box.queries == len(images) * (1 + steps * 257)
        moved = (adversarial != images).flatten(1).any(dim=1)
        fell = predict(net, adversarial).argmax(dim=1) != labels
        assert torch.equal(moved, fell)  # either the nearest that fell, or the image itself
        distances.append(torch.where(fell, (adversarial - images).flatten(1).norm(dim=1), torch.inf))
    assert bool((distances[1] <= distances[0]).all())
    assert float((distances[1] < torch.inf).float().mean()) > 0.6


def test_zoo_reaches_the_confidence_and_the_targets_that_it_is_asked_for(net, digits) -> None:
    images, labels = digits
    targets = (labels + 3) % 10
    adversarial = zoo(
        net, images, labels, queries=8000, constant=10, confidence=2.0, targets=targets, generator=seeded()
    )
    moved = (adversarial != images).flatten(1).any(dim=1)
    assert moved.float().mean() > 0.6
    assert bool((-margin(net(adversarial[moved]), targets[moved]) >= 2.0 - 1e-4).all())


def test_zoo_with_too_few_questions_for_a_step_leaves_the_images(net, digits) -> None:
    box = BlackBox(net)
    assert torch.equal(zoo(box, *digits, queries=257), digits[0])
    assert box.queries == len(digits[0])


# --- boundary attack ---


def test_boundary_comes_near_the_plane_of_a_linear_model() -> None:
    generator = seeded(6)
    weight = torch.randn(16, dtype=torch.float64, generator=generator)
    images = 0.5 + 0.05 * torch.rand(3, 1, 4, 4, dtype=torch.float64, generator=generator)
    model = Halves(weight, bias=float(images.flatten(1).matmul(weight).min()) - 0.5)
    labels = torch.ones(3, dtype=torch.int64)
    adversarial = boundary(model, images, labels, queries=2000, generator=generator)
    ratio = (adversarial - images).flatten(1).norm(dim=1) * weight.norm() / model.lead(images)
    assert bool((model.lead(adversarial) < 0).all())
    assert bool((ratio > 1 - 1e-9).all())
    assert bool((ratio < 1.05).all())


def test_boundary_first_halves_the_straight_way_to_the_border() -> None:
    generator = seeded(8)
    weight = torch.rand(16, dtype=torch.float64, generator=generator)
    images = torch.rand(5, 1, 4, 4, dtype=torch.float64, generator=generator)
    start = 0.3 * images
    model = Halves(weight, bias=0.6 * float((images.flatten(1) @ weight).min()))
    labels = torch.ones(5, dtype=torch.int64)
    border = 1 - model.bias / (images.flatten(1) @ weight)  # f((1 − t)·x) = 0
    adversarial = boundary(model, images, labels, queries=12, start=start)  # the image, the start, and ten halvings
    share = (1 - adversarial / images).flatten(1)
    torch.testing.assert_close(share, share[:, :1].expand_as(share))
    assert bool((share[:, 0] > border).all())
    assert bool((share[:, 0] - border <= 0.7 / 1024 + 1e-12).all())


@given(length=st.floats(0.01, 2), seed=st.integers(0, 99))
def test_a_step_around_keeps_the_distance_and_turns_by_the_angle_asked_for(length: float, seed: int) -> None:
    delta = torch.randn(3, 2, 4, 5, dtype=torch.float64, generator=seeded(seed))
    turned = step_around(delta, torch.full((3,), length, dtype=torch.float64), seeded(seed + 100))
    size, cosine = delta.flatten(1).norm(dim=1), F.cosine_similarity(turned.flatten(1), delta.flatten(1))
    torch.testing.assert_close(turned.flatten(1).norm(dim=1), size)
    torch.testing.assert_close(cosine, torch.full_like(cosine, 1 / math.sqrt(1 + length**2)))


@pytest.mark.parametrize("pairs", [1, 4, 20])
def test_where_nothing_is_in_the_way_boundary_takes_ever_longer_steps_towards_the_image(pairs: int) -> None:
    """After ten halvings each pair of questions leaves the distance, and then shortens it by t = 0.1, growing to ½."""

    class OneImage(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            elsewhere = (images - 0.5).flatten(1).norm(dim=1) > 1e-12
            return F.one_hot(elsewhere.long(), 2).double()

    image = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64)
    queries = 1 + 1 + 10 + 2 * pairs
    found = boundary(OneImage(), image, torch.tensor([0]), queries=queries, start=image + 0.3, generator=seeded())
    left = math.prod(1 - min(0.1 * math.exp(0.3 * 0.75 * pair), 0.5) for pair in range(pairs))
    assert float((found - image).norm()) == pytest.approx(4 * 0.3 / 1024 * left, rel=1e-6)


def test_boundary_hears_the_class_alone(net, digits) -> None:
    by_logits = boundary(net, *digits, queries=80, generator=seeded())
    assert torch.equal(boundary(BlackBox(net, answers="labels"), *digits, queries=80, generator=seeded()), by_logits)


def test_boundary_spends_what_it_may_and_no_more(net, digits) -> None:
    images, labels = digits
    for queries in range(30, 45):
        box = BlackBox(net)
        boundary(box, images, labels, queries=queries, start=images.flip(0), generator=seeded())
        assert box.queries == queries * len(images)  # all have a start, and walk to the end


def test_one_more_question_never_brings_boundary_farther_away(net, digits) -> None:
    image, label = digits[0][:1], digits[1][:1]
    distances = [
        float((boundary(net, image, label, queries=queries, start=digits[0][5:6], generator=seeded()) - image).norm())
        for queries in range(2, 90, 3)
    ]
    assert all(later <= earlier + 1e-5 for earlier, later in itertools.pairwise(distances))
    assert distances[-1] < 0.9 * distances[0]


def test_boundary_walks_from_images_of_the_target(net, digits) -> None:
    images, labels = digits
    start = images.roll(1, dims=0)
    targets = labels.roll(1)
    aimed = targets != labels
    images, labels, start, targets = images[aimed], labels[aimed], start[aimed], targets[aimed]
    adversarial = boundary(net, images, labels, queries=300, start=start, targets=targets, tries=0, generator=seeded())
    assert predict(net, adversarial).argmax(dim=1).tolist() == targets.tolist()
    before, after = ((there - images).flatten(1).norm(dim=1) for there in (start, adversarial))
    assert bool((after < 0.8 * before).all())


def test_without_a_start_boundary_leaves_the_image(net, digits) -> None:
    box = BlackBox(net)
    assert torch.equal(boundary(box, *digits, queries=50, tries=0), digits[0])
    assert box.queries == len(digits[0])


# --- substitute ---


def test_the_oracle_is_asked_about_each_image_once_and_heard_by_its_class_alone(net, digits) -> None:
    box, deaf = BlackBox(net), BlackBox(net, answers="labels")
    copies = []
    for oracle in (box, deaf):
        seed_everything(1)
        copies.append(
            train_substitute(MLP(8), digits[0], oracle=oracle, rounds=4, epochs=2, generator=seeded()).state_dict()
        )
    assert box.asked == deaf.asked == [12, 12, 24, 48]
    assert all(torch.equal(copies[0][name], copies[1][name]) for name in copies[0])


def test_the_new_images_lie_one_step_along_the_substitutes_gradient() -> None:
    """A linear substitute has one gradient for each class: the step is λ · sign of that class's weights."""

    class Remembers(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            asked.append(images)
            return torch.eye(2)[(images.mean(dim=(1, 2, 3)) > 0.5).long()]

    asked: list[Tensor] = []
    seeds = torch.rand(6, 1, 3, 3, generator=seeded())
    network = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    frozen = network[1].weight.detach().clone()
    train_substitute(network, seeds, oracle=Remembers(), rounds=2, epochs=0, step_size=0.2)
    said = (seeds.mean(dim=(1, 2, 3)) > 0.5).long()
    torch.testing.assert_close(asked[1], (seeds + 0.2 * frozen[said].sign().view(-1, 1, 3, 3)).clamp(0, 1))


def test_a_substitute_learns_the_oracle_and_its_adversarial_images_transfer(net) -> None:
    test = mnist("test", source="default")
    seeds, images, labels = test.images[::20], test.images[1::20], test.labels[1::20]
    right = predict(net, images).argmax(dim=1) == labels
    images, labels = images[right], labels[right]
    seed_everything(1)
    network = MLP(32)
    box = BlackBox(net, answers="labels")
    adversarial = substitute(
        box, images, labels, epsilon=0.2, network=network, seed_images=seeds, rounds=5, epochs=15, generator=seeded()
    )
    assert box.queries == len(seeds) * 16
    assert float((predict(network, images).argmax(dim=1) == labels).float().mean()) > 0.4  # a guess: 0.1
    delta = adversarial - images
    assert float(delta.abs().max()) <= 0.2 + 1e-6
    noise = (images + 0.2 * torch.randn(images.shape, generator=seeded()).sign()).clamp(0, 1)
    fell = [float((predict(net, moved).argmax(dim=1) != labels).float().mean()) for moved in (adversarial, noise)]
    assert fell[0] > 0.2
    assert fell[0] > 2 * fell[1]


def test_the_attack_on_the_substitute_is_the_one_that_was_asked_for(net, digits) -> None:
    seed_everything(1)
    network = MLP(8)
    targets = (digits[1] + 1) % 10
    made = substitute(
        net, *digits, epsilon=0.1, network=network, seed_images=digits[0], rounds=2, attack=fgsm, targets=targets
    )
    assert torch.equal(made, fgsm(network, *digits, epsilon=0.1, targets=targets))
    assert not torch.equal(made, pgd(network, *digits, epsilon=0.1, targets=targets, random_start=False))
