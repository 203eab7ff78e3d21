"""Relational distillation: not where the teacher puts an image, but how far and at what angle it lies from the others.

For points x_1 … x_B, a batch's embeddings, with e_ab = (x_b − x_a) / ‖x_b − x_a‖ and Huber's loss ℓ, δ = 1:

    distances   ψ_D(a, b) = ‖x_b − x_a‖ / μ, μ the mean of those above 0     mean over a, b of ℓ(ψ_D^s − ψ_D^t)
    angles      ψ_A(b, a, c) = ⟨e_ab, e_ac⟩, the cosine at x_a               mean over a, b, c of ℓ(ψ_A^s − ψ_A^t)

Neither changes when all points are moved, turned or scaled, so the embeddings of the two networks may have other sizes.
Where two points meet, their distance is 0, they have no direction (e = 0), and no gradient.

The angles are B³. With the B × B cosines at one vertex, C of the student and K of the teacher, g = clamp(C − K, −1, 1)
is ℓ's slope, ⟨g, C − K⟩ − ⟨g, g⟩/2 its sum, and 2·g·E the gradient with respect to the B directions E: a few vertices
at a time are all that is ever held. Derived in: lectures/10_distillation/features_and_relations
"""

import math
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tml_helpers.distillation._checks import check_floating

__all__ = ["CollapsedEmbeddingsWarning", "rkd_angle_loss", "rkd_distance_loss"]

CHUNK = 2**18  # cosines that are held at a time on a CPU: they stay in its cache
CHUNK_ELSEWHERE = 2**24  # on a GPU, where few launches matter more


class CollapsedEmbeddingsWarning(UserWarning):
    """All points of a batch are one: there is no relation to learn, or to learn from."""


def rkd_distance_loss(student_embeddings: Tensor, teacher_embeddings: Tensor) -> Tensor:
    """Mean over a, b of ℓ(‖s_a − s_b‖/μ_s − ‖t_a − t_b‖/μ_t), ℓ Huber's loss with δ = 1, μ the mean distance above 0.

    Distances come from differences, not from products of the points, so near points keep their digits.

    Args:
        student_embeddings: `[B, D]` for B ≥ 2, finite, any floating-point dtype; `[B, …]` is flattened.
        teacher_embeddings: `[B, E]`, of the same images in the same order, on the same device; E may be another size.
            They are constants, and no gradient flows into the teacher.

    Returns:
        A scalar of float32 (float64 if either input is). The gradient is 0 where points meet.

    Raises:
        TypeError: embeddings that are no floating-point tensor.
        ValueError: shapes or devices that don't fit, fewer than two points, or a value that is not finite.

    Warns:
        CollapsedEmbeddingsWarning: all student points, or all teacher points, are one; distances are then all 0.

    Source: Park, Kim, Lu and Cho, arXiv:1904.05068, 2019. Derived in: lectures/10_distillation/features_and_relations
    """
    student, teacher = _points(student_embeddings, teacher_embeddings)
    ours, theirs = _relative(_distances(student, "student")), _relative(_distances(teacher, "teacher"))
    pairs = F.smooth_l1_loss(ours, theirs, reduction="sum")  # each pair once, and none of a point with itself
    return 2 * pairs / len(student) ** 2


def rkd_angle_loss(student_embeddings: Tensor, teacher_embeddings: Tensor) -> Tensor:
    """Mean over a, b, c of ℓ(cos∠(s_b, s_a, s_c) − cos∠(t_b, t_a, t_c)), ℓ Huber's loss with δ = 1, a the vertex.

    All B³ triples count, also those with b = c, or without an angle because two points meet: their cosine is 0. Memory
    grows as B², time as B³: gradient and loss are made together, a few vertices at a time.

    Args:
        student_embeddings: `[B, D]` for B ≥ 2, finite, any floating-point dtype; `[B, …]` is flattened. Two points have
            no angle, so the loss is 0 for B = 2.
        teacher_embeddings: `[B, E]`, of the same images in the same order, on the same device; E may be another size.
            They are constants, and no gradient flows into the teacher.

    Returns:
        A scalar of float32 (float64 if either input is). The gradient is 0 where points meet; differentiating it again
        is refused.

    Raises:
        TypeError: embeddings that are no floating-point tensor.
        ValueError: shapes or devices that don't fit, fewer than two points, or a value that is not finite.

    Warns:
        CollapsedEmbeddingsWarning: all student points, or all teacher points, are one; cosines are then all 0.

    Source: Park, Kim, Lu and Cho, arXiv:1904.05068, 2019. Derived in: lectures/10_distillation/features_and_relations
    """
    student, teacher = _points(student_embeddings, teacher_embeddings)
    ours, theirs = _inverse(_distances(student, "student")), _inverse(_distances(teacher, "teacher"))
    with torch.autocast(student.device.type, enabled=False):
        loss: Tensor = _AngleLoss.apply(_turned(student), _turned(teacher), ours, theirs)
    return loss


# ----------------------------------------------------------------------------------------------------- points


def _points(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets of points, `[B, D]` and `[B, E]`, of one dtype of at least 32 bits."""
    for name, embeddings in (("student_embeddings", student), ("teacher_embeddings", teacher)):
        check_floating(name, embeddings)
        if embeddings.ndim < 2 or embeddings.numel() == 0:
            raise ValueError(f"{name} must be a non-empty tensor [B, D], got shape {list(embeddings.shape)}")
    if len(student) != len(teacher) or student.device != teacher.device:
        raise ValueError(
            f"teacher_embeddings must be of the student's {len(student)} images on {student.device}, got "
            f"{len(teacher)} on {teacher.device}"
        )
    if len(student) < 2:
        raise ValueError(
            "a relation needs a batch of at least 2 images, got 1: leave out a last batch that is so small"
        )
    dtype = torch.promote_types(torch.promote_types(student.dtype, teacher.dtype), torch.float32)
    ours, theirs = student.flatten(1).to(dtype), teacher.detach().flatten(1).to(dtype)
    return _scaled(ours, "student_embeddings"), _scaled(theirs, "teacher_embeddings")


def _scaled(points: Tensor, name: str) -> Tensor:
    """The points over a power of 2: no relation changes, no digit is lost, and no square over- or underflows."""
    largest = float(points.detach().abs().amax())
    if not math.isfinite(largest):
        raise ValueError(f"{name} must be finite, got {largest}: has the training diverged?")
    return points * 2.0 ** -math.frexp(max(largest, torch.finfo(points.dtype).tiny))[1]


def _distances(points: Tensor, whose: str) -> Tensor:
    """‖x_a − x_b‖ for each pair a < b, `[B·(B − 1)/2]`; where points meet, exactly 0, with a gradient of 0."""
    distances = F.pdist(points)
    if not distances.any():
        warnings.warn(
            f"all {whose} embeddings of this batch are one point: there are no distances and angles, and no gradient",
            CollapsedEmbeddingsWarning,
            stacklevel=3,
        )
    return distances


# -------------------------------------------------------------------------------------------------- distances


def _relative(distances: Tensor) -> Tensor:
    """Distances over the mean of those above 0; all 0 where none is."""
    apart = distances[distances > 0]
    return distances / apart.mean() if len(apart) else distances


# ----------------------------------------------------------------------------------------------------- angles


class _AngleLoss(torch.autograd.Function):
    """Makes the gradient in `forward`, while the cosines are at hand; `backward` scales it."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
        loss, gradient = _angles(student, teacher, ours, theirs, wanted=ctx.needs_input_grad[0])
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True: somebody would differentiate a constant, and get 0
            raise RuntimeError(
                "rkd_angle_loss has no second derivative: its gradient is made with the loss, as a number"
            )
        (gradient,) = ctx.saved_tensors
        return gradient * factor, None, None, None


def _angles(
    student: Tensor, teacher: Tensor, ours: Tensor, theirs: Tensor, *, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss and (if wanted) its gradient, from points and one over their distances, a few vertices at a time."""
    count = len(student)
    loss, gradient = student.new_zeros(()), torch.zeros_like(student) if wanted else None
    step = max(1, (CHUNK if student.device.type == "cpu" else CHUNK_ELSEWHERE) // count**2)
    for start in range(0, count, step):
        vertices = slice(start, start + step)
        rays = _directions(student, ours, vertices)
        gap = torch.bmm(rays, rays.mT)
        rays_of_teacher = _directions(teacher, theirs, vertices)
        gap.baddbmm_(rays_of_teacher, rays_of_teacher.mT, alpha=-1)  # the student's cosines minus the teacher's
        slope = gap.clamp(-1, 1)
        loss += torch.dot(slope.view(-1), gap.view(-1)) - torch.dot(slope.view(-1), slope.view(-1)) / 2
        if gradient is not None:
            along = torch.bmm(slope, rays)
            along -= rays * (along * rays).sum(dim=2, keepdim=True)  # a ray turns, and stays of length 1
            along *= 2 * ours[vertices, :, None]
            gradient += along.sum(dim=0)
            gradient[vertices] -= along.sum(dim=1)
    return loss / count**3, None if gradient is None else gradient / count**3


def _directions(points: Tensor, inverse: Tensor, vertices: slice) -> Tensor:
    """e_ab for each vertex a and point b, `[V, B, D]`: 0 where the two meet."""
    return (points - points[vertices, None]).mul_(inverse[vertices, :, None])


@torch.no_grad()
def _inverse(distances: Tensor) -> Tensor:
    """1 / ‖x_a − x_b‖, `[B, B]`: 0 where the two meet."""
    count = math.isqrt(2 * len(distances)) + 1
    inverse = distances.new_zeros(count, count)
    inverse[tuple(torch.triu_indices(count, count, 1, device=inverse.device))] = distances
    inverse += inverse.T.clone()
    return torch.where(inverse > 0, 1 / inverse, 0)


def _turned(points: Tensor) -> Tensor:
    """The points in as many dimensions as there are points, if they had more: turned there, they keep their angles."""
    if points.shape[1] <= len(points):
        return points
    basis: Tensor = torch.linalg.qr(points.detach().T).Q
    return points @ basis
