"""What a student wants to know before handing in."""

from pathlib import Path

from tml_helpers.grading import notebook
from tml_helpers.grading.course import Course, workspace
from tml_helpers.grading.release import generate


def check(file: Path, *, course: Path) -> list[str]:
    """What would go wrong with a homework file, in plain sentences; an empty list means: ready to submit.

    Nothing in the file is executed. Raises FileNotFoundError where `course` is not a course folder.
    """
    place = Course.open(course)
    try:
        submission = notebook.read(file)
    except (ValueError, OSError) as reason:
        return [str(reason)]
    assignment = _assignment(submission, file, place)
    if assignment is None:
        return [f"{file.name} lacks most cells of each homework of this course: start from a fresh download of yours"]
    found = notebook.problems(submission, _released(place, assignment, file))
    if file.stem != assignment:
        found.insert(0, f"the file is called {file.name}: rename it to {assignment}.ipynb")
    return found


def _assignment(submission: notebook.Notebook, file: Path, course: Course) -> str | None:
    """The homework that this is, first of all the one that the file is named after."""
    names = sorted({*course.assignments(), *course.released()}, key=lambda name: name != file.stem)
    return next((name for name in names if notebook.resembles(submission, _released(course, name, file))), None)


def _released(course: Course, assignment: str, file: Path) -> notebook.Notebook:
    """The notebook as students get it: made anew where the file is the released one, with answers written into it."""
    released = course.notebook("release", assignment)
    if released.is_file() and released.resolve() != file.resolve():
        return notebook.read(released)
    with workspace(course.folder("release")) as unfinished:
        return notebook.read(generate(course, assignment, unfinished, enter=False) / released.name)
