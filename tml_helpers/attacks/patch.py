"""An adversarial patch: a picture that fools from wherever it is stuck on."""

import functools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.protocol import check_batch, check_step
from tml_helpers.common import (
    check_counts,
    check_gradient,
    check_images,
    check_numbers,
    differentiable,
    draw,
    uniform,
    warn_of_masking,
)

Place = tuple[int, int]
"""Row and column of a patch's upper left corner."""


def adversarial_patch(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    size: int,
    location: Place | None = None,
    max_rotation: float = 0.0,
    scales: tuple[float, float] = (1.0, 1.0),
    steps: int = 200,
    step_size: float = 0.05,
    targets: Tensor | None = None,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
) -> Tensor:
    """argmax over patches of E[L(place(x, patch), y)]: one picture for all images.

    The expectation is over images, places, angles and scales, as `place_patch` draws them.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        size: the patch's side, in pixels.
        location, max_rotation, scales: as of `place_patch`.
        steps: of Adam, 0 or more, each on a new batch of images in new places.
        step_size: Adam's rate, above 0, in units of a pixel's value.
        targets: `[N]`, int64, none of them the label: their loss is made small. Give all images the same one, and
            whatever wears the patch should be called that. None for any other class.
        batch_size: images in a step, 1 or more.
        generator: of the first picture, batches and places; on any device.

    Returns:
        The picture, `[C, size, size]` in [0, 1]. Warns where the first gradient is zero.

    Raises:
        TypeError, ValueError: what it is not defined on, as a patch that does not fit.

    Source: Brown et al., 2017. Derived in: lectures/20_adversarial/other_threat_models
    """
    check_batch(model, images, labels, targets)
    check_place(size, location, max_rotation, scales, images)
    check_step(step_size=step_size)
    check_counts(0, steps=steps)
    check_counts(batch_size=batch_size)
    images, aim, device = images.detach(), Aim(labels, targets), images.device
    shape = (images.shape[1], size, size)
    picture = draw(torch.rand, shape, device=device, generator=generator, dtype=images.dtype)
    place = functools.partial(
        place_patch, location=location, max_rotation=max_rotation, scales=scales, generator=generator
    )
    optimizer = torch.optim.Adam([picture], lr=step_size, maximize=True)

    def seen(chosen: Tensor, picture: Tensor) -> Tensor:
        """The logits of some images that wear the picture, each in a place of its own."""
        logits: Tensor = model(place(images[chosen], picture))
        return logits

    with differentiable(model):
        for step in range(steps):
            chosen = draw(torch.randperm, len(images), device=device, generator=generator)[:batch_size]
            logits, gradient = aim.uphill(functools.partial(seen, chosen), picture, chosen, first=step == 0)
            if step == 0:
                warn_of_masking(gradient[None], (~aim.reached(logits, chosen)).any()[None])
            picture.grad = check_gradient(gradient / len(chosen))
            optimizer.step()
            picture.clamp_(0, 1)
    return picture.detach()


def place_patch(
    images: Tensor,
    patch: Tensor,
    *,
    location: Place | None = None,
    max_rotation: float = 0.0,
    scales: tuple[float, float] = (1.0, 1.0),
    generator: torch.Generator | None = None,
) -> Tensor:
    """m ⊙ patch + (1 − m) ⊙ x: each image with the patch on it, wholly inside; m is where it lies.

    Args:
        images: x, `[N, C, H, W]` in [0, 1].
        patch: `[C, size, size]` in [0, 1].
        location: row and column of the upper left corner, that of the upright box around the patch if it is turned;
            None draws a place for each image.
        max_rotation: the largest angle either way, from 0 to 180 degrees, drawn for each image.
        scales: the least and the largest factor of the patch's side, drawn for each image.
        generator: on any device.

    Returns:
        `[N, C, H, W]`, differentiable in the patch; all other pixels stay exactly as they were.

    Raises:
        TypeError, ValueError: a patch that does not fit.

    Derived in: lectures/20_adversarial/other_threat_models
    """
    check_images(nn.Identity(), images)
    size = patch.shape[-1]
    if patch.shape != (images.shape[1], size, size):
        raise ValueError(f"a patch for these images is [{images.shape[1]}, size, size], got {list(patch.shape)}")
    lowest, highest = (float(bound) for bound in patch.detach().aminmax())
    if not (lowest >= 0 and highest <= 1):
        raise ValueError(f"a patch must lie in [0, 1], got values from {lowest:g} to {highest:g}")
    check_place(size, location, max_rotation, scales, images)
    height, width = images.shape[2:]
    angle = uniform(-max_rotation, max_rotation, images, generator).deg2rad()
    side = size * uniform(*scales, images, generator)
    cos, sin = angle.cos(), angle.sin()
    half = side / 2 * (cos.abs() + sin.abs())  # (N,): from the centre to the upright box around the turned patch
    if location is None:
        across = images.new_tensor([height, width])
        room = (across - 2 * half[:, None]).clamp_min(0)  # (N, 2)
        corner = (uniform(0, 1, images, generator, 2) * (room + 1)).floor().minimum(room)
    else:
        corner = images.new_tensor(location).expand(len(images), 2)
    down, right = (corner + half[:, None] - images.new_tensor([height / 2, width / 2])).unbind(1)
    # which place of the patch, from −1 to 1, lies on each pixel of the image
    x_row = torch.stack([cos * width, -sin * height, 2 * (sin * down - cos * right)], dim=1)
    y_row = torch.stack([sin * width, cos * height, 2 * (-sin * right - cos * down)], dim=1)
    to_patch = torch.stack([x_row, y_row], dim=1) / side.view(-1, 1, 1)
    grid = F.affine_grid(to_patch, list(images.shape), align_corners=False)
    inside = (grid.abs() <= 1).all(dim=-1)[:, None]
    pixels = F.grid_sample(
        patch.expand(len(images), -1, -1, -1), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return torch.where(inside, pixels, images)


def patch(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    size: int,
    location: Place | None = None,
    max_rotation: float = 0.0,
    scales: tuple[float, float] = (1.0, 1.0),
    steps: int = 200,
    step_size: float = 0.05,
    targets: Tensor | None = None,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The images, each with the one `adversarial_patch` that is made from them all, placed by `place_patch`.

    Call `adversarial_patch` for the patch itself, to be stuck on images that it has not seen.

    Args:
        model, images, labels, size: as of `adversarial_patch`.
        location, max_rotation, scales: as of `place_patch`.
        steps, step_size, targets, batch_size, generator: as of `adversarial_patch`.

    Returns:
        Images of the same shape, in [0, 1]: where the patch lies no pixel is bounded, elsewhere none is touched.

    Raises:
        TypeError, ValueError: as `adversarial_patch`.

    Source: Brown et al., 2017. Derived in: lectures/20_adversarial/other_threat_models
    """
    made = adversarial_patch(
        model,
        images,
        labels,
        size=size,
        location=location,
        max_rotation=max_rotation,
        scales=scales,
        steps=steps,
        step_size=step_size,
        targets=targets,
        batch_size=batch_size,
        generator=generator,
    )
    return place_patch(
        images.detach(), made, location=location, max_rotation=max_rotation, scales=scales, generator=generator
    )


def check_place(
    size: int, location: Place | None, max_rotation: float, scales: tuple[float, float], images: Tensor
) -> None:
    height, width = images.shape[2:]
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"size must be a whole number of pixels, got {size!r}")
    check_numbers(max_rotation=max_rotation)
    if not 0 <= max_rotation <= 180 or not 0 < scales[0] <= scales[1]:
        raise ValueError(
            f"max_rotation is 0 to 180 degrees and scales rise from above 0, got {max_rotation} and {scales}"
        )
    most = math.radians(min(max_rotation, 45.0))
    needed = size * scales[1] * (math.cos(most) + math.sin(most))
    if size < 1 or needed > min(height, width):
        raise ValueError(
            f"a patch of side {size}, turned and scaled, must fit: it needs {needed:.1f} pixels "
            f"and the images have {height}×{width}"
        )
    if location is not None and not (0 <= location[0] <= height - needed and 0 <= location[1] <= width - needed):
        raise ValueError(
            f"at {location} the patch, which needs {needed:.1f} pixels, leaves the {height}×{width} images"
        )
