"""Who is in the class: `students.csv` in the course's folder. Any of these tables can be saved there, as it is:

- nbgrader's: `id,first_name,last_name,email`, with `lms_user_id` if you like;
- Canvas, *Grades*, *Export*: `Student,ID,SIS User ID,SIS Login ID,Section`, and the assignments;
- Moodle, *Participants*, *Download table data*, or an assignment's grading worksheet: `First name,Last name,Email
  address`, or `Identifier,Full name,Email address`. Moodle numbers a student anew in each assignment: there, who has
  the name is meant, if only one has it.

What nbgrader's gradebook knows of a student stands in for what the table does not say.
"""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tml_helpers.grading.course import Course

HEADINGS = "id,first_name,last_name,email"


@dataclass(frozen=True)
class Person:
    """A student; empty where nobody says it. number: Canvas's, or what nbgrader calls `lms_user_id`."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    number: str = ""
    login: str = ""

    @property
    def name(self) -> str:
        """As one is called."""
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def sorted_name(self) -> str:
        """As Canvas sorts it."""
        return ", ".join(filter(None, (self.last_name, self.first_name)))


class Roster:
    """The class list, and what the gradebook says of a student."""

    def __init__(self, listed: list[Person], known: dict[str, Person]) -> None:
        self.listed, self.known = listed, known
        self.by_key: dict[str, Person] = {}
        for key in ("email", "login", "number", "id"):  # the last counts most
            self.by_key |= {getattr(person, key): person for person in listed if getattr(person, key)}
        self.by_name: dict[str, list[Person]] = {}
        for person in listed:
            self.by_name.setdefault(_letters(person.name), []).append(person)

    def person(self, student: str) -> Person:
        """Who it is that has this id, with all that is known; the id stays as it is."""
        listed = self.entry(student) or Person(student)
        known = self.known.get(student, Person(student))
        named = listed if listed.name else known
        return Person(
            student,
            named.first_name,
            named.last_name,
            listed.email or known.email,
            listed.number or known.number,
            listed.login or known.login,
        )

    def entry(self, student: str) -> Person | None:
        """The student's line in the class list."""
        if found := self.by_key.get(student):
            return found
        moodle = re.fullmatch(r"(.+)_\d+", student)
        same = self.by_name.get(_letters(moodle[1]), []) if moodle else []
        return same[0] if len(same) == 1 else None

    def missing(self, students: list[str]) -> list[Person]:
        """Who is in the class, but none of these; nobody where Canvas hides who these are."""
        if any(student.startswith("anon_") for student in students):
            return []
        there = {entry.id for entry in map(self.entry, students) if entry}
        return [person for person in self.listed if person.id not in there]


def of(course: Course, book: Any) -> Roster:
    """The class list of a course, whose gradebook is open. Raises ValueError where it cannot be read."""
    known = {
        s.id: Person(s.id, s.first_name or "", s.last_name or "", s.email or "", s.lms_user_id or "")
        for s in book.students
    }
    file = course.root / "students.csv"
    return Roster(_read(file) if file.exists() else [], known)


def _read(file: Path) -> list[Person]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8: save it as CSV UTF-8") from error
    first = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",")
    lines = [{key.strip().casefold(): (value or "").strip() for key, value in row.items() if key} for row in rows]
    headings = {heading.strip().casefold() for heading in rows.fieldnames or []}
    reader = next((read for needed, read in LAYOUTS if needed <= headings), None)
    if reader is None:
        raise ValueError(f"{file} is no class list: its first line is {HEADINGS}, or as Canvas or Moodle writes it")
    people = [person for person in map(reader, lines) if person is not None]
    for name, times in Counter(person.id for person in people).items():
        if times > 1:
            apart = "Moodle's grading worksheet tells two of one name apart"
            raise ValueError(f"{file} has {name} twice: give each student one line; {apart}")
    return people


def _of_nbgrader(line: dict[str, str]) -> Person | None:
    number = line.get("lms_user_id", "")
    person = Person(line["id"], line.get("first_name", ""), line.get("last_name", ""), line.get("email", ""), number)
    return person if person.id else None


def _of_canvas(line: dict[str, str]) -> Person | None:
    """None for the lines that are no student's: the points possible, and Canvas's test student."""
    if not line["id"].isdecimal() or line["student"] == "Student, Test":
        return None
    last, _, first = line["student"].partition(", ")
    return Person(line["id"], first, last, number=line["id"], login=line.get("sis login id", ""))


def _of_moodle(line: dict[str, str]) -> Person | None:
    """Their id is as that of a download, as far as it is known."""
    first = line.get("full name", "") or line.get("first name", "")
    last = line.get("last name", "") or line.get("surname", "")
    number = re.search(r"\d+$", line.get("identifier", ""))
    name = "_".join(filter(None, [*first.split(), *last.split(), number[0] if number else ""]))
    return Person(name, first, last, line["email address"]) if name else None


LAYOUTS = (
    ({"student", "id", "section"}, _of_canvas),
    ({"full name", "email address"}, _of_moodle),
    ({"first name", "email address"}, _of_moodle),
    ({"id"}, _of_nbgrader),
)


def _letters(name: str) -> str:
    """A name as it survives being a file's name: without what is no letter or digit."""
    return "".join(letter for letter in name if letter.isalnum()).casefold()
