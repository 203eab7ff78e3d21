"""Boundary attack: a walk along the border between right and wrong, towards the image; it needs the class alone."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.protocol import check_batch
from tml_helpers.common import check_counts, check_images, draw, evaluating, norms, per_image

HALVINGS = 10  # questions that bring a start to the border, to a thousandth of the way
AROUND, TOWARDS = 0.3, 0.25  # how often a step around the image, and one towards it, should end in a mistake
RATE = 0.3  # how fast the steps' lengths follow


def boundary(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    queries: int = 1000,
    start: Tensor | None = None,
    tries: int = 50,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Step around the image at random, then towards it, and stay only where the model is wrong: ‖x' − x‖₂ only falls.

    The walk goes from its start straight to the border between right and wrong, and then along it.

    Args:
        model: maps images to logits `[N, K]`, of which the largest alone is used; it answers in evaluation mode, and
            comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        queries: the most answers about each image, 1 or more.
        start: images of the same shape: where the walk begins, if that is misclassified. None, or one that is read
            correctly, is replaced by the first misclassified draw of uniform noise.
        tries: the most draws of noise for each image, 0 or more.
        targets: `[N]`, int64, none of them the label: they nearly always need a start; None for any other class.
        generator: of noise and steps; on any device.

    Returns:
        Image by image, the nearest that was misclassified. An image that is misclassified already comes back as it is,
        and so does one for which no start was found.

    Raises:
        TypeError, ValueError: what an attack is not defined on, as a start of another shape.

    Source: Brendel, Rauber and Bethge, 2018. Derived in: lectures/20_adversarial/black_box
    """
    check_batch(model, images, labels, targets)
    check_counts(queries=queries)
    check_counts(0, tries=tries)
    check_start(model, images, start)
    images = images.detach().contiguous()
    asked = Questions(model, images, Aim(labels, targets), queries)
    with evaluating(model), torch.no_grad():
        index = torch.arange(len(images), device=images.device)
        index = index[~asked.wrong(images, index)]
        index = find_start(asked, index, start, tries, generator)
        go_to_border(asked, index)
        walk(asked, index, generator)
    return asked.nearest


def check_start(model: nn.Module, images: Tensor, start: Tensor | None) -> None:
    if start is not None:
        check_images(model, start)
        if start.shape != images.shape:
            raise ValueError(f"start must have the shape of the images, {list(images.shape)}, got {list(start.shape)}")


class Questions:
    """The model, the questions `left` for each image, and the `nearest` misclassified image that was met."""

    def __init__(self, model: nn.Module, images: Tensor, aim: Aim, queries: int) -> None:
        self.model, self.images, self.aim = model, images, aim
        self.left, self.nearest = torch.full_like(aim.labels, queries), images.clone()

    def wrong(self, candidates: Tensor, index: Tensor) -> Tensor:
        """Ask about one candidate for each image of `index`; those that are misclassified become the nearest."""
        if len(index) == 0:
            return torch.zeros_like(index, dtype=torch.bool)
        self.left[index] -= 1
        logits = self.model(candidates)
        if candidates is self.images:
            self.aim.check(logits)
        down = self.aim.reached(logits, index)
        self.nearest[index[down]] = candidates[down]
        return down


def find_start(
    asked: Questions, index: Tensor, start: Tensor | None, tries: int, generator: torch.Generator | None
) -> Tensor:
    """The images of `index` for which something misclassified was found, near or far."""
    waiting = index
    for attempt in range(tries + 1):
        waiting = waiting[asked.left[waiting] > 0]
        if len(waiting) == 0:
            break
        if attempt > 0:
            candidates = noise(torch.rand, asked.images[waiting], generator)
        elif start is not None:
            candidates = start[waiting]
        else:
            continue
        waiting = waiting[~asked.wrong(candidates, waiting)]
    return index[norms(asked.nearest[index] - asked.images[index], "l2") > 0]


def go_to_border(asked: Questions, index: Tensor) -> None:
    """Halve, again and again, the part of the straight way from image to start on which the border lies."""
    far = asked.nearest[index]
    right, wrong = torch.zeros_like(far[:, 0, 0, 0]), torch.ones_like(far[:, 0, 0, 0])
    for _ in range(HALVINGS):
        middle = (right + wrong) / 2
        able = asked.left[index] > 0
        candidates = torch.lerp(asked.images[index], far, per_image(middle))
        down = torch.zeros_like(able)
        down[able] = asked.wrong(candidates[able], index[able])
        wrong, right = torch.where(able & down, middle, wrong), torch.where(able & ~down, middle, right)


def walk(asked: Questions, index: Tensor, generator: torch.Generator | None) -> None:
    """Around, then towards, until no question is left; a step grows where it succeeds and shrinks where it fails."""
    around = torch.full_like(asked.images[:, 0, 0, 0], 0.1)  # both are relative to the distance from the image
    towards = torch.full_like(around, 0.1)
    while len(index := index[asked.left[index] > 0]):
        sphere = step_around(asked.nearest[index] - asked.images[index], around[index], generator)
        sphere = (asked.images[index] + sphere).clamp(0, 1)
        down = asked.wrong(sphere, index)
        around[index] *= torch.exp(RATE * (down.to(around.dtype) - AROUND))
        down &= asked.left[index] > 0
        sphere, onward = sphere[down], index[down]
        nearer = torch.lerp(sphere, asked.images[onward], per_image(towards[onward]))
        gained = asked.wrong(nearer, onward).to(towards.dtype)
        towards[onward] = (towards[onward] * torch.exp(RATE * (gained - TOWARDS))).clamp_max(0.5)


def step_around(delta: Tensor, length: Tensor, generator: torch.Generator | None) -> Tensor:
    """A random perturbation as long as `delta`, near it: `length` is the tangent of the angle between them, `[N]`."""
    size = per_image(norms(delta, "l2"))
    drawn = noise(torch.randn, delta, generator)
    sideways = drawn - delta * per_image((drawn * delta).flatten(1).sum(dim=1)) / size**2
    turned = delta + per_image(length) * size * sideways / per_image(norms(sideways, "l2"))
    return turned * size / per_image(norms(turned, "l2"))


def noise(sampler: Callable[..., Tensor], like: Tensor, generator: torch.Generator | None) -> Tensor:
    return draw(sampler, like.shape, device=like.device, generator=generator, dtype=like.dtype)
