"""An adversarial patch: a picture that fools from wherever it is stuck on."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers._checks import check_images
from tml_helpers.attacks._common import (
    attacked,
    check,
    check_finite,
    check_logits,
    cross_entropy,
    fooled,
    input_gradient,
    warn_of_masking,
)
from tml_helpers.attacks.transforms import uniform

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
    batch_size: int = 64,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """argmax over patches of E[L(place(x, patch), y)]: one picture `[C, size, size]` in [0, 1] for all images.

    The expectation is over images, places, angles and scales, as `place_patch` draws them: a new batch of
    `batch_size` images in new places for each of `steps` steps of Adam with rate `step_size`. With `targets` the loss
    of the target is made small: give all images the same one, and whatever wears the patch should be called that.

    Raises TypeError or ValueError for what it is not defined on. Warns where the first gradient is zero.
    Source: Brown et al., 2017. Derived in: lectures/20_adversarial/other_threat_models.
    """
    check(model, images, labels, targets=targets)
    check_place(size, location, max_rotation, scales, images)
    if steps < 0 or batch_size < 1:
        raise ValueError(f"steps must be 0 or more and batch_size 1 or more, got {steps} and {batch_size}")
    aim, sign = (labels, -1.0) if targets is None else (targets, 1.0)
    drawn = torch.empty(images.shape[1], size, size, device=images.device, dtype=images.dtype)
    picture = drawn.uniform_(generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([picture], lr=step_size)
    with attacked(model):
        for step in range(steps):
            order = torch.randperm(len(images), generator=generator, device=images.device)[:batch_size]
            pasted = place_patch(
                images[order],
                picture,
                location=location,
                max_rotation=max_rotation,
                scales=scales,
                generator=generator,
            )
            logits = model(pasted)
            if step == 0:
                check_logits(logits.detach(), labels, targets)
            loss = sign * cross_entropy(logits, aim[order]).mean()
            picture.grad = check_finite(input_gradient(loss, picture))
            if step == 0:
                unfooled = ~fooled(logits, labels[order], None if targets is None else targets[order])
                warn_of_masking(picture.grad[None], unfooled.any()[None])
            optimizer.step()
            with torch.no_grad():
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
    """m ⊙ patch + (1 − m) ⊙ x: each image `[N, C, H, W]` with the patch `[C, size, size]` on it; m is where it lies.

    The patch lies wholly inside, with its upper left corner (that of the upright box around it, if it is turned) at
    `location` (row, column) or, if that is None, at a place drawn for each image; it is turned by up to
    `max_rotation` degrees either way and scaled by a factor between the two `scales`. All other pixels stay exactly
    as they were. Differentiable in the patch.

    Raises TypeError or ValueError for a patch that does not fit.
    Derived in: lectures/20_adversarial/other_threat_models.
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
    batch_size: int = 64,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The images, each with the one `adversarial_patch` that is made from them all, placed by `place_patch`.

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape. `size` is the patch's side in
    pixels; where it lies no pixel is bounded, elsewhere none is touched. The other arguments and the errors are those
    of `adversarial_patch`, which gives the patch itself, to be stuck on images that it has not seen.

    Source: Brown et al., 2017. Derived in: lectures/20_adversarial/other_threat_models.
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
        batch_size=batch_size,
        targets=targets,
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
