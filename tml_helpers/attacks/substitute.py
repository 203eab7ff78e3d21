"""Attack by substitute: copy the black box by asking it, attack the copy, and hope that the result transfers."""

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.attacks.pgd import pgd
from tml_helpers.attacks.protocol import Attack, check_batch, check_step, launch
from tml_helpers.common import (
    answer_and_gradient,
    check_ball,
    check_counts,
    check_gradient,
    check_images,
    check_logits,
    check_numbers,
    differentiable,
    warn_of_masking,
)
from tml_helpers.training import fit, predict


def train_substitute(
    model: nn.Module,
    images: Tensor,
    *,
    oracle: nn.Module,
    rounds: int = 5,
    epochs: int = 10,
    step_size: float = 0.1,
    learning_rate: float = 1e-3,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """S ← S ∪ {x + λ · sign(∇ₓ F_y(x)) : x ∈ S}, y what the oracle calls x: train F on S, in each of the rounds.

    Each round asks the oracle about the images that are new, trains F on all answers so far, and, except the last,
    doubles the images by a step along F's gradient, where F changes fastest. The oracle is asked about
    N · 2^(rounds − 1) images in all, each once.

    Args:
        model: F, the copy: untrained, maps images to logits `[N, K]`; trained in place.
        images: `[N, C, H, W]` in [0, 1], the attacker's own.
        oracle: the model that is copied: maps images to logits `[N, K]`, of which the largest alone is used.
        rounds: 1 or more.
        epochs: passes over S in each round, 0 or more.
        step_size: λ, in units of a pixel's value, above 0 and up to 1.
        learning_rate: Adam's.
        generator: shuffles S; on any device.

    Returns:
        The model, in evaluation mode. Warns where its gradient is zero.

    Raises:
        TypeError, ValueError: what this is not defined on, as images outside [0, 1].

    Source: Papernot et al., 2017. Derived in: lectures/20_adversarial/black_box
    """
    check_images(oracle, images)
    check_images(model, images)
    check_counts(rounds=rounds)
    check_numbers(step_size=step_size)
    check_step(learning_rate=learning_rate)
    if not 0 < step_size <= 1:
        raise ValueError(f"step_size, the λ of the augmentation, must lie above 0 and up to 1, got {step_size}")
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    fresh = images.detach()
    known, labels = fresh[:0], fresh.new_zeros(0, dtype=torch.int64)
    for step in range(rounds):
        if step > 0:
            fresh = augment(model, known, labels, step_size)
        known, labels = torch.cat([known, fresh]), torch.cat([labels, classes(oracle, fresh)])
        fit(model, TensorDataset(known, labels), epochs=epochs, optimizer=optimizer, generator=generator)
    return model.eval()


def substitute(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    network: nn.Module,
    seed_images: Tensor,
    norm: str = "linf",
    rounds: int = 5,
    epochs: int = 10,
    step_size: float = 0.1,
    learning_rate: float = 1e-3,
    attack: Attack = pgd,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Adversarial images for a copy of the model, which `train_substitute` made by asking: they transfer, or not.

    The model is asked while the copy is trained, and never about the images themselves.

    Args:
        model: maps images to logits `[N, K]`, of which the largest alone is used.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        epsilon: ε, the ball's radius: from 0 to 1 in `"linf"`, to √(C·H·W) in `"l2"`.
        network: the copy, untrained; it is trained in place: attack it again for more images at no further question.
        seed_images: `[M, C, H, W]` in [0, 1], the attacker's own.
        norm: `"linf"` or `"l2"`.
        rounds, epochs, step_size, learning_rate: as of `train_substitute`.
        attack: `pgd`, `fgsm` or another white-box attack, which gets what it takes of ε, norm, targets and generator.
        targets: `[N]`, int64, none of them the label; None for any other class.
        generator: of the training and the attack; on any device.

    Returns:
        Images of the same shape, as the attack returns them.

    Raises:
        TypeError, ValueError: what this is not defined on, as targets for an attack that takes none.

    Source: Papernot et al., 2017. Derived in: lectures/20_adversarial/black_box
    """
    check_batch(model, images, labels, targets)
    check_ball(epsilon, norm, images)
    copy = train_substitute(
        network,
        seed_images,
        oracle=model,
        rounds=rounds,
        epochs=epochs,
        step_size=step_size,
        learning_rate=learning_rate,
        generator=generator,
    )
    return launch(attack, copy, images, labels, epsilon=epsilon, norm=norm, targets=targets, generator=generator)


def classes(oracle: nn.Module, images: Tensor) -> Tensor:
    """What the oracle calls each image, `[N]`."""
    logits = predict(oracle, images)
    check_logits(logits)
    return logits.argmax(dim=1)


def augment(model: nn.Module, images: Tensor, labels: Tensor, step_size: float) -> Tensor:
    """x + λ · sign(∇ₓ F_y(x)), cut to [0, 1]: as many images again, moved to where the substitute changes fastest."""
    batches = zip(images.split(512), labels.split(512), strict=True)
    with differentiable(model):
        gradient = torch.cat([slope_of_class(model, *batch) for batch in batches])
    warn_of_masking(gradient)
    return check_gradient((images + step_size * gradient.sign()).clamp(0, 1))


def slope_of_class(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """∇ₓ F_y(x), `[N, C, H, W]`."""
    _, gradient = answer_and_gradient(model, images, lambda logits: logits.gather(1, labels[:, None]))
    return gradient
