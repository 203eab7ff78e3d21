"""Points as a table: for a spreadsheet, or for the gradebook of Canvas or Moodle.

What their imports do, and how the layouts answer it:

- Both take an empty cell for "no grade": it takes away a grade that is there. Import before you enter grades by hand.
  Who sent nothing has one: no points are invented, and a platform's own rule for what is missing applies.
- Canvas reads the digits at the beginning of `ID`, so `12b` is student 12 for it: only whole numbers go there. Without
  an `ID` it looks for the `SIS Login ID`, then for the name, and asks where it finds nobody.
- Canvas sets an assignment's points to those in the row `Points Possible`, and makes an assignment where none has the
  name of the column.
- Canvas passes over a column whose heading has the words `Current Score` in it, and Moodle over one that is not mapped:
  so the points before a penalty, and the penalty, can stand beside those that count.
- Moodle gives the points of a row without identifier to the student of the row above: there is none. It takes nothing
  at all where it does not know somebody.
"""

import csv as tables
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tml_helpers.grading import roster
from tml_helpers.grading.course import Course, workspace
from tml_helpers.grading.gradebook import (
    Points,
    graded_students,
    handed_in,
    has_gradebook,
    opened,
    points_in,
    questions,
)

COLUMNS = ("assignment", "student", "question", "score", "max_score", "state")
LATE = "handed in late"  # no question can be called so
CANVAS_COLUMNS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
FORMULA = re.compile(r"\s*[=+\-@]")

Layout = Literal["questions", "canvas", "moodle"]
Row = tuple[str | float, ...]


@dataclass(frozen=True)
class Exported:
    """What was written.

    rows: how many, without the headings and Canvas's row of the points possible. waiting: how many submissions have no
    final points, for a human has yet to grade a part of them, or they could not be graded.
    """

    rows: int
    waiting: int


@dataclass(frozen=True)
class _Result:
    """What a student has for an assignment.

    penalty: what is taken off for being late. refused: whether the latest submission could not be graded, so that the
    points, if there are any, are those of a former one. missing: whether nothing was handed in.
    """

    assignment: str
    student: str
    points: list[Points]
    penalty: float
    refused: bool
    missing: bool = False

    @property
    def waits(self) -> bool:
        return not self.missing and (self.refused or not self.points or any(p.by_hand for p in self.points))

    @property
    def before(self) -> float:
        """The points as if it had come in time."""
        return sum(p.score for p in self.points)

    @property
    def taken_off(self) -> float:
        """The penalty, which is not more than there is."""
        return min(self.penalty, self.before)

    @property
    def cell(self) -> str:
        """The total, empty while it is not final, and where there is nothing to grade."""
        return "" if self.waits or self.missing else _number(self.before - self.taken_off)

    @property
    def late_cells(self) -> tuple[str, str]:
        """The points before the penalty, and the penalty; empty where there is none."""
        return (_number(self.before), _number(self.taken_off)) if self.cell and self.taken_off else ("", "")


def report(csv: Path, *, course: Path, layout: Layout = "questions", assignment: str | None = None) -> Exported:
    """Write points to the file `csv`, of one assignment or of all.

    questions: a row per student and question with assignment, student, question, score, max_score, and state, which is
    `graded`, `by hand` (a human has yet to grade it), `not graded` (submitted, but it could not be graded) or `missing`
    (in the class, but nothing was handed in); in the last two the score is empty. What the course takes off for being
    late is a row of its own, `handed in late`, with a score below zero and the state `penalty`.

    canvas, moodle: a row per student and a column per assignment, to be imported, less what the course takes off for
    being late. A cell is empty where the points are not final, and where nothing was handed in. Where anything is taken
    off, the points before and the penalty stand in two columns at the end, which are not imported.

    Who is in the class stands in `students.csv`, in the course's folder: nbgrader's columns, or what Canvas or Moodle
    exports. Somebody who sent nothing has a row for each assignment that others handed in.

    - canvas: a student is found by the number in `students.csv` or the `lms_user_id` in nbgrader's gradebook if that is
      a number, else by an id that is one, as `collect` takes from Canvas; any other id is the `SIS Login ID`.
    - moodle: students are found by the e-mail addresses in `students.csv` or nbgrader's gradebook where all have one,
      else by their ids as usernames. Who has several ids, with one address, gets one row.

    Names that a spreadsheet would take for a formula get an apostrophe in front.

    Args:
        csv: the file to write.
        course: the course's folder.
        layout: `questions`, `canvas` or `moodle`.
        assignment: its name; None for all.

    Returns:
        How many rows were written, and how many submissions have no final points.

    Raises:
        ValueError: an unknown layout or assignment, or nothing was graded yet.
        OSError: the file cannot be written.
    """
    if layout not in get_args(Layout):
        raise ValueError(f"there is no layout {layout!r}: take {', '.join(get_args(Layout)[:-1])} or moodle")
    place = Course.open(course)
    worth = questions(place) if has_gradebook(place) else {}
    if assignment is not None:
        if assignment not in worth:
            place.require(assignment)
        worth = {name: of for name, of in worth.items() if name == assignment}
    results = _results(place, worth) if worth else []
    if not results:
        raise ValueError(f"nothing was graded in {place.root} yet: run `tml grade ASSIGNMENT` first")
    headings, rows = _table(place, layout, worth, results)
    _write(csv, [*headings, *rows])
    return Exported(len(rows), sum(result.waits for result in results))


def _results(course: Course, assignments: Iterable[str]) -> list[_Result]:
    found: list[_Result] = []
    with opened(course) as book:
        people = roster.of(course, book)
        for assignment in assignments:
            refused = _refused(course, assignment)
            students = [*{*graded_students(course, assignment), *course.students(assignment)}]
            absent = people.missing(students) if students else []
            results = [_Result(assignment, person.id, [], 0, refused=False, missing=True) for person in absent]
            for student in students:
                points = points_in(book, assignment, student)
                penalty = handed_in(book, course, assignment, student).penalty
                results.append(_Result(assignment, student, points, penalty, student in refused))
            found += sorted(results, key=lambda result: result.student)
    return found


def _refused(course: Course, assignment: str) -> set[str]:
    """Who got nothing in the last run, for there was nothing to grade; by the log of the runs."""
    log = course.state / assignment / "log.jsonl"
    last: dict[str, bool] = {}
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        grade = json.loads(line)
        last[grade["student"]] = grade["status"] in ("rejected", "no_notebook") and not grade["score"]
    return {student for student, refused in last.items() if refused}


def _table(
    course: Course, layout: Layout, worth: dict[str, dict[str, float]], results: list[_Result]
) -> tuple[list[Row], list[Row]]:
    """The headings, and the rows below them."""
    if layout == "questions":
        return [COLUMNS], [row for result in results for row in _question_rows(result, worth[result.assignment])]
    with opened(course) as book:
        people = roster.of(course, book)
    students = sorted({result.student for result in results})
    late = [name for name in worth if any(r.assignment == name and r.late_cells[0] for r in results)]
    ends = [f"{name}: Current Score{what}" for name in late for what in (" before the penalty", ", penalty")]
    if layout == "canvas":
        possible = [_number(most) for name, most in _possible(course).items() if name in worth]
        nothing = [""] * len(ends)
        headings: list[Row] = [
            (*CANVAS_COLUMNS, *worth, *ends),
            ("    Points Possible", "", "", "", "", *possible, *nothing),
        ]
        who = {student: _canvas(people.person(student)) for student in students}
    else:
        emails = {student: people.person(student).email for student in students}
        by_email = all(emails.values())
        headings = [("Email address" if by_email else "Username", *worth, *ends)]
        who = {student: (_identifier(emails[student] if by_email else student),) for student in students}
    return headings, _student_rows(who, list(worth), late, results)


def _question_rows(result: _Result, worth: dict[str, float]) -> Iterator[Row]:
    about = (result.assignment, _text(result.student))
    for p in result.points:
        yield *about, p.question, p.score, p.max_score, "by hand" if p.by_hand else "graded"
    if result.taken_off:
        yield *about, LATE, -result.taken_off, 0, "penalty"
    if not result.points:
        state = "missing" if result.missing else "not graded"
        yield from ((*about, question, "", most, state) for question, most in sorted(worth.items()))


def _student_rows(
    who: dict[str, tuple[str, ...]], assignments: list[str], late: list[str], results: list[_Result]
) -> list[Row]:
    """A row for each whom the platform can tell apart. Raises ValueError where two have points for the same."""
    cells: dict[tuple[str, ...], dict[str, _Result]] = {identity: {} for identity in who.values()}
    for result in results:
        first = cells[who[result.student]].setdefault(result.assignment, result)
        if first is not result:
            raise ValueError(
                f"{first.student} and {result.student} are both {' '.join(filter(None, who[result.student]))} "
                "in students.csv or nbgrader's gradebook: correct it there, or with `nbgrader db student add`"
            )
    nothing = _Result("", "", [], 0, refused=False, missing=True)
    return [
        (
            *identity,
            *(found.get(name, nothing).cell for name in assignments),
            *(cell for name in late for cell in found.get(name, nothing).late_cells),
        )
        for identity, found in cells.items()
    ]


def _possible(course: Course) -> dict[str, float]:
    """The points of each assignment, sorted by name."""
    with opened(course) as book:
        return {a.name: a.max_score for a in sorted(book.assignments, key=lambda a: str(a.name))}


def _canvas(person: roster.Person) -> tuple[str, ...]:
    """What Canvas finds a student by."""
    number = next((i for i in (person.number, person.id) if re.fullmatch("[1-9][0-9]*", i)), "")
    login = "" if number else _identifier(person.login or person.id)
    return _text(person.sorted_name or person.id), number, "", login, ""


def _identifier(name: str) -> str:
    """What a platform looks a student up by: it must stay as it is, unless it could compute anything.

    Without brackets, `=`, `|` and `!` a formula runs nothing.
    """
    return name if re.fullmatch(r"[\w.@+-]+", name) else _text(name)


def _text(text: str) -> str:
    """The text for a spreadsheet, which would take some for a formula."""
    return f"'{text}" if FORMULA.match(text) else text


def _number(value: float) -> str:
    """Moodle keeps five digits after the point."""
    return f"{value:.5f}".rstrip("0").rstrip(".")


def _write(csv: Path, rows: list[Row]) -> None:
    if not csv.resolve().parent.is_dir():
        raise FileNotFoundError(f"there is no folder {csv.resolve().parent}: make it, or name another file")
    with workspace(csv.resolve().parent) as unfinished:
        with open(unfinished / csv.name, "w", newline="", encoding="utf-8") as file:
            tables.writer(file).writerows(rows)
        os.replace(unfinished / csv.name, csv)
