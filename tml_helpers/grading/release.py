"""From the source that the instructor edits to the notebooks that students get."""

from pathlib import Path

from tml_helpers.grading import luck, notebook, patterns, stock
from tml_helpers.grading.course import Course, put, workspace

SECRETS = ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS")


def release(assignment: str, *, course: Path) -> Path:
    """Write the students' version of an assignment: without solutions, hidden tests and outputs.

    Where answers lie beside the source, in `right/` and `wrong/`, they are tried under the assignment's secret key; one
    under which a verdict is wrong is replaced, as long as no student's work is there.

    Args:
        assignment: its name, as `h1_distillation`.
        course: the course's folder.

    Returns:
        The notebook's path, or that of the folder where an assignment has several notebooks.

    Raises:
        ValueError: an unknown assignment, a source that would give its solution away, a test that cannot work where
            answers run in another process, or answers beside the source that come out wrong under every key.
        OSError: the disk.
    """
    notebook.load_format()
    place = Course.open(course)
    place.require(assignment)
    released = place.folder("release", ".", assignment)
    with workspace(place.top("release")) as unfinished:
        made = generate(place, assignment, unfinished, enter=True)
        refuse_what_cannot_work(place, assignment)
        luck.choose(place, assignment)
        put(made, released)
    names = place.notebooks(assignment, "release")
    return released / f"{names[0]}.ipynb" if len(names) == 1 else released


def refuse_what_cannot_work(course: Course, assignment: str) -> None:
    """Raise ValueError with a sentence for each form in a test that the model solution could not pass."""
    folder = course.folder("source", ".", assignment)
    found = [
        f"{file.name}: {sentence}"
        for file in sorted(folder.glob("*.ipynb"))
        for sentence in patterns.problems(notebook.read(file), folder)
    ]
    if found:
        raise ValueError("nothing was released, for answers run in a process of their own: " + "; ".join(found))


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
