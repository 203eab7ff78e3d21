"""What a student learns from images that are no digits: the controls of lecture 1.4, paired over seeds.

    python benchmarks/distillation_without_data.py [SEEDS]        about 1 CPU-minute a seed; 8 seeds unless said

Each seed has a teacher of its own and one start for all of its students, SmallCNN(width=4), which take 800 steps of 64
images each, at the same rates and with the same loss. It goes on where it was interrupted. Writes
results/distillation_without_data.json: accuracy in per cent on MNIST's default 1,000 test images, by the images on
which the teacher answered, one value a seed.
"""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from tml_helpers._console import on_any_console
from tml_helpers.data import mnist, photos
from tml_helpers.distillation import GeneratorCollapseWarning, distill_data_free
from tml_helpers.machine import describe
from tml_helpers.models import STATISTICS, SmallCNN
from tml_helpers.training import accuracy, fit, predict, seed_everything

RESULT = Path(__file__).parent / "results/distillation_without_data.json"
STEPS, LOOKS, BATCH, RATE = 100, 8, 64, 1e-2
IMAGES = 4000
SHAPE = (1, 28, 28)


def noise(seed: int) -> Tensor:
    """Each pixel drawn by itself, uniformly."""
    return torch.rand(IMAGES, *SHAPE, generator=torch.Generator().manual_seed(seed))


def clouds(seed: int) -> Tensor:
    """7×7 normal numbers, enlarged without corners, as bright as MNIST's normalisation says."""
    coarse = torch.randn(IMAGES, 1, 7, 7, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, size=SHAPE[1:], mode="bilinear")
    mean, std = STATISTICS["mnist"][0][0], STATISTICS["mnist"][1][0]
    slope = std / (mean * (1 - mean))
    return torch.sigmoid(torch.logit(torch.tensor(mean)) + slope * smooth / smooth.std())


def patches(seed: int) -> Tensor:
    """Squares of 28 to 112 pixels from five grey photographs, shrunk to 28×28."""
    generator = torch.Generator().manual_seed(seed)
    grey = photos().images.mean(dim=1, keepdim=True)
    cut = []
    for _ in range(IMAGES):
        photo, side = (int(torch.randint(*span, (1,), generator=generator)) for span in ((0, len(grey)), (28, 113)))
        top, left = (int(torch.randint(n - side + 1, (1,), generator=generator)) for n in grey.shape[2:])
        square = grey[photo : photo + 1, :, top : top + side, left : left + side]
        cut.append(F.interpolate(square, size=SHAPE[1:], mode="area"))
    return torch.cat(cut)


def from_images(images: Callable[[int], Tensor]) -> Callable[..., None]:
    """The student takes as many steps as with a generator, on the same distance and at the same rates."""

    def teach(student: SmallCNN, teacher: SmallCNN, seed: int, generator: torch.Generator) -> None:
        pool = images(seed)
        answers = predict(teacher, pool)
        learner = torch.optim.Adam(student.parameters(), lr=RATE)
        slower = torch.optim.lr_scheduler.CosineAnnealingLR(learner, STEPS * LOOKS)
        for _ in range(STEPS * LOOKS):
            chosen = torch.randint(IMAGES, (BATCH,), generator=generator)
            difference = answers[chosen] - student(pool[chosen])
            distance = (difference - difference.mean(dim=1, keepdim=True)).abs().mean()
            learner.zero_grad()
            distance.backward()
            learner.step()
            slower.step()

    return teach


def painted(**how: float) -> Callable[..., None]:
    def teach(student: SmallCNN, teacher: SmallCNN, seed: int, generator: torch.Generator) -> None:
        usual = {"steps": STEPS, "looks": LOOKS, "batch_size": BATCH, "learning_rate": RATE}
        usual |= {"statistics": STATISTICS["mnist"]} | how
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GeneratorCollapseWarning)  # it is what is measured
            distill_data_free(student, teacher, shape=SHAPE, generator=generator, **usual)

    return teach


WAYS = {
    "noise": from_images(noise),
    "clouds": from_images(clouds),
    "photographs": from_images(patches),
    "generator, untrained": painted(generator_rate=0.0),
    "generator": painted(adversary=0.0),
    "generator, adversary": painted(),
    "generator, brightness unknown": painted(statistics=None),  # type: ignore[arg-type]
    "digits": from_images(lambda seed: mnist("train", source="default").images[:IMAGES]),
}


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    train, test = mnist("train", source="default"), mnist("test", source="default")
    found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    rows = found.get("accuracy", {way: [] for way in ["teacher", *WAYS]})
    for seed in range(len(rows["teacher"]), seeds):
        generator = seed_everything(seed)
        teacher = SmallCNN()
        fit(teacher, train, epochs=5, learning_rate=2e-3, batch_size=BATCH, generator=generator)
        reached = {"teacher": 100 * accuracy(teacher, test)}
        for way, teach in WAYS.items():
            generator = seed_everything(1000 + seed)
            student = SmallCNN(width=4)
            teach(student, teacher, seed, generator)
            reached[way] = 100 * accuracy(student, test)
            print(f"seed {seed}, {way}: {reached[way]:.1f} %", flush=True)
        for way, value in reached.items():
            rows[way].append(round(value, 2))
        RESULT.write_text(json.dumps({"machine": describe(), "accuracy": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    on_any_console()
    main()
