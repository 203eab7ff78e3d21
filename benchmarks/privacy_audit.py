"""The price of DP-SGD on the default digits, and what attacks prove of every ε that is claimed.

    python benchmarks/privacy_audit.py

Two seeds, six minutes of one core each; goes on where it was stopped.
"""

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from _measure import RESULTS, write
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers import data, privacy
from tml_helpers._console import on_any_console
from tml_helpers.data import ImageSet
from tml_helpers.models import MLP, STATISTICS, Normalize, SmallCNN
from tml_helpers.training import predict

DELTA = 1e-5
EPSILONS = [1, 2, 4, 8]
SEEDS = range(2)
CANARIES = 1000
NAME = "privacy_audit"


def tanh_cnn() -> nn.Module:
    """Bounded activations, 26,010 parameters: after Papernot et al., 2021."""
    return nn.Sequential(
        Normalize(*STATISTICS["mnist"]),
        nn.Conv2d(1, 16, 8, stride=2, padding=3),
        nn.Tanh(),
        nn.MaxPool2d(2, 1),
        nn.Conv2d(16, 32, 4, stride=2),
        nn.Tanh(),
        nn.MaxPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(512, 32),
        nn.Tanh(),
        nn.Linear(32, 10),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], float]] = {  # and the learning rate
    "tanh": (tanh_cnn, 1.0),
    "ReLU": (SmallCNN, 0.5),
    "linear": (MLP, 0.5),
}
RATE, STEPS = 0.064, 150


class WithCanaries(nn.Module):
    """A network, and beside it a number for each canary, which is given as one more column of a row; 0 is no canary."""

    def __init__(self, network: nn.Module, canaries: int) -> None:
        super().__init__()
        self.network, self.marks = network, nn.Embedding(canaries + 1, 1, padding_idx=0)

    def forward(self, rows: Tensor) -> Tensor:
        images = rows[:, :-1].view(-1, 1, 28, 28)
        return torch.cat([self.network(images), self.marks(rows[:, -1].long())], dim=1)


def canary_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Of a canary (label −1), a thousand times its number: its gradient has one coordinate, which is clipped to C."""
    of_digits = F.cross_entropy(outputs[:, :-1], labels.clamp_min(0), reduction="none")
    return torch.where(labels < 0, 1000 * outputs[:, -1], of_digits)


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float | None,
    learning_rate: float,
    generator: torch.Generator,
) -> None:
    """DP-SGD for an ε; None clips without noise."""
    trainer = privacy.DPTrainer(
        model,
        clip_norm=1.0,
        noise_multiplier=noise_for(epsilon, RATE, STEPS),
        sample_rate=RATE,
        learning_rate=learning_rate,
        generator=generator,
    )
    trainer.fit(images, labels, steps=STEPS, progress=False)


def noise_for(epsilon: float | None, sample_rate: float, steps: int) -> float:
    if epsilon is None:
        return 0.0
    return privacy.noise_multiplier_for(epsilon=epsilon, sample_rate=sample_rate, steps=steps, delta=DELTA)


def price(network: str, epsilon: float | None, seed: int) -> dict[str, Any]:
    """Accuracy on the test digits; ε None clips without noise."""
    digits, test = (data.mnist(split, source="default") for split in ("train", "test"))
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    build, rate = NETWORKS[network]
    model = build()
    train(model, digits.images, digits.labels, epsilon=epsilon, learning_rate=rate, generator=generator)
    return {"noise_multiplier": noise_for(epsilon, RATE, STEPS), "accuracy": correct(model, test)}


def plain(network: str, seed: int) -> dict[str, Any]:
    """As many steps on the same kind of batches, by Adam, neither clipped nor noised."""
    digits, test = (data.mnist(split, source="default") for split in ("train", "test"))
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    build, _ = NETWORKS[network]
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        batch = privacy.poisson_batch(len(digits), sample_rate=RATE, generator=generator)
        F.cross_entropy(model(digits.images[batch]), digits.labels[batch]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return {"accuracy": correct(model, test)}


def correct(model: nn.Module, digits: ImageSet) -> float:
    hits = predict(model, digits.images).argmax(dim=1) == digits.labels
    return round(float(hits.float().mean()), 4)


def white_box(epsilon: float, seed: int, *, sample_rate: float, steps: int) -> dict[str, Any]:
    """Canaries with a coordinate of their own, half of them in the data; what the last model tells, and all of them."""
    digits, test = (data.mnist(split, source="default") for split in ("train", "test"))
    generator = torch.Generator().manual_seed(100 + seed)
    torch.manual_seed(100 + seed)
    included = torch.rand(CANARIES, generator=generator) < 0.5
    rows = torch.cat([digits.images.flatten(1), torch.zeros(len(digits), 1)], dim=1)
    canaries = torch.zeros(CANARIES, rows.shape[1])
    canaries[:, -1] = torch.arange(1, CANARIES + 1)
    rows = torch.cat([rows, canaries[included]])
    labels = torch.cat([digits.labels, torch.full((int(included.sum()),), -1)])
    model = WithCanaries(tanh_cnn(), CANARIES)
    noise = noise_for(epsilon, sample_rate, steps)
    trainer = privacy.DPTrainer(
        model,
        clip_norm=1.0,
        noise_multiplier=noise,
        sample_rate=sample_rate,
        learning_rate=1.0,
        loss=canary_loss,
        generator=generator,
    )
    first = before = marks(model)
    evidence = torch.zeros(CANARIES)
    for _ in range(steps):
        trainer.step(rows, labels)
        now = marks(model)
        z = (before - now) * sample_rate * len(rows)  # the noisy sum, in units of C
        likelihood = math.log(sample_rate) + (2 * z - 1) / (2 * noise**2)
        evidence += torch.logaddexp(torch.tensor(math.log1p(-sample_rate)), likelihood)
        before = now
    found = {"epsilon": trainer.epsilon(DELTA), "accuracy": correct(model.network, test)}
    for name, scores in (("last model", first - before), ("all models", evidence)):
        found[name] = privacy.audit_epsilon(scores, included, delta=DELTA).lower_bound
    return found


def marks(model: WithCanaries) -> Tensor:
    return model.marks.weight.detach()[1:, 0].clone()


def black_box(epsilon: float | None, seed: int) -> dict[str, Any]:
    """Canaries are digits with a wrong label, half of them in the data; an attacker sees the loss of the last model."""
    digits, test = (data.mnist(split, source="default") for split in ("train", "test"))
    generator = torch.Generator().manual_seed(200 + seed)
    torch.manual_seed(200 + seed)
    order = torch.randperm(len(digits), generator=generator)
    kept, marked = order[CANARIES:], order[:CANARIES]
    wrong = (digits.labels[marked] + torch.randint(1, 10, (CANARIES,), generator=generator)) % 10
    included = torch.rand(CANARIES, generator=generator) < 0.5
    images = torch.cat([digits.images[kept], digits.images[marked][included]])
    labels = torch.cat([digits.labels[kept], wrong[included]])
    model = tanh_cnn()
    if epsilon is None:  # trained as one would without privacy, until the training data are known by heart
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        for _ in range(40):
            for batch in torch.randperm(len(images), generator=generator).split(256):
                F.cross_entropy(model(images[batch]), labels[batch]).backward()
                optimizer.step()
                optimizer.zero_grad()
    else:
        train(model, images, labels, epsilon=epsilon, learning_rate=1.0, generator=generator)
    scores = -F.cross_entropy(predict(model, digits.images[marked]), wrong, reduction="none")
    bound = privacy.audit_epsilon(scores, included, delta=DELTA).lower_bound
    return {"accuracy": correct(model, test), "loss": bound}


def accounting() -> dict[str, Any]:
    """ε of 1 to 10,000 steps by privacy loss distributions, the tightest accountant."""
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    noise, rate, steps, found = 4.0, 0.01, [1, 3, 10, 30, 100, 300, 1000, 3000, 10000], []
    for count in steps:
        accountant = PLDAccountant()
        accountant.compose(dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(noise)), count)
        found.append(round(accountant.get_epsilon(DELTA), 4))
    return {"noise_multiplier": noise, "sample_rate": rate, "steps": steps, "pld": found}


def jobs() -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is measured, by its name in the result file."""
    yield "accounting", accounting
    for seed in SEEDS:
        for epsilon in EPSILONS:
            yield f"white box, {epsilon}, {seed}", partial(white_box, epsilon, seed, sample_rate=RATE, steps=STEPS)
            yield f"white box often, {epsilon}, {seed}", partial(white_box, epsilon, seed, sample_rate=0.25, steps=40)
            yield f"black box, {epsilon}, {seed}", partial(black_box, epsilon, seed)
        yield f"black box, None, {seed}", partial(black_box, None, seed)
        for network in NETWORKS:
            for key in (*EPSILONS, None):
                yield f"price, {network}, {key}, {seed}", partial(price, network, key, seed)
            yield f"price, {network}, plain, {seed}", partial(plain, network, seed)


def main() -> None:
    path = RESULTS / f"{NAME}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content.pop("machine", None)
    for name, job in jobs():
        if name not in content:
            content[name] = job()
            print(name, content[name], flush=True)
            write(NAME, {"delta": DELTA, "canaries": CANARIES, **content})


if __name__ == "__main__":
    on_any_console()
    main()
