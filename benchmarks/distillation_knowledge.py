"""Which kind of knowledge pays when: each method's student beside the same student alone, paired over seeds.

    python benchmarks/distillation_knowledge.py                               the default digits, ten seeds
    TML_DATA_DIR=… python benchmarks/distillation_knowledge.py --data full    all of MNIST, five seeds

A quarter of an hour of one core each. Writes results/distillation_knowledge.json after every student, and goes on from
there:

    {"default" | "full": {
        "settings": {…},
        "teacher": [test accuracy in per cent of each of three teachers],
        "labels": {"300" | "4000", for the full data "1000" | "60000": {METHOD: {
            "chosen": {"learning_rate": …, "weight": …},    the weight of what the method adds, none for "alone"
            "held_out": [accuracy in per cent of each number that was tried, the default digits only],
            "accuracy": [of the student on the test images, in per cent, a value for each seed],
            "gain": mean over the seeds of the accuracy less that of "alone" in the same seed, in points,
            "interval": [lowest, highest] of a paired t-interval of 95 % for the gain,
            "joint": the same, but the intervals of all methods of this budget hold together with 95 % (Bonferroni),
            "better": in how many seeds the student was better than alone}}}}}

METHOD is one of METHODS, in their order; "alone" has no gain. An interval tells what other seeds (starts and orders)
would do, with these teachers. The test images are the same for all: 1,000, or 10,000 for the full data.

What is equal. The student is SmallCNN(width=4), 13,242 parameters, with the same start and the same batches as the
student alone of its seed, hence as many looks at each image. The teachers, SmallCNN() with 206,922 parameters, are
students' teachers in turn; they have learned from all training images, also where a student has few. Each method hears
the labels too, with weight 1 (beside answers: 1 − α, so with α = 1 not at all). What a method needs beside the student
(regressor, translator, peer, early exits) is thrown away afterwards.

What was chosen, and how. Three numbers were tried for each method and for the student alone: its learning rate, which
the others take over, and of each method the weight. They are judged by the mean accuracy of two other seeds on 1,000
training images that were held out, with teachers that have not seen these either (for 4,000 labels, on the other
3,000). The full data take over what was chosen on the default digits: for 1,000 labels from 300, for 60,000 from 4,000.
All else is the same for all: T = 4, hint and factors of the second convolution after pooling, relations (and the hint
of that name) of the 32 and 128 hidden units, batches of 64 (128 for 60,000 images). FitNets trains hints before the
labels; here a method's terms are trained together.
"""

import argparse
import itertools
import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from _measure import RESULTS, write
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers._console import on_any_console
from tml_helpers.data import ImageSet, mnist
from tml_helpers.distillation import (
    FactorTransfer,
    SelfDistillation,
    distill_online,
    distillation_loss,
    hint_loss,
    multi_teacher_loss,
    rkd_angle_loss,
    rkd_distance_loss,
)
from tml_helpers.models import SmallCNN
from tml_helpers.training import accuracy, fit, seed_everything

NAME = "distillation_knowledge"
TEMPERATURE, ALPHA, TEACHERS, WIDTH = 4.0, 0.9, 3, 4
PARAPHRASED = 4000  # images whose features a paraphraser learns
METHODS: dict[str, tuple[float, ...]] = {  # the weights that are tried
    "alone": (5e-3, 1e-2, 2e-2),  # learning rates
    "response": (0.5, 0.9, 1.0),  # α
    "hint": (1.0, 10.0, 100.0),  # β
    "hint, hidden units": (1.0, 5.0, 25.0),
    "factor transfer": (0.004, 0.02, 0.1),
    "distances": (5.0, 25.0, 125.0),
    "angles": (10.0, 50.0, 250.0),
    "response and relations": (2.0, 10.0, 50.0),
    "several teachers": (0.5, 0.9, 1.0),  # α
    "online": (0.3, 0.5, 0.7),  # α
    "self-distillation": (0.1, 0.3, 0.6),  # α
}
TRIED, HELD_OUT = (100, 101), 1000  # seeds
DATA: dict[str, dict[str, Any]] = {
    "default": {"seeds": 10, "teacher": {"epochs": 5, "batch_size": 64}, "epochs": {"300": 40, "4000": 4}},
    "full": {"seeds": 5, "teacher": {"epochs": 2, "batch_size": 128}, "epochs": {"1000": 30, "60000": 2}},
}
TAKEN_FROM = {"1000": "300", "60000": "4000"}
Chosen = dict[str, float]


@dataclass(frozen=True)
class Lesson:
    """What a student may learn from, an entry for each training image."""

    images: Tensor
    labels: Tensor
    answers: Tensor  # [N, TEACHERS, K]: the first teacher's first
    features: Tensor  # of the first teacher's second convolution, [N, 32, 7, 7]
    hidden: Tensor  # of its hidden units, [N, 128]
    transfer: FactorTransfer  # whose paraphraser is trained

    def first(self, number: int) -> "Lesson":
        images, labels, answers, features, hidden = (
            part[:number] for part in (self.images, self.labels, self.answers, self.features, self.hidden)
        )
        return Lesson(images, labels, answers, features, hidden, self.transfer)


def taken_apart(model: SmallCNN, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features `[N, C, 7, 7]`, hidden units and logits."""
    features = model.layers[:7](images)
    hidden = model.layers[7:10](features)
    return features, hidden, model.layers[10](hidden)


def lessons_of(train: ImageSet, *, seed: int, epochs: int, batch_size: int) -> tuple[list[SmallCNN], list[Lesson]]:
    """The teachers, and what each says as the first of them: a student's teacher and its two colleagues."""
    teachers = []
    for number in range(TEACHERS):
        generator = seed_everything(seed + number)
        teachers.append(SmallCNN())
        fit(teachers[-1], train, epochs=epochs, learning_rate=2e-3, batch_size=batch_size, generator=generator)
    images, labels = train.tensors
    with torch.no_grad():
        said = [[taken_apart(teacher, part) for part in images.split(512)] for teacher in teachers]
    answers = torch.stack([torch.cat([logits for *_, logits in parts]) for parts in said], dim=1)
    lessons = []
    for number, parts in enumerate(said):
        features, hidden = (torch.cat([part[kind] for part in parts]) for kind in (0, 1))
        transfer = FactorTransfer(features.shape[1], 2 * WIDTH)
        reconstruct = FactorTransfer.reconstruction_loss
        fit(transfer, TensorDataset(features[:PARAPHRASED]), epochs=5, loss=reconstruct, batch_size=64)
        lessons.append(Lesson(images, labels, answers.roll(-number, dims=1), features, hidden, transfer))
    return teachers, lessons


# -------------------------------------------------------------------------------------------------- the methods


def by_loss(method: str, weight: float, tool: nn.Module, student: nn.Module, *batch: Tensor) -> Tensor:
    """What a student minimises whose method is a loss of its answers, features or hidden units."""
    assert isinstance(student, SmallCNN)
    images, labels, answers, features, hidden = batch
    own_features, own_hidden, logits = taken_apart(student, images)
    hard = F.cross_entropy(logits, labels)
    if method == "alone":
        return hard
    if method == "response":
        return distillation_loss(logits, answers[:, 0], labels, temperature=TEMPERATURE, alpha=weight)
    if method == "several teachers":
        return multi_teacher_loss(logits, answers.transpose(0, 1), labels, temperature=TEMPERATURE, alpha=weight)
    if method == "hint":
        return hard + weight * hint_loss(own_features, features, regressor=tool)
    if method == "hint, hidden units":
        return hard + weight * hint_loss(own_hidden, hidden, regressor=tool)
    if method == "factor transfer":
        transferred: Tensor = tool(own_features, features)
        return hard + weight * transferred
    if method == "distances":
        return hard + weight * rkd_distance_loss(own_hidden, hidden)
    if method == "angles":
        return hard + weight * rkd_angle_loss(own_hidden, hidden)
    soft = distillation_loss(logits, answers[:, 0], labels, temperature=TEMPERATURE, alpha=ALPHA)
    return soft + weight * (rkd_distance_loss(own_hidden, hidden) + 2 * rkd_angle_loss(own_hidden, hidden))


def tool_of(method: str, lesson: Lesson) -> nn.Module:
    """What is trained beside the student, and thrown away."""
    if method == "hint":
        return nn.Conv2d(2 * WIDTH, lesson.features.shape[1], 1)
    if method == "hint, hidden units":
        return nn.Linear(8 * WIDTH, lesson.hidden.shape[1])
    if method == "factor transfer":
        tool = FactorTransfer(lesson.features.shape[1], 2 * WIDTH)
        tool.paraphraser.load_state_dict(lesson.transfer.paraphraser.state_dict())
        return tool
    return nn.Module()


def with_exits(student: SmallCNN) -> SelfDistillation:
    """The student with two early exits; its own classifier, with its start, is the deepest."""
    layers = student.layers
    network = SelfDistillation([layers[:4], layers[4:7], layers[7:10]], torch.zeros(1, 1, 28, 28), classes=10)
    network.classifiers[-1] = layers[10]
    return network


def student_of(method: str, lesson: Lesson, *, seed: int, chosen: Chosen, epochs: int, batch_size: int) -> nn.Module:
    """A trained student: in each seed all methods begin with the same weights and see the same batches."""
    generator = seed_everything(seed)
    student = SmallCNN(width=WIDTH)
    labelled = TensorDataset(lesson.images, lesson.labels)
    how: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "generator": generator}
    rate, weight = chosen["learning_rate"], chosen.get("weight", 0.0)
    if method == "online":
        distill_online([student, SmallCNN(width=WIDTH)], labelled, alpha=weight, learning_rate=rate, **how)
    elif method == "self-distillation":
        fit(with_exits(student), labelled, loss=partial(SelfDistillation.loss, alpha=weight), learning_rate=rate, **how)
    else:
        tool = tool_of(method, lesson)
        trained = [p for part in (student, tool) for p in part.parameters()]
        said = TensorDataset(*labelled.tensors, lesson.answers, lesson.features, lesson.hidden)
        loss = partial(by_loss, method, weight, tool)
        fit(student, said, loss=loss, optimizer=torch.optim.Adam(trained, lr=rate), **how)
    return student


# ------------------------------------------------------------------------------------------ choosing, and counting


def choose(train: ImageSet, budgets: dict[str, int], cells: dict[str, Any], save: Callable[[], None]) -> None:
    """Fill in `chosen`, by the accuracy on training images that neither student nor teacher has seen."""
    if all("chosen" in cells[labels][method] for labels in budgets for method in METHODS):
        return
    number = len(train) - HELD_OUT
    seen, unseen = train.select(slice(number)), train.select(slice(number, None))
    _, lessons = lessons_of(seen, seed=2000, **DATA["default"]["teacher"])
    for labels, epochs in budgets.items():
        for method, numbers in METHODS.items():
            if "chosen" in cells[labels][method]:
                continue
            rate = cells[labels]["alone"].get("chosen", {}).get("learning_rate")
            tried = [{"learning_rate": rate or n} | ({"weight": n} if rate else {}) for n in numbers]
            scores = []
            for chosen in tried:
                how: dict[str, Any] = {"chosen": chosen, "epochs": epochs, "batch_size": 64}
                parts = [lesson.first(int(labels)) for lesson in lessons]
                students = [student_of(method, parts[seed % TEACHERS], seed=seed, **how) for seed in TRIED]
                scores.append(statistics.mean(accuracy(student, unseen) for student in students))
            cells[labels][method]["chosen"] = tried[scores.index(max(scores))]
            cells[labels][method]["held_out"] = [round(100 * score, 2) for score in scores]
            print(f"{labels:>6} labels, {method}: {numbers}: {cells[labels][method]['held_out']}", flush=True)
            save()


def add_gains(cells: dict[str, Any]) -> None:
    """Mean gain over the student alone of the same seed, and its intervals."""
    for of_budget in cells.values():
        alone = of_budget["alone"]["accuracy"]
        for method, cell in of_budget.items():
            gains = [a - b for a, b in zip(cell["accuracy"], alone, strict=False)]
            if method == "alone" or len(gains) < 2:
                continue
            mean, error = statistics.mean(gains), statistics.stdev(gains) / math.sqrt(len(gains))
            cell["gain"] = round(mean, 2)
            for name, doubt in (("interval", 0.05), ("joint", 0.05 / (len(METHODS) - 1))):
                reach = float(stats.t.ppf(1 - doubt / 2, len(gains) - 1)) * error
                cell[name] = [round(mean - reach, 2), round(mean + reach, 2)]
            cell["better"] = sum(gain > 0 for gain in gains)


def fill(name: str, result: dict[str, Any], seeds: int, save: Callable[[], None]) -> None:
    """Every method's student in every seed that is not yet there."""
    budgets: dict[str, int] = DATA[name]["epochs"]
    cells = result[name]["labels"]
    train, test = mnist("train", source=name), mnist("test", source=name)  # type: ignore[arg-type]
    if name == "default":
        choose(train, budgets, cells, save)
    else:
        for labels, method in itertools.product(budgets, METHODS):
            cells[labels][method]["chosen"] = result["default"]["labels"][TAKEN_FROM[labels]][method]["chosen"]
    missing = [
        (seed, labels, method)
        for labels in budgets
        for seed in range(seeds)
        for method in METHODS
        if len(cells[labels][method]["accuracy"]) <= seed
    ]
    if not missing:
        return
    teachers, lessons = lessons_of(train, seed=1000, **DATA[name]["teacher"])
    result[name]["teacher"] = [round(100 * accuracy(teacher, test), 2) for teacher in teachers]
    for seed, labels, method in missing:
        cell, part = cells[labels][method], lessons[seed % TEACHERS].first(int(labels))
        how: dict[str, Any] = {"epochs": budgets[labels], "batch_size": 128 if labels == "60000" else 64}
        student = student_of(method, part, seed=seed, chosen=cell["chosen"], **how)
        cell["accuracy"].append(round(100 * accuracy(student, test), 2))
        save()
        print(f"seed {seed}, {labels:>5} labels, {method}: {cell['accuracy'][-1]}", flush=True)


def show(name: str, result: dict[str, Any]) -> None:
    for labels, of_budget in result[name]["labels"].items():
        print(f"\n{labels} labels of the {name} data: accuracy in per cent, gain over the same student alone in points")
        for method, cell in of_budget.items():
            line = f"  {method:24}{statistics.mean(cell['accuracy']):6.2f}"
            if "gain" in cell:
                low, high = cell["interval"]
                line += f"{cell['gain']:+7.2f} [{low:+.2f}, {high:+.2f}]  better in {cell['better']}"
                line += f" of {len(cell['accuracy'])}"
            print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=list(DATA), default="default")
    parser.add_argument("--seeds", type=int, help="fewer or more than the usual number; a later run adds the rest")
    options = parser.parse_args()
    name: str = options.data
    path = RESULTS / f"{NAME}.json"
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    result.pop("machine", None)
    settings = {"temperature": TEMPERATURE, "alpha": ALPHA, "tried": METHODS, **DATA[name]}
    settings = json.loads(json.dumps(settings))
    if result.get(name, {}).get("settings") != settings:
        result[name] = {"settings": settings, "teacher": [], "labels": {}}
    for labels, method in itertools.product(DATA[name]["epochs"], METHODS):
        result[name]["labels"].setdefault(labels, {}).setdefault(method, {"accuracy": []})
    if name == "full" and "default" not in result:
        raise SystemExit("the full data take over what was chosen on the default digits: run it without --data first")

    def save() -> None:
        add_gains(result[name]["labels"])
        write(NAME, result)

    fill(name, result, options.seeds or DATA[name]["seeds"], save)
    save()
    show(name, result)
    print(path)


if __name__ == "__main__":
    on_any_console()
    main()
