"""Whatever is done to data and models, the caller's own stay as they were: for every function that asks a model."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tml_helpers import poisoning


class Net(nn.Module):
    """A network with layers that answer otherwise in training, and that works in place on what it is given."""

    def __init__(self, channels: int, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.drop, self.act = nn.BatchNorm2d(channels), nn.Dropout(0.3), nn.Tanh()
        self.first, self.last = nn.Linear(channels * 64, 12), nn.Linear(12, 3)
        self.to(dtype)

    def features(self, images: Tensor) -> Tensor:
        found: Tensor = self.act(self.first(self.drop(self.norm(images.mul_(2))).flatten(1)))
        return found

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.features(images))
        return logits


class Features(nn.Module):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net.features(images)


def data(channels: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Images that are not contiguous, and labels of three classes."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(30, channels, 8, 8, generator=generator, dtype=dtype)
    return images.transpose(2, 3), torch.arange(30) % 3


def calls(net: Net, images: Tensor, labels: Tensor) -> dict[str, Callable[[], Any]]:
    def own() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    target = 0.9 * images[0]
    with torch.no_grad():
        wanted = int(copy.deepcopy(net).eval()(target.clone()[None]).argmin())
    aim: dict[str, Any] = {"target_image": target, "target_label": wanted, "fraction": 0.1, "epsilon": 0.3, "steps": 2}
    noise: dict[str, Any] = {"epsilon": 0.1, "rounds": 1, "train_steps": 2, "steps": 2}
    stamp: dict[str, Any] = {"trigger": poisoning.PatchTrigger.square(2), "target_label": 1}
    frozen = Features(copy.deepcopy(net)).requires_grad_(False)
    both = (net, copy.deepcopy(net))
    return {
        "gradient_matching": lambda: poisoning.gradient_matching(net, images, labels, **aim, generator=own()),
        "meta_poison": lambda: poisoning.meta_poison(net, images, labels, **aim, generator=own()),
        "feature_collision": lambda: poisoning.feature_collision(frozen, images, labels, **aim, generator=own()),
        "unlearnable_noise": lambda: poisoning.unlearnable_noise(net, images, labels, **noise, generator=own()),
        "class_wise": lambda: poisoning.unlearnable_noise(
            net, images, labels, **noise, class_wise=True, generator=own()
        ),
        "reconstruct_trigger": lambda: poisoning.reconstruct_trigger(net, images, steps=3, generator=own()),
        "spectral_signatures": lambda: poisoning.spectral_signatures(net, images, labels, layer="act", fraction=0.1),
        "activation_clustering": lambda: poisoning.activation_clustering(
            net, images, labels, layer="act", components=2, generator=own()
        ),
        "trigger_success": lambda: poisoning.trigger_success(both, images, labels, **stamp),
        "estimate_transition": lambda: poisoning.estimate_transition(net, images),
        "confident_transition": lambda: poisoning.confident_transition(net, images, labels),
        "add_trigger": lambda: poisoning.add_trigger(images, labels, **stamp, fraction=0.2, generator=own()),
        "flip_labels": lambda: poisoning.flip_labels(images, labels, fraction=0.4, classes=3, generator=own()),
        "separable_noise": lambda: poisoning.separable_noise(images, labels, epsilon=0.1, generator=own()),
        "adversarial_label_flips": lambda: poisoning.adversarial_label_flips(
            images[labels < 2], labels[labels < 2], fraction=0.2, restarts=1, generator=own()
        ),
    }


NAMES = list(calls(Net(1, torch.float32), *data(1, torch.float32)))


def tensors(result: object) -> dict[str, Tensor]:
    return {name: value for name, value in vars(result).items() if isinstance(value, Tensor)}


@pytest.mark.parametrize(("channels", "dtype"), [(1, torch.float32), (3, torch.float64)])
@pytest.mark.parametrize("name", NAMES)
def test_models_images_and_generators_are_as_they_were(name: str, channels: int, dtype: torch.dtype) -> None:
    images, labels = data(channels, dtype)
    net = Net(channels, dtype)
    net.train()
    net.norm.eval()
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 7)
    kept, classes, weights = images.clone(), labels.clone(), copy.deepcopy(net.state_dict())
    modes, drawn = [module.training for module in net.modules()], torch.get_rng_state()
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        first, again = (calls(net, images, labels)[name]() for _ in range(2))
        with torch.no_grad():
            inside = calls(net, images, labels)[name]()
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, weights[place]) for place, value in net.state_dict().items())
    assert all(parameter.grad is not None and bool((parameter.grad == 7).all()) for parameter in net.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())
    for field, value in tensors(first).items():
        assert not value.requires_grad, field
        assert torch.equal(value.nan_to_num(), tensors(again)[field].nan_to_num()), field
        assert torch.equal(value.nan_to_num(), tensors(inside)[field].nan_to_num()), f"{field} without gradients"
    if isinstance(first, poisoning.Poison):
        assert first.images.dtype == dtype
        assert float(first.images.min()) >= 0
        assert float(first.images.max()) <= 1
        assert first.epsilon is None or float(first.linf.max()) <= first.epsilon + 1e-6
        first.images.zero_()
        first.labels.zero_()
    assert torch.equal(images, kept), "what is handed out is no window on the caller's images"
    assert torch.equal(labels, classes)


def test_flips_among_a_thousand_classes_need_no_table_of_each_image() -> None:
    """A table of N × K² numbers would be 8 GB here."""
    images, labels = torch.zeros(1000, 1, 1, 1), torch.arange(1000)
    poison = poisoning.flip_labels(images, labels, fraction=0.5, classes=1000)
    assert float(poison.transition.diagonal().sum()) == 500
