"""Latent search: distances in closed form on linear networks, and what a black-box search must not need or touch."""

import dataclasses

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn

from tml_helpers import data
from tml_helpers.attacks import latent_search, natural_adversaries
from tml_helpers.attacks.latent_search import ShellSearch
from tml_helpers.models import GAN, SmallCNN, mnist_gan
from tml_helpers.training import predict

SIDE, CLASSES = 4, 4


class LinearGenerator(nn.Module):
    """z ↦ ½ + A z, with orthogonal columns: images that stay in [0, 1] while ‖z‖ is below 20."""

    def __init__(self, latent: int, generator: torch.Generator) -> None:
        super().__init__()
        columns, _ = torch.linalg.qr(torch.randn(SIDE**2, latent, generator=generator))
        self.matrix = nn.Parameter(columns / 40)

    def forward(self, latents: Tensor) -> Tensor:
        return 0.5 + (latents @ self.matrix.T).view(-1, 1, SIDE, SIDE)


class LinearInverter(nn.Module):
    """x ↦ A⁺ (x − ½): exact on the generator's images."""

    def __init__(self, generator: LinearGenerator) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.linalg.pinv(generator.matrix.detach()))

    def forward(self, images: Tensor) -> Tensor:
        return (images.flatten(1) - 0.5) @ self.matrix.T


class Answers(nn.Module):
    """A model of which only the answers can be had: no gradient, no confidence; and it counts."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.asked = model, 0

    def forward(self, images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled(), "a black-box attack has no use for gradients"
        self.asked += len(images)
        return nn.functional.one_hot(self.model(images).argmax(dim=1), CLASSES).float()


def linear_world(latent: int, seed: int = 0, count: int = 20) -> tuple[nn.Module, Tensor, Tensor, GAN, Tensor]:
    """A linear classifier, images that it is right on, and a linear GAN; and ‖z̃ − z‖ to each class, `[N, K]`.

    All in float64: where two classes are nearly alike, rounding moves the boundary between them.
    """
    generator = torch.Generator().manual_seed(seed)
    made = LinearGenerator(latent, generator).double()
    weight = torch.randn(CLASSES, SIDE**2, generator=generator).double()
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, CLASSES)).double()
    with torch.no_grad():
        model[1].weight.copy_(weight)
        model[1].bias.copy_(-0.5 * weight.sum(dim=1))  # the boundaries go through z = 0
        latents = 2 * torch.randn(count, latent, generator=generator).double()
        images = made(latents)
        logits = model(images)
        labels = logits.argmax(dim=1)
        rows = weight @ made.matrix
        gaps = logits.gather(1, labels[:, None]) - logits  # how far each class is behind
        distances = gaps / (rows[labels][:, None] - rows[None]).norm(dim=2)
    return model, images, labels, GAN(made, LinearInverter(made)), distances


def nearest(distances: Tensor, labels: Tensor) -> Tensor:
    """The distance to the nearest boundary of the label's region."""
    return distances.scatter(1, labels[:, None], torch.inf).amin(dim=1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("latent", "slack"), [(1, 1.01), (2, 1.01), (4, 1.08)])
@pytest.mark.parametrize("seed", range(3))
def test_it_comes_close_to_the_closed_form_distance_from_above(latent: int, slack: float, seed: int) -> None:
    model, images, labels, gan, distances = linear_world(latent, seed)
    distances_found = natural_adversaries(model, images, labels, gan=gan, step=0.02, generator=seeded()).distances
    found = distances_found[-1]
    closest = nearest(distances, labels)
    reachable = closest < 9  # max_radius is 10
    assert reachable.sum() >= 10
    assert (found >= closest * (1 - 1e-4) - 1e-4)[reachable].all(), "nearer than the boundary: that cannot fool"
    assert (found <= slack * closest + 0.02)[reachable].all()
    assert torch.isinf(found[closest > 10]).all()
    assert len(distances_found) < 150, "from radius 10 inwards in steps of 0.02 it takes hundreds: halve first"


def test_the_images_fool_the_model_and_belong_to_the_latents_and_distances() -> None:
    model, images, labels, gan, _ = linear_world(3)
    result = natural_adversaries(model, images, labels, gan=gan, generator=seeded())
    found = result.distances[-1].isfinite()
    assert found.any()
    assert (model(result.images).argmax(dim=1) != labels)[found].all()
    torch.testing.assert_close(result.images[found], gan.generator(result.latents)[found])
    torch.testing.assert_close((result.latents - result.origins).norm(dim=1)[found], result.distances[-1][found])
    torch.testing.assert_close(result.origins, gan.inverter(images))


def test_the_distance_shrinks_round_by_round() -> None:
    model, images, labels, gan, _ = linear_world(4)
    history = natural_adversaries(model, images, labels, gan=gan, generator=seeded()).distances
    assert (history[1:] <= history[:-1]).all()
    first = torch.stack([column[column.isfinite()][0] for column in history.T if column.isfinite().any()])
    last = history[-1][history[-1].isfinite()]
    assert (last < first).float().mean() > 0.8, "the first success is far from the nearest: shrinking must help"


class Scripted(ShellSearch):
    """One search whose rounds find latents at these distances, or nothing; it notes in which shells it looked."""

    def __init__(self, found: list[float | None], nearest: float) -> None:
        self.found, self.nearest, self.shells = found, torch.tensor([nearest]), []

    def look(self, index: Tensor, low: Tensor, high: Tensor) -> Tensor:
        self.shells.append((low.item(), high.item()))
        distance = self.found.pop(0)
        if distance is not None:
            self.nearest[index] = distance
        return torch.tensor([distance is not None])


def test_halving_looks_between_what_it_found_and_half_of_it_and_else_in_the_outer_half() -> None:
    search = Scripted([8.0, None, 7.0, None], nearest=torch.inf)
    search.halve(10.0, 2.0)
    assert search.shells == [(0, 10), (4, 8), (6, 8), (3.5, 7)]


def test_going_inwards_ends_after_as_many_rounds_in_a_row_without_success_as_patience_allows() -> None:
    search = Scripted([6.0, None, 4.5, None, None, None], nearest=7.0)
    search.go_inwards(10.0, 2.0, patience=3)
    assert search.shells == [(5, 7), (3, 5), (3, 5), (1, 3), (1, 3), (1, 3)]


def test_targets_are_reached_and_are_no_nearer_than_any_class() -> None:
    model, images, labels, gan, distances = linear_world(2)
    targets = (labels + 1) % CLASSES
    result = natural_adversaries(model, images, labels, gan=gan, targets=targets, generator=seeded())
    found = result.distances[-1].isfinite()
    assert found.any()
    assert (model(result.images).argmax(dim=1) == targets)[found].all()
    own = distances.gather(1, targets[:, None]).squeeze(1)
    assert (result.distances[-1] >= own * (1 - 1e-4))[found].all()


def test_only_answers_are_used() -> None:
    model, images, labels, gan, _ = linear_world(3)
    blind = Answers(model)
    seen = natural_adversaries(model, images, labels, gan=gan, generator=seeded())
    result = natural_adversaries(blind, images, labels, gan=gan, generator=seeded())
    for field in dataclasses.fields(result):
        assert torch.equal(getattr(result, field.name), getattr(seen, field.name)), field.name
    rounds = len(result.distances) - 1
    assert blind.asked <= len(images) * (2 + rounds * 256)


def test_what_is_not_found_comes_back_as_it_was() -> None:
    model, images, labels, gan, _ = linear_world(2)
    nn.init.zeros_(model[1].weight)  # a constant model cannot be fooled
    nn.init.zeros_(model[1].bias)
    images = images + 0.01 * torch.rand_like(images)  # off the generator's range
    result = natural_adversaries(model, images, torch.zeros_like(labels), gan=gan, generator=seeded())
    torch.testing.assert_close(result.images, images, rtol=0, atol=0)
    torch.testing.assert_close(result.latents, result.origins, rtol=0, atol=0)
    assert result.distances[-1].isinf().all()


def test_a_reconstruction_that_is_misclassified_is_at_distance_zero() -> None:
    model, images, labels, gan, _ = linear_world(2)
    result = natural_adversaries(model, images, (labels + 1) % CLASSES, gan=gan, generator=seeded())
    assert (result.distances == 0).all()
    torch.testing.assert_close(result.images, gan.generator(gan.inverter(images)))


def test_the_same_seed_gives_the_same_images() -> None:
    model, images, labels, gan, _ = linear_world(3)
    first, again, other = (latent_search(model, images, labels, gan=gan, generator=seeded(s)) for s in (1, 1, 2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_model_and_gan_come_back_as_they_were() -> None:
    model, images, labels, gan, _ = linear_world(2)
    model[0].eval()
    model[1].weight.grad = torch.ones_like(model[1].weight)
    latent_search(model, images, labels, gan=gan)
    assert model.training
    assert not model[0].training
    assert gan.generator.training
    assert (model[1].weight.grad == 1).all()
    assert gan.generator.matrix.grad is None


def test_one_image_that_is_not_contiguous() -> None:
    model, images, labels, gan, _ = linear_world(2)
    turned = images[:1].transpose(2, 3).contiguous().transpose(2, 3)
    assert not turned.is_contiguous()
    ours = latent_search(model, turned, labels[:1], gan=gan, generator=seeded())
    torch.testing.assert_close(ours, latent_search(model, images[:1], labels[:1], gan=gan, generator=seeded()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"step": 0.0}, ("step", "positive", "got step 0")),
        ({"step": 11.0}, ("step", "max_radius", "got step 11")),
        ({"max_radius": -1.0}, ("max_radius", "-1")),
        ({"samples": 0}, ("samples", "1 or more", "got 0")),
        ({"patience": 0}, ("patience", "1 or more", "got 0")),
    ],
)
def test_it_refuses(arguments: dict[str, float], words: tuple[str, ...]) -> None:
    model, images, labels, gan, _ = linear_world(2)
    with refuses(ValueError, *words):
        latent_search(model, images, labels, gan=gan, **arguments)


def test_it_refuses_images_that_the_generator_cannot_make() -> None:
    class Half(LinearGenerator):
        def forward(self, latents: Tensor) -> Tensor:
            return super().forward(latents)[:, :, :2]

    model, images, labels, gan, _ = linear_world(2)
    half = Half(2, seeded()).double()
    accepts_both = nn.Sequential(nn.AdaptiveAvgPool2d(SIDE), *model)
    with refuses(ValueError, "[1, 2, 4]", "[1, 4, 4]", "trained on such images"):
        latent_search(accepts_both, images, labels, gan=GAN(half, gan.inverter))


@pytest.mark.parametrize("change", [{"labels": torch.zeros(3)}, {"images": torch.zeros(3, 1, 4, 4, dtype=torch.uint8)}])
def test_it_refuses_what_every_attack_refuses(change: dict[str, Tensor]) -> None:
    model, images, labels, gan, _ = linear_world(2)
    with refuses(TypeError, next(iter(change))):
        latent_search(**{"model": model, "images": images[:3], "labels": labels[:3], "gan": gan} | change)


def test_digits_have_natural_adversaries_that_are_digits(small_cnn: SmallCNN) -> None:
    test = data.mnist("test", source="default")
    gan = mnist_gan()
    images, labels = test.images[:12], test.labels[:12]
    result = natural_adversaries(small_cnn, images, labels, gan=gan, samples=64, step=0.5, generator=seeded())
    found = result.distances[-1].isfinite()
    assert found.float().mean() > 0.6
    assert (predict(small_cnn, result.images).argmax(dim=1) != labels)[found].all()
    assert result.images.min() >= 0
    assert result.images.max() <= 1
    assert (result.distances[-1][found] <= 10).all()
