"""The secret keys of a course, one for each assignment: they seed what tests draw.

They come from one file, `.tml-grading/key`. Where a release finds that a verdict hangs on an assignment's key, the next
one that the same file gives takes its place; `.tml-grading/ASSIGNMENT/turn` counts them.
"""

import hmac
import os
import secrets

from tml_helpers.grading.course import ANYBODY, Course, workspace


def of(course: Course, assignment: str) -> str:
    """The key of this assignment: the same in every run."""
    passed = turn(course, assignment)
    name = f"{assignment}\0{passed}" if passed else assignment
    return hmac.digest(_secret(course), name.encode(), "sha256").hex()


def turn(course: Course, assignment: str) -> int:
    """How many keys were passed over."""
    return int(kept(course, f"{assignment}/turn") or "0")


def draw_another(course: Course, assignment: str) -> None:
    """Let the next key be that of the assignment."""
    keep(course, f"{assignment}/turn", str(turn(course, assignment) + 1))


def used(course: Course, assignment: str) -> bool:
    """Whether students' work is there for it, or was graded under it: then it must stay."""
    graded = course.folder("autograded", ANYBODY, assignment)
    anybody = next(folder for folder in graded.parents if folder.name == ANYBODY)
    return bool(course.students(assignment)) or any(anybody.parent.glob(f"*/{graded.relative_to(anybody)}"))


def _secret(course: Course) -> bytes:
    if not kept(course, "key"):
        keep(course, "key", secrets.token_hex(32))
    return kept(course, "key").encode()


def kept(course: Course, name: str) -> str:
    """What stands in this file of the course's memory; empty where there is none."""
    file = course.state / name
    return file.read_text(encoding="utf-8") if file.exists() else ""


def keep(course: Course, name: str, text: str) -> None:
    """Write a file of the course's memory whole, for its owner alone."""
    file = course.state / name
    file.parent.mkdir(parents=True, exist_ok=True)
    with workspace(course.state) as unfinished:
        made = unfinished / file.name
        made.write_text(text, encoding="utf-8")
        made.chmod(0o600)
        os.replace(made, file)
