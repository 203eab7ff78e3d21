"""Attack by substitute: copy the black box by asking it, attack the copy, and hope that the result transfers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers._checks import check_images
from tml_helpers.attacks._common import attacked, check, check_logits
from tml_helpers.attacks.pgd import pgd
from tml_helpers.training import fit

Attack = Callable[..., Tensor]
"""`attack(model, images, labels, *, epsilon, norm, targets, generator)`: images of the same shape."""


def train_substitute(
    oracle: nn.Module,
    seed_images: Tensor,
    *,
    network: nn.Module,
    rounds: int = 5,
    epochs: int = 10,
    step_size: float = 0.1,
    learning_rate: float = 1e-3,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """S ← S ∪ {x + λ · sign(∇ₓ F_y(x)) : x ∈ S}, y what the oracle calls x: train F on S, in each of the rounds.

    `seed_images` `[N, C, H, W]` in [0, 1] are the attacker's own; F is `network`, untrained, which is trained in place
    and returned. Each round asks the oracle about the images that are new, trains F for `epochs` on all answers so
    far, and, except the last, doubles the images by a step of λ = `step_size` along F's gradient, where F changes
    fastest. The oracle is asked about N · 2^(rounds − 1) images in all, each once, and only its classes are used.

    Raises TypeError or ValueError for what this is not defined on, as rounds below 1.
    Source: Papernot et al., 2017. Derived in: lectures/20_adversarial/black_box.
    """
    check_images(oracle, seed_images)
    check_images(network, seed_images)
    if rounds < 1:
        raise ValueError(f"rounds must be 1 or more, got {rounds}")
    if not 0 < step_size <= 1:
        raise ValueError(f"step_size, the λ of the augmentation, must lie above 0 and up to 1, got {step_size}")
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    shuffle = on_cpu(generator)
    images, labels = seed_images[:0], seed_images.new_zeros(0, dtype=torch.int64)
    fresh = seed_images.detach()
    for step in range(rounds):
        if step > 0:
            fresh = augment(network, images, labels, step_size)
        images, labels = torch.cat([images, fresh]), torch.cat([labels, answers(oracle, fresh)])
        fit(network, TensorDataset(images, labels), epochs=epochs, optimizer=optimizer, generator=shuffle)
    return network.eval()


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

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape, in the ball of radius ε. The
    copy is `network`, trained in place: call `attack` on it again to attack more images at no further question.
    `attack` is `pgd`, `fgsm` or another white-box attack. The model is asked while the copy is trained, and never about
    the images themselves.

    Raises TypeError or ValueError for what this is not defined on.
    Source: Papernot et al., 2017. Derived in: lectures/20_adversarial/black_box.
    """
    check(model, images, labels, targets=targets, epsilon=epsilon, norm=norm)
    copy = train_substitute(
        model,
        seed_images,
        network=network,
        rounds=rounds,
        epochs=epochs,
        step_size=step_size,
        learning_rate=learning_rate,
        generator=generator,
    )
    return attack(copy, images, labels, epsilon=epsilon, norm=norm, targets=targets, generator=generator)


def answers(oracle: nn.Module, images: Tensor) -> Tensor:
    """The classes that the oracle says, `[N]`."""
    with attacked(oracle), torch.no_grad():
        logits = torch.cat([oracle(part) for part in images.split(512)])
    check_logits(logits, logits.argmax(dim=1))
    return logits.argmax(dim=1)


def augment(network: nn.Module, images: Tensor, labels: Tensor, step_size: float) -> Tensor:
    """x + λ · sign(∇ₓ F_y(x)), cut to [0, 1]: as many images again, moved to where the substitute changes fastest."""
    moved = []
    with attacked(network):
        for part, said in zip(images.split(512), labels.split(512), strict=True):
            leaf = part.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(network(leaf).gather(1, said[:, None]).sum(), leaf)
            moved.append((part + step_size * gradient.sign()).clamp(0, 1))
    return torch.cat(moved)


def on_cpu(generator: torch.Generator | None) -> torch.Generator | None:
    """A generator for shuffling, which is done on the CPU, seeded from one that may live elsewhere."""
    if generator is None:
        return None
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator().manual_seed(int(seed))
