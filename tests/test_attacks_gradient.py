"""FGSM, PGD, DeepFool and Carlini & Wagner: balls, closed forms on affine models, and a model left as it was."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor, nn
from torch.nn import functional as F
from untied import untied

from tml_helpers.attacks import GradientMaskingWarning, margin
from tml_helpers.attacks.carlini_wagner import carlini_wagner
from tml_helpers.attacks.deepfool import deepfool
from tml_helpers.attacks.fgsm import fgsm
from tml_helpers.attacks.pgd import pgd
from tml_helpers.data import mnist

BALLS = {"fgsm": fgsm, "pgd": pgd, "deepfool": deepfool}  # with a choice of norm
Attack = Callable[..., Tensor]


def quick_search(model: nn.Module, images: Tensor, labels: Tensor, **settings: Any) -> Tensor:
    """Carlini & Wagner, called as the others are: its norm is always L2."""
    settings.pop("norm", None)
    return carlini_wagner(model, images, labels, **{"search_steps": 2, "steps": 20, **settings})


ATTACKS: dict[str, Attack] = {**BALLS, "carlini_wagner": quick_search}
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


def seeded(attack: Attack, seed: int = 0) -> dict[str, torch.Generator]:
    """The generator, for the one attack of these that draws."""
    return {"generator": torch.Generator().manual_seed(seed)} if attack is pgd else {}


class Affine(nn.Module):
    """logits = W · pixels + b."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.bias


def affine(seed: int, *, classes: int = 4, pixels: int = 12) -> Affine:
    generator = torch.Generator().manual_seed(seed)
    return Affine(
        torch.randn(classes, pixels, generator=generator, dtype=torch.float64),
        0.2 * torch.randn(classes, generator=generator, dtype=torch.float64),
    )


def greys(seed: int, count: int = 6, shape: tuple[int, ...] = (1, 3, 4), spread: float = 0.1) -> Tensor:
    """Images near middle grey, float64."""
    noise = torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.5 + spread * (noise - 0.5)


def called(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).argmax(dim=1)


def small_net(seed: int = 0) -> nn.Module:
    """A random float64 network with a convolution, for images `[N, 1, 8, 8]`."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 3))
    return net.double().eval()


def lengths(delta: Tensor, norm: str) -> Tensor:
    return torch.linalg.vector_norm(delta.flatten(1), math.inf if norm == "linf" else 2, dim=1)


@pytest.fixture(scope="module")
def digits(small_cnn: nn.Module) -> tuple[Tensor, Tensor]:
    """Thirty test digits that the model reads correctly."""
    test = mnist("test", source="default")
    right = called(small_cnn, test.images) == test.labels
    return test.images[right][::30][:30], test.labels[right][::30][:30]


# --- the ball, the box, the seed ---


@every_attack
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), norm=st.sampled_from(["linf", "l2"]), targeted=st.booleans())
def test_the_result_lies_in_the_ball_and_in_the_box(attack, seed, share, norm, targeted):
    norm = "l2" if attack is quick_search else norm
    epsilon = share * (1.0 if norm == "linf" else math.sqrt(64))
    net, images = small_net(seed), torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(seed)).double()
    labels = torch.arange(5) % 3
    found = attack(net, images, labels, epsilon=epsilon, norm=norm, targets=(labels + 1) % 3 if targeted else None)
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert float(lengths(found - images, norm).max()) <= epsilon + 1e-9


@every_attack
def test_a_ball_of_radius_zero_holds_the_image_alone(attack):
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    for norm in ("linf", "l2"):
        found = attack(small_net(), images, torch.arange(4) % 3, epsilon=0.0, norm=norm)
        torch.testing.assert_close(found, images, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_start_is_the_seeds(small_cnn, digits, norm):
    images, labels = (part[:8] for part in digits)

    def run(seed: int) -> Tensor:
        return pgd(
            small_cnn, images, labels, epsilon=0.1, norm=norm, steps=2, generator=torch.Generator().manual_seed(seed)
        )

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


@every_attack
def test_with_a_generator_of_its_own_an_attack_leaves_the_programs_random_state_alone(attack):
    net, images = small_net(), greys(0, shape=(1, 8, 8))
    before = torch.get_rng_state()
    attack(net, images, torch.zeros(6, dtype=torch.int64), epsilon=0.1, **seeded(attack))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_with_no_steps_pgd_draws_from_the_whole_ball(norm):
    """In 64 dimensions a ball of half the radius has a share of 2⁻⁶⁴: (size / ε)⁶⁴ is uniform."""
    images, draws = torch.full((200, 1, 8, 8), 0.5).double(), torch.Generator().manual_seed(0)
    labels = torch.zeros(200, dtype=torch.int64)
    found = pgd(small_net(), images, labels, epsilon=0.3, norm=norm, steps=0, generator=draws)
    sizes = lengths(found - images, norm)
    assert float(sizes.max()) <= 0.3 + 1e-12
    assert kstest((sizes / 0.3).pow(64).numpy(), "uniform").pvalue > 0.01
    assert float((found - images).mean().abs()) < 0.01


# --- the model comes back as it went in ---


@every_attack
def test_modes_gradients_and_statistics_of_the_model_stay(attack):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(144, 3))
    net.train()
    net[1].eval()
    net[0].weight.requires_grad_(False)
    net[5].weight.grad = torch.ones_like(net[5].weight)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    images = torch.rand(4, 1, 8, 8).requires_grad_()
    found = attack(net, images, torch.arange(4) % 3, epsilon=0.2)
    assert [module.training for module in net] == [True, False, True, True, True, True]
    assert not net[0].weight.requires_grad
    assert torch.equal(net[5].weight.grad, torch.ones_like(net[5].weight))
    assert net[5].bias.grad is None
    assert images.grad is None
    assert not found.requires_grad
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name]), name


@every_attack
def test_an_attack_works_where_gradients_are_off(attack):
    images, labels = greys(1, shape=(1, 8, 8)), torch.arange(6) % 3
    usual = attack(small_net(), images, labels, epsilon=0.2, **seeded(attack))
    with torch.no_grad():
        silent = attack(small_net(), images, labels, epsilon=0.2, **seeded(attack))
        assert not torch.is_grad_enabled()
    assert torch.equal(usual, silent)


# --- batches and memory ---


@every_attack
def test_an_image_alone_ends_where_it_ends_in_a_batch(attack):
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(3)).double()
    labels = called(small_net(), images)
    labels[1] = (labels[1] + 1) % 3  # misclassified already
    settings = {"random_start": False} if attack is pgd else {}
    together = attack(small_net(), images, labels, epsilon=0.3, **settings)
    for i in range(5):
        alone = attack(small_net(), images[i : i + 1], labels[i : i + 1], epsilon=0.3, **settings)
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-6)


@every_attack
def test_images_may_lie_in_memory_as_they_like(attack):
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(3)).double()
    scattered = images.transpose(2, 3).contiguous().transpose(2, 3)
    assert not scattered.is_contiguous()
    kept, labels = scattered.clone(), torch.arange(4) % 3
    results = [attack(small_net(), version, labels, epsilon=0.3, **seeded(attack)) for version in (images, scattered)]
    torch.testing.assert_close(*results, rtol=0, atol=1e-6)
    assert torch.equal(scattered, kept)


# --- closed forms ---


@given(seed=st.integers(0, 10**6))
def test_on_two_affine_classes_fgsm_lowers_the_margin_by_epsilon_times_the_l1_norm(seed):
    net, images = affine(seed, classes=2), greys(seed)
    labels = called(net, images)
    found = fgsm(net, images, labels, epsilon=0.1)
    slope = net.weight[1 - labels] - net.weight[labels]
    gained = margin(net(found), labels) - margin(net(images), labels)
    torch.testing.assert_close(gained, 0.1 * slope.abs().sum(dim=1))


@given(seed=st.integers(0, 10**6))
def test_on_two_affine_classes_l2_pgd_ends_at_the_spheres_farthest_point(seed):
    net, images = affine(seed, classes=2), greys(seed)
    labels = called(net, images)
    found = pgd(net, images, labels, epsilon=0.2, norm="l2", steps=100, step_size=0.1)
    slope = (net.weight[1 - labels] - net.weight[labels]).view_as(images)
    torch.testing.assert_close(found, images + 0.2 * slope / slope.flatten(1).norm(dim=1)[:, None, None, None])


def least_distance(net: Affine, images: Tensor, labels: Tensor, dual: float) -> Tensor:
    """To the nearest of the hyperplanes: the least of (z_y − z_k) / ‖w_k − w_y‖, `[N]`."""
    logits = net(images)
    gaps = logits.gather(1, labels[:, None]) - logits
    slopes = torch.linalg.vector_norm(net.weight[None] - net.weight[labels][:, None], dual, dim=2)
    return torch.where(F.one_hot(labels, logits.shape[1]).bool(), math.inf, gaps / slopes).amin(dim=1).detach()


@given(seed=st.integers(0, 10**6), norm=st.sampled_from(["l2", "linf"]), overshoot=st.floats(0.001, 0.2))
def test_on_affine_classes_deepfool_crosses_the_nearest_boundary_in_one_step(seed, norm, overshoot):
    net, images = affine(seed), greys(seed)
    labels = called(net, images)
    least = least_distance(net, images, labels, 2 if norm == "l2" else 1)
    found = deepfool(net, images, labels, norm=norm, overshoot=overshoot, steps=1)
    near = least < 0.3 / (1 + overshoot)  # beyond, the box may stand in the way
    expected = (1 + overshoot) * (least + 1e-4)
    torch.testing.assert_close(lengths(found - images, norm)[near], expected[near], rtol=1e-9, atol=0)
    assert (called(net, found) != labels)[near].all()


def test_with_one_candidate_deepfool_goes_to_the_runner_up_not_to_the_nearest():
    weight = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 10.0]], dtype=torch.float64)
    net = Affine(weight, torch.tensor([1.0, 0.0, -5.0], dtype=torch.float64))
    image, label = torch.full((1, 1, 1, 2), 0.5, dtype=torch.float64), torch.tensor([0])
    assert net(image).tolist() == [[1.0, 0.5, 0.0]]
    moved = {n: (deepfool(net, image, label, candidates=n, steps=1) - image).flatten() for n in (1, 2)}
    assert moved[1][1] == 0
    assert moved[1][0] > 0.4
    assert moved[2][0] == 0
    assert float(moved[2][1]) == pytest.approx(1.02 * (0.1 + 1e-4))


def test_unless_told_otherwise_deepfool_looks_at_nine_classes():
    """From the second to the twelfth, classes are ever less likely; the tenth is near, the eleventh still nearer."""
    slopes = torch.tensor([0.0] + 8 * [1.0] + [10.0, 100.0, 1.0], dtype=torch.float64)
    net = Affine(slopes.diag(), 1 - 0.01 * torch.arange(12, dtype=torch.float64) - slopes / 2)
    image = torch.full((1, 1, 3, 4), 0.5, dtype=torch.float64)
    moved = (deepfool(net, image, torch.tensor([0]), steps=1) - image).flatten()
    assert moved.nonzero().flatten().tolist() == [9]


def test_towards_a_target_deepfool_leaves_from_the_class_that_the_model_sees():
    """The label is 1, the model sees 0, the target is 2: the border between 0 and 2 counts."""
    weight = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 10.0]], dtype=torch.float64)
    net = Affine(weight, torch.tensor([1.0, 0.0, -5.0], dtype=torch.float64))
    image = torch.full((1, 1, 1, 2), 0.5, dtype=torch.float64)
    found = deepfool(net, image, torch.tensor([1]), targets=torch.tensor([2]), steps=1)
    assert (found - image).flatten().tolist() == pytest.approx([0, 1.02 * (0.1 + 1e-4)])


@settings(max_examples=2)
@given(seed=st.integers(0, 10**6))
@example(seed=80)  # boundaries at 0.001 of an image, which one step of Adam's passes by a third of that
@example(seed=98)
def test_on_two_affine_classes_carlini_wagner_comes_within_two_per_cent_of_the_least_distance(seed):
    """Of a distance of at least three steps of Adam's, that is: where the boundary is nearer, the last step shows."""
    net, images = affine(seed, classes=2), greys(seed)
    labels = called(net, images)
    least = least_distance(net, images, labels, 2)
    near = least < 0.3
    found = carlini_wagner(net, images, labels, search_steps=9, steps=200, learning_rate=0.01)
    beyond = (lengths(found - images, "l2") - least)[near]
    assert (called(net, found) != labels)[near].all()
    assert (beyond > -1e-9).all()
    three_steps = 3 * 0.01 / 2 * math.sqrt(12)  # of 0.01 in each of 12 pixels' w, where dx'/dw is one half
    assert (beyond < 0.02 * least[near].clamp_min(three_steps)).all(), beyond / least[near]


def carlini_wagner_by_hand(
    net: nn.Module, image: Tensor, label: Tensor, constant: float, confidence: float, *, runs: int = 5, steps: int = 30
) -> tuple[Tensor, list[bool]]:
    """For one image, by PyTorch's own Adam and a gradient of the whole loss; and which of the runs came nearer."""
    best, least, lower, upper, successes = image, math.inf, 0.0, math.inf, []
    start = deepfool(net, image, label, steps=10)
    if margin(net(start), label).item() > confidence:
        best, least = start, (start - image).square().sum().item()
    for _ in range(runs):
        w = ((2 * best - 1) * (1 - 1e-4)).atanh().requires_grad_()
        adam = torch.optim.Adam([w], lr=0.1, betas=(0.8, 0.999))
        former, found = math.inf, False
        for step in range(1, steps + 1):
            adam.param_groups[0]["lr"] = 0.1 * (1 - 0.95 * (step - 1) / (steps - 1))
            x = (w.tanh() + 1) / 2
            squared, beyond = (x - image).square().sum(), margin(net(x), label).sum() - confidence
            loss = squared + constant * (-beyond).clamp_min(0)
            if beyond > 0 and squared < least:
                found, best, least = True, x.detach(), squared.item()
            adam.zero_grad()
            loss.backward()
            adam.step()
            if step % 3 == 0:  # a tenth of the steps
                if loss > 0.99 * former:
                    break
                former = loss.item()
        lower, upper = (lower, constant) if found else (constant, upper)
        constant = 10 * constant if upper == math.inf else (lower + upper) / 2
        successes.append(found)
    return best, successes


def test_carlini_wagner_is_what_pytorchs_adam_finds():
    """Also with a first constant that is too small: it grows until a run comes nearer, and is halved from there."""
    net, images = small_net(), greys(2, count=2, shape=(1, 8, 8))
    labels, seen = called(net, images), set()
    for constant, confidence in ((0.001, 0.0), (0.05, 0.1), (3.0, 0.0)):
        how = {"initial_constant": constant, "confidence": confidence, "search_steps": 5, "steps": 30}
        found = carlini_wagner(net, images, labels, **how)
        for i in range(2):
            best, successes = carlini_wagner_by_hand(net, images[i : i + 1], labels[i : i + 1], constant, confidence)
            torch.testing.assert_close(found[i : i + 1], best, rtol=0, atol=1e-8)
            seen |= set(itertools.pairwise(successes))
    assert seen >= {(False, False), (False, True), (True, True)}


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), confidence=st.floats(0, 0.5), targeted=st.booleans())
def test_carlini_wagner_exceeds_the_margin_that_it_is_asked_for(seed, confidence, targeted):
    net, images = affine(seed), greys(seed)
    labels = called(net, images)
    targets = (labels + 1) % 4 if targeted else None
    found = carlini_wagner(net, images, labels, confidence=confidence, targets=targets)
    with torch.no_grad():
        beyond = margin(net(found), labels) if targets is None else -margin(net(found), targets)
    moved = (found != images).flatten(1).any(dim=1)
    assert moved.any()
    assert (beyond[moved] > confidence - 1e-12).all()  # the search asked in smaller batches, which round differently


# --- what stays as it is ---


@pytest.mark.parametrize("attack", [deepfool, quick_search])
def test_what_is_misclassified_already_stays_as_it_is(attack):
    net, images = affine(0), greys(0)
    wrong = (called(net, images) + 1) % 4
    assert torch.equal(attack(net, images, wrong), images)


def test_what_reaches_no_margin_stays_as_it_is():
    net, images = affine(0), greys(0)
    found = carlini_wagner(net, images, called(net, images), confidence=1e3, steps=5, search_steps=2)
    assert torch.equal(found, images)


# --- on real digits ---


def loss_of(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float(F.cross_entropy(model(images), labels))


@pytest.mark.parametrize(("norm", "radii"), [("linf", (0.02, 0.05, 0.1, 0.2)), ("l2", (0.3, 0.7, 1.5, 3.0))])
def test_a_larger_ball_and_more_steps_make_pgd_stronger(small_cnn, digits, norm, radii):
    images, labels = digits
    plain = {"norm": norm, "random_start": False}
    by_radius = [
        loss_of(small_cnn, pgd(small_cnn, images, labels, epsilon=r, steps=10, **plain), labels) for r in radii
    ]
    assert by_radius == sorted(by_radius)
    step = {"epsilon": radii[2], "step_size": radii[2] / 4}
    by_steps = [
        loss_of(small_cnn, pgd(small_cnn, images, labels, steps=n, **step, **plain), labels) for n in (1, 3, 9, 27)
    ]
    assert by_steps == sorted(by_steps)
    once = loss_of(small_cnn, fgsm(small_cnn, images, labels, epsilon=radii[2], norm=norm), labels)
    assert by_steps[-1] > once


def test_unbounded_pgd_leaves_no_image_right(small_cnn, digits):
    images, labels = digits
    assert not (called(small_cnn, pgd(small_cnn, images, labels, epsilon=1.0)) == labels).any()


@pytest.mark.parametrize(
    ("attack", "settings"),
    [
        (pgd, {"epsilon": 0.5}),
        (pgd, {"epsilon": 8.0, "norm": "l2"}),
        (deepfool, {}),
        (deepfool, {"norm": "linf"}),
        (carlini_wagner, {}),
    ],
)
def test_a_target_is_reached(small_cnn, digits, attack, settings):
    images, labels = (part[:10] for part in digits)
    targets = (labels + torch.arange(10) % 9 + 1) % 10
    assert (called(small_cnn, attack(small_cnn, images, labels, targets=targets, **settings)) == targets).all()


def test_carlini_wagner_comes_nearer_than_deepfool_and_a_margin_costs_distance(small_cnn, digits):
    images, labels = (part[:12] for part in digits)
    found = {"deepfool": deepfool(small_cnn, images, labels), "cw": carlini_wagner(small_cnn, images, labels)}
    found["sure"] = carlini_wagner(small_cnn, images, labels, confidence=5.0)
    distance = {}
    for name, adversarial in found.items():
        assert (called(small_cnn, adversarial) != labels).all()
        distance[name] = float(lengths(adversarial - images, "l2").median())
    assert distance["cw"] < 0.97 * distance["deepfool"] < distance["deepfool"] < distance["sure"]


def test_more_of_the_search_comes_no_farther(small_cnn, digits):
    images, labels = (part[:8] for part in digits)
    few, many = (lengths(carlini_wagner(small_cnn, images, labels, search_steps=n) - images, "l2") for n in (3, 6))
    assert (many <= few + 1e-6).all()
    assert many.sum() < few.sum()


# --- tau ---


@pytest.mark.parametrize("tau", [0, 1, 3])
def test_an_image_rests_where_it_is_misclassified_for_the_first_time_after_tau_more(small_cnn, digits, tau):
    images, labels = untied(digits[0]), digits[1]
    model = copy.deepcopy(small_cnn).double()
    how = {"epsilon": 0.15, "step_size": 0.02, "random_start": False}
    iterates = [pgd(model, images, labels, steps=n, **how) for n in range(13)]
    wrong = torch.stack([called(model, x) != labels for x in iterates])  # (steps, images)
    rests = wrong.cumsum(dim=0) > tau
    steps = int((rests.float().mean(dim=1) > 0.3).nonzero()[0]) + 1  # by then some rest, and some do not
    found = pgd(model, images, labels, steps=steps, tau=tau, **how)
    assert not rests[steps - 1].all()
    for i in range(len(images)):
        first = int(rests[:steps, i].float().argmax()) if rests[:steps, i].any() else steps
        torch.testing.assert_close(found[i], iterates[first][i], rtol=0, atol=1e-5)


def test_resting_costs_no_success(small_cnn, digits):
    images, labels = digits
    for epsilon in (0.05, 0.1, 0.2):
        full, early = (
            called(small_cnn, pgd(small_cnn, images, labels, epsilon=epsilon, tau=tau, random_start=False)) != labels
            for tau in (None, 0)
        )
        assert (early | ~full).all()


# --- what an attack is not defined on ---


class Constant(nn.Module):
    """Logits that do not depend on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3).requires_grad_()
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1))


class Hard(nn.Module):
    """A one-hot answer: right, and without a gradient."""

    def forward(self, images: Tensor) -> Tensor:
        return F.one_hot((images.flatten(1)[:, :3]).argmax(dim=1), 3).float()


@every_attack
@pytest.mark.parametrize("model", [Constant(), Hard()], ids=["constant", "hard"])
def test_a_model_without_gradients_is_reported_and_nothing_moves(attack, model):
    images = torch.full((2, 1, 8, 8), 0.5)
    settings = {"random_start": False} if attack is pgd else {}
    with pytest.warns(GradientMaskingWarning, match="zero for 2 of 2"):
        found = attack(model, images, torch.zeros(2, dtype=torch.int64), epsilon=0.5, **settings)
    torch.testing.assert_close(found, images, rtol=0, atol=1e-6)


class Broken(nn.Module):
    """Finite logits; a gradient that is no number."""

    def forward(self, images: Tensor) -> Tensor:
        first = images.flatten(1)[:, 0]
        return torch.stack([(first - first).sqrt() + 1, first, first / 2], dim=1)


@every_attack
@pytest.mark.filterwarnings("error")
def test_a_gradient_that_is_no_number_is_an_error(attack):
    with refuses(ValueError, "gradient is not a number"):
        attack(Broken(), torch.full((2, 1, 8, 8), 0.5), torch.zeros(2, dtype=torch.int64), epsilon=0.5)


class NotFinite(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :3] / 0


GOOD = {"images": torch.full((2, 1, 8, 8), 0.5), "labels": torch.tensor([0, 1])}
BAD: dict[str, tuple[type[Exception], dict[str, Any], str]] = {
    "half precision": (TypeError, {"images": GOOD["images"].half()}, "float16"),
    "bytes": (TypeError, {"images": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)}, "uint8"),
    "another precision than the model": (TypeError, {"images": GOOD["images"].double()}, "float64"),
    "no batch": (ValueError, {"images": torch.zeros(1, 8, 8)}, "[N, C, H, W]"),
    "no image": (ValueError, {"images": torch.zeros(0, 1, 8, 8)}, "non-empty"),
    "grey levels": (ValueError, {"images": 255 * GOOD["images"]}, "[0, 1]"),
    "not a number": (ValueError, {"images": GOOD["images"] * math.nan}, "[0, 1]"),
    "a label too large": (ValueError, {"labels": torch.tensor([0, 3])}, "0…2"),
    "a negative label": (ValueError, {"labels": torch.tensor([0, -1])}, "-1"),
    "labels as floats": (TypeError, {"labels": torch.tensor([0.0, 1.0])}, "int64"),
    "a label too few": (ValueError, {"labels": torch.tensor([0])}, "[2]"),
    "the label as target": (ValueError, {"targets": torch.tensor([1, 1])}, "image 1"),
    "a target too large": (ValueError, {"targets": torch.tensor([1, 9])}, "targets"),
    "a negative radius": (ValueError, {"epsilon": -0.1}, "-0.1"),
    "a radius that is no number": (ValueError, {"epsilon": math.nan}, "nan"),
    "another norm": (ValueError, {"norm": "l7"}, "l7"),
    "logits that are not finite": (ValueError, {"model": NotFinite()}, "not finite"),
    "a single logit": (ValueError, {"model": nn.Sequential(nn.Flatten(), nn.Linear(64, 1))}, "K ≥ 2"),
}


@pytest.mark.parametrize(
    ("attack", "kind"),
    [
        pytest.param(attack, kind, id=f"{name}-{kind}")
        for name, attack in ATTACKS.items()
        for kind in BAD
        if (attack, kind) != (quick_search, "another norm")  # Carlini & Wagner has one norm
    ],
)
def test_bad_input_is_refused_in_one_sentence(attack, kind):
    error, change, words = BAD[kind]
    call = {"model": Constant(), **GOOD, "epsilon": 0.1, **change}
    with refuses(error, words):
        attack(call.pop("model"), call.pop("images"), call.pop("labels"), **call)


@pytest.mark.parametrize(
    ("attack", "settings", "word"),
    [
        (pgd, {"epsilon": 0.1, "steps": -1}, "steps"),
        (pgd, {"epsilon": 0.1, "tau": -1}, "tau"),
        (pgd, {"epsilon": 8}, "8/255"),
        (deepfool, {"steps": -1}, "steps"),
        (deepfool, {"overshoot": -0.1}, "overshoot"),
        (deepfool, {"candidates": 0}, "candidates"),
        (carlini_wagner, {"confidence": -1.0}, "confidence"),
        (carlini_wagner, {"steps": 0}, "steps"),
        (carlini_wagner, {"search_steps": 0}, "search_steps"),
        (carlini_wagner, {"learning_rate": 0.0}, "learning_rate"),
        (carlini_wagner, {"initial_constant": math.nan}, "initial_constant"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(attack, settings, word):
    with refuses(ValueError, word):
        attack(Constant(), GOOD["images"], GOOD["labels"], **settings)
