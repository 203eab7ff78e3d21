"""The homework of this book, and one graded class for each, which all workers of a test run share.

To grade a notebook costs ten CPU-seconds and more. So one student hands in nothing, one for each right answer of other
shape, and the rest answer wrongly in all of their tasks: the first with the first wrong answer to each, the second
with the second, and so on, for no task uses another's code. The model solution is the first of the canaries: where it
does not get every point, nobody is graded.
"""

import dataclasses
import json
import re
import tempfile
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

from answers import Answer, is_answer, is_test, name_of, parts, with_model_answers
from courses import ROOT, copy_of_our_course, read, rows, submit
from filelock import FileLock

from tml_helpers import grading

ROW = re.compile(r"^\| (\d+) \| (.+?) \| (\d+) \|", re.MULTILINE)
HEADING = re.compile(r"^## Task (\d+) · .+\n\n\*(\d+) points?(?: \((.+?)\))? · ", re.MULTILINE)
MARKS = {"", *(f"### {end} {what}" for end in ("BEGIN", "END") for what in ("SOLUTION", "HIDDEN TESTS"))}
HIDDEN = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n.*?### END \1", re.DOTALL)


@dataclass(frozen=True)
class Task:
    """What the students' notebook announces of a task: at its head, in the table, and above the task itself."""

    points: int
    by_hand: bool
    again: int
    parts: str

    def shares(self, questions: int) -> list[int]:
        """The points of each of its questions, where they are stated: `value, gradient: 1 each`, `step 1, loop 2`."""
        stated = [int(number) for number in re.findall(r"\d+", self.parts)]
        return stated * questions if self.parts.endswith("each") else stated


@dataclass(frozen=True)
class Homework:
    """A folder of `solutions/`: all that is known of it stands in its files."""

    name: str

    @property
    def solution(self) -> Path:
        return ROOT / "solutions" / self.name / f"{self.name}.ipynb"

    @property
    def released(self) -> Path:
        return ROOT / "exercises" / self.name / f"{self.name}.ipynb"

    @cached_property
    def cells(self) -> list[Any]:
        """The cells of the solution."""
        return list(read(self.solution).cells)

    @cached_property
    def autograded(self) -> dict[str, int]:
        """The points of each question that a machine grades."""
        return {name_of(c): c.metadata.nbgrader.points for c in self.cells if is_test(c)}

    @cached_property
    def by_hand(self) -> dict[str, int]:
        """The points of each question that a human grades."""
        return {name_of(c): c.metadata.nbgrader.points for c in self.cells if gives_points(c) and not is_test(c)}

    @property
    def points(self) -> int:
        """What a machine gives at most."""
        return sum(self.autograded.values())

    @cached_property
    def announced(self) -> dict[str, Task]:
        """What the students' notebook says of each task, by its number."""
        text = "\n\n".join(c.source for c in read(self.released).cells if c.cell_type == "markdown")
        headings = {number: (points, parts) for number, points, parts in HEADING.findall(text)}
        return {
            number: Task(int(points), "graded by a human" in what, int(headings[number][0]), headings[number][1])
            for number, what, points in ROW.findall(text)
        }

    @cached_property
    def secrets(self) -> dict[str, set[str]]:
        """Of each cell with an answer or a test, the lines that students must not see and that stand nowhere else."""
        seen = {line.strip() for c in self.cells for line in visible(c)}
        kept = [c for c in self.cells if gives_points(c) or is_answer(c)]
        return {name_of(c): {line.strip() for line in c.source.splitlines()} - seen - MARKS for c in kept}

    @cached_property
    def pictures(self) -> set[str]:
        """The functions of answers that only draw."""
        answers = [parts(c.source) for c in self.cells if is_answer(c)]
        return {name for cell in answers for name, text in cell.items() if "plt." in text}

    @cached_property
    def right(self) -> dict[str, Answer]:
        """The right answers of another shape."""
        return {file.stem: Answer.read(file) for file in (self.solution.parent / "right").glob("*.py")}

    @cached_property
    def wrong(self) -> dict[str, list[Answer]]:
        """The wrong answers to each task, or part of a task, with which their names begin: `2b_no_root`."""
        answers = [Answer.read(file) for file in sorted((self.solution.parent / "wrong").glob("*.py"))]
        return {part: list(those) for part, those in groupby(answers, key=lambda answer: answer.part)}

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


HOMEWORK = [Homework(folder.name) for folder in sorted(ROOT.glob("solutions/[!._]*")) if folder.is_dir()]
BY_MACHINE = [homework for homework in HOMEWORK if homework.autograded]


@dataclass(frozen=True)
class Graded:
    """The course where a homework's students were graded, their grades, and the rows of the course's report."""

    course: Path
    grades: dict[str, grading.Grade]
    rows: list[dict[str, str]]


def gives_points(cell: Any) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def visible(cell: Any) -> list[str]:
    """The lines of a cell that students see: not what stands between two marks, nor an answer without marks."""
    if cell.metadata.get("nbgrader", {}).get("solution") and "### BEGIN SOLUTION" not in cell.source:
        return []
    return HIDDEN.sub("", cell.source).splitlines()


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
