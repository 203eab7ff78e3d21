"""Every task answered rightly, in another way than the model solution does."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2_adversarial_training import attacks, reader
from tml_helpers.training import accuracy, seed_everything


def fgsm(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    leaf = images.detach().clone().requires_grad_(True)
    log_p = torch.log_softmax(model(leaf), dim=1)
    loss = -log_p[torch.arange(len(labels)), labels].sum()
    slope = torch.autograd.grad(loss, [leaf])[0]
    moved = torch.where(slope > 0, images + epsilon, images)
    moved = torch.where(slope < 0, images - epsilon, moved)
    return torch.minimum(torch.maximum(moved, torch.tensor(0.0)), torch.tensor(1.0))


def project(candidates: Tensor, images: Tensor, epsilon: float) -> Tensor:
    lowest, highest = (images - epsilon).clamp_min(0), (images + epsilon).clamp_max(1)
    return torch.max(torch.min(candidates, highest), lowest)


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int,
    step_size: float,
    generator: torch.Generator,
) -> Tensor:
    start = torch.empty_like(images).uniform_(-epsilon, epsilon, generator=generator)
    change = start
    for _ in range(steps):
        change = change.requires_grad_()
        current = project(images + change, images, epsilon)
        loss = F.cross_entropy(model(current), labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, current)
        change = (current + step_size * slope.sign() - images).detach()
    return project(images + change, images, epsilon)


def madry_loss(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    settings = {"epsilon": epsilon, "steps": steps, "generator": generator}
    worst = attacks.pgd(model, images, labels, **settings)
    log_p = torch.log_softmax(model(worst), dim=1)
    return -log_p.gather(1, labels[:, None]).mean()


def friendly_pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int,
    step_size: float,
    tau: int,
) -> Tensor:
    result = images.clone()
    index = torch.arange(len(images))
    left = torch.full((len(images),), tau)
    for _ in range(steps):
        leaf = result[index].requires_grad_()
        logits = model(leaf)
        loss = F.cross_entropy(logits, labels[index], reduction="sum")
        (slope,) = torch.autograd.grad(loss, leaf)
        left[index] -= (logits.argmax(dim=1) != labels[index]).long()
        keep = left[index] >= 0
        index, slope = index[keep], slope[keep]
        if len(index) == 0:
            break
        lowest, highest = images[index] - epsilon, images[index] + epsilon
        moved = result[index] + step_size * slope.sign()
        result[index] = moved.clamp(lowest, highest).clamp(0, 1)
    return result


def harden(
    state: dict[str, Tensor], epsilon: float, images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    generator = seed_everything(3)
    model = reader(state).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(2):
        for batch in torch.randperm(len(images), generator=generator).split(25):
            x, y = images[batch], labels[batch]
            settings = {"steps": 6, "tau": 2, "generator": generator}
            friendly = attacks.pgd(model, x, y, epsilon=epsilon, **settings)
            optimiser.zero_grad()
            F.cross_entropy(model(friendly), y).backward()
            optimiser.step()
    return dict(model.state_dict())


def measure(
    state: dict[str, Tensor], epsilon: float, images: Tensor, labels: Tensor
) -> dict[str, float]:
    def right(pictures: Tensor) -> float:
        pairs = torch.utils.data.TensorDataset(pictures, labels)
        return accuracy(reader(state), pairs)

    ball = {"epsilon": epsilon, "generator": torch.Generator().manual_seed(4)}
    once = attacks.fgsm(reader(state), images, labels, epsilon=epsilon)
    walk = attacks.pgd(reader(state), images, labels, steps=20, **ball)
    return {"natural": right(images), "fgsm": right(once), "pgd": right(walk)}
