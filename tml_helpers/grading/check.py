"""What a student wants to know before handing in."""

from pathlib import Path

from tml_helpers.grading import notebook
from tml_helpers.grading.course import Course, workspace
from tml_helpers.grading.release import generate


def check(file: Path, *, course: Path) -> list[str]:
    """What would go wrong with a homework file, in plain sentences. Nothing in the file is executed.

    Args:
        file: the notebook that a student is about to submit.
        course: the course's folder.

    Returns:
        The sentences; none means: ready to submit.

    Raises:
        FileNotFoundError: `course` is not a course's folder.
    """
    place = Course.open(course)
    try:
        submission = notebook.read(file)
    except (ValueError, OSError) as reason:
        return [str(reason)]
    released = _assignment(submission, file, place)
    if released is None:
        return [f"{file.name} lacks most cells of each homework of this course: start from a fresh download of yours"]
    name, original = released
    found = notebook.problems(submission, original)
    if file.stem != name:
        found.insert(0, f"the file is called {file.name}: rename it to {name}.ipynb")
    return found


def _assignment(submission: notebook.Notebook, file: Path, course: Course) -> tuple[str, notebook.Notebook] | None:
    """The released notebook that this is, with its name; first of all the one that the file is named after."""
    assignments = {*course.assignments(), *course.assignments("release")}
    names = {(a, n) for a in assignments for n in [*course.notebooks(a), *course.notebooks(a, "release")]}
    for assignment, name in sorted(names, key=lambda both: (both[1] != file.stem, both)):
        released = _released(course, assignment, name, file)
        if notebook.resembles(submission, released):
            return name, released
    return None


def _released(course: Course, assignment: str, name: str, file: Path) -> notebook.Notebook:
    """The notebook as students get it: made anew where the file is the released one, with answers written into it."""
    released = course.folder("release", ".", assignment) / f"{name}.ipynb"
    if released.is_file() and released.resolve() != file.resolve():
        return notebook.read(released)
    with workspace(course.top("release")) as unfinished:
        return notebook.read(generate(course, assignment, unfinished, enter=False) / released.name)
