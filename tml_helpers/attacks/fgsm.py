"""The fast gradient sign method: one step as long as the ball allows."""

from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.protocol import check_batch
from tml_helpers.common import check_ball, check_gradient, differentiable, warn_of_masking
from tml_helpers.kernels import ball_step


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    targets: Tensor | None = None,
) -> Tensor:
    """x + ε · sign(∇ₓ L(x, y)), cut to [0, 1]: the largest step that a linear loss would want within the ball.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        epsilon: ε, the ball's radius: from 0 to 1 in `"linf"`, to √(C·H·W) in `"l2"`.
        norm: `"linf"`, or `"l2"`, where the step is ε · ∇L / ‖∇L‖.
        targets: `[N]`, int64, none of them the label: the loss of the target is made small instead; None for any
            other class.

    Returns:
        Images of the same shape, in the ball and in [0, 1]. Warns where a gradient is zero.

    Raises:
        TypeError, ValueError: what an attack is not defined on, as ε outside its range.

    Source: Goodfellow, Shlens and Szegedy, 2015. Derived in: lectures/20_adversarial/linear_explanation
    """
    check_batch(model, images, labels, targets)
    check_ball(epsilon, norm, images)
    images, aim = images.detach(), Aim(labels, targets)
    with differentiable(model):
        logits, gradient = aim.uphill(model, images, first=True)
    warn_of_masking(gradient, ~aim.reached(logits))
    return check_gradient(ball_step(images, images, gradient, step_size=epsilon, epsilon=epsilon, norm=norm))
