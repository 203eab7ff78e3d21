"""How far a teacher's answers carry a student on the full MNIST: the longer experiment of lecture 1.1.

    TML_DATA_DIR=… python benchmarks/distillation_mnist.py        about 15 CPU-minutes on one core

Writes results/distillation_mnist.json: test accuracy in per cent of the teacher, and of students by hidden units and by
the number of images that the teacher answered for, one value for each of five seeds. No student sees a label.
"""

import json
from pathlib import Path

from torch.utils.data import TensorDataset

from tml_helpers._console import on_any_console
from tml_helpers.data import ImageSet, mnist
from tml_helpers.distillation import distill
from tml_helpers.machine import describe
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import accuracy, fit, seed_everything

RESULT = Path(__file__).parent / "results/distillation_mnist.json"
HIDDEN = (8, 32, 128)
ANSWERED = (300, 1000, 3000, 10_000, 60_000)
SEEDS = range(5)
STEPS = 6000  # batches of 128 for every student, however many images it has


def student_accuracy(
    teacher: SmallCNN, train: ImageSet, test: ImageSet, hidden: int, answered: int, seed: int
) -> float:
    """Test accuracy in per cent of one student that learned from answers alone."""
    generator = seed_everything(seed)
    student = MLP(hidden)
    epochs = STEPS * 128 // answered
    images = TensorDataset(train.images[:answered])
    distill(student, teacher, images, temperature=4.0, alpha=1.0, epochs=epochs, generator=generator)
    return 100 * accuracy(student, test)


def main() -> None:
    train, test = mnist("train", source="full"), mnist("test", source="full")
    generator = seed_everything(0)
    teacher = SmallCNN()
    fit(teacher, train, epochs=5, generator=generator, progress=True)
    result = {"machine": describe(), "teacher": 100 * accuracy(teacher, test), "students": {}}
    for hidden in HIDDEN:
        curve = result["students"][str(hidden)] = {}
        for answered in ANSWERED:
            curve[str(answered)] = [
                round(student_accuracy(teacher, train, test, hidden, answered, seed), 2) for seed in SEEDS
            ]
            print(f"{hidden:>4} hidden units, {answered:>6} answers: {curve[str(answered)]}", flush=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    on_any_console()
    main()
