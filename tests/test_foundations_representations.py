"""The functions of lecture 0.7 on other data than the page's: closed forms, frozen weights, balanced draws."""

import math

import pytest
import torch
from page_code import page_code
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.data import TensorDataset

from tml_helpers.models import SmallCNN
from tml_helpers.training import accuracy

page = page_code("00_foundations/representations")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_divergence_by_hand_is_that_of_the_library_of_distributions() -> None:
    mean, log_variance = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(page.divergence(mean, log_variance), expected)
    assert page.divergence(torch.zeros(1, 4), torch.zeros(1, 4)).item() == 0


def test_telling_apart_is_least_at_the_known_discriminator() -> None:
    """For two laws on three places: C* = real / (real + made), and the loss there is log 2 − Jensen-Shannon."""
    real, made = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.3, 0.6])
    best = (real / (real + made)).log() - (made / (real + made)).log()

    def cost(logits: torch.Tensor) -> float:
        """The page's loss on examples in these proportions."""
        seen = [torch.repeat_interleave(logits, (10 * law).round().long()) for law in (real, made)]
        return page.telling_apart(lambda x: x, *seen).item()

    middle = (real + made) / 2
    divergence = sum((p * (p / middle).log()).sum().item() / 2 for p in (real, made))
    assert cost(best) == pytest.approx(math.log(2) - divergence, abs=1e-6)
    for change in torch.eye(3):
        for size in (0.1, -0.1):
            assert cost(best + size * change) > cost(best)


def test_telling_apart_is_log_2_for_a_discriminator_that_cannot() -> None:
    loss = page.telling_apart(lambda x: 0 * x, torch.randn(7, 1), torch.randn(3, 1))
    assert loss.item() == pytest.approx(math.log(2))
    right = page.telling_apart(lambda x: 50 * x, torch.ones(4, 1), -torch.ones(4, 1))
    assert right.item() < 1e-6
    assert page.telling_apart(lambda x: 50 * x, -torch.ones(4, 1), torch.ones(4, 1)).item() > 10


def test_points_of_the_ring_lie_on_all_of_its_clouds() -> None:
    points = page.ring(4000, generator(0))
    assert page.on_a_cloud(points).item() == 1
    assert page.on_a_cloud(torch.zeros(10, 2)).item() == 0
    angle = torch.atan2(points[:, 1], points[:, 0])
    cloud = (angle / (2 * math.pi / 8)).round().long() % 8
    assert cloud.bincount(minlength=8).min() > 350
    torch.testing.assert_close(points.norm(dim=1).mean(), torch.tensor(2.0), atol=0.02, rtol=0)


@pytest.mark.parametrize("first", [0, 5, 8, 10])
def test_what_lies_below_is_frozen_and_the_source_is_not_touched(first: int) -> None:
    torch.manual_seed(0)
    source = SmallCNN(width=2, classes=7)
    images, labels = torch.rand(40, 1, 28, 28), torch.arange(40) % 5
    page.goal = TensorDataset(images, labels)
    before = {name: value.clone() for name, value in source.state_dict().items()}
    tuned = page.frozen_below(source, first)
    score = page.adapt(tuned, page.goal, generator(1), epochs=3)
    assert score == accuracy(tuned, page.goal)
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())
    for place, layer in enumerate(tuned.layers[:-1]):
        for name, value in layer.named_parameters():
            same = torch.equal(value, before[f"layers.{place}.{name}"])
            assert same == (place < first), f"layer {place}: {name}"
    assert tuned.layers[-1].out_features == 5


def test_half_counts_its_five_classes_from_nought_and_few_draws_alike_of_each() -> None:
    whole = TensorDataset(torch.arange(100.0)[:, None], torch.arange(100) % 10)
    whole.images, whole.labels = whole.tensors
    upper = page.half(whole, 5)
    assert sorted(set(upper.tensors[1].tolist())) == [0, 1, 2, 3, 4]
    assert set((upper.tensors[0][:, 0] % 10 - 5).tolist()) == {0, 1, 2, 3, 4}
    assert ((upper.tensors[0][:, 0] % 10 - 5).long() == upper.tensors[1]).all()
    small = page.few(upper, 3, generator(0))
    assert small.tensors[1].bincount().tolist() == [3] * 5
    assert ((small.tensors[0][:, 0] % 10 - 5).long() == small.tensors[1]).all()
    other = page.few(upper, 3, generator(1))
    assert not torch.equal(small.tensors[0], other.tensors[0])


def test_a_batch_norm_moves_although_it_is_frozen_and_not_in_evaluation_mode() -> None:
    """pytorch #86590: who freezes by `requires_grad` alone has a feature extractor that changes."""
    source = nn.Module()
    source.layers = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 5))
    tuned = page.frozen_below(source, 3)
    images = torch.randn(8, 4) + 2
    tuned.layers.train()(images)
    assert not torch.equal(tuned.layers[2].running_mean, source.layers[2].running_mean)
    before = tuned.layers[2].running_mean.clone()
    tuned.layers.eval()(images)
    assert torch.equal(tuned.layers[2].running_mean, before)
