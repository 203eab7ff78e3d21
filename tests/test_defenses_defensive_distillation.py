"""Defensive distillation: trained as published, masked as published, and broken as published."""

import copy
import warnings
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.attacks import GradientMaskingWarning, fgsm, margin, pgd
from tml_helpers.data import mnist
from tml_helpers.defenses.defensive_distillation import defensive_distillation, soft_cross_entropy
from tml_helpers.models import MLP
from tml_helpers.training import accuracy, predict, seed_everything


@pytest.fixture(scope="module")
def networks() -> tuple[nn.Module, nn.Module]:
    """A teacher and the student that it hardened."""
    generator = seed_everything(0)
    teacher, student = MLP(64), MLP(64)
    data = mnist("train", source="default")
    defensive_distillation(student, data, teacher=teacher, epochs=5, learning_rate=2e-2, generator=generator)
    return teacher, student


@pytest.fixture(scope="module")
def images_and_labels() -> tuple[Tensor, Tensor]:
    return mnist("test", source="default").select(slice(0, None, 5)).tensors


def survivors(model: nn.Module, attack: Any, images: Tensor, labels: Tensor, **how: Any) -> float:
    adversarial = attack(model, images, labels, epsilon=0.2, **how)
    return accuracy(model, TensorDataset(adversarial, labels))


def test_both_networks_read_digits(networks, images_and_labels) -> None:
    for network in networks:
        assert accuracy(network, TensorDataset(*images_and_labels)) > 0.75


def test_the_deployed_network_has_no_gradient_to_follow(networks, images_and_labels) -> None:
    _, student = networks
    top = predict(student, images_and_labels[0]).topk(2, dim=1).values
    assert (top[:, 0] - top[:, 1]).median() > 104  # exp(−104) is zero in float32
    for attack in (fgsm, pgd):
        with pytest.warns(GradientMaskingWarning, match="masks its gradients"):
            assert survivors(student, attack, *images_and_labels) > 0.5


def test_an_attack_on_the_logits_breaks_it(networks, images_and_labels) -> None:
    _, student = networks
    with warnings.catch_warnings():
        warnings.simplefilter("error", GradientMaskingWarning)
        assert survivors(student, pgd, *images_and_labels, loss=margin, steps=20) < 0.2

        def hot(logits: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(logits / 100, labels, reduction="none")

        assert survivors(student, pgd, *images_and_labels, loss=hot, steps=20) < 0.2


def test_the_students_loss_has_the_gradient_of_the_papers_cross_entropy(images_and_labels) -> None:
    """−Σ q log p with q and p at temperature T, up to the factor T², which keeps the gradient's size."""
    seed_everything(0)
    images, labels = images_and_labels
    teacher, student = MLP(8).double(), MLP(8).double()
    images = images.double()
    q = F.softmax(teacher(images).detach() / 20, dim=1)
    theirs = -(q * F.log_softmax(student(images) / 20, dim=1)).sum(dim=1).mean()
    ours = soft_cross_entropy(student, images, labels, teacher=teacher, temperature=20.0)
    for mine, other in zip(
        torch.autograd.grad(ours, list(student.parameters())),
        torch.autograd.grad(theirs, list(student.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(mine, 20**2 * other, rtol=1e-6, atol=1e-12)


def test_the_teacher_learns_hot_from_the_labels_and_the_student_from_it_alone(images_and_labels) -> None:
    images, labels = images_and_labels
    data, seeds = TensorDataset(images, labels), torch.Generator()
    torch.manual_seed(0)
    student = MLP(8)
    teacher, expected, untouched = (copy.deepcopy(student) for _ in range(3))
    how: dict[str, Any] = {"epochs": 1, "batch_size": len(images), "temperature": 5.0, "learning_rate": 1e-2}
    defensive_distillation(student, data, teacher=teacher, generator=seeds.manual_seed(0), **how)
    F.cross_entropy(expected(images) / 5, labels).backward()
    torch.optim.Adam(expected.parameters(), lr=1e-2).step()
    for found, wanted in zip(teacher.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    defensive_distillation(untouched, data, generator=seeds.manual_seed(0), **how)  # a copy of it is its teacher
    for found, wanted in zip(untouched.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


def test_a_temperature_is_positive(images_and_labels) -> None:
    with refuses(ValueError, "temperature", "0"):
        defensive_distillation(MLP(4), TensorDataset(*images_and_labels), temperature=0, epochs=1)
