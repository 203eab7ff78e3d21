"""Grade a class: one submission after the other, each with a status and a reason, none able to stop the rest."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm.auto import tqdm

from tml_helpers.grading import notebook, stock
from tml_helpers.grading.course import Course, put, workspace
from tml_helpers.grading.release import generate

Status = Literal["ok", "failed", "rejected", "no_notebook"]


@dataclass(frozen=True)
class Grade:
    """What became of one submission.

    status: `ok` (executed, points entered), `failed` (its execution broke down), `rejected` (it cannot be read),
    `no_notebook`. reason: plain sentences; for `ok` what was put right and what waits for a human. Only `ok` changes
    the gradebook.
    """

    student: str
    score: float
    max_score: float
    status: Status
    reason: str = ""


def grade(assignment: str, *, course: Path) -> list[Grade]:
    """Grade every submission of an assignment and write feedback; one `Grade` per student, sorted by name.

    Submissions are `submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb`. Points go to the gradebook, executed notebooks to
    `autograded/`, pages for the students to `feedback/`. Points that a human gave stay.

    Student code runs on this machine with your rights: grade only what you would run yourself.

    Raises ValueError for an unknown assignment or where nobody submitted, OSError for the disk or the gradebook.
    """
    place = Course.open(course)
    place.require(assignment)
    students = place.students(assignment)
    if not students:
        here = place.folder("submitted") / "STUDENT" / assignment / f"{assignment}.ipynb"
        raise ValueError(f"nobody has submitted {assignment}: put each student's file at {here}")
    with workspace(place.folder("autograded")) as unfinished:
        released = notebook.read(generate(place, assignment, unfinished, enter=True) / f"{assignment}.ipynb")
        worth = sum(float(c.metadata.nbgrader.get("points", 0)) for c in released.cells if notebook.grade_id(c))
        return [_grade_one(place, assignment, student, released, worth) for student in tqdm(students, disable=None)]


def _grade_one(course: Course, assignment: str, student: str, released: notebook.Notebook, worth: float) -> Grade:
    """Grade one submission. Whatever is wrong with it becomes a status and a reason."""
    file = course.submission(assignment, student)
    try:
        submission = notebook.read(file)
    except FileNotFoundError as reason:
        return Grade(student, 0, worth, "no_notebook", str(reason))
    except (ValueError, OSError) as reason:
        return Grade(student, 0, worth, "rejected", str(reason))
    if not notebook.resembles(submission, released):
        text = f"{file.name} lacks most cells of {assignment}: is it another homework's file?"
        return Grade(student, 0, worth, "rejected", text)
    remarks = notebook.problems(submission, released)
    if file.stem != assignment:
        remarks.insert(0, f"{file.name} was taken for {assignment}.ipynb")
    try:
        _execute(course, assignment, student, notebook.restored(submission, released), beside=file.parent)
    except stock.NotConverted as reason:
        return Grade(student, 0, worth, "failed", f"the notebook could not be executed ({reason})")
    except shutil.Error as error:  # of copying: a list of (file, copy, why)
        names = ", ".join(Path(file).name for file, _, _ in error.args[0])
        return Grade(student, 0, worth, "rejected", f"{names} cannot be copied: hand in plain files only")
    points = stock.points(course, assignment, student)
    waiting = sum(p.max_score for p in points if p.by_hand)
    if waiting:
        remarks.append(f"{waiting:g} points wait to be graded by hand")
    return Grade(student, sum(p.score for p in points), worth, "ok", "; ".join(remarks))


def _execute(course: Course, assignment: str, student: str, submission: notebook.Notebook, *, beside: Path) -> None:
    """Run the notebook with its tests, enter the points, write the feedback; the files appear when all are made.

    `beside` is the folder that was handed in: what else is in it goes along.
    """
    with workspace(course.folder("autograded")) as unfinished:
        submitted = unfinished / "submitted"
        folder = submitted / student / assignment
        shutil.copytree(beside, folder, ignore=shutil.ignore_patterns("*.ipynb"), symlinks=True)
        notebook.write(submission, folder / f"{assignment}.ipynb")
        executed = stock.autograde(course, assignment, student, submitted=submitted, into=unfinished / "autograded")
        pages = stock.write_feedback(
            course, assignment, student, autograded=unfinished / "autograded", into=unfinished / "feedback"
        )
        put(executed, course.folder("autograded") / student / assignment)
        put(pages, course.folder("feedback") / student / assignment)
