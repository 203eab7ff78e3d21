"""rkd_distance_loss and rkd_angle_loss against torchdistill's RKDLoss, which follows the authors' code."""

import pytest
import torch
from torch import Tensor

from tml_helpers import _torchvision
from tml_helpers.distillation import rkd_angle_loss, rkd_distance_loss

pytest.importorskip("torchdistill", reason="the extra [peers] is not installed")


def torchdistill_loss(student: Tensor, teacher: Tensor, *, distance: float, angle: float) -> Tensor:
    _torchvision.load()  # which torchdistill imports
    from torchdistill.losses.mid_level import RKDLoss

    loss = RKDLoss("features", "features", dist_factor=distance, angle_factor=angle, reduction="mean")
    return loss({"features": {"output": student}}, {"features": {"output": teacher}})


def batch(*shapes: tuple[int, ...], stretch: float = 1.0) -> tuple[Tensor, Tensor]:
    """Points of which one lies far out, where `stretch` is large: relations then differ by more than 1."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    student[0] *= stretch
    return student.requires_grad_(), teacher


@pytest.mark.parametrize("stretch", [1.0, 30.0])
@pytest.mark.parametrize("shapes", [((16, 5), (16, 7)), ((12, 30), (12, 40)), ((6, 3, 4, 4), (6, 8, 2, 2))])
def test_loss_and_gradient_equal_torchdistills(shapes: tuple[tuple[int, ...], ...], stretch: float) -> None:
    for ours, weights in ((rkd_distance_loss, (1.0, 0.0)), (rkd_angle_loss, (0.0, 1.0))):
        student, teacher = batch(*shapes, stretch=stretch)
        theirs = torchdistill_loss(student, teacher, distance=weights[0], angle=weights[1])
        torch.testing.assert_close(ours(student, teacher), theirs, rtol=1e-10, atol=0)
        slopes = (torch.autograd.grad(loss, student)[0] for loss in (ours(student, teacher), theirs))
        torch.testing.assert_close(*slopes, rtol=1e-7, atol=1e-15)


def test_together_they_are_torchdistills_loss_with_both_factors() -> None:
    student, teacher = batch((10, 4), (10, 6))
    ours = 25 * rkd_distance_loss(student, teacher) + 50 * rkd_angle_loss(student, teacher)
    torch.testing.assert_close(ours, torchdistill_loss(student, teacher, distance=25.0, angle=50.0), rtol=1e-10, atol=0)


def test_a_batch_of_one_is_nan_there() -> None:
    assert torchdistill_loss(torch.ones(1, 3), torch.ones(1, 3), distance=1.0, angle=0.0).isnan()
    with pytest.raises(ValueError, match="at least 2"):
        rkd_distance_loss(torch.ones(1, 3), torch.ones(1, 3))


def test_far_from_the_origin_torchdistill_loses_the_distances() -> None:
    """Both in float32, against float64: it takes distances from products of the points."""
    student, teacher = (points.detach() for points in batch((16, 5), (16, 5)))
    moved = (student + 1000).float()
    exact = rkd_distance_loss(moved.double(), teacher)
    ours = rkd_distance_loss(moved, teacher.float())
    theirs = torchdistill_loss(moved, teacher.float(), distance=1.0, angle=0.0)
    assert abs(ours - exact) < 1e-5 * exact
    assert abs(theirs - exact) > 1e-3 * exact
