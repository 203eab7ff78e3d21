"""clamp(x₀ + Π(x + α·direction(g) − x₀), 0, 1): one step of projected gradient ascent.

In L∞ the direction is sign(g) and Π cuts each entry to [−ε, ε]; in L2 they are g/‖g‖ and a factor min(1, ε/‖·‖), both
image by image. With d = x − x₀ and a = α/‖g‖, the length of the step's end comes from sums that need no step:

    ‖d + a·g‖² = ‖d‖² + a·(2·⟨d, g⟩ + a·‖g‖²)

Fewest bytes: read x, x₀ and g, write the result: 4·n·b for n entries of b bytes. That is what moves in L∞, and in L2
for images that a program can hold, or programs that run side by side; a still larger one is read twice, 7·n·b where the
cache keeps nothing of the batch.
Plain PyTorch, operation by operation, moves 17·n·b in L∞ and 19·n·b in L2. Derived in: lectures/09_kernels/ball_step
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tml_helpers.kernels._kind import kind
from tml_helpers.kernels._triton import jit, tl, triton

NORMS = ("linf", "l2")
TINY = 1e-12  # norms below this count as this: a zero gradient moves nothing
BLOCK = 1024  # entries of a program in L∞
HELD = 16384  # entries of an image that a program can hold in registers, in L2
CHUNK = 4096  # entries of a program in L2, where an image has more
SHARE = 2  # programs wait for each other if an image takes no more than 1/SHARE of those that run side by side


def reference(
    current: Tensor, images: Tensor, gradient: Tensor, *, step_size: float, epsilon: float, norm: str
) -> Tensor:
    """The step as one writes it in plain PyTorch: what the kernel is checked against."""
    if norm == "linf":
        delta = current + step_size * gradient.sign() - images
        return (images + delta.clamp(-epsilon, epsilon)).clamp(0, 1)
    delta = current + step_size * gradient / _lengths(gradient) - images
    return (images + delta * (epsilon / _lengths(delta)).clamp_max(1.0)).clamp(0, 1)


def _lengths(x: Tensor) -> Tensor:
    """The L2 norm of each image, `[N, 1, …]`."""
    lengths: Tensor = torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)), keepdim=True)
    return lengths.clamp_min(TINY)


# ---------------------------------------------------------------------------------------------- without a GPU


def in_place(current: Tensor, images: Tensor, gradient: Tensor, step_size: float, epsilon: float, norm: str) -> Tensor:
    """The same in one tensor of work, of at least 32 bits: asking the system for a new one each time costs more."""
    dtype = torch.promote_types(current.dtype, torch.float32)
    x, x0, g = (tensor.to(dtype) for tensor in (current, images, gradient))
    if norm == "linf":
        delta = g.sign()
        if g.sum().isnan():  # rare, and torch.sign would make 0 of it
            delta.masked_fill_(g.isnan(), math.nan)
        torch.add(x, delta, alpha=step_size, out=delta).sub_(x0).clamp_(-epsilon, epsilon)
    else:
        delta = (x - x0).addcmul_(g, step_size / _lengths(g))
        delta.mul_((epsilon / _lengths(delta)).clamp_max_(1.0))
    return delta.add_(x0).clamp_(0, 1).to(current.dtype)


# --------------------------------------------------------------------------------------------------- on a GPU


@jit
def _read(tensor, here, inside):  # type: ignore[no-untyped-def]
    """Entries as float32; beyond the end 0, which adds nothing to a sum."""
    return tl.load(tensor + here, inside, 0.0).to(tl.float32)


@jit
def _clip(x, low, high):  # type: ignore[no-untyped-def]
    """x cut to [low, high]; what is not a number stays what it is."""
    return tl.where(x < low, low, tl.where(x > high, high, x))


@jit
def _length(square):  # type: ignore[no-untyped-def]
    """The root of a sum of squares, at least TINY; a sum that rounding has brought below 0 counts as 0."""
    return tl.sqrt(tl.where(square < 1e-24, 1e-24, square))


@jit
def _shrink(length, epsilon):  # type: ignore[no-untyped-def]
    """What brings a perturbation of this length back onto the ball."""
    return tl.where(length <= epsilon, 1.0, epsilon / length)


@jit
def _linf(  # type: ignore[no-untyped-def]
    current, images, gradient, moved,  # pointers
    total, step_size, epsilon,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """A block of entries, of whatever images: reads three of each, writes one."""
    here = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)  # may exceed 2³¹
    inside = here < total
    x = _read(current, here, inside)
    x0 = _read(images, here, inside)
    g = _read(gradient, here, inside)
    direction = tl.where(g > 0, 1.0, tl.where(g < 0, -1.0, g))  # g itself, where it is 0 or not a number
    delta = _clip(x + step_size * direction - x0, -epsilon, epsilon)
    tl.store(moved + here, _clip(x0 + delta, 0.0, 1.0), inside)


@jit
def _held(  # type: ignore[no-untyped-def]
    current, images, gradient, moved,
    size, step_size, epsilon,
    TILE: tl.constexpr,
):  # fmt: skip
    """One image in L2, held in registers from its only reading until it is written: 4·b bytes an entry."""
    tile = tl.arange(0, TILE)
    here = tl.program_id(0).to(tl.int64) * size + tile
    inside = tile < size
    x = _read(current, here, inside)
    x0 = _read(images, here, inside)
    g = _read(gradient, here, inside)
    pace = step_size / _length(tl.sum(g * g, 0))
    delta = x - x0 + pace * g
    shrink = _shrink(_length(tl.sum(delta * delta, 0)), epsilon)
    tl.store(moved + here, _clip(x0 + shrink * delta, 0.0, 1.0), inside)


@jit
def _together(  # type: ignore[no-untyped-def]
    current, images, gradient, state, sums, moved,
    size, chunks, step_size, epsilon,
    CHUNK: tl.constexpr, CHUNKS: tl.constexpr,  # the least power of 2 that is `chunks` or more
):  # fmt: skip
    """A chunk of one image, held in registers until all chunks of the image have told their sums: 4·b bytes an entry.

    It waits for programs that took a number before it, or take one while it waits: as many as an image has chunks.
    """
    number = tl.atomic_add(state, 1, sem="relaxed")  # not the program's own: those that have one are running
    image = number // chunks
    tile = number % chunks * CHUNK + tl.arange(0, CHUNK)
    here = image.to(tl.int64) * size + tile
    inside = tile < size
    x0 = _read(images, here, inside)
    d = _read(current, here, inside) - x0
    g = _read(gradient, here, inside)
    programs = tl.num_programs(0)
    tl.store(sums + number, tl.sum(g * g, 0))
    tl.store(sums + programs + number, tl.sum(d * g, 0))
    tl.store(sums + 2 * programs + number, tl.sum(d * d, 0))
    tl.debug_barrier()
    arrived = state + 1 + image
    tl.atomic_add(arrived, 1, sem="release")  # whoever sees this sees the sums
    while tl.atomic_add(arrived, 0, sem="acquire") < chunks:
        pass
    pace, shrink = _pace_and_shrink(sums + image * chunks, programs, chunks, step_size, epsilon, CHUNKS)
    tl.store(moved + here, _clip(x0 + shrink * (d + pace * g), 0.0, 1.0), inside)


@jit
def _pace_and_shrink(  # type: ignore[no-untyped-def]
    sums, programs, chunks, step_size, epsilon,
    CHUNKS: tl.constexpr,
):  # fmt: skip
    """α / ‖g‖ and min(1, ε / ‖d + α·g/‖g‖‖) of one image, from its chunks' sums, in one order in every program."""
    part = tl.arange(0, CHUNKS)
    told = part < chunks
    g_g = tl.sum(tl.load(sums + part, told, 0.0, cache_modifier=".cg"), 0)  # others have just written them
    d_g = tl.sum(tl.load(sums + programs + part, told, 0.0, cache_modifier=".cg"), 0)
    d_d = tl.sum(tl.load(sums + 2 * programs + part, told, 0.0, cache_modifier=".cg"), 0)
    pace = step_size / _length(g_g)
    return pace, _shrink(_length(d_d + pace * (2 * d_g + pace * g_g)), epsilon)


@jit
def _sums(  # type: ignore[no-untyped-def]
    current, images, gradient, sums,
    size, chunks,
    CHUNK: tl.constexpr,
):  # fmt: skip
    """A chunk of one image: its share of ‖g‖², ⟨d, g⟩ and ‖d‖², three numbers for 3·b bytes an entry."""
    program = tl.program_id(0)
    tile = program % chunks * CHUNK + tl.arange(0, CHUNK)
    here = (program // chunks).to(tl.int64) * size + tile
    inside = tile < size
    g = _read(gradient, here, inside)
    d = _read(current, here, inside) - _read(images, here, inside)
    programs = tl.num_programs(0)
    tl.store(sums + program, tl.sum(g * g, 0))
    tl.store(sums + programs + program, tl.sum(d * g, 0))
    tl.store(sums + 2 * programs + program, tl.sum(d * d, 0))


@jit
def _move(  # type: ignore[no-untyped-def]
    current, images, gradient, sums, moved,
    size, chunks, step_size, epsilon,
    CHUNK: tl.constexpr, CHUNKS: tl.constexpr,  # the least power of 2 that is `chunks` or more
):  # fmt: skip
    """A chunk of one image, moved; from the last to the first, which begins with what the cache still has."""
    programs = tl.num_programs(0)
    program = programs - 1 - tl.program_id(0)
    image = program // chunks
    pace, shrink = _pace_and_shrink(sums + image * chunks, programs, chunks, step_size, epsilon, CHUNKS)
    tile = program % chunks * CHUNK + tl.arange(0, CHUNK)
    here = image.to(tl.int64) * size + tile
    inside = tile < size
    x = _read(current, here, inside)
    x0 = _read(images, here, inside)
    g = _read(gradient, here, inside)
    tl.store(moved + here, _clip(x0 + shrink * (x - x0 + pace * g), 0.0, 1.0), inside)


def fused(current: Tensor, images: Tensor, gradient: Tensor, step_size: float, epsilon: float, norm: str) -> Tensor:
    """The step in one launch; in two for L2 and images of more than HELD entries."""
    current, images, gradient = _in_one_order(current, images, gradient)
    moved = torch.empty_like(images)
    total, count = images.numel(), len(images)
    if total == 0:
        return moved
    size = total // count
    with torch.cuda.device_of(images):
        if norm == "linf":
            _linf[(triton.cdiv(total, BLOCK),)](
                current, images, gradient, moved, total, step_size, epsilon, BLOCK=BLOCK
            )
        elif size <= HELD:
            tile = triton.next_power_of_2(size)
            warps = min(16, max(1, tile // 256))
            _held[(count,)](current, images, gradient, moved, size, step_size, epsilon, TILE=tile, num_warps=warps)
        else:
            _in_chunks(current, images, gradient, moved, step_size, epsilon)
    return moved


def _in_chunks(
    current: Tensor, images: Tensor, gradient: Tensor, moved: Tensor, step_size: float, epsilon: float
) -> None:
    """An L2 step on images that no program can hold: by programs that wait for each other, or in two readings."""
    count, size = len(images), images.numel() // len(images)
    chunks = triton.cdiv(size, CHUNK)
    sums = torch.empty(3, count, chunks, device=images.device)
    programs, blocks = (count * chunks,), {"CHUNK": CHUNK, "CHUNKS": triton.next_power_of_2(chunks), "num_warps": 8}
    if SHARE * chunks <= _side_by_side(images.device):
        state = torch.zeros(1 + count, dtype=torch.int32, device=images.device)
        _together[programs](current, images, gradient, state, sums, moved, size, chunks, step_size, epsilon, **blocks)
    else:
        _sums[programs](current, images, gradient, sums, size, chunks, CHUNK=CHUNK, num_warps=8)
        _move[programs](current, images, gradient, sums, moved, size, chunks, step_size, epsilon, **blocks)


def _side_by_side(device: torch.device) -> int:
    """How many programs are sure to run at the same time: one on each multiprocessor; the interpreter runs one."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def _in_one_order(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Each image in one piece and all in one order: as they are if all are contiguous, or all have channels last."""
    last = all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in tensors)
    order = torch.channels_last if last else torch.contiguous_format
    return tuple(tensor.contiguous(memory_format=order) for tensor in tensors)


# --------------------------------------------------------------------------------------------------- the function


Path = Callable[[Tensor, Tensor, Tensor, float, float, str], Tensor]


def _path(images: Tensor) -> Path:
    """The Triton kernels for CUDA tensors of up to 32 bits, else plain PyTorch."""
    return fused if images.is_cuda and triton is not None and images.dtype != torch.float64 else in_place


def _check(current: Tensor, images: Tensor, gradient: Tensor, step_size: float, epsilon: float, norm: str) -> None:
    """Raises TypeError or ValueError, in one sentence, for what the step is not defined on."""
    for name, tensor in (("current", current), ("images", images), ("gradient", gradient)):
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise TypeError(f"{name} must be a floating-point tensor, got {kind(tensor)}")
    if images.ndim < 2:
        raise ValueError(f"images must be a batch [N, …], got shape {list(images.shape)}: pass images[None] for one")
    for name, tensor in (("current", current), ("gradient", gradient)):
        if (tensor.shape, tensor.dtype, tensor.device) != (images.shape, images.dtype, images.device):
            raise ValueError(f"{name} must be as the images, {_likeness(images)}, got {_likeness(tensor)}")
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"epsilon must be a number of 0 or more, got {epsilon}")
    if not math.isfinite(step_size):
        raise ValueError(f"step_size must be a finite number, got {step_size}")


def _likeness(tensor: Tensor) -> str:
    """What `current`, `images` and `gradient` have in common."""
    return f"{list(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


@torch.no_grad()
def ball_step(
    current: Tensor, images: Tensor, gradient: Tensor, *, step_size: float, epsilon: float, norm: str = "linf"
) -> Tensor:
    """clamp(x₀ + Π(x + α·direction(g) − x₀), 0, 1): one step of PGD, and back into the ball and into [0, 1].

    Args:
        current: x, where the attack stands: `[N, …]` of float16, bfloat16, float32 or float64; any strides.
        images: x₀, the clean images in [0, 1], the centres of the balls; shape, dtype and device as `current`.
        gradient: g, the loss's gradient at `current`; shape, dtype and device as `current`.
        step_size: α; a negative one descends, as towards a target.
        epsilon: ε ≥ 0, the ball's radius.
        norm: `"linf"`: direction sign(g), Π cuts each entry to [−ε, ε]. `"l2"`: direction g/‖g‖, Π shortens an image's
            perturbation to ε where it is longer.

    Returns:
        The images after the step, like `current`; computed in float32 (float64 stays so) and rounded once. No gradient
        flows through it. An image whose gradient is zero is only projected (in L2, norms below 1e-12 count as 1e-12),
        and one whose gradient is not a number is not a number either: it must not pass for one that resists.

    Raises:
        TypeError: an input is not a floating-point tensor.
        ValueError: shapes, dtypes or devices differ, or a number lies out of range.

    Source: Madry et al., 2018. Derived in: lectures/09_kernels/ball_step
    """
    _check(current, images, gradient, step_size, epsilon, norm)
    return _path(images)(current, images, gradient, float(step_size), float(epsilon), norm)
