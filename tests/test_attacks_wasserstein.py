"""The projection onto the Wasserstein ball, against exact transport problems solved as linear programmes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import coo_array, vstack
from scipy.special import wrightomega
from torch import Tensor

from tml_helpers.attacks.wasserstein import (
    TransportBall,
    log_wright_omega,
    project_wasserstein,
    sharpening,
    wasserstein,
)
from tml_helpers.common import margin
from tml_helpers.data import mnist
from tml_helpers.models import SmallCNN
from tml_helpers.training import predict


class Transport:
    """All plans that move the mass of one grey image: a variable for each pair of pixels within the window."""

    def __init__(self, image: Tensor, window: int) -> None:
        pixels = np.argwhere(np.ones(image.shape[-2:]))
        steps = pixels[:, None] - pixels[None]
        self.source, self.goal = np.nonzero(np.abs(steps).max(axis=-1) <= window // 2)
        self.distances = np.linalg.norm(steps[self.source, self.goal], axis=-1)
        self.count, self.image = len(pixels), image.flatten().double().numpy()
        self.mass = self.image.sum()

    def sums(self, end: np.ndarray) -> coo_array:
        """The matrix that adds up what leaves (`self.source`) or arrives at (`self.goal`) each pixel."""
        return coo_array((np.ones(len(end)), (end, np.arange(len(end)))), shape=(self.count, len(end)))

    def cost_to(self, image: Tensor) -> float:
        """The exact cost of moving the image into another of (nearly) the same mass, in pixels."""
        other, arrive = image.flatten().double().numpy(), self.sums(self.goal)
        other = other * self.mass / other.sum()
        solved = linprog(
            self.distances,
            A_eq=self.sums(self.source),
            b_eq=self.image,
            A_ub=vstack([arrive, -arrive]),
            b_ub=np.concatenate([other, -other]) + 1e-4,  # what rounding has left
        )
        assert solved.success, solved.message
        return solved.fun / self.mass

    def furthest(self, direction: Tensor, epsilon: float) -> float:
        """The largest <direction, z> over the images z in the ball: what an exact projection is recognised by."""
        arrive = self.sums(self.goal)
        solved = linprog(
            -arrive.T @ direction.flatten().double().numpy(),
            A_eq=self.sums(self.source),
            b_eq=self.image,
            A_ub=vstack([self.distances[None], arrive]),
            b_ub=np.concatenate([[epsilon * self.mass], np.ones(self.count)]),
        )
        assert solved.success, solved.message
        return -solved.fun


def pair(seed: int, side: int = 5) -> tuple[Tensor, Tensor]:
    """Points and an image, of different mass."""
    draws = torch.Generator().manual_seed(seed)
    points, images = torch.rand(2, 1, 1, side, side, generator=draws, dtype=torch.float64)
    return points, images * (images > 0.3)  # some pixels have no mass


def test_the_omega_function_is_scipys():
    t = torch.cat([torch.linspace(-60, 60, 601), torch.tensor([1e3, 1e6, 1e12])]).double()
    np.testing.assert_allclose(log_wright_omega(t), np.log(wrightomega(t.numpy())), rtol=1e-12, atol=1e-12)
    assert torch.isfinite(log_wright_omega(torch.tensor([-1e30, 1e30]))).all()


def test_a_projection_sharpens_by_half_from_one_in_two_rounds_each():
    assert sharpening(5.0, 3) == [1, 1, 1.5, 1.5, 2.25, 2.25, 3.375, 3.375, 5, 5, 5]
    assert sharpening(1.0, 2) == [1, 1]
    assert sharpening(0.5, 1) == [0.5]


@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_the_projection_tends_to_the_exact_one(epsilon):
    """z is the projection of y if and only if no z′ in the ball has <y − z, z′ − z> > 0."""
    points, images = pair(0)
    gaps = []
    for regularization in (5.0, 50.0, 500.0):
        z = project_wasserstein(points, images, epsilon=epsilon, regularization=regularization, rounds=1500, window=3)
        direction = points - z
        gaps.append(Transport(images, 3).furthest(direction, epsilon) - (direction * z).sum().item())
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2] > 0
    assert gaps[2] < 0.01  # so ‖z − exact‖² < 0.02, of ‖y − x‖² of about 4


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**31),
    epsilon=st.floats(0, 2),
    regularization=st.sampled_from([1.0, 30.0, 1e3, 1e6]),
    rounds=st.sampled_from([1, 10, 60]),
)
def test_whatever_the_rounds_the_result_is_in_the_ball(seed, epsilon, regularization, rounds):
    points, images = pair(seed)
    found = project_wasserstein(3 * points - 1, images, epsilon=epsilon, regularization=regularization, rounds=rounds)
    assert 0 <= found.min() <= found.max() <= 1
    assert found.sum().item() == pytest.approx(images.sum().item(), rel=2e-4)
    assert Transport(images, 9).cost_to(found) <= epsilon * (1 + 1e-6) + 2e-4 * 8


@pytest.mark.parametrize(("wanted", "epsilon"), [(0.4, 1.0), (0.1, 1.0), (0.4, 0.3), (0.4, 0.05), (0.0, 0.5)])
def test_two_pixels_have_a_closed_form(wanted, epsilon):
    """Asked to carry `wanted` from one pixel to its neighbour, the projection carries what ε pays for."""
    images = torch.tensor([0.5, 0.1], dtype=torch.float64).view(1, 1, 1, 2)
    points = images + wanted * torch.tensor([-1.0, 1.0])
    found = project_wasserstein(points, images, epsilon=epsilon, regularization=200.0, rounds=300, window=3)
    assert (found - images)[0, 0, 0, 1].item() == pytest.approx(min(wanted, epsilon * 0.6), abs=6e-3)


def test_a_batch_is_projected_image_by_image():
    points, images = (torch.cat(parts) for parts in zip(*(pair(seed) for seed in range(3)), strict=True))
    together = project_wasserstein(points, images, epsilon=0.2)
    for index in range(3):
        alone = project_wasserstein(points[index : index + 1], images[index : index + 1], epsilon=0.2)
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-4, rtol=0)


def test_channels_do_not_exchange_mass():
    points, images = torch.rand(2, 2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    found = project_wasserstein(points, images, epsilon=0.3)
    torch.testing.assert_close(found.sum(dim=(2, 3)), images.sum(dim=(2, 3)), atol=1e-2, rtol=0)


def test_no_budget_and_no_mass_leave_the_image():
    points, images = pair(0)
    torch.testing.assert_close(project_wasserstein(points, images, epsilon=0.0), images)
    black = torch.zeros_like(images)
    assert torch.equal(project_wasserstein(points, black, epsilon=0.5), black)


def test_the_attack_sharpens_in_its_first_projection_and_goes_on_from_there(monkeypatch: pytest.MonkeyPatch):
    projections, approach = [], TransportBall.approach

    def noting(self, points, regularizations):
        projections.append(regularizations)
        approach(self, points, regularizations)

    monkeypatch.setattr(TransportBall, "approach", noting)
    _, images = pair(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(25, 2)).double()
    wasserstein(network, images, torch.tensor([0]), epsilon=0.2, steps=3, regularization=20.0, rounds=2)
    assert projections == [sharpening(20.0, 2), [20.0, 20.0], [20.0, 20.0]]


def test_the_attack_stays_in_the_ball_and_a_larger_ball_fools_more(small_cnn: SmallCNN):
    some = mnist("test", source="default").select(slice(None, None, 100))  # one of each digit
    margins = [margin(predict(small_cnn, some.images), some.labels).mean().item()]
    for epsilon in (0.15, 0.4):
        found = wasserstein(small_cnn, *some.tensors, epsilon=epsilon, steps=12)
        margins.append(margin(predict(small_cnn, found), some.labels).mean().item())
        assert Transport(some.images[0], 5).cost_to(found[0]) <= epsilon * 1.001 + 1e-3
        torch.testing.assert_close(found.sum(dim=(1, 2, 3)), some.images.sum(dim=(1, 2, 3)), rtol=2e-4, atol=0)
    assert margins[0] + 2 < margins[1] < margins[2] - 2
    assert torch.equal(wasserstein(small_cnn, *some.tensors, epsilon=0.0, steps=12), some.images)
