"""Adversarial examples that move an image's mass instead of adding noise: PGD in a ball of earth mover's distance."""

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
    per_image,
    warn_of_masking,
)

SOFTEST, GROWTH = 1.0, 1.5
"""A projection starts at this regularisation, which is solved in a few rounds, and sharpens it by this factor."""


def wasserstein(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int = 30,
    step_size: float = 0.1,
    regularization: float = 100.0,
    rounds: int = 5,
    window: int = 5,
    targets: Tensor | None = None,
) -> Tensor:
    """xᵗ⁺¹ = Π(xᵗ + α · sign(∇ₓ L(xᵗ, y))), where Π is `project_wasserstein` onto the ball around the image.

    Each projection starts where the one before it ended.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        epsilon: ε, 0 or more: a distance in pixels for an image of mass 1: 0.1 moves a tenth of the mass by one pixel.
        steps: 0 or more.
        step_size: α, in units of a pixel's value, 0 or more.
        regularization: as of `project_wasserstein`.
        rounds: of each projection, 1 or more.
        window: as of `project_wasserstein`.
        targets: `[N]`, int64, none of them the label; None for any other class.

    Returns:
        Images of the same shape and the same mass, in the ball and in [0, 1]. Warns where a gradient is zero.

    Raises:
        TypeError, ValueError: what an attack is not defined on.

    Source: Wong, Schmidt and Kolter, 2019. Derived in: lectures/20_adversarial/other_threat_models
    """
    check_batch(model, images, labels, targets)
    check_transport(epsilon, regularization, rounds, window)
    check_counts(0, steps=steps)
    check_step(step_size=step_size)
    images, aim = images.detach(), Aim(labels, targets)
    ball, current = TransportBall(images, epsilon, window), images
    with differentiable(model):
        for step in range(steps):
            logits, gradient = aim.uphill(model, current, first=step == 0)
            if step == 0:
                warn_of_masking(gradient, ~aim.reached(logits))
            goal = check_gradient((current + step_size * gradient.sign()).clamp(0, 1))
            ball.approach(goal, [regularization] * rounds if step else sharpening(regularization, rounds))
            current = ball.nearest()
    return ball.settled() if steps else images.clone()


def project_wasserstein(
    points: Tensor,
    images: Tensor,
    *,
    epsilon: float,
    regularization: float = 100.0,
    rounds: int = 20,
    window: int = 5,
) -> Tensor:
    """argmin ½‖z − y‖² over images z in [0, 1] whose mass can be moved there from x at a cost of at most ε.

    The cost of a plan is its mass times the distance in pixels that it travels, divided by the mass of x. Mass stays in
    its channel. Projected Sinkhorn: the plan's entropy, divided by the regularisation, is taken off the objective, and
    its dual is climbed by blocks in the log domain.

    Args:
        points: y, `[N, C, H, W]`, finite.
        images: x, of the same shape and type, in [0, 1].
        epsilon: ε, 0 or more, in pixels.
        regularization: above 0. The larger, the nearer to the projection, and the more rounds are needed. It is the
            paper's λ divided by the mass of x: the paper's 1,000 is about 10 for a digit.
        rounds: of the ascent at the last regularisation, 1 or more.
        window: mass moves within a square of so many pixels, an odd number.

    Returns:
        z, `[N, C, H, W]`: whatever the rounds, it keeps the mass of x, costs no more than ε and lies in [0, 1], to 1e-4
        of the mass.

    Raises:
        TypeError, ValueError: what this is not defined on, as points of another shape.

    Source: Wong, Schmidt and Kolter, 2019. Derived in: lectures/20_adversarial/other_threat_models
    """
    check_images(nn.Identity(), images)
    check_transport(epsilon, regularization, rounds, window)
    if points.shape != images.shape or points.dtype != images.dtype or not torch.isfinite(points).all():
        raise ValueError(
            f"points must be finite, {images.dtype} and of shape {list(images.shape)} as the images, "
            f"got {points.dtype} and {list(points.shape)}"
        )
    ball = TransportBall(images.detach(), epsilon, window)
    ball.approach(points.detach(), sharpening(regularization, rounds))
    return ball.settled()


def check_transport(epsilon: float, regularization: float, rounds: int, window: int) -> None:
    check_numbers(epsilon=epsilon, regularization=regularization)
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"epsilon must be a mean distance in pixels of 0 or more, got {epsilon}")
    if not 0 < regularization < math.inf:
        raise ValueError(f"regularization must be above 0, got {regularization}")
    check_counts(rounds=rounds, window=window)
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be an odd number of pixels, as 5, got {window}")


def sharpening(regularization: float, rounds: int) -> list[float]:
    """The regularisation of each round: two rounds at each softer level, then `rounds` at the last."""
    softer = math.ceil(max(math.log(regularization / SOFTEST, GROWTH), 0))
    return [SOFTEST * GROWTH**level for level in range(softer) for _ in range(2)] + [regularization] * rounds


class TransportBall:
    """The plans that move the mass of `images` at a cost of at most ε, and the dual variables of the last projection.

    With γ the regularisation, the plan is p(i→j) = exp(a_i + b_j − ψ·distance(i, j)); a, b and ψ belong to what
    leaves each pixel, what arrives there, and the cost. Each block has a closed form or a Newton step.
    """

    def __init__(self, images: Tensor, epsilon: float, window: int) -> None:
        self.images, self.window = images, window
        self.budget = epsilon * images.sum(dim=(1, 2, 3))
        offsets = torch.arange(window, dtype=images.dtype, device=images.device) - window // 2
        self.distances = torch.hypot(offsets[:, None], offsets).flatten()
        self.arriving = torch.zeros_like(images)  # b
        self.price = torch.ones_like(self.budget)  # ψ
        self.sharpness = SOFTEST  # γ

    def approach(self, points: Tensor, regularizations: list[float]) -> None:
        """One round of block ascent for each regularisation: rows to x, the price to the budget, columns to z."""
        for sharpness in regularizations:
            growth, self.sharpness = sharpness / self.sharpness, sharpness
            self.arriving, self.price = self.arriving * growth, self.price * growth
            scores = self.scores(self.arriving)
            totals = scores.logsumexp(-1)
            shares = (scores - totals[..., None]).exp()
            spent = (self.images * (shares @ self.distances)).sum(dim=(1, 2, 3))
            curvature = (self.images * (shares @ self.distances**2)).sum(dim=(1, 2, 3)).clamp_min(1e-30)
            newton = self.price + (spent - self.budget) / curvature
            self.price = newton.clamp(self.price / 2, 2 * self.price + 1)
            reachable = self.scores(self.images.log() - totals).logsumexp(-1).clamp_min(-1e4)
            logs = log_wright_omega(math.log(sharpness) + sharpness * points + reachable) - math.log(sharpness)
            self.arriving = logs.clamp_max(0) - reachable  # log z ≤ 0: no pixel is brighter than 1

    def scores(self, potential: Tensor) -> Tensor:
        """potential(j) − ψ·distance(i, j) for each pixel i and each j in its window, `[N, C, H, W, window²]`."""
        return neighbours(potential, self.window, -math.inf) - self.price.view(-1, 1, 1, 1, 1) * self.distances

    def plan(self) -> Tensor:
        """What leaves each pixel for each of its window: rows add up to the image, and the cost is within ε."""
        plan = self.images[..., None] * self.scores(self.arriving).softmax(-1)
        cost = (plan @ self.distances).sum(dim=(1, 2, 3))
        plan = plan * per_image((self.budget / cost.clamp_min(1e-30)).clamp_max(1))[..., None]
        return self.rest_at_home(plan)

    def rest_at_home(self, plan: Tensor) -> Tensor:
        """The plan, where mass that does not travel stays where it was."""
        home = torch.zeros_like(self.distances)
        home[len(home) // 2] = 1
        return plan + (self.images - plan.sum(-1))[..., None] * home

    def arrivals(self, plan: Tensor) -> Tensor:
        """What arrives at each pixel, `[N, C, H, W]`."""
        n, c, h, w, size = plan.shape
        columns = plan.reshape(n * c, h * w, size).transpose(1, 2)
        return F.fold(columns, (h, w), self.window, padding=self.window // 2).view(n, c, h, w)

    def nearest(self) -> Tensor:
        """The image that the plan makes; cut to [0, 1], which loses the little that the rounds have left above 1."""
        return self.arrivals(self.plan()).clamp(0, 1)

    def settled(self) -> Tensor:
        """The same without the loss: what a full pixel cannot take goes back to where it came from."""
        plan, most = self.plan(), 1e-5 * self.images.sum(dim=(1, 2, 3))
        for _ in range(500):
            arrived = self.arrivals(plan)
            if bool(((arrived - 1).clamp_min(0).sum(dim=(1, 2, 3)) <= most).all()):
                break
            taken = (1 / arrived.clamp_min(1e-30)).clamp_max(1)
            plan = self.rest_at_home(plan * neighbours(taken, self.window, 0.0))
        return arrived.clamp(0, 1)


def neighbours(values: Tensor, window: int, outside: float) -> Tensor:
    """Each pixel's window, `[N, C, H, W]` → `[N, C, H, W, window²]`, with `outside` beyond the border."""
    padded = F.pad(values, [window // 2] * 4, value=outside)
    return padded.unfold(2, window, 1).unfold(3, window, 1).flatten(-2)


def log_wright_omega(t: Tensor) -> Tensor:
    """The ℓ with exp(ℓ) + ℓ = t, by Newton's method from above; exp(ℓ) is Lambert's W(exp(t)), and never overflows."""
    root = torch.where(t > 1, t.clamp_min(1).log(), t.clamp_max(0))
    for _ in range(6):
        size = root.exp()
        root = root - (size + root - t) / (size + 1)
    return root
