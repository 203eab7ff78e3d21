"""α·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)) + (1 − α)·cross-entropy(z_s, y), and its gradient, in one pass.

With p = softmax(z_s/T), q = softmax(z_t/T), h = softmax(z_s) and means over the N rows, the gradient needs no more than
the forward pass has at hand:

    ∂loss/∂z_s = (α·T·(p − q) + (1 − α)·(h − onehot(y))) / N

Fewest bytes: read z_s, read z_t, write the gradient: 3·N·K·b for K classes of b bytes. Plain PyTorch, operation by
operation, moves 35·N·K·b. Fewest exponentials: two an element, p and q (h is a power of p where T is whole); elements
beyond the first TILE of a row are read and raised twice. Derived in: lectures/09_kernels/distillation_loss
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tml_helpers.kernels._kind import kind
from tml_helpers.kernels._triton import jit, tl, triton

CHUNK = 2**18  # elements: the closed form's working tensors, 1 MB each, stay in the processor's cache
TILE = 4096  # elements of a row that a program holds at a time
STAGES = 3  # tiles of a row that a program has asked for, or works on
REGISTERS = 64  # of a thread: twice 512 threads share a multiprocessor's 65,536, and one row's end hides in the other
SMALL = 2**20  # elements: a gradient that is scaled in one launch of PyTorch's, which costs the host less than ours
LARGEST_POWER = 8  # up to here raising to the power T costs less than an exponential, and loses no precision


def reference(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None, *, temperature: float, alpha: float
) -> Tensor:
    """The loss as one writes it in plain PyTorch: what the kernel is checked against."""
    soft = F.kl_div(
        F.log_softmax(student_logits / temperature, dim=1),
        F.softmax(teacher_logits.detach() / temperature, dim=1),
        reduction="batchmean",
    )
    hard = 0.0 if labels is None else F.cross_entropy(student_logits, labels)
    return alpha * temperature**2 * soft + (1 - alpha) * hard


# ---------------------------------------------------------------------------------------------- without a GPU


def _softmax(logits: Tensor, out: Tensor) -> float:
    """Row softmax into `out`, which may be `logits`; returns Σ log Σ exp over the rows, from two maxima of each."""
    highest = logits.amax(dim=1)
    torch.softmax(logits, dim=1, out=out)
    return float((highest - out.amax(dim=1).log_()).sum())


def closed_form(
    student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float, alpha: float, gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss and (if wanted) its gradient, a chunk of rows at a time, so that what one step writes the next finds in
    the cache; three exponentials an element, where autograd takes five and a logarithm."""
    dtype = torch.promote_types(torch.promote_types(student.dtype, teacher.dtype), torch.float32)
    rows, classes = student.shape
    step = min(rows, max(1, CHUNK // classes))
    grad = torch.empty_like(student, memory_format=torch.contiguous_format) if gradient else None
    in_place = grad if grad is not None and grad.dtype == dtype else None  # p is made where the gradient will stand
    work = student.new_empty((3 if in_place is None else 2, step, classes), dtype=dtype)
    loss = 0.0
    for start in range(0, rows, step):
        here = slice(start, min(start + step, rows))
        s, t = student[here].to(dtype), teacher[here].to(dtype)
        q, gap, *spare = work if len(s) == step else work[:, : len(s)]
        p = spare[0] if in_place is None else in_place[here]
        torch.div(s, temperature, out=p)
        torch.div(t, temperature, out=q)
        torch.sub(q, p, out=gap)
        log_sum = _softmax(p, out=p) - _softmax(q, out=q)  # p and q are now what their names say
        cross = float(torch.dot(q.view(-1), gap.view(-1)))
        if math.isnan(cross):  # 0·log 0 = 0: a class that the teacher rules out by −inf counts nothing
            cross = float(torch.dot(q.view(-1), gap.masked_fill_(q == 0, 0).view(-1)))
        loss += alpha * temperature**2 / rows * (cross + log_sum)
        p.sub_(q).mul_(alpha * temperature / rows)
        if labels is not None:
            y, h = labels[here, None].long(), gap
            loss += (1 - alpha) / rows * (_softmax(s, out=h) - float(s.gather(1, y).sum()))
            p.add_(h.scatter_(1, y, -1.0, reduce="add"), alpha=(1 - alpha) / rows)
        if grad is not None and in_place is None:
            grad[here] = p
    return student.new_tensor(loss, dtype=dtype), grad


# --------------------------------------------------------------------------------------------------- on a GPU


@jit
def _read(logits, column, classes, eviction):  # type: ignore[no-untyped-def]
    """A tile of one row as float32; beyond the row's end −inf, whose exponential is 0."""
    return tl.load(logits + column, column < classes, float("-inf"), eviction_policy=eviction).to(tl.float32)


@jit
def _power(base, exponent: tl.constexpr):  # type: ignore[no-untyped-def]
    """base ** exponent for a whole exponent below 16, by squaring."""
    result = 1.0
    for bit in tl.static_range(4):
        if (exponent >> bit) & 1:
            result = result * base
        base = base * base
    return result


@jit
def _whole(x):  # type: ignore[no-untyped-def]
    """The next whole number, x or more: beyond 2²³ a float has no other, so two additions round."""
    return (x + 0.5 + 12582912.0) - 12582912.0


@jit
def _two_to(whole):  # type: ignore[no-untyped-def]
    """2 ** whole for whole numbers up to 0, written into a float's exponent: exact, and no exponential."""
    bits = (tl.maximum(whole, -127.0) + 12582912.0).to(tl.int32, bitcast=True)
    return ((bits << 23) + (127 << 23)).to(tl.float32, bitcast=True)


@jit
def _absorb(  # type: ignore[no-untyped-def]
    s, t, s_high, t_high, h_high, p_sum, q_sum, h_sum, cross, warm,
    HARD: tl.constexpr, POWER: tl.constexpr,
):  # fmt: skip
    """Takes a tile into each lane's sums; returns the tile's exponentials too, and the bounds that they stand over."""
    unit = 1.4426950408889634  # exp(x) = exp2(x · log2 e)
    s_top = tl.maximum(s_high, _whole(tl.max(s, 1) * warm))
    t_top = tl.maximum(t_high, _whole(tl.max(t, 1) * warm))
    p = tl.exp2(s * warm - s_top[:, None])
    q = tl.exp2(t * warm - t_top[:, None])
    p_shrink = _two_to(s_high - s_top)
    q_shrink = _two_to(t_high - t_top)
    p_sum = p_sum * p_shrink + tl.sum(p, 1)
    q_sum = q_sum * q_shrink + tl.sum(q, 1)
    cross = cross * q_shrink + tl.sum(q * tl.where(q > 0, t - s, 0.0), 1)  # 0·log 0 = 0
    h = p
    if HARD:
        if POWER:  # exp(x) = exp(x/T)**T: the units for exponentials are busier than the multipliers
            h = _power(p, POWER)
            h_shrink = _power(p_shrink, POWER)
        else:
            h_top = tl.maximum(h_high, _whole(tl.max(s, 1) * unit))
            h = tl.exp2(s * unit - h_top[:, None])
            h_shrink = _two_to(h_high - h_top)
            h_high = h_top
        h_sum = h_sum * h_shrink + tl.sum(h, 1)
    return s_top, t_top, h_high, p_sum, q_sum, h_sum, cross, p, q, h


@jit
def _row(  # type: ignore[no-untyped-def]
    student, teacher, labels, losses, gradient,  # pointers
    student_stride, teacher_stride, classes, temperature, alpha,
    HARD: tl.constexpr, GRADIENT: tl.constexpr,  # is there a cross-entropy term? is the gradient wanted?
    POWER: tl.constexpr,  # T, where it is a small whole number, else 0
    LANES: tl.constexpr, WIDTH: tl.constexpr,  # a tile is LANES × WIDTH elements of the row
    STAGES: tl.constexpr,  # tiles on their way: the next are asked for before this one is needed
):  # fmt: skip
    """One row: reads its logits, K·b bytes each, those beyond a tile again from the cache; writes K·b of gradient."""
    row = tl.program_id(0).to(tl.int64)  # row · stride may exceed 2³¹
    student += row * student_stride
    teacher += row * teacher_stride
    share = 1.0 / tl.num_programs(0)
    unit = 1.4426950408889634
    warm = unit / temperature
    tile = tl.arange(0, LANES)[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :]
    # Each lane keeps its own sums, over 2 to a whole number: no thread waits for another until the row has been read.
    s_high = tl.full([LANES], -1e30, tl.float32)
    t_high = tl.full([LANES], -1e30, tl.float32)
    h_high = tl.full([LANES], -1e30, tl.float32)
    p_sum = tl.zeros([LANES], tl.float32)
    q_sum = tl.zeros([LANES], tl.float32)
    h_sum = tl.zeros([LANES], tl.float32)
    cross = tl.zeros([LANES], tl.float32)  # Σ q · (z_t − z_s)
    last = (classes - 1) // (LANES * WIDTH) * (LANES * WIDTH)
    for back in tl.range(0, last, LANES * WIDTH, num_stages=STAGES):
        s = _read(student, last - back + tile, classes, "evict_last")
        t = _read(teacher, last - back + tile, classes, "evict_last")
        s_high, t_high, h_high, p_sum, q_sum, h_sum, cross, p, q, h = _absorb(
            s, t, s_high, t_high, h_high, p_sum, q_sum, h_sum, cross, warm, HARD, POWER
        )
    s = _read(student, tile, classes, "evict_first")  # the first tile comes last, and is held
    t = _read(teacher, tile, classes, "evict_first")
    s_high, t_high, h_high, p_sum, q_sum, h_sum, cross, p, q, h = _absorb(
        s, t, s_high, t_high, h_high, p_sum, q_sum, h_sum, cross, warm, HARD, POWER
    )

    # The lanes' sums, brought to one bound.
    s_max = tl.max(s_high, 0)
    t_max = tl.max(t_high, 0)
    s_scale = _two_to(s_high - s_max)
    t_scale = _two_to(t_high - t_max)
    p_total = tl.sum(p_sum * s_scale, 0)
    q_total = tl.sum(q_sum * t_scale, 0)
    gap = tl.sum(cross * t_scale, 0) / q_total * warm + (s_max - t_max)
    divergence = (gap + tl.log2(p_total) - tl.log2(q_total)) / unit
    loss = share * alpha * temperature * temperature * divergence
    if HARD:
        label = tl.load(labels + row)
        known = (label >= 0) & (label < classes)
        label = tl.where(known, label, 0).to(tl.int32)
        hard = tl.where(known, share * (1 - alpha), float("nan"))  # a wrong label must not pass in silence
        right = tl.load(student + label).to(tl.float32)
        if POWER:
            h_scale = _power(s_scale, POWER)
            right = (right * warm - s_max) * POWER
        else:
            h_max = tl.max(h_high, 0)
            h_scale = _two_to(h_high - h_max)
            right = right * unit - h_max
        h_total = tl.sum(h_sum * h_scale, 0)
        loss += hard * (tl.log2(h_total) - right) / unit
        h_weight = hard / h_total
    tl.store(losses + row, loss)
    if GRADIENT:
        gradient += row * classes
        p_weight, q_weight = share * alpha * temperature / p_total, share * alpha * temperature / q_total
        slope = p * (p_weight * s_scale)[:, None] - q * (q_weight * t_scale)[:, None]
        if HARD:
            slope += h * (h_weight * h_scale)[:, None]
            slope -= tl.where(tile == label, hard, 0.0)
        tl.store(gradient + tile, slope, tile < classes, eviction_policy="evict_first")
        for start in tl.range(LANES * WIDTH, classes, LANES * WIDTH, num_stages=STAGES):
            s = _read(student, start + tile, classes, "evict_first")
            t = _read(teacher, start + tile, classes, "evict_first")
            p = tl.exp2(s * warm - s_max)
            q = tl.exp2(t * warm - t_max)
            slope = p * p_weight - q * q_weight
            if HARD:
                h = _power(p, POWER) if POWER else tl.exp2(s * unit - h_max)
                slope += h * h_weight
                if label // (LANES * WIDTH) * (LANES * WIDTH) == start:
                    slope -= tl.where(tile == label - start, hard, 0.0)
            tl.store(gradient + start + tile, slope, start + tile < classes, eviction_policy="evict_first")


@jit
def _scale_in_place(gradient, factor, size, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """gradient *= factor; where the factor is 1 nothing is read but the factor."""
    scale = tl.load(factor)
    if scale != 1.0:
        here = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        tl.store(gradient + here, tl.load(gradient + here, here < size) * scale, here < size)


def fused(
    student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float, alpha: float, gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss and (if wanted) its gradient in two launches: a program for each row, and a sum over the rows."""
    student, teacher = (x if x.stride(1) == 1 else x.contiguous() for x in (student, teacher))
    rows, classes = student.shape
    losses = torch.empty(rows, device=student.device)
    grad = torch.empty_like(student, memory_format=torch.contiguous_format) if gradient else None
    tile = min(TILE, max(8, triton.next_power_of_2(classes)))
    in_vectors = all(number % 16 == 0 for number in (classes, student.stride(0), teacher.stride(0)))
    with torch.cuda.device_of(student):
        _row[(rows,)](
            student, teacher, labels, losses, grad,
            student.stride(0), teacher.stride(0), classes, temperature, alpha,
            HARD=labels is not None, GRADIENT=gradient,
            POWER=int(temperature) if temperature in range(1, LARGEST_POWER + 1) else 0,
            LANES=tile // 8, WIDTH=8,  # 8 elements of two bytes are one load of 16 bytes
            STAGES=STAGES, num_warps=max(1, tile // 256),
            maxnreg=REGISTERS if in_vectors else None,  # one by one, elements need more
        )  # fmt: skip
    return losses.sum(), grad


# --------------------------------------------------------------------------------------------------- the function


def _path(student: Tensor, teacher: Tensor) -> Callable[..., tuple[Tensor, Tensor | None]]:
    """The Triton kernel for CUDA tensors of up to 32 bits, else the closed form."""
    wide = torch.float64 in (student.dtype, teacher.dtype)
    return fused if student.is_cuda and triton is not None and not wide else closed_form


def _scaled(gradient: Tensor, factor: Tensor) -> Tensor:
    """gradient · factor, without a pass over the gradient where the factor is 1; on a GPU, if it is large, in place,
    without asking the device for the factor's value, which would make the host wait."""
    if not gradient.is_cuda:
        return gradient if factor == 1 else gradient * factor
    if triton is None or gradient.numel() <= SMALL:
        return gradient * factor
    with torch.cuda.device_of(gradient):
        blocks = triton.cdiv(gradient.numel(), TILE)
        _scale_in_place[(blocks,)](gradient, factor, gradient.numel(), BLOCK=TILE, num_warps=8)
    return gradient


class _DistillationLoss(torch.autograd.Function):
    """Makes the gradient in `forward`, while the row is at hand; `backward` scales it."""

    @staticmethod
    def forward(
        ctx: Any, student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float, alpha: float
    ) -> Tensor:
        loss, gradient = _path(student, teacher)(student, teacher, labels, temperature, alpha, True)
        ctx.save_for_backward(gradient)
        ctx.factor = None
        return loss

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True: somebody would differentiate a constant, and get 0
            raise RuntimeError("distillation_loss has no second derivative: `reference`, in the same file, has one")
        (gradient,) = ctx.saved_tensors
        if ctx.factor is not None:  # a second time through a graph that was retained
            return gradient * (factor / ctx.factor), None, None, None, None
        scaled = _scaled(gradient, factor)
        if scaled is gradient and gradient.is_cuda:
            ctx.factor = factor
        return scaled, None, None, None, None


def _check(student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float, alpha: float) -> None:
    """Raises TypeError or ValueError, in one sentence, for what the loss is not defined on."""
    for name, logits in (("student_logits", student), ("teacher_logits", teacher)):
        if not isinstance(logits, Tensor) or not logits.is_floating_point():
            raise TypeError(f"{name} must be a floating-point tensor, got {kind(logits)}")
    if student.ndim != 2 or student.numel() == 0:
        raise ValueError(f"student_logits must be a non-empty (N, K) tensor, got shape {tuple(student.shape)}")
    if teacher.shape != student.shape or teacher.device != student.device:
        raise ValueError(
            f"teacher_logits must have the student's shape {tuple(student.shape)} on {student.device}, "
            f"got {tuple(teacher.shape)} on {teacher.device}"
        )
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a positive number, got {temperature}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
    if labels is not None:
        _check_labels(labels, student)
    elif alpha != 1:
        raise ValueError(f"labels may be None only when alpha is 1, got alpha {alpha}: pass the class indices")


def _check_labels(labels: Tensor, student: Tensor) -> None:
    rows, classes = student.shape
    if not isinstance(labels, Tensor) or labels.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"labels must be an int64 tensor of class indices, got {kind(labels)}")
    if labels.shape != (rows,) or labels.device != student.device:
        raise ValueError(
            f"labels must have shape ({rows},) on {student.device}, got {tuple(labels.shape)} on {labels.device}"
        )
    if labels.device.type == "cpu":
        lowest, highest = map(int, labels.aminmax())
        if lowest < 0 or highest >= classes:
            raise ValueError(f"labels must lie in 0…{classes - 1}, got {lowest}…{highest}")


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | None,
    *,
    temperature: float,
    alpha: float,
) -> Tensor:
    """α·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)) + (1 − α)·cross-entropy(z_s, y), means over the batch.

    The factor T² keeps the soft term's gradient at one size while T changes: without it, it shrinks as 1/T².

    Args:
        student_logits: (N, K) of float16, bfloat16, float32 or float64, not empty; any strides.
        teacher_logits: (N, K), taken as constants: no gradient flows into the teacher. The dtype may differ.
        labels: (N,) class indices in 0…K−1; may be None when `alpha` is 1.
        temperature: T > 0, for both networks.
        alpha: weight of the soft term in [0, 1]; 0 is cross-entropy alone, 1 is the teacher alone.

    Returns:
        A scalar of float32 (float64 if either input is). Sums are taken at that precision, and the gradient with
        respect to `student_logits` is rounded to their dtype once, at the end. It is made together with the loss, and
        only if it will be wanted (the loss is then the same up to rounding, on a GPU not always to the last bit);
        differentiating it again is refused.

    A class that the teacher rules out by −inf counts nothing (0·log 0 = 0; plain `kl_div` gives NaN there); one that
    only the student rules out makes the loss infinite. Labels out of range are a ValueError on the CPU; on a GPU, where
    reading them would make the host wait, they make the loss NaN.

    Raises:
        TypeError: logits that are not floating-point, labels that are not integers.
        ValueError: shapes or devices that don't fit, an empty batch, T ≤ 0, alpha outside [0, 1], labels out of range.

    Source: Hinton, Vinyals and Dean, arXiv:1503.02531, 2015; the sums, Milakov and Gimelshein, arXiv:1805.02867, 2018.
    Derived in: lectures/10_distillation/response_based and lectures/09_kernels/distillation_loss
    """
    _check(student_logits, teacher_logits, labels, temperature, alpha)
    if alpha == 1:
        labels = None
    teacher = teacher_logits.detach()
    if torch.is_grad_enabled() and student_logits.requires_grad:
        return _DistillationLoss.apply(student_logits, teacher, labels, temperature, alpha)  # type: ignore[no-any-return]
    return _path(student_logits, teacher)(student_logits, teacher, labels, temperature, alpha, False)[0]
