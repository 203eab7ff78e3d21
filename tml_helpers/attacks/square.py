"""Square attack: random search with squares that shrink; it needs the model's scores and no gradient."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.protocol import check_batch
from tml_helpers.common import check_ball, check_counts, check_numbers, draw, evaluating, norms, per_image

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 squares: after each, their area is halved
TINY = 1e-12


def square(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    queries: int = 1000,
    initial_share: float = 0.8,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Random search: put a random square at the edge of the ball, and keep it if the model comes nearer to a mistake.

    The model is asked about the image itself, then about stripes (L∞) or tiles (L2), then about one square after
    another. An image that is misclassified is not asked about again, so the batch shrinks. Nearer means a larger margin
    of another class over the label or, with targets, a smaller cross-entropy of the target.

    Args:
        model: maps images to logits `[N, K]`; no gradient is used. It answers in evaluation mode, and comes back as it
            went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        epsilon: ε, the ball's radius: from 0 to 1 in `"linf"`, to √(C·H·W) in `"l2"`.
        norm: `"linf"`, where a square adds ε or −ε, or `"l2"`, where it gathers the perturbation of two places in one.
        queries: the most answers about each image, 1 or more.
        initial_share: of the image, that a square covers at first, above 0 and up to 1; less as queries are spent.
        targets: `[N]`, int64, none of them the label; None for any other class.
        generator: of places, signs and shapes; on any device.

    Returns:
        Images of the same shape, in the ball and in [0, 1].

    Raises:
        TypeError, ValueError: what an attack is not defined on, as ε outside its range.

    Source: Andriushchenko et al., 2020. Derived in: lectures/20_adversarial/black_box
    """
    check_batch(model, images, labels, targets)
    check_ball(epsilon, norm, images)
    check_counts(queries=queries)
    check_numbers(initial_share=initial_share)
    if not 0 < initial_share <= 1:
        raise ValueError(f"initial_share must lie above 0 and up to 1, got {initial_share}")
    start, propose = (stripes, propose_linf) if norm == "linf" else (tiles, propose_l2)
    images, aim = images.detach().contiguous(), Aim(labels, targets)
    result = images.clone()
    index = torch.arange(len(images), device=images.device)  # of the images that are not misclassified
    score = torch.zeros_like(images[:, 0, 0, 0])
    with evaluating(model), torch.no_grad():
        for query in range(queries):
            if query == 0:
                candidate = images
            elif query == 1:
                candidate = start(images[index], epsilon, generator)
            else:
                side = side_of_square(query - 2, queries - 2, initial_share, images)
                candidate = propose(result[index], images[index], epsilon, side, generator)
            logits = model(candidate)
            if query == 0:
                aim.check(logits)
            down = aim.reached(logits, index)
            near = aim.lead(logits, index) if targets is None else aim.gain(logits, index)
            kept = down | (near > score) | (query <= 1)  # the start is kept, even if it is worse
            result[index[kept]] = candidate[kept]
            index, score = index[~down], torch.where(kept, near, score)[~down]
            if len(index) == 0:
                break
    return result


def side_of_square(step: int, steps: int, initial_share: float, images: Tensor) -> int:
    """√(p·H·W), where p is halved again and again, on the paper's schedule for 10,000 squares, stretched to `steps`."""
    height, width = images.shape[2:]
    share = initial_share / 2 ** sum(10_000 * step / steps > halving for halving in HALVINGS)
    return min(max(round(math.sqrt(share * height * width)), 1), height, width)


def stripes(images: Tensor, epsilon: float, generator: torch.Generator | None) -> Tensor:
    """Vertical stripes, one pixel wide, of ε or −ε."""
    count, channels, _, width = images.shape
    return (images + epsilon * signs(images, (count, channels, 1, width), generator)).clamp(0, 1)


def propose_linf(
    current: Tensor, images: Tensor, epsilon: float, side: int, generator: torch.Generator | None
) -> Tensor:
    """One square of ε or −ε, at a place and with a sign of its own for each image; never one that is there already."""
    here = window(images, side, generator)
    sign = signs(images, (*images.shape[:2], 1, 1), generator)
    idle = ((images[here] + epsilon * sign).clamp(0, 1) == current[here]).flatten(1).all(dim=1)
    sign = torch.where(per_image(idle), -sign, sign)
    candidate = current.clone()
    candidate[here] = (images[here] + epsilon * sign).clamp(0, 1)
    return candidate


def tiles(images: Tensor, epsilon: float, generator: torch.Generator | None) -> Tensor:
    """A grid of bumps, five along the shorter side, with signs of their own, of length ε together."""
    count, channels, height, width = images.shape
    side = max(min(height, width) // 5, 1)
    rows, columns = height // side, width // side
    bumps = turned(bump(side, images), (count, 1, rows, columns), generator)  # [N, 1, rows, columns, side, side]
    bumps = bumps * signs(images, (count, channels, rows, columns, 1, 1), generator)
    delta = torch.zeros_like(images)
    top, left = (height - rows * side) // 2, (width - columns * side) // 2
    delta[:, :, top : top + rows * side, left : left + columns * side] = bumps.transpose(3, 4).reshape(
        count, channels, rows * side, columns * side
    )
    return at_length(images, delta, epsilon)


def propose_l2(current: Tensor, images: Tensor, epsilon: float, side: int, generator: torch.Generator | None) -> Tensor:
    """Take the perturbation out of one square; put its length, and what ε still allows, on a bump in another."""
    side = min(max(side, 3) | 1, *images.shape[2:])  # odd
    delta = current - images
    unused = (epsilon**2 - norms(delta, "l2") ** 2).clamp_min(0)
    here, there = window(images, side, generator), window(images, side, generator)
    both = torch.zeros_like(delta)
    both[here] = both[there] = 1
    freed = length(delta * both)
    added = turned(bump(side, images), (len(images), 1), generator) * signs(
        images, (*images.shape[:2], 1, 1), generator
    )
    added = added + delta[here] / length(delta[here])
    delta[there] = 0
    delta[here] = added / length(added) * (per_image(unused) / images.shape[1] + freed**2).sqrt()
    return at_length(images, delta, epsilon)


def bump(side: int, images: Tensor) -> Tensor:
    """Two hills side by side, one up and one down, of length 1 together, `[side, side]`."""

    def hill(height: int) -> Tensor:
        steps = 1 / torch.arange(1, max(height // 2, side // 2) + 2, device=images.device, dtype=images.dtype) ** 2
        heights = steps.flip(0).cumsum(0).flip(0)  # by distance from the top: the sum of 1/k² beyond it
        row = (torch.arange(height, device=images.device) - height // 2).abs()
        column = (torch.arange(side, device=images.device) - side // 2).abs()
        pyramid = heights[torch.maximum(row[:, None], column[None, :])]
        return F.normalize(pyramid.flatten(), dim=0).view(height, side)

    both = torch.cat([hill(side // 2), -hill(side - side // 2)])
    return F.normalize(both.flatten(), dim=0).view(side, side)


def turned(pattern: Tensor, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """The pattern as it is or transposed, drawn for each entry of `shape`: `[*shape, side, side]`."""
    turn = draw(torch.rand, *shape, 1, 1, device=pattern.device, generator=generator, dtype=torch.float32) < 0.5
    return torch.where(turn, pattern.T, pattern)


def at_length(images: Tensor, delta: Tensor, epsilon: float) -> Tensor:
    """The images with a perturbation of L2 norm ε, before it is cut to [0, 1], which can only shorten it."""
    return (images + delta * per_image(epsilon / norms(delta, "l2").clamp_min(TINY))).clamp(0, 1)


def length(patches: Tensor) -> Tensor:
    """The L2 norm of each channel, `[N, C, 1, 1]`."""
    lengths: Tensor = torch.linalg.vector_norm(patches, dim=(2, 3), keepdim=True)
    return lengths.clamp_min(TINY)


def signs(images: Tensor, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """1 or −1, each with probability ½."""
    return 2.0 * draw(torch.randint, 2, shape, device=images.device, generator=generator).to(images.dtype) - 1


def window(images: Tensor, side: int, generator: torch.Generator | None) -> tuple[Tensor, ...]:
    """The index of one random square in each image: `images[window]` is `[N, C, side, side]`."""
    count, channels, height, width = images.shape
    device, along = images.device, torch.arange(side, device=images.device)
    top = draw(torch.randint, height - side + 1, (count, 1), device=device, generator=generator)
    left = draw(torch.randint, width - side + 1, (count, 1), device=device, generator=generator)
    image = torch.arange(count, device=device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=device).view(1, -1, 1, 1)
    return image, channel, (top + along)[:, None, :, None], (left + along)[:, None, None, :]
