"""The homework of this book, and one graded class for each, which a whole test run shares, were it of several workers.

To grade a notebook costs ten CPU-seconds and more. So one student hands in nothing, one for each right answer of other
shape, and the rest answer wrongly in all of their tasks: the first with the first wrong answer to each, the second
with the second, and so on, for no task uses another's code. The model solution is the first of the canaries: where it
does not get every point, nobody is graded.
"""

import dataclasses
import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from answers import Answer, with_model_answers
from courses import ROOT, copy_of_our_course, read, rows, submit
from filelock import FileLock

from tml_helpers import grading


@dataclass(frozen=True)
class Homework:
    """What is announced of a homework, and what its students must not get to see.

    tasks: what the names of their wrong answers begin with. pictures: functions that only draw, for no test to read.
    """

    name: str
    autograded: dict[str, int]
    by_hand: dict[str, int]
    secrets: tuple[str, ...]
    tasks: tuple[str, ...]
    pictures: tuple[str, ...] = ()

    @property
    def solution(self) -> Path:
        return ROOT / "solutions" / self.name / f"{self.name}.ipynb"

    @property
    def released(self) -> Path:
        return ROOT / "exercises" / self.name / f"{self.name}.ipynb"

    @property
    def points(self) -> int:
        """What a machine gives at most."""
        return sum(self.autograded.values())

    @cached_property
    def right(self) -> dict[str, Answer]:
        """The right answers of another shape."""
        return {file.stem: Answer.read(file) for file in (self.solution.parent / "right").glob("*.py")}

    @cached_property
    def wrong(self) -> dict[str, list[Answer]]:
        """The wrong answers to each task."""
        folder = self.solution.parent / "wrong"
        return {task: [Answer.read(file) for file in sorted(folder.glob(f"{task}*.py"))] for task in self.tasks}

    @cached_property
    def wrong_students(self) -> dict[str, list[Answer]]:
        """Who answers wrongly, with which answers."""
        return {f"wrong_{n}": list(filter(None, row)) for n, row in enumerate(zip_longest(*self.wrong.values()))}

    def notebooks(self) -> dict[str, Any]:
        """What each student hands in."""
        blank = read(self.released)
        answered = with_model_answers(read(self.released), read(self.solution))
        no_picture = {name: f"def {name}():\n    return None" for name in self.pictures}
        hurried = Answer("hurried", "", no_picture, frozenset(), "").instead_of(answered)
        made = {"blank": blank} | {name: answer.instead_of(answered) for name, answer in self.right.items()}
        for student, answers in self.wrong_students.items():
            made[student] = hurried
            for answer in answers:
                made[student] = answer.instead_of(made[student])
        return made


HOMEWORK = [
    Homework(
        "h1_distillation",
        {"1_soften": 1, "2a_loss_value": 1, "2b_loss_gradient": 1, "2c_loss_properties": 1}
        | {"3a_step": 1, "3b_loop": 2, "4_never_seen": 1},
        {"5a_why": 1, "5b_when_not": 1},
        ("keepdim=True", "exact_loss", "manual_seed(73"),
        ("1_", "2_", "3a_", "3b_", "4_"),
    ),
    Homework(
        "h2_adversarial_training",
        {"1_fgsm": 1, "2a_projection": 1, "2b_walk": 1, "2c_strength": 1, "3_madry": 1, "4_friendly": 1}
        | {"5a_reported": 1, "5b_robust": 1},
        {"6a_read": 1, "6b_too_good": 1},
        ("slope.sign()", "misread += ", "torch.minimum(torch.maximum"),
        ("1_", "2_", "3_", "4_", "5_"),
    ),
    Homework(
        "h4_explanations",
        {"1_hide": 1, "2a_proximity": 1, "2b_line": 1, "2c_lime": 2, "3_fidelity": 1, "4a_map": 1, "4b_network": 1},
        {"5a_two": 1, "5b_wolf": 1},
        ("masks[:, segments]", "scale * columns", "gram = columns.T", "keepdim=True"),
        ("1_", "2a_", "2b_", "2c_", "3_", "4a_", "4b_"),
        pictures=("look",),
    ),
]


@dataclass(frozen=True)
class Graded:
    """The course where a homework's students were graded, their grades, and the rows of the course's report."""

    course: Path
    grades: dict[str, grading.Grade]
    rows: list[dict[str, str]]


def graded(homework: Homework, shared: Path) -> Graded:
    """A homework's students, graded unless that was done before: `shared` is the folder of this test run."""
    done = shared / f"{homework.name}.json"
    with FileLock(shared / f"{homework.name}.lock"):
        if not done.exists():
            done.write_text(json.dumps(grade(homework, Path(tempfile.mkdtemp(dir=shared)))), encoding="utf-8")
    said = json.loads(done.read_text(encoding="utf-8"))
    return Graded(Path(said["course"]), {g["student"]: grading.Grade(**g) for g in said["grades"]}, said["rows"])


def grade(homework: Homework, place: Path) -> dict[str, Any]:
    """Grade a homework's students in a course at `place`."""
    course = copy_of_our_course(place)
    for student, notebook in homework.notebooks().items():
        submit(course, student, homework.name, notebook)
    grades = grading.grade(homework.name, course=course, jobs=1)
    return {"course": str(course), "grades": [dataclasses.asdict(g) for g in grades], "rows": rows(course)}
