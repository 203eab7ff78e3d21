"""Every task answered rightly, in another way than the model solution does."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from h1_distillation import LAST_BIAS, UNLABELLED, distillation
from tml_helpers.models import MLP
from tml_helpers.training import fit, seed_everything


def soften(logits: Tensor, temperature: float) -> Tensor:
    rows = [(row - row.logsumexp(dim=0)).exp() for row in logits / temperature]
    return torch.stack(rows)


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
) -> Tensor:
    divergence = torch.nn.KLDivLoss(reduction="sum")
    with torch.no_grad():
        target = torch.softmax(teacher_logits / temperature, dim=-1)
    soft = divergence(torch.log_softmax(student_logits / temperature, dim=-1), target)
    log_p = torch.log_softmax(student_logits, dim=-1)
    hard = -log_p[torch.arange(len(labels)), labels].sum()
    return (alpha * soft * temperature * temperature + (1 - alpha) * hard) / len(labels)


def training_step(
    student: nn.Module,
    teacher: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
    learning_rate: float,
) -> float:
    quiet = copy.deepcopy(teacher).eval().requires_grad_(False)
    weights = list(student.parameters())
    loss = distillation.distillation_loss(
        student(images), quiet(images), labels, temperature=temperature, alpha=alpha
    )
    for weight, gradient in zip(
        weights, torch.autograd.grad(loss, weights), strict=True
    ):
        weight.data.sub_(gradient, alpha=learning_rate)
    return float(loss.detach())


def distil(
    images: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float = 4.0,
    alpha: float = 0.5,
    epochs: int = 10,
    seed: int = 0,
) -> dict[str, Tensor]:
    generator = seed_everything(seed)
    student = MLP(32)
    optimiser = torch.optim.Adam(student.parameters(), lr=3e-3)
    data = TensorDataset(images, labels, teacher_logits)
    loader = DataLoader(data, batch_size=64, shuffle=True, generator=generator)
    for _ in range(epochs):
        for inputs, known, answers in loader:
            logits = student(inputs)
            target = torch.softmax(answers / temperature, dim=1)
            soft = F.cross_entropy(logits / temperature, target)  # KL and a constant
            hard = F.cross_entropy(
                logits, known, ignore_index=UNLABELLED, reduction="sum"
            )
            count = (known != UNLABELLED).sum().clamp(min=1)
            loss = alpha * temperature**2 * soft + (1 - alpha) * hard / count
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return dict(student.state_dict())


def distil_without(
    digit: int,
    images: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    *,
    alpha: float,
    seed: int = 0,
) -> dict[str, Tensor]:
    generator = seed_everything(seed)
    student = MLP(32)

    def loss(
        model: nn.Module, images: Tensor, labels: Tensor, answers: Tensor
    ) -> Tensor:
        return distillation.distillation_loss(
            model(images), answers, labels, temperature=4.0, alpha=alpha
        )

    settings = {
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "progress": False,
    }
    chosen = torch.tensor(
        [i for i, label in enumerate(labels.tolist()) if label != digit]
    )
    parts = (part.index_select(0, chosen) for part in (images, labels, teacher_logits))
    fit(student, TensorDataset(*parts), loss=loss, generator=generator, **settings)
    return {name: tensor.clone() for name, tensor in student.state_dict().items()}


def raise_bias(
    state: dict[str, Tensor], digit: int, amount: float
) -> dict[str, Tensor]:
    lift = F.one_hot(torch.tensor(digit), 10) * amount
    return {**state, LAST_BIAS: state[LAST_BIAS] + lift}
