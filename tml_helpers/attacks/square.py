"""Square attack: random search with squares that shrink; it needs the model's scores and no gradient."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.attacks._common import attacked, check, check_logits, cross_entropy, fooled, margin, norms, per_image

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

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape. `norm` is `"linf"`, where a
    square adds ε or −ε, or `"l2"`, where it gathers the perturbation of two places in one. The model is asked at most
    `queries` times about each image: about the image itself, then about stripes (L∞) or tiles (L2), then about one
    square after another. A square covers `initial_share` of the image at first and less as queries are spent. An image
    that has fallen is not asked about again, so the batch shrinks. Nearer means a larger margin of another class over
    the label or, with `targets` `[N]`, a smaller cross-entropy of the target.

    Raises TypeError or ValueError for what the attack is not defined on.
    Source: Andriushchenko et al., 2020. Derived in: lectures/20_adversarial/black_box.
    """
    check(model, images, labels, targets=targets, epsilon=epsilon, norm=norm)
    check_budget(queries, initial_share)
    start, propose = (stripes, propose_linf) if norm == "linf" else (tiles, propose_l2)
    images = images.detach().contiguous()
    result = images.clone()
    index = torch.arange(len(images), device=images.device)  # of the images that have not fallen
    score = torch.zeros_like(images[:, 0, 0, 0])
    with attacked(model), torch.no_grad():
        for query in range(queries):
            if query == 0:
                candidate = images
            elif query == 1:
                candidate = start(images[index], epsilon, generator)
            else:
                side = side_of_square(query - 2, queries - 2, initial_share, images)
                candidate = propose(result[index], images[index], epsilon, side, generator)
            logits, aim = model(candidate), None if targets is None else targets[index]
            if query == 0:
                check_logits(logits, labels, targets)
            fallen = fooled(logits, labels[index], aim)
            reached = margin(logits, labels[index]) if aim is None else -cross_entropy(logits, aim)
            kept = (
                fallen | (reached > score) if query > 1 else torch.ones_like(fallen)
            )  # the start is kept, be it worse
            result[index[kept]] = candidate[kept]
            index, score = index[~fallen], torch.where(kept, reached, score)[~fallen]
            if len(index) == 0:
                break
    return result


def check_budget(queries: int, initial_share: float) -> None:
    if queries < 1:
        raise ValueError(f"queries must be 1 or more for each image, got {queries}")
    if not 0 < initial_share <= 1:
        raise ValueError(f"initial_share must lie above 0 and up to 1, got {initial_share}")


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
    """The pattern as it stands or transposed, drawn for each entry of `shape`: `[*shape, side, side]`."""
    turn = torch.rand((*shape, 1, 1), generator=generator, device=pattern.device) < 0.5
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
    return 2.0 * torch.randint(2, shape, generator=generator, device=images.device).to(images.dtype) - 1


def window(images: Tensor, side: int, generator: torch.Generator | None) -> tuple[Tensor, ...]:
    """The index of one random square in each image: `images[window]` is `[N, C, side, side]`."""
    count, channels, height, width = images.shape
    device, along = images.device, torch.arange(side, device=images.device)
    top = torch.randint(height - side + 1, (count, 1), generator=generator, device=device)
    left = torch.randint(width - side + 1, (count, 1), generator=generator, device=device)
    image = torch.arange(count, device=device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=device).view(1, -1, 1, 1)
    return image, channel, (top + along)[:, None, :, None], (left + along)[:, None, None, :]
