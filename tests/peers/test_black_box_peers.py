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
from tml_helpers.training import predict


@pytest.fixture(scope="module")
def digits(mlp: MLP) -> tuple[Tensor, Tensor]:
    test = mnist("test", source="default")
    right = (predict(mlp, test.images).argmax(dim=1) == test.labels).nonzero().flatten()[::4]
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


def fell(mlp: nn.Module, adversarial: Tensor, labels: Tensor) -> float:
    return float((predict(mlp, adversarial).argmax(dim=1) != labels).float().mean())


def test_square_fools_as_often_as_arts_for_fewer_questions(mlp, digits):
    """ART asks about each image up to three times a step, also where it has fallen; its L2 form divides by zero."""
    images, labels = digits
    theirs, ours = BlackBox(mlp), BlackBox(mlp)
    by_art = art_attack("SquareAttack", theirs, images, labels, norm=np.inf, eps=0.1, max_iter=200)
    made = square(ours, images, labels, epsilon=0.1, queries=202, generator=torch.Generator().manual_seed(0))
    assert 0.1 < fell(mlp, by_art, labels) < 0.9
    assert fell(mlp, made, labels) >= fell(mlp, by_art, labels) - 0.06
    assert ours.queries < 0.6 * theirs.queries


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 2.0)])
def test_square_fools_as_often_as_torchattacks(norm, epsilon, mlp, digits):
    images, labels = digits
    theirs = peer("torchattacks").Square(
        mlp, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, n_queries=200, seed=0
    )(images, labels)
    made = square(
        mlp, images, labels, epsilon=epsilon, norm=norm, queries=202, generator=torch.Generator().manual_seed(0)
    )
    assert 0.1 < fell(mlp, theirs, labels) < 0.9
    assert fell(mlp, made, labels) >= fell(mlp, theirs, labels) - 0.06


@pytest.mark.parametrize("side", [1, 2, 3, 5, 6, 13, 25])
def test_a_bump_is_torchattacks(side, mlp):
    theirs = peer("torchattacks").Square(mlp, norm="L2").eta(side)
    ours = bump(side, torch.zeros(1))
    assert torch.allclose(ours, theirs, atol=1e-6) or torch.allclose(ours.T, theirs, atol=1e-6)


@pytest.mark.parametrize("steps", [10_000, 1000, 77])
def test_the_squares_shrink_as_torchattacks_do(steps, mlp):
    theirs = peer("torchattacks").Square(mlp, n_queries=steps)
    images = torch.zeros(1, 1, 28, 28)
    for step in range(0, steps, max(1, steps // 500)):
        side = max(round((theirs.p_selection(step) * 28 * 28) ** 0.5), 1)
        assert abs(side_of_square(step, steps, 0.8, images) - side) <= (step * 10_000 % steps != 0) * 6, step


def test_boundary_is_nearer_than_arts_for_no_more_questions(mlp, digits):
    images, labels = (part[::20] for part in digits)
    start, others = images.roll(1, dims=0), labels.roll(1)
    images, start, labels = (part[others != labels] for part in (images, start, labels))
    theirs, ours = BlackBox(mlp), BlackBox(mlp)
    by_art = art_attack(
        "BoundaryAttack", theirs, images, labels, start=start, targeted=False, max_iter=30, delta=0.01, epsilon=0.01
    )
    queries = theirs.queries // len(images)
    made = boundary(ours, images, labels, queries=queries, start=start, generator=torch.Generator().manual_seed(0))
    assert ours.queries <= theirs.queries
    assert fell(mlp, by_art, labels) == fell(mlp, made, labels) == 1
    median = [float((there - images).flatten(1).norm(dim=1).median()) for there in (made, by_art)]
    assert median[0] <= 1.02 * median[1], median
