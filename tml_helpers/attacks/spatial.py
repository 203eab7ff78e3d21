"""Adversarial examples without noise: the image, turned and shifted."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.protocol import check_batch
from tml_helpers.attacks.transforms import rotate_and_shift
from tml_helpers.common import check_counts, check_numbers, draw, evaluating, per_image

ROTATIONS, TRANSLATIONS = 31, 5  # of the grid, unless given


def spatial(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    max_rotation: float,
    max_translation: float,
    rotations: int | None = None,
    translations: int | None = None,
    samples: int | None = None,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The rotation and translation of each image with the largest margin max_{k≠y} z_k − z_y, over a grid or at random.

    The image itself is always tried first, as the one to beat. No gradient is used.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        max_rotation: the largest angle either way, from 0 to 180 degrees.
        max_translation: the largest shift up, down, left and right, in pixels, 0 or more.
        rotations: how many angles the grid has, ends included; 31 unless given. Not with samples.
        translations: how many shifts along each axis; 5 unless given. Not with samples.
        samples: try so many random poses of each image instead of the grid (worst-of-k); None for the grid.
        targets: `[N]`, int64, none of them the label: the margin of the target is to be lost; None for any other class.
        generator: of the random poses; on any device.

    Returns:
        Images of the same shape, in [0, 1].

    Raises:
        TypeError, ValueError: what an attack is not defined on, as a grid and samples.

    Source: Engstrom et al., 2019. Derived in: lectures/20_adversarial/other_threat_models
    """
    check_batch(model, images, labels, targets)
    check_poses(max_rotation, max_translation, rotations, translations, samples)
    images, aim = images.detach(), Aim(labels, targets)
    if samples is None:
        grid = grid_of_poses(max_rotation, max_translation, rotations or ROTATIONS, translations or TRANSLATIONS)
        tried = grid.to(images)[:, None].expand(-1, len(images), -1)
    else:
        reach = images.new_tensor([max_rotation, max_translation, max_translation])
        shape = (samples, len(images), 3)
        drawn = draw(torch.rand, shape, device=images.device, generator=generator, dtype=images.dtype)
        tried = (2 * drawn - 1) * reach
    with evaluating(model), torch.no_grad():
        logits = model(images)
        aim.check(logits)
        worst, worst_lead = images.clone(), aim.lead(logits)
        for pose in tried:  # (N, 3): one pose for each image
            moved = rotate_and_shift(images, pose[:, 0], pose[:, 1:]).clamp(0, 1)
            lead = aim.lead(model(moved))
            worse = lead > worst_lead
            worst, worst_lead = torch.where(per_image(worse), moved, worst), torch.where(worse, lead, worst_lead)
    return worst


def grid_of_poses(max_rotation: float, max_translation: float, rotations: int, translations: int) -> Tensor:
    """Every combination of degrees, pixels down and pixels right, `[rotations · translations², 3]`."""
    angles = evenly(max_rotation, rotations)
    shifts = evenly(max_translation, translations)
    return torch.cartesian_prod(angles, shifts, shifts)


def evenly(largest: float, count: int) -> Tensor:
    """`count` numbers from −largest to largest; a single one is 0."""
    where: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}
    return torch.linspace(-largest, largest, count, **where) if count > 1 else torch.zeros(1, **where)


def check_poses(
    max_rotation: float,
    max_translation: float,
    rotations: int | None,
    translations: int | None,
    samples: int | None,
) -> None:
    check_numbers(max_rotation=max_rotation, max_translation=max_translation)
    if not 0 <= max_rotation <= 180:
        raise ValueError(f"max_rotation must be an angle from 0 to 180 degrees, got {max_rotation}")
    if not 0 <= max_translation < math.inf:
        raise ValueError(f"max_translation must be a number of pixels of 0 or more, got {max_translation}")
    grid = {"rotations": rotations, "translations": translations}
    given = {name: count for name, count in grid.items() if count is not None}
    check_counts(**given, **({} if samples is None else {"samples": samples}))
    if given and samples is not None:
        raise ValueError(f"{' and '.join(given)} make a grid, and samples are random poses: give one of them")
