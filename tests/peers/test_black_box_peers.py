"""square and boundary against ART's for no more questions; the shapes and the schedule of square against others'."""

from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tml_helpers import _torchvision
from tml_helpers.attacks import BlackBox, boundary, square
from tml_helpers.attacks.square import bump, side_of_square
from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.training import fit, predict, seed_everything


@pytest.fixture(scope="module")
def net() -> MLP:
    generator = seed_everything(0)
    network = MLP(64)
    fit(network, mnist("train", source="default"), epochs=5, learning_rate=3e-3, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def digits(net: MLP) -> tuple[Tensor, Tensor]:
    test = mnist("test", source="default")
    right = (predict(net, test.images).argmax(dim=1) == test.labels).nonzero().flatten()[::15]
    return test.images[right], test.labels[right]


def peer(name: str) -> ModuleType:
    _torchvision.load()  # which both peers import
    return pytest.importorskip(name, reason="the extra [peers] is not installed")


class Float32(nn.Module):
    """ART's arrays become float64 on the way."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images.float())


def art_attack(name: str, model: nn.Module, images: Tensor, labels: Tensor, *, start: Tensor | None = None, **how):
    """Adversarial images by an attack of ART's."""
    attacks = peer("art.attacks.evasion")
    estimator = peer("art.estimators.classification").PyTorchClassifier(
        Float32(model), nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0.0, 1.0), device_type="cpu"
    )
    np.random.seed(0)
    given = {} if start is None else {"x_adv_init": start.numpy()}
    made = getattr(attacks, name)(estimator, verbose=False, **how).generate(images.numpy(), labels.numpy(), **given)
    return torch.from_numpy(made).float()


def fell(net: nn.Module, adversarial: Tensor, labels: Tensor) -> float:
    return float((predict(net, adversarial).argmax(dim=1) != labels).float().mean())


def test_square_fools_as_often_as_arts_for_fewer_questions(net, digits):
    """ART asks about each image up to three times a step, also where it has fallen; its L2 form divides by zero."""
    images, labels = digits
    theirs, ours = BlackBox(net), BlackBox(net)
    by_art = art_attack("SquareAttack", theirs, images, labels, norm=np.inf, eps=0.07, max_iter=200)
    made = square(ours, images, labels, epsilon=0.07, queries=202, generator=torch.Generator().manual_seed(0))
    assert 0.2 < fell(net, by_art, labels) < 0.9
    assert fell(net, made, labels) >= fell(net, by_art, labels) - 0.05
    assert ours.queries < 0.6 * theirs.queries


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 1.6)])
def test_square_fools_as_often_as_torchattacks(norm, epsilon, net, digits):
    images, labels = digits
    theirs = peer("torchattacks").Square(
        net, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, n_queries=200, seed=0
    )(images, labels)
    made = square(
        net, images, labels, epsilon=epsilon, norm=norm, queries=202, generator=torch.Generator().manual_seed(0)
    )
    assert 0.2 < fell(net, theirs, labels) < 0.9
    assert fell(net, made, labels) >= fell(net, theirs, labels) - 0.05


@pytest.mark.parametrize("side", [1, 2, 3, 5, 6, 13, 25])
def test_a_bump_is_torchattacks(side, net):
    theirs = peer("torchattacks").Square(net, norm="L2").eta(side)
    ours = bump(side, torch.zeros(1))
    assert torch.allclose(ours, theirs, atol=1e-6) or torch.allclose(ours.T, theirs, atol=1e-6)


@pytest.mark.parametrize("steps", [10_000, 1000, 77])
def test_the_squares_shrink_as_torchattacks_do(steps, net):
    theirs = peer("torchattacks").Square(net, n_queries=steps)
    images = torch.zeros(1, 1, 28, 28)
    for step in range(0, steps, max(1, steps // 500)):
        side = max(round((theirs.p_selection(step) * 28 * 28) ** 0.5), 1)
        assert abs(side_of_square(step, steps, 0.8, images) - side) <= (step * 10_000 % steps != 0) * 6, step


def test_boundary_is_nearer_than_arts_for_no_more_questions(net, digits):
    images, labels = (part[::5] for part in digits)
    start, others = images.roll(1, dims=0), labels.roll(1)
    images, start, labels = (part[others != labels] for part in (images, start, labels))
    theirs, ours = BlackBox(net), BlackBox(net)
    by_art = art_attack(
        "BoundaryAttack", theirs, images, labels, start=start, targeted=False, max_iter=30, delta=0.01, epsilon=0.01
    )
    queries = theirs.queries // len(images)
    made = boundary(ours, images, labels, queries=queries, start=start, generator=torch.Generator().manual_seed(0))
    assert ours.queries <= theirs.queries
    assert fell(net, by_art, labels) == fell(net, made, labels) == 1
    median = [float((there - images).flatten(1).norm(dim=1).median()) for there in (made, by_art)]
    assert median[0] <= 1.02 * median[1], median
