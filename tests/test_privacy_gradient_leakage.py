"""What a gradient gives away: read off exactly where it can be, found by search where it cannot, and lost in noise."""

import warnings
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn

from tml_helpers import data
from tml_helpers.models import MLP
from tml_helpers.privacy import UncertainLabelWarning, gradient_leakage, linear_gradient_leakage
from tml_helpers.privacy.gradient_leakage import variation
from tml_helpers.training import cross_entropy


def network(activation: type[nn.Module] = nn.Sigmoid, seed: int = 0, bias: bool = True) -> nn.Sequential:
    """A small convolutional network, smooth or with ReLU, for images of 8×8."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 8, 3, stride=2, padding=1), activation(), nn.Conv2d(8, 8, 3, padding=1), activation()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 16, 10, bias=bias))


def digits(count: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    found = data.digits("train")
    rows = torch.randperm(len(found.images), generator=torch.Generator().manual_seed(seed))[:count]
    return found.images[rows], found.labels[rows]


def gradients_of(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.autograd.grad(cross_entropy(model, images, labels), parameters)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(3))
def test_the_input_of_a_linear_layer_is_in_its_gradient(seed: int, dtype: torch.dtype) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10)).to(dtype)
    images, labels = digits(seed=seed)
    weight, bias, *_ = gradients_of(model, images.to(dtype), labels)
    leak = linear_gradient_leakage(weight, bias)
    assert leak.one_example
    assert leak.residual < 1e-5
    assert leak.inputs.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(leak.inputs, images.to(dtype).flatten(), rtol=0, atol=tolerance)


def test_a_batch_is_a_mixture_and_it_says_so() -> None:
    torch.manual_seed(0)
    model = MLP(32, in_features=64)
    images, labels = digits(4)
    leak = linear_gradient_leakage(*gradients_of(model, images, labels)[:2])
    assert not leak.one_example
    assert 0.05 < leak.residual <= 1


def test_a_unit_that_one_image_alone_turns_on_shows_that_image() -> None:
    """Of a batch: its row of the gradient is that image's, whatever the others are."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]))
        model[1].bias.copy_(torch.tensor([-0.5, -0.5]))
    images = torch.tensor([[0.9, 0.1, 0.3, 0.4], [0.2, 0.8, 0.6, 0.7]], dtype=torch.float64).view(2, 1, 2, 2)
    weight, bias, *_ = gradients_of(model, images, torch.tensor([0, 1]))
    for row in range(2):
        leak = linear_gradient_leakage(weight[row : row + 1], bias[row : row + 1])
        torch.testing.assert_close(leak.inputs, images[row].flatten(), rtol=0, atol=1e-12)
    assert not linear_gradient_leakage(weight, bias).one_example


def test_rows_of_units_that_are_off_do_not_disturb() -> None:
    x = torch.tensor([0.25, -3.0, 0.0])
    bias = torch.tensor([0.0, 1e-20, 2e-20])
    leak = linear_gradient_leakage(torch.outer(bias, x), bias)
    torch.testing.assert_close(leak.inputs, x, rtol=1e-6, atol=0)
    assert leak.one_example
    black = linear_gradient_leakage(torch.zeros(3, 2), torch.ones(3))
    assert black.one_example
    assert not black.inputs.any()


def test_gradients_that_show_no_input() -> None:
    w, b = torch.ones(3, 2), torch.ones(3)
    for weight, bias, error, words in (
        (w, torch.zeros(3), ValueError, "no unit was active"),
        (w, torch.ones(2), ValueError, "[units]"),
        (w[0], b, ValueError, "[units, d]"),
        (torch.ones(0, 2), torch.ones(0), ValueError, "[0, 2]"),
        (w, b * float("nan"), ValueError, "bias_gradient must be finite"),
        (w.long(), b, TypeError, "int64"),
        ([[1.0]], b, TypeError, "list"),
    ):
        with refuses(error, words):
            linear_gradient_leakage(weight, bias)  # type: ignore[arg-type]


@pytest.mark.parametrize("bias", [True, False])
def test_the_label_is_read_off_the_last_layer(bias: bool) -> None:
    model = network(bias=bias)
    images, _ = digits()
    for label in range(10):
        labels = torch.tensor([label])
        leak = gradient_leakage(model, gradients=gradients_of(model, images, labels), shape=images.shape, steps=1)
        assert leak.labels.tolist() == [label]


@pytest.mark.parametrize("seed", range(3))
def test_a_smooth_network_gives_the_image_away(seed: int) -> None:
    model, (images, labels) = network(seed=seed).double(), digits(seed=seed)
    images = images.double()
    leak = gradient_leakage(
        model,
        gradients=gradients_of(model, images, labels),
        shape=images.shape,
        objective="l2",
        steps=300,
        tolerance=1e-10,
        generator=torch.Generator().manual_seed(seed),
    )
    assert leak.converged
    assert leak.matching_loss < 1e-10
    assert (leak.images - images).square().mean() < 1e-3
    again = gradients_of(model, leak.images, labels)
    seen = gradients_of(model, images, labels)
    distance = sum((a - b).square().sum() for a, b in zip(again, seen, strict=True))
    assert distance / sum(b.square().sum() for b in seen) < 1e-4  # the images that come back, cut to [0, 1]
    assert len(leak.losses) <= 300
    assert list(leak.losses) == sorted(leak.losses, reverse=True)
    assert leak.losses[-1] == leak.matching_loss


@pytest.mark.parametrize("seed", range(3))
def test_cosines_find_it_through_relu(seed: int) -> None:
    model, (images, labels) = network(nn.ReLU, seed=seed), digits(seed=seed)
    settings: dict[str, Any] = {"shape": images.shape, "total_variation": 1e-3, "labels": labels, "steps": 250}
    seen = gradients_of(model, images, labels)
    leak = gradient_leakage(model, gradients=seen, **settings, generator=torch.Generator().manual_seed(seed))
    guess = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed))
    assert leak.matching_loss < 0.05
    assert (leak.images - images).square().mean() < (guess - images).square().mean() / 8
    assert leak.images.min() >= 0
    assert leak.images.max() <= 1
    assert len(leak.losses) == 250 or leak.converged


def test_of_a_batch_with_known_labels() -> None:
    model = network().double()
    images, labels = digits(2, seed=3)
    assert labels[0] != labels[1]
    images = images.double()
    seen = gradients_of(model, images, labels)
    leak = gradient_leakage(model, gradients=seen, shape=images.shape, labels=labels, objective="l2", tolerance=1e-9)
    assert leak.images.shape == images.shape
    assert torch.equal(leak.labels, labels)
    assert leak.converged
    with refuses(ValueError, "labels of 2 images", "pass labels"):
        gradient_leakage(model, gradients=seen, shape=images.shape)


def test_a_label_that_is_plain_is_read_without_a_warning() -> None:
    model, (images, labels) = network(), digits()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UncertainLabelWarning)
        leak = gradient_leakage(model, gradients=gradients_of(model, images, labels), shape=images.shape, steps=2)
    assert torch.equal(leak.labels, labels)


def test_noise_hides_image_and_label() -> None:
    """Clipped to 1, and noise of the same norm in all: the search ends far from a match, and from the image."""
    model, (images, labels) = network(), digits()
    seen = gradients_of(model, images, labels)
    norm = torch.cat([part.flatten() for part in seen]).norm()
    generator = torch.Generator().manual_seed(0)
    noisy = [part / norm + torch.randn(part.shape, generator=generator) for part in seen]
    with pytest.warns(UncertainLabelWarning, match="classes have a negative gradient"):
        leak = gradient_leakage(model, gradients=noisy, shape=images.shape, steps=60)
    assert not leak.converged
    assert leak.matching_loss > 0.5
    assert (leak.images - images).square().mean() > 0.03


def test_gradients_by_name_in_any_order_and_frozen_layers() -> None:
    model, (images, labels) = network(), digits()
    model[0].requires_grad_(False)
    names = [name for name, value in model.named_parameters() if value.requires_grad]
    seen = gradients_of(model, images, labels)
    by_name = dict(reversed(list(zip(names, seen, strict=True))))
    leaks = [
        gradient_leakage(model, gradients=g, shape=images.shape, steps=5, generator=torch.Generator().manual_seed(0))
        for g in (seen, by_name)
    ]
    assert torch.equal(leaks[0].images, leaks[1].images)
    assert leaks[0].matching_loss == leaks[1].matching_loss
    assert [p.requires_grad for p in model[0].parameters()] == [False, False]


def test_the_generator_decides_where_it_starts() -> None:
    model, (images, labels) = network(), digits()
    seen = gradients_of(model, images, labels)
    first, again, other = (
        gradient_leakage(model, gradients=seen, shape=images.shape, steps=1, generator=torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    )
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)


def test_total_variation_smooths_and_is_not_part_of_the_matching_loss() -> None:
    model, (images, labels) = network(nn.ReLU), digits()
    seen = gradients_of(model, images, labels)
    settings: dict[str, Any] = {"gradients": seen, "shape": images.shape, "steps": 80, "labels": labels}
    plain, smooth = (
        gradient_leakage(model, **settings, total_variation=w, generator=torch.Generator().manual_seed(0))
        for w in (0.0, 100.0)
    )

    def roughness(image: Tensor) -> Tensor:
        return image.diff(dim=-1).abs().mean() + image.diff(dim=-2).abs().mean()

    assert roughness(smooth.images) < roughness(plain.images)
    ramp = torch.arange(4.0) / 10 + torch.arange(3.0)[:, None] / 5
    assert float(variation(torch.stack([ramp, ramp + 9]))) == pytest.approx(0.3), "within a channel, along both sides"
    assert smooth.matching_loss <= 2  # 1 − cos, whatever the weight


def test_the_model_comes_back_as_it_was() -> None:
    model, (images, labels) = network(), digits()
    model.train()
    model[1].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = [value.clone() for value in model.parameters()]
    seen = gradients_of(model, images, labels)
    gradient_leakage(model, gradients=seen, shape=images.shape, steps=2)
    assert [module.training for module in model] == [True, False, True, True, True, True]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert model[0].bias.grad is None
    assert all(value.requires_grad for value in model.parameters())


MODEL = network()
SEEN = gradients_of(MODEL, *digits())
ERRORS: dict[str, tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "one is missing": ({"gradients": SEEN[:-1]}, ValueError, ("6 parameters", "got 5")),
    "another order": ({"gradients": SEEN[::-1]}, ValueError, ("shapes of the 6 parameters",)),
    "other names": ({"gradients": {"a": SEEN[0]}}, ValueError, ("0.weight", "got a")),
    "zeros": ({"gradients": [torch.zeros_like(g) for g in SEEN]}, ValueError, ("zero throughout",)),
    "NaN": ({"gradients": [g / 0 for g in SEEN]}, ValueError, ("finite",)),
    "shape": ({"shape": [8]}, ValueError, ("shape must be [N, …]",)),
    "no image": ({"shape": [0, 1, 8, 8]}, ValueError, ("shape",)),
    "labels": ({"labels": torch.tensor([1.0])}, TypeError, ("labels", "int64")),
    "a class too many": ({"labels": torch.tensor([10])}, ValueError, ("labels", "0…9", "10")),
    "no tensors": ({"gradients": [1.0] * 6}, TypeError, ("gradients must be tensors",)),
    "more labels": ({"labels": torch.tensor([1, 2])}, ValueError, ("labels", "[1]")),
    "objective": ({"objective": "l1"}, ValueError, ("cosine, l2", "'l1'")),
    "steps": ({"steps": 0}, ValueError, ("steps",)),
    "rate": ({"learning_rate": -1.0}, ValueError, ("learning_rate",)),
    "variation": ({"total_variation": float("nan")}, ValueError, ("total_variation",)),
    "tolerance": ({"tolerance": 0.0}, ValueError, ("tolerance",)),
    "a seed": ({"generator": 3}, TypeError, ("generator", "manual_seed")),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_bad_input(kind: str) -> None:
    arguments, error, words = ERRORS[kind]
    with refuses(error, *words):
        gradient_leakage(MODEL, **({"gradients": SEEN, "shape": [1, 1, 8, 8], "steps": 1} | arguments))


def test_a_last_layer_from_which_no_label_can_be_read() -> None:
    model = nn.Sequential(nn.Conv2d(1, 10, 8, bias=False), nn.Flatten())
    images, labels = digits()
    with refuses(ValueError, "0.weight", "pass labels"):
        gradient_leakage(model, gradients=gradients_of(model, images, labels), shape=images.shape)


def test_arguments_that_are_none() -> None:
    model = network()
    images, labels = digits()
    usual = {"gradients": gradients_of(model, images, labels), "shape": images.shape, "steps": 1}
    for name in ("learning_rate", "tolerance", "total_variation"):
        with refuses(TypeError, f"{name} must be a number"):
            gradient_leakage(model, **{**usual, name: "1"})
    for name in ("shape", "gradients"):
        with refuses(TypeError, f"{name} must be"):
            gradient_leakage(model, **{**usual, name: None})
    with refuses(TypeError, "weight_gradient must be a floating-point tensor", "ndarray"):
        linear_gradient_leakage(torch.rand(3, 2).numpy(), torch.rand(3))  # type: ignore[arg-type]


def test_a_loss_that_is_no_number_finds_no_image() -> None:
    model = network()
    images, labels = digits()
    with refuses(ValueError, "finite"):
        gradient_leakage(
            model,
            gradients=gradients_of(model, images, labels),
            shape=images.shape,
            labels=labels,
            steps=2,
            loss=lambda m, x, y: m(x).sum() * torch.nan,
        )
