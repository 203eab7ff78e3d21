"""Online distillation: no teacher; students who start from nothing learn from the labels and from each other."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Literal, get_args

from torch import Generator, Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from tml_helpers.common import check_counts, home, own_generator
from tml_helpers.distillation._checks import check_blend
from tml_helpers.distillation.several_teachers import min_logit, multi_teacher_loss
from tml_helpers.training import batches, own_optimizer, predict

__all__ = ["Answer", "distill_online"]

Answer = Literal["peers", "min_logit"]
"""Whose answers a student follows: those of each of its peers, or the one that `min_logit` makes of all."""


def distill_online(
    models: Sequence[nn.Module],
    data: Dataset[Any] | DataLoader[Any],
    *,
    temperature: float = 1.0,
    alpha: float = 0.5,
    answer: Answer = "peers",
    epochs: int,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    generator: Generator | None = None,
    progress: bool | None = None,
) -> list[list[float]]:
    """Each of M students learns α·T²·(1/(M−1))·Σ KL(peer ‖ own) + (1 − α)·cross-entropy: deep mutual learning.

    All start untrained. For each batch the students learn in turn, one step each, and hear what their peers say now,
    also those who have just moved. Peers are asked in evaluation mode, and nothing flows back into them.

    With α = ½ and T = 1, loss and gradient are half of the paper's sum, which Adam does not notice.

    Args:
        models: two or more networks for the same classes, of any build, each on its device; all of them are trained.
        data: a data set or a loader of (images, labels); labels may be missing when `alpha` is 1.
        temperature: T, above 0.
        alpha: α, from 0 to 1. At 0 each student is alone; at 1 no label is heard, and they agree about nothing.
        answer: `"peers"`, the mean over the peers, or `"min_logit"`, the combined answer of all students (collaborative
            learning), which needs labels.
        epochs: 0 or more.
        learning_rate: of one Adam for each student.
        batch_size: 1 or more.
        generator: shuffles a data set, in the same order for all students; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        For each student, the mean loss of each epoch.

    Raises:
        TypeError: one network instead of several, or a number that is none.
        ValueError: fewer than two students, a module or a parameter that two of them share, nothing to train, numbers
            out of their range, an empty data set, labels that are missing, or a loss that is not finite.

    Source: Zhang, Xiang, Hospedales and Lu, 2018; Guo et al., 2020. Derived in: lectures/10_distillation/many_at_once.
    """
    check_blend(temperature, alpha)
    check_counts(0, epochs=epochs)
    check_counts(batch_size=batch_size)
    if answer not in get_args(Answer):
        raise ValueError(f"answer must be one of {', '.join(get_args(Answer))}, got {answer!r}")
    students = _students(models)
    optimizers = [own_optimizer(student, optimizer=None, learning_rate=learning_rate) for student in students]
    generator = own_generator(generator)
    histories: list[list[float]] = [[] for _ in students]
    for student in students:
        student.train()

    for epoch in tqdm(range(epochs), desc="epochs", disable=None if progress is None else not progress):
        totals, count = [0.0] * len(students), 0
        for images, *rest in batches(data, batch_size=batch_size, generator=generator):
            answers: dict[int, Tensor] = {}  # of those who have not moved since they were asked
            for own, (student, optimizer) in enumerate(zip(students, optimizers, strict=True)):
                device = home(student)
                logits = student(images.to(device))
                if len(rest) > 1:
                    raise ValueError(f"data must hold images and maybe labels, got {1 + len(rest)} tensors")
                labels = rest[0].to(device) if rest else None
                heard = []
                for m, peer in enumerate(students):
                    if m != own or answer == "min_logit":
                        answers[m] = answers[m] if m in answers else predict(peer, images)
                        heard.append(answers[m].to(device))
                if answer == "min_logit":
                    heard = [_combined(heard, labels)]
                loss = multi_teacher_loss(logits, heard, labels, temperature=temperature, alpha=alpha)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                answers.pop(own, None)
                totals[own] += loss.item() * len(images)
            count += len(images)
        if count == 0:
            raise ValueError("the data gave no batch: there is nothing to train on")
        for own, history in enumerate(histories):
            history.append(totals[own] / count)
            if not math.isfinite(history[-1]):
                raise ValueError(
                    f"the loss of models[{own}] is {history[-1]} in epoch {epoch + 1}: "
                    "lower the learning rate, if the images are finite"
                )
    return histories


def _combined(answers: list[Tensor], labels: Tensor | None) -> Tensor:
    if labels is None:
        raise ValueError("min_logit needs labels, but the data has images alone")
    return min_logit(answers, labels)


def _students(models: Sequence[nn.Module]) -> list[nn.Module]:
    """Two or more networks that have nothing in common."""
    if isinstance(models, nn.Module) and not isinstance(models, nn.ModuleList):
        raise TypeError(f"models must be a list of two or more networks, got one {type(models).__name__}")
    students = list(models)
    if len(students) < 2:
        raise ValueError(f"students learn from each other: models must be two or more, got {len(students)}")
    for m, student in enumerate(students):
        if not isinstance(student, nn.Module):
            raise TypeError(f"models must be networks, got {type(student).__name__} for models[{m}]")
    owned = [{id(p) for p in student.parameters() if p.requires_grad} for student in students]
    for m, parameters in enumerate(owned):
        if not parameters:
            raise ValueError(f"models[{m}] has no parameter to train: a network that only answers is a teacher")
    for a, b in combinations(range(len(students)), 2):
        if students[a] is students[b]:
            raise ValueError(f"models[{a}] and models[{b}] are the same module: copy it, or make another")
        if owned[a] & owned[b]:
            raise ValueError(f"models[{a}] and models[{b}] share parameters: copy.deepcopy one of them")
    return students
