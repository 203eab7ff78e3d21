"""Inverted images, against minima that are known, numbers of questions, and a network that had no part in it."""

import math
import warnings
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.common import GradientMaskingWarning
from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.privacy import InversionWarning, LimitedAPI, QueryLimitError, model_inversion
from tml_helpers.privacy.model_inversion import cosines, total_variation
from tml_helpers.training import fit, predict, seed_everything

BOTH = torch.tensor([0, 1])


@pytest.fixture(autouse=True)
def silence_is_no_warning() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", InversionWarning)
        warnings.simplefilter("error", GradientMaskingWarning)
        yield


class Templates(nn.Module):
    """−‖x − template‖² · sharpness for each class: the surest image is known."""

    def __init__(self, templates: Tensor, sharpness: float = 4.0) -> None:
        super().__init__()
        self.register_buffer("templates", templates)
        self.sharpness = sharpness

    def forward(self, images: Tensor) -> Tensor:
        templates: Tensor = self.templates  # type: ignore[assignment]
        return -self.sharpness * (images[:, None] - templates).square().flatten(2).sum(dim=2)


def half_planes(channels: int = 1, side: int = 6) -> Tensor:
    """Two images: the left half is white, and the upper half is."""
    images = torch.zeros(2, channels, side, side)
    images[0, ..., : side // 2] = 1
    images[1, :, : side // 2] = 1
    return images


@pytest.mark.parametrize("channels", [1, 3])
def test_the_surest_image_where_it_is_known(channels: int) -> None:
    """p₀ / p₁ grows with the pixels that only the own template has, and falls with those of the other one alone."""
    templates = half_planes(channels)
    found = model_inversion(Templates(templates), targets=BOTH, shape=templates.shape[1:], start=0.5, smoothness=0.0)
    assert found.images.shape == templates.shape
    only = [templates[k] * (1 - templates[1 - k]) for k in (0, 1)]
    for k in (0, 1):
        assert (found.images[k][only[k] == 1] > 0.7).all()
        assert (found.images[k][only[1 - k] == 1] < 0.3).all()
    assert found.confidences.min() > 0.99


def test_total_variation_by_hand_and_its_pull() -> None:
    step = half_planes()
    torch.testing.assert_close(total_variation(step), torch.tensor([6 / 30, 6 / 30]))
    assert total_variation(torch.rand(2, 3, 1, 1)).tolist() == [0, 0]
    board = (torch.arange(6)[:, None] + torch.arange(6)).remainder(2).float()[None, None]
    assert total_variation(board).item() == 2
    assert total_variation(board * torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).item() == pytest.approx(2 / 3)
    model = Templates(torch.cat([board, 1 - board]), sharpness=0.2)
    rough, smooth = (
        model_inversion(model, targets=BOTH, shape=(1, 6, 6), start=0.45, smoothness=weight).images
        for weight in (0.0, 1.0)
    )
    assert (total_variation(smooth) < 0.8 * total_variation(rough)).all()


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 10**6))
def test_cosines_are_those_of_the_discrete_cosine_transform(height: int, width: int, seed: int) -> None:
    image = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)).double()
    count = min(height, width)
    ours = torch.einsum("fhw,hw->f", cosines(height, width, count), image).view(count, count)
    torch.testing.assert_close(4 * ours, torch.from_numpy(dctn(image.numpy(), type=2))[:count, :count])


def test_a_search_by_questions_alone() -> None:
    """No gradient leaves the interface, and each question is counted."""
    model = Templates(half_planes(), sharpness=1.0)
    asked = LimitedAPI(model)
    generator = torch.Generator().manual_seed(0)
    found = model_inversion(
        asked, targets=BOTH, shape=(1, 6, 6), access="confidence", steps=150, start=0.5, generator=generator
    )
    assert asked.queries == found.queries == 2 * 16 * 2 * 150 + 1 + 2
    assert found.confidences.min() > 0.9
    brighter = found.images[0] - found.images[1]
    assert brighter[0, 3:, :3].mean() > 0.2
    assert brighter[0, :3, 3:].mean() < -0.2
    again = model_inversion(
        model,
        targets=BOTH,
        shape=(1, 6, 6),
        access="confidence",
        steps=150,
        start=0.5,
        batch_size=7,
        generator=torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(again.images, found.images, rtol=0, atol=1e-3)
    white = model_inversion(model, targets=BOTH, shape=(1, 6, 6), steps=150, start=0.5)
    assert white.queries == 150 * 2 + 1 + 2


def test_more_directions_and_frequencies_are_used() -> None:
    model = Templates(torch.stack([torch.ones(1, 6, 6), torch.zeros(1, 6, 6)]), sharpness=0.1)
    usual: dict[str, Any] = {"targets": BOTH, "shape": (1, 6, 6), "access": "confidence", "steps": 3, "start": 0.5}
    few = model_inversion(model, **usual, directions=2, frequencies=1, generator=torch.Generator().manual_seed(0))
    assert few.queries == 2 * 2 * 2 * 3 + 3
    torch.testing.assert_close(few.images, few.images[..., :1, :1].expand_as(few.images))  # the one cosine is flat


def digit_networks(seed: int) -> tuple[nn.Module, nn.Module]:
    train = mnist("train")
    generator = seed_everything(seed)
    made = []
    for part in (slice(0, 2000), slice(2000, 4000)):
        network = MLP(64)
        images, labels = train.images[part], train.labels[part]
        fit(network, TensorDataset(images, labels), epochs=5, learning_rate=2e-3, batch_size=64, generator=generator)
        made.append(network)
    return made[0], made[1]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_second_network_sees_the_class_in_it(seed: int) -> None:
    """The second has other weights and other training images."""
    victim, second = digit_networks(seed)
    targets = torch.arange(10)
    found = model_inversion(victim, targets=targets, shape=(1, 28, 28))
    assert (predict(second, found.images).argmax(dim=1) == targets).sum() >= 8
    assert found.images.min() >= 0
    assert found.images.max() <= 1
    assert found.confidences.min() > 0.9
    torch.testing.assert_close(
        found.confidences, predict(victim, found.images).softmax(dim=1).diagonal(), rtol=1e-4, atol=1e-6
    )
    alone = model_inversion(victim, targets=targets[3:4], shape=(1, 28, 28))
    assert (alone.images[0] - found.images[3]).abs().mean() < 0.01, "no image depends on the others, but for rounding"


def test_a_gradient_that_is_hidden_is_noticed() -> None:
    api = LimitedAPI(Templates(half_planes()), decimals=2)
    with pytest.warns(GradientMaskingWarning, match="access"), pytest.warns(InversionWarning, match="1 of 2"):
        found = model_inversion(api, targets=BOTH, shape=(1, 6, 6), steps=3, smoothness=0.0, start=0.5)
    torch.testing.assert_close(found.images, torch.full((2, 1, 6, 6), 0.5))


def test_confidences_that_do_not_change_are_noticed() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    with torch.no_grad():
        flat[1].weight.zero_()
        flat[1].bias.copy_(torch.tensor([3.0, 0.0]))
    usual: dict[str, Any] = {"shape": (1, 6, 6), "steps": 1, "smoothness": 0.0, "access": "confidence"}
    with pytest.warns(GradientMaskingWarning, match="do not change"):
        model_inversion(LimitedAPI(flat, decimals=1), targets=torch.tensor([0]), **usual)


def test_a_limit_on_questions_ends_the_search() -> None:
    api = LimitedAPI(Templates(half_planes()), max_queries=500)
    with pytest.raises(QueryLimitError):
        model_inversion(api, targets=BOTH, shape=(1, 6, 6), access="confidence", start=0.5)
    assert api.queries <= 500


def test_an_image_that_was_not_reached_is_said_to_be_none() -> None:
    """ART 2042: of another data set came images in which nobody saw anything, without a word."""
    never = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    with torch.no_grad():
        never[1].bias.copy_(torch.tensor([8.0, -8.0]))
    with pytest.warns(InversionWarning, match="calls 1 of 2 images something else"):
        found = model_inversion(never, targets=BOTH, shape=(1, 6, 6), steps=5)
    assert found.confidences[0] > 0.99
    assert found.confidences[1] < 0.01


@pytest.mark.parametrize("access", ["gradient", "confidence"])
def test_modes_gradients_and_types_are_left(access: Any) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(12, 2)).double().train()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = model_inversion(model, targets=BOTH, shape=(3, 2, 2), steps=2, access=access)
    assert found.images.dtype == found.confidences.dtype == torch.float64
    assert model.training
    assert model[1].training
    assert all(p.grad is None and torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    assert not found.images.requires_grad


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"targets": torch.tensor([0.0])}, TypeError, "int64"),
        ({"targets": [0]}, TypeError, "list"),
        ({"targets": torch.tensor([-1])}, ValueError, "got [-1]"),
        ({"targets": torch.tensor([2])}, ValueError, "targets must lie in 0…1"),
        ({"targets": torch.tensor([], dtype=torch.int64)}, ValueError, "at least one class"),
        ({"targets": torch.tensor([[0]])}, ValueError, "[N]"),
        ({"shape": (6, 6)}, ValueError, "C, H, W"),
        ({"shape": (1, 6, 0)}, ValueError, "width"),
        ({"steps": 0}, ValueError, "steps"),
        ({"steps": 1.5}, TypeError, "steps"),
        ({"access": "labels"}, ValueError, "access must be one of gradient, confidence"),
        ({"smoothness": -1.0}, ValueError, "smoothness"),
        ({"smoothness": math.nan}, ValueError, "smoothness"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate"),
        ({"start": 1.5}, ValueError, "start"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"directions": 4}, ValueError, "directions has no effect"),
        ({"frequencies": 4}, ValueError, "frequencies has no effect"),
        ({"access": "confidence", "frequencies": 7}, ValueError, "at most 6"),
        ({"access": "confidence", "directions": 0}, ValueError, "directions"),
        ({"access": "confidence", "generator": 3}, TypeError, "generator"),
        ({"model": nn.Identity()}, ValueError, "logits"),
    ],
)
def test_arguments(changed: dict[str, Any], kind: type[Exception], words: str) -> None:
    good = {"model": Templates(half_planes()), "targets": BOTH, "shape": (1, 6, 6), "steps": 2, "start": 0.5}
    with refuses(kind, words):
        model_inversion(**good | changed)


def test_an_array_of_targets_and_a_shape_that_is_none() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with refuses(TypeError, "targets must be an int64 tensor of classes, got ndarray"):
        model_inversion(model, targets=torch.tensor([0]).numpy(), shape=(1, 2, 2))  # type: ignore[arg-type]
    for wrong in (None, 4):
        with refuses(TypeError, "shape must be that of one image"):
            model_inversion(model, targets=torch.tensor([0]), shape=wrong)  # type: ignore[arg-type]
