"""From the source that the instructor edits to the notebooks that students get."""

from pathlib import Path

from tml_helpers.grading import notebook, stock
from tml_helpers.grading.course import Course, put, workspace

SECRETS = ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS")


def release(assignment: str, *, course: Path) -> Path:
    """Write the students' version of an assignment: without solutions, hidden tests and outputs.

    Args:
        assignment: its name, as `h1_distillation`.
        course: the course's folder.

    Returns:
        The notebook's path, or that of the folder where an assignment has several notebooks.

    Raises:
        ValueError: an unknown assignment, or a source that would give its solution away.
        OSError: the disk.
    """
    notebook.load_format()
    place = Course.open(course)
    place.require(assignment)
    released = place.folder("release", ".", assignment)
    with workspace(place.top("release")) as unfinished:
        put(generate(place, assignment, unfinished, enter=True), released)
    names = place.notebooks(assignment, "release")
    return released / f"{names[0]}.ipynb" if len(names) == 1 else released


def generate(course: Course, assignment: str, into: Path, *, enter: bool) -> Path:
    """Make the students' version inside `into`, entered into the gradebook or not; returns its folder."""
    try:
        made = stock.generate(course, assignment, into, enter=enter)
    except stock.NotConverted as reason:
        raise ValueError(f"{course.folder('source', '.', assignment)} cannot be released: {reason}") from reason
    for file in filter(Path.is_file, made.rglob("*")):
        found = [secret for secret in SECRETS if secret.encode() in file.read_bytes()]
        if found:
            raise ValueError(f"{file.name} would give students what stands at {found[0]!r}: nothing was released")
    return made
