"""Adversarial examples without noise: the image, turned and shifted."""

import math

import torch
from torch import Tensor, nn

from tml_helpers.attacks._common import attacked, check, check_logits, margin, per_image
from tml_helpers.attacks.transforms import rotate_and_shift


def spatial(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    max_rotation: float,
    max_translation: float,
    rotations: int = 31,
    translations: int = 5,
    samples: int | None = None,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The rotation and translation of each image with the largest margin max_{k≠y} z_k − z_y, over a grid or at random.

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape. Angles go up to `max_rotation`
    degrees either way, shifts up to `max_translation` pixels down, up, right and left. The grid has `rotations` angles
    and `translations` shifts along each axis, ends included. With `samples`, so many random poses are tried instead
    (worst-of-k), drawn for each image by `generator`. The image itself is always tried first, as the one to beat.
    With `targets` the margin of the target is the one to be lost. No gradient is used.

    Raises TypeError or ValueError for what the attack is not defined on.
    Source: Engstrom et al., 2019. Derived in: lectures/20_adversarial/other_threat_models.
    """
    check(model, images, labels, targets=targets)
    check_poses(max_rotation, max_translation, rotations, translations, samples)
    images = images.detach()
    aim, sign = (labels, 1.0) if targets is None else (targets, -1.0)
    if samples is None:
        poses = grid_of_poses(max_rotation, max_translation, rotations, translations).to(images)
        tried = poses[:, None].expand(-1, len(images), -1)
    else:
        reach = images.new_tensor([max_rotation, max_translation, max_translation])
        drawn = torch.empty(samples, len(images), 3, device=images.device, dtype=images.dtype)
        tried = drawn.uniform_(-1, 1, generator=generator) * reach
    with attacked(model), torch.no_grad():
        logits = model(images)
        check_logits(logits, labels, targets)
        worst, worst_score = images.clone(), sign * margin(logits, aim)
        for pose in tried:  # (N, 3): one pose for each image
            moved = rotate_and_shift(images, pose[:, 0], pose[:, 1:]).clamp(0, 1)
            score = sign * margin(model(moved), aim)
            worse = score > worst_score
            worst, worst_score = torch.where(per_image(worse), moved, worst), torch.where(worse, score, worst_score)
    return worst


def grid_of_poses(max_rotation: float, max_translation: float, rotations: int, translations: int) -> Tensor:
    """Every combination of degrees, pixels down and pixels right, `[rotations · translations², 3]`."""
    angles = evenly(max_rotation, rotations)
    shifts = evenly(max_translation, translations)
    return torch.cartesian_prod(angles, shifts, shifts)


def evenly(largest: float, count: int) -> Tensor:
    """`count` numbers from −largest to largest; a single one is 0."""
    return torch.linspace(-largest, largest, count) if count > 1 else torch.zeros(1)


def check_poses(
    max_rotation: float, max_translation: float, rotations: int, translations: int, samples: int | None
) -> None:
    if not 0 <= max_rotation <= 180:
        raise ValueError(f"max_rotation must be an angle from 0 to 180 degrees, got {max_rotation}")
    if not 0 <= max_translation < math.inf:
        raise ValueError(f"max_translation must be a number of pixels of 0 or more, got {max_translation}")
    if rotations < 1 or translations < 1 or (samples is not None and samples < 1):
        raise ValueError(
            f"rotations, translations and samples must be 1 or more, got {rotations}, {translations} and {samples}"
        )
