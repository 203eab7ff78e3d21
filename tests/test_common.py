"""What topics share: draws on whatever device, gradients that may be missing, balls by their laws, layers by name."""

import ast
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor, nn
from torch.nn import functional as F

import tml_helpers
from tml_helpers import common
from tml_helpers.common import GradientMaskingWarning

META = torch.device("meta")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- draws ---


class Sampler:
    """Stands for `torch.rand`: it notes where it was asked to draw."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def __call__(self, *shape: int, **asked: Any) -> Tensor:
        self.asked = asked
        return torch.zeros(*shape)


def test_a_draw_is_made_where_the_generator_is_and_moved_to_where_it_is_needed() -> None:
    sampler, generator = Sampler(), seeded()
    drawn = common.draw(sampler, 2, 3, device=META, generator=generator, dtype=torch.float64)
    assert sampler.asked == {"device": torch.device("cpu"), "generator": generator, "dtype": torch.float64}
    assert drawn.device == META
    assert drawn.shape == (2, 3)
    common.draw(sampler, 2, device=META, generator=None)
    assert sampler.asked == {"device": META, "generator": None}


def test_a_generator_decides_on_a_draw_and_none_leaves_it_to_pytorch() -> None:
    first, again, other = (common.draw(torch.rand, 9, device="cpu", generator=seeded(k)) for k in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    generator = seeded(1)
    assert torch.equal(common.draw(torch.rand, 9, device="cpu", generator=generator), first)
    assert not torch.equal(common.draw(torch.rand, 9, device="cpu", generator=generator), first), "it goes on"
    torch.manual_seed(3)
    expected = torch.rand(9)
    torch.manual_seed(3)
    assert torch.equal(common.draw(torch.rand, 9, device="cpu", generator=None), expected)


@pytest.mark.parametrize("seed", [0, 7, "cpu"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda seed: common.draw(torch.rand, 1, device="cpu", generator=seed),
        lambda seed: common.uniform(0, 1, torch.zeros(1), seed),
        lambda seed: common.offspring(seed),
        lambda seed: common.own_generator(seed),
        lambda seed: common.check_generator(seed),
        lambda seed: common.uniform_in_ball(torch.zeros(1, 1, 2, 2), 0.1, "linf", seed),
    ],
)
def test_a_seed_is_no_generator_and_0_is_not_none(ask: Callable[[Any], object], seed: object) -> None:
    with refuses(TypeError, "generator", repr(seed), "torch.Generator().manual_seed(seed)"):
        ask(seed)


def test_uniform_draws_are_of_the_images_kind_between_their_bounds() -> None:
    images = torch.zeros(2000, 1, 2, 2, dtype=torch.float64)
    drawn = common.uniform(-1, 3, images, seeded())
    assert (drawn.shape, drawn.dtype) == ((2000,), torch.float64)
    assert kstest(drawn, "uniform", args=(-1, 4)).pvalue > 1e-9
    assert common.uniform(0, 1, images, seeded(), 2, 3).shape == (2000, 2, 3)
    assert common.uniform(0, 1, images.to(META), seeded()).device == META


def test_equal_generators_have_equal_offspring_and_each_is_another() -> None:
    def family(seed: int) -> list[float]:
        generator = seeded(seed)
        return [torch.rand((), generator=common.offspring(generator)).item() for _ in range(3)]

    assert family(1) == family(1)
    assert len(set(family(1) + family(2))) == 6
    torch.manual_seed(4)
    first = common.offspring(None).initial_seed()
    torch.manual_seed(4)
    assert common.offspring(None).initial_seed() == first
    assert common.offspring(None).initial_seed() != first
    assert common.offspring(seeded(), "cpu").device == torch.device("cpu")


def test_ones_own_generator_is_the_one_given_or_seeded_by_pytorchs() -> None:
    generator = seeded()
    assert common.own_generator(generator) is generator
    torch.manual_seed(1)
    first, other = common.own_generator(None), common.own_generator(None)
    torch.manual_seed(1)
    assert common.own_generator(None).initial_seed() == first.initial_seed() != other.initial_seed()


def test_what_is_seeded_repeats_and_disturbs_nobody() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    drawn = []
    for seed in (7, 7, 8):
        with common.seeded(seed):
            drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[1] != drawn[2]
    with pytest.raises(KeyError), common.seeded(7):
        raise KeyError
    assert torch.equal(torch.rand(2), expected)


def files() -> list[Path]:
    package = Path(tml_helpers.__file__).parent
    return sorted(file for file in package.rglob("*.py") if file.parent.name not in ("grading", "common"))


@pytest.mark.parametrize("file", files(), ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_draw_from_a_generator_goes_through_common(file: Path) -> None:
    """`torch.rand(…, generator=generator)` and `x.normal_(generator=generator)` fail where the two devices differ."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and any(word.arg == "generator" for word in node.keywords):
            called = ast.unparse(node.func)
            assert not called.startswith("torch.") or called == "torch.Generator", f"{called}: use common.draw"
            assert not called.endswith("_"), f"{called}: use common.draw"


# --- the model ---


class Buffered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.zeros(1, device=META))


def test_a_models_home_is_where_its_parameters_or_buffers_are() -> None:
    assert common.home(nn.Linear(1, 1, device=META)) == META
    assert common.home(nn.Linear(1, 1)) == torch.device("cpu")
    assert common.home(Buffered()) == META
    assert common.home(nn.Flatten()) is None


@pytest.mark.parametrize("inside", [common.evaluating, common.differentiable])
def test_a_model_comes_back_in_the_modes_that_it_had(inside: Callable[[nn.Module], Any]) -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    model[1].eval()
    before = [module.training for module in model.modules()]
    try:
        with torch.no_grad(), inside(model):
            assert not any(module.training for module in model.modules())
            assert torch.is_grad_enabled() == (inside is common.differentiable)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert [module.training for module in model.modules()] == before == [True, True, False, False]


# --- gradients ---


class AnswersFromItsWeight(nn.Module):
    """Its answer depends on a parameter, and not on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.2, 0.1]))

    def forward(self, images: Tensor) -> Tensor:
        return self.weight.expand(len(images), 2)


WITHOUT_A_GRADIENT: dict[str, Callable[[Tensor], Tensor]] = {
    "no graph": lambda images: torch.zeros(len(images), 2),
    "an argmax": lambda images: F.one_hot(images.flatten(1)[:, :2].argmax(dim=1), 2).float(),
    "a parameter alone": AnswersFromItsWeight(),
    "a frozen parameter": AnswersFromItsWeight().requires_grad_(False),
}


@pytest.mark.parametrize("model", WITHOUT_A_GRADIENT.values(), ids=WITHOUT_A_GRADIENT)
def test_a_gradient_that_is_missing_is_zeros(model: Callable[[Tensor], Tensor]) -> None:
    images = torch.rand(3, 1, 2, 2)
    answer, gradient = common.answer_and_gradient(model, images, lambda logits: logits[:, 0])
    assert not answer.requires_grad
    torch.testing.assert_close(gradient, torch.zeros_like(images))


def test_the_gradient_of_a_sum_over_inputs_is_each_inputs_own() -> None:
    images = torch.rand(3, 1, 2, 2, dtype=torch.float64)
    answer, gradient = common.answer_and_gradient(lambda x: x.flatten(1) ** 3, images, lambda y: y.sum(dim=1))
    torch.testing.assert_close(answer, images.flatten(1) ** 3)
    torch.testing.assert_close(gradient, 3 * images**2)
    assert not images.requires_grad


def test_a_model_that_changes_its_input_in_place_changes_a_copy() -> None:
    images = torch.rand(3, 4)
    before = images.clone()
    answer, gradient = common.answer_and_gradient(lambda x: x.mul_(2), images, lambda y: y)
    assert torch.equal(images, before)
    torch.testing.assert_close(answer, 2 * before)
    torch.testing.assert_close(gradient, torch.full_like(images, 2.0))


def test_a_graph_can_be_asked_again() -> None:
    leaf = torch.rand(4).requires_grad_()
    square = leaf**2
    torch.testing.assert_close(common.input_gradient(square.sum(), leaf, again=True), 2 * leaf.detach())
    torch.testing.assert_close(common.input_gradient(square[0], leaf), 2 * leaf.detach() * torch.eye(4)[0])
    with pytest.raises(RuntimeError):
        common.input_gradient(square.sum(), leaf)  # the graph was not kept a second time


def test_zeros_are_warned_of_where_an_input_has_to_move() -> None:
    gradient = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]])[:, None]
    for needed, count in ((None, 2), (torch.tensor([True, True, False]), 1)):
        with pytest.warns(GradientMaskingWarning, match=f"zero for {count} of 3"):
            common.warn_of_masking(gradient, needed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        common.warn_of_masking(gradient, torch.tensor([False, True, False]))


def test_a_gradient_that_is_no_number_is_refused() -> None:
    fine = torch.tensor([1.0, -2.0])
    assert common.check_gradient(fine) is fine
    for bad in (math.nan, math.inf):
        with refuses(ValueError, "gradient is not a number", "log(0)"):
            common.check_gradient(torch.tensor([1.0, bad]))


# --- logits ---


def test_margin_loss_and_success_by_hand() -> None:
    logits, labels = torch.tensor([[1.0, 4.0, 2.0], [5.0, 1.0, 3.0]]), torch.tensor([2, 0])
    assert common.margin(logits, labels).tolist() == [2.0, -2.0]
    by_hand = [-math.log(math.exp(z[y]) / sum(map(math.exp, z))) for z, y in zip(logits.tolist(), labels, strict=True)]
    assert common.cross_entropies(logits, labels).tolist() == pytest.approx(by_hand, rel=1e-5)
    assert common.fooled(logits, labels).tolist() == [True, False]
    assert common.fooled(logits, labels, torch.tensor([0, 1])).tolist() == [False, False]
    assert common.fooled(logits, labels, torch.tensor([1, 0])).tolist() == [True, True]


# --- balls ---


def test_norms_by_hand() -> None:
    delta = torch.zeros(2, 2, 2, 2)
    delta[0, 0, 0, 0], delta[0, 1, 0, 0], delta[0, 0, 1, 1] = 3.0, -4.0, 12.0  # two pixels, one in both channels
    sizes = {"l0": 2, "l1": 19, "l2": 13, "linf": 12}
    assert {norm: common.norms(delta, norm).tolist() for norm in sizes} == {k: [v, 0] for k, v in sizes.items()}
    assert common.per_image(torch.arange(3)).shape == (3, 1, 1, 1)


@given(st.sampled_from(["linf", "l2"]), st.floats(0, 3), st.integers(0, 2**31))
def test_the_projection_is_the_nearest_point_of_the_ball(norm: str, epsilon: float, seed: int) -> None:
    delta = torch.randn(4, 2, 3, 3, generator=seeded(seed), dtype=torch.float64)
    nearest = common.project(delta, epsilon, norm)
    assert (common.norms(nearest, norm) <= epsilon + 1e-9).all()
    inside = common.norms(delta, norm) <= epsilon
    assert torch.equal(nearest[inside], delta[inside])
    for other in common.uniform_in_ball(torch.full_like(delta, 0.5), min(epsilon, 0.5), norm, seeded(seed)) - 0.5:
        apart = ((other - nearest) * (delta - nearest)).flatten(1).sum(dim=1)
        assert (apart <= 1e-9).all(), "the ball lies on the other side of the plane through the projection"


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_start_is_uniform_in_the_ball(norm: str) -> None:
    """In d dimensions (r/ε)ᵈ is uniform, and a coordinate's law is known; far from 0 and 1 nothing is cut."""
    images, epsilon = torch.full((4000, 1, 2, 2), 0.5, dtype=torch.float64), 0.2
    delta = (common.uniform_in_ball(images, epsilon, norm, seeded()) - images).flatten(1) / epsilon
    radius = delta.abs().amax(dim=1) if norm == "linf" else delta.norm(dim=1)
    assert kstest(radius**4, "uniform").pvalue > 1e-9
    if norm == "linf":
        assert kstest(delta[:, 0], "uniform", args=(-1, 2)).pvalue > 1e-9
    else:  # the square of a coordinate of a direction in four dimensions: Beta(½, 3/2)
        assert kstest((delta[:, 0] / radius) ** 2, "beta", args=(0.5, 1.5)).pvalue > 1e-9
    assert kstest(delta[:, 0], -delta[:, 0].numpy()).pvalue > 1e-9, "both signs alike"


def test_a_start_is_cut_to_the_range_of_pixels_and_follows_the_images() -> None:
    images = torch.tensor([0.0, 1.0], dtype=torch.float64)[:, None, None, None].expand(2, 1, 8, 8)
    start = common.uniform_in_ball(images, 0.5, "linf", seeded())
    assert start.dtype == torch.float64
    assert start[0].min() == 0 < start[0].max()
    assert start[1].min() < 1 == start[1].max()
    assert common.uniform_in_ball(images.to(META), 0.5, "l2", seeded()).device == META
    turned = torch.rand(2, 1, 8, 8).transpose(2, 3)
    straight = common.uniform_in_ball(turned.contiguous(), 0.1, "l2", seeded())
    torch.testing.assert_close(common.uniform_in_ball(turned, 0.1, "l2", seeded()), straight)


# --- what is refused ---

IMAGES = torch.tensor([0.0, 0.2, 0.9, 1.0, 0.3, 0.3, 0.6, 0.1]).view(2, 1, 2, 2)
LABELS = torch.tensor([0, 1])
NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("images", "kind", "words"),
    [
        ([[0.5]], TypeError, ["list", "images.float()"]),
        (IMAGES.half(), TypeError, ["float16"]),
        (IMAGES[0], ValueError, ["[N, C, H, W]", "[1, 2, 2]"]),
        (IMAGES[:0], ValueError, ["non-empty"]),
        (255 * IMAGES, ValueError, ["[0, 1]", "division"]),
        (IMAGES - 0.5, ValueError, ["[0, 1]"]),
        (IMAGES * math.nan, ValueError, ["[0, 1]", "nan"]),
        (IMAGES.double(), TypeError, ["float64", "float32", "move one"]),
    ],
)
def test_images_are_checked(images: Any, kind: type[Exception], words: list[str]) -> None:
    with refuses(kind, *words):
        common.check_images(NETWORK, images)
    common.check_images(NETWORK, IMAGES)
    common.check_images(nn.Flatten(), IMAGES.double())


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        ([0, 1], TypeError, ["aims", "list"]),
        (LABELS.int(), TypeError, ["aims", "int32"]),
        (LABELS[:1], ValueError, ["aims", "[2]", "[1]"]),
        (LABELS.to(META), ValueError, ["aims", "cpu", "meta"]),
        (LABELS - 1, ValueError, ["aims", "-1"]),
    ],
)
def test_labels_are_checked_under_the_callers_name(labels: Any, kind: type[Exception], words: list[str]) -> None:
    with refuses(kind, *words):
        common.check_labels("aims", labels, IMAGES)
    common.check_labels("aims", LABELS, IMAGES)


@pytest.mark.parametrize(
    ("logits", "words"),
    [
        (torch.zeros(2), ["[N, K]", "[2]"]),
        (torch.zeros(2, 1), ["K ≥ 2"]),
        (torch.tensor([[0.0, math.inf], [0.0, 0.0]]), ["not finite"]),
        (torch.zeros(2, 2), ["aims", "0…1", "2"]),
    ],
)
def test_logits_are_checked(logits: Tensor, words: list[str]) -> None:
    with refuses(ValueError, *words):
        common.check_logits(logits, labels=None, aims=torch.tensor([0, 2]))
    common.check_logits(torch.zeros(2, 3), labels=LABELS, aims=torch.tensor([0, 2]))


@pytest.mark.parametrize(
    ("count", "kind"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError), (None, TypeError)]
)
def test_counts_are_whole_and_large_enough(count: Any, kind: type[Exception]) -> None:
    with refuses(kind, "steps", "whole number of 1 or more", repr(count)):
        common.check_counts(restarts=1, steps=count)
    common.check_counts(0, steps=0)
    with refuses(ValueError, "0 or more", "-1"):
        common.check_counts(0, steps=-1)


def test_what_has_no_effect_is_refused() -> None:
    common.check_absent("there is a mask", samples=None)
    with refuses(ValueError, "samples", "there is a mask", "leave it out"):
        common.check_absent("there is a mask", samples=0)


@pytest.mark.parametrize(
    ("epsilon", "norm", "words"),
    [
        (-0.1, "linf", ["epsilon", "-0.1"]),
        (math.nan, "l2", ["epsilon", "nan"]),
        (1.5, "linf", ["between 0 and 1", "1.5/255"]),
        (256, "linf", ["between 0 and 1"]),
        (2.1, "l2", ["between 0 and 2"]),
        (0.1, "l1", ["norm", "linf, l2", "'l1'"]),
    ],
)
def test_balls_are_of_use_to_images(epsilon: float, norm: str, words: list[str]) -> None:
    with refuses(ValueError, *words):
        common.check_ball(epsilon, norm, IMAGES)
    for largest, name in ((1, "linf"), (2, "l2"), (0, "linf")):
        common.check_ball(largest, name, IMAGES)


def test_only_grey_levels_get_the_hint_about_them() -> None:
    for epsilon, norm in ((256, "linf"), (2.1, "l2"), (-1, "linf")):
        with pytest.raises(ValueError, match="epsilon") as caught:
            common.check_ball(epsilon, norm, IMAGES)
        assert "/255" not in str(caught.value)


# --- layers ---


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.last = nn.Linear(4, 3), nn.ReLU(inplace=True), nn.Identity()
        nn.init.constant_(self.first.bias, -2.0)  # of images in [0, 1]: below 0, whatever the weights

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.relu(self.first(images.flatten(1))))


class Pair(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


def test_a_layer_is_named_or_given() -> None:
    model = InPlace()
    assert common.layer_names(model, ["relu", model.first]) == ["relu", "first"]
    with refuses(ValueError, "no layer 'second'", "first, relu, last"):
        common.layer_names(model, ["second"])
    with refuses(ValueError, "no layer Linear of yours", "first"):
        common.layer_names(model, [nn.Linear(4, 3)])
    with refuses(ValueError, "none"):
        common.layer_names(nn.Flatten(), [""])


def test_layers_are_recorded_before_the_next_one_works_in_place() -> None:
    model = InPlace()
    with common.recorded(model, ["first", model.relu]) as outputs:
        assert outputs == {}
        model(IMAGES)
        torch.testing.assert_close(outputs["first"], model.first(IMAGES.flatten(1)))
        torch.testing.assert_close(outputs["relu"], model.first(IMAGES.flatten(1)).relu())
        assert (outputs["first"] < 0).any(), "nothing to cut: the test shows nothing"
    assert not any(layer._forward_hooks for layer in model.modules())
    pairs = nn.Sequential(Pair())
    with refuses(ValueError, "'0'", "tuple", "not a tensor"), common.recorded(pairs, ["0"]):
        pairs(IMAGES)


@pytest.mark.parametrize("batch_size", [1, 3, 512])
def test_representations_are_the_same_in_any_batches(batch_size: int) -> None:
    calls: list[int] = []
    model = nn.Sequential(nn.Dropout(0.9), InPlace()).train()
    model.register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    images = torch.rand(7, 1, 2, 2)
    (first,), logits = common.representations(model, images, ["1.first"], batch_size=batch_size)
    torch.testing.assert_close(first, model[1].first(images.flatten(1)))
    torch.testing.assert_close(logits, model[1](images))
    assert (first.requires_grad, model.training) == (False, True)
    assert (max(calls), sum(calls)) == (min(batch_size, 7), 7)


def test_a_layer_that_does_not_answer_for_each_image_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Flatten(0))
    with refuses(ValueError, "'1'", "once for each image"):
        common.representations(model, IMAGES, ["1"])
    model = nn.Sequential(nn.Flatten(), nn.Threshold(2.0, math.inf))
    with refuses(ValueError, "'1'", "not finite"):
        common.representations(model, IMAGES, ["1"])
    unused = InPlace()
    unused.spare = nn.Identity()
    with refuses(ValueError, "'spare'", "once for each image"):
        common.representations(unused, IMAGES, ["spare"])
