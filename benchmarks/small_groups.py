"""What small networks do to a small group: one digit has 20 training images, the others some 400 each. For lecture 1.5.

    python benchmarks/small_groups.py      about ten minutes on one core; goes on from where it was stopped

Writes results/small_groups.json: for each digit as the rare one and each of three seeds, the share in per cent of the
rare and of the other test images that are read correctly, by a teacher, by students of width 4 alone and taught (same
start, same batches, as many looks as the teacher), and by the teacher pruned to 5 % of its weights and trained on.
"""

import json
from pathlib import Path

import torch
from torch import nn

from tml_helpers._console import on_any_console
from tml_helpers.compression import prune
from tml_helpers.data import ImageSet, mnist
from tml_helpers.distillation import distill
from tml_helpers.machine import describe
from tml_helpers.models import SmallCNN
from tml_helpers.training import accuracy, fit, seed_everything

RESULT = Path(__file__).parent / "results/small_groups.json"
KEPT, EPOCHS, SEEDS = 20, 5, range(3)
TEACHER, STUDENT = {"learning_rate": 2e-3, "batch_size": 64}, {"learning_rate": 5e-3, "batch_size": 64}


def with_few(train: ImageSet, digit: int) -> ImageSet:
    """All images of the other digits, and the first 20 of this one."""
    few = torch.where(train.labels == digit)[0][:KEPT]
    return train.select(torch.cat([few, torch.where(train.labels != digit)[0]]).sort().values)


def networks(data: ImageSet, seed: int) -> dict[str, nn.Module]:
    """The four networks of one seed."""
    generator = seed_everything(seed)
    teacher = SmallCNN()
    fit(teacher, data, epochs=EPOCHS, generator=generator, **TEACHER)
    generator = seed_everything(seed)
    alone = SmallCNN(width=4)
    fit(alone, data, epochs=EPOCHS, generator=generator, **STUDENT)
    generator = seed_everything(seed)
    taught = SmallCNN(width=4)
    distill(taught, teacher, data, temperature=4.0, alpha=0.9, epochs=EPOCHS, generator=generator, **STUDENT)
    pruned = prune(teacher, sparsity=0.95)
    fit(pruned, data, epochs=2, generator=seed_everything(seed), **TEACHER)
    return {"teacher": teacher, "alone": alone, "taught": taught, "pruned": pruned}


def main() -> None:
    torch.set_num_threads(1)
    train, test = mnist("train", source="default"), mnist("test", source="default")
    settings = {"kept": KEPT, "epochs": EPOCHS, "temperature": 4.0, "alpha": 0.9, "sparsity": 0.95}
    content = {"machine": describe(), **settings, "rows": []}
    if RESULT.exists():
        content["rows"] = json.loads(RESULT.read_text(encoding="utf-8"))["rows"]
    for seed in SEEDS:
        for digit in range(10):
            if any((row["digit"], row["seed"]) == (digit, seed) for row in content["rows"]):
                continue
            row: dict[str, object] = {"digit": digit, "seed": seed}
            piles = {"rare": test.select(test.labels == digit), "others": test.select(test.labels != digit)}
            for name, model in networks(with_few(train, digit), seed).items():
                row[name] = {pile: round(100 * accuracy(model, images), 2) for pile, images in piles.items()}
            content["rows"].append(row)
            RESULT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            print(row, flush=True)


if __name__ == "__main__":
    on_any_console()
    main()
