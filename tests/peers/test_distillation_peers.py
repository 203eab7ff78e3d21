"""distillation_loss against torchdistill's KDLoss, whose alpha weighs the hard labels: ours is one minus it."""

import pytest
import torch
from torch import Tensor

from tml_helpers import _torchvision
from tml_helpers.distillation import distillation_loss

pytest.importorskip("torchdistill", reason="the extra [peers] is not installed")


def torchdistill_loss(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float) -> Tensor:
    _torchvision.load()  # which torchdistill imports
    from torchdistill.losses.mid_level import KDLoss

    loss = KDLoss("logits", "output", "logits", "output", temperature=temperature, alpha=1 - alpha)
    return loss({"logits": {"output": student}}, {"logits": {"output": teacher}}, labels)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(2, 32, 10, generator=generator, dtype=torch.float64)
    return student.requires_grad_(), teacher, torch.randint(10, (32,), generator=generator)


@pytest.mark.parametrize("temperature", [1.0, 2.5, 4.0, 20.0])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.9])
def test_loss_and_gradient_equal_torchdistills(temperature, alpha):
    student, teacher, labels = batch()
    ours = distillation_loss(student, teacher, labels, temperature=temperature, alpha=alpha)
    theirs = torchdistill_loss(student, teacher, labels, temperature, alpha)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    slopes = (torch.autograd.grad(loss, student)[0] for loss in (ours, theirs))
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-15)


def test_with_the_teacher_alone_torchdistill_drops_the_factor_t_squared():
    student, teacher, labels = batch()
    ours = distillation_loss(student, teacher, None, temperature=4.0, alpha=1.0)
    theirs = torchdistill_loss(student, teacher, labels, temperature=4.0, alpha=1.0)
    torch.testing.assert_close(ours, 4.0**2 * theirs, rtol=1e-12, atol=0)
