"""Points for the gradebooks of Canvas and Moodle.

What the imports do is in Canvas's `gradebook_importer.rb` and its specification, and in Moodle's
`grade/import/csv/classes/load_data.php`.
"""

import csv
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from courses import tiny_course, unfinished
from nbgrader.api import Gradebook

from tml_helpers.grading.report import Exported, Layout, report

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # of nbgrader's own queries

HEADINGS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with two assignments: `pairs` of 2 points, `sums` of 2 and of 3 that a human gives."""
    course = tiny_course(tmp_path_factory.mktemp("prepared"))
    (course / "masters/pairs").mkdir()
    (course / "masters/pairs/pairs.ipynb").write_text(
        (course / "masters/sums/sums.ipynb").read_text(encoding="utf-8"), encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # nbgrader calls `alembic` by name
        gradebook(course).close()
    with gradebook(course) as book:
        for assignment, questions in (("sums", {"double": 2, "why": 3}), ("pairs", {"pair": 2})):
            book.add_assignment(assignment)
            book.add_notebook(assignment, assignment)
            for question, points in questions.items():
                book.add_grade_cell(question, assignment, assignment, max_score=points, cell_type="code")
    return course


@pytest.fixture
def course(prepared: Path, tmp_path: Path) -> Path:
    """A copy of it: nbgrader takes seconds to begin a gradebook."""
    return shutil.copytree(prepared, tmp_path / "course")


def gradebook(course: Path) -> Any:
    return Gradebook(f"sqlite:///{course / 'gradebook.db'}")


def give(
    course: Path, student: str, assignment: str, by_hand: str = "", /, *, who: Any = None, **scores: float
) -> None:
    """Points for a student's submission; `by_hand` is the question that a human has yet to grade."""
    with gradebook(course) as book:
        book.update_or_create_student(student, **(who or {}))
        book.add_submission(assignment, student)
        for question, score in scores.items():
            grade = book.find_grade(question, assignment, assignment, student)
            grade.auto_score = score
            grade.needs_manual_grade = question == by_hand
        book.db.commit()


def hand_in(course: Path, student: str, assignment: str) -> None:
    (course / "submitted" / student / assignment).mkdir(parents=True)


def table(course: Path, layout: Layout, assignment: str | None = None, *, waiting: int = 0) -> list[list[str]]:
    """What is written, read back; `waiting` is what it must say of it."""
    file = course / "points.csv"
    exported = report(file, course=course, layout=layout, assignment=assignment)
    with open(file, newline="", encoding="utf-8") as text:
        rows = list(csv.reader(text))
    assert exported == Exported(len(rows) - (2 if layout == "canvas" else 1), waiting)
    assert unfinished(course) == []
    return rows


def test_canvas(course: Path) -> None:
    give(course, "12345", "sums", double=2, why=1.5)
    give(course, "12345", "pairs", pair=1)
    give(course, "anna", "sums", double=0, why=0)
    assert table(course, "canvas") == [
        [*HEADINGS, "pairs", "sums"],
        ["    Points Possible", "", "", "", "", "2", "5"],
        ["12345", "12345", "", "", "", "1", "3.5"],
        ["anna", "", "", "anna", "", "", "0"],
    ]


def test_moodle(course: Path) -> None:
    give(course, "anna", "sums", double=2, why=1.5)
    give(course, "anna", "pairs", pair=1)
    give(course, "bea", "sums", double=0, why=0)
    assert table(course, "moodle") == [["Username", "pairs", "sums"], ["anna", "1", "3.5"], ["bea", "", "0"]]


def test_one_assignment(course: Path) -> None:
    give(course, "anna", "sums", double=2, why=1.5)
    give(course, "bea", "pairs", "pair", pair=1)
    assert table(course, "moodle", "sums") == [["Username", "sums"], ["anna", "3.5"]]
    assert table(course, "canvas", "sums")[:2] == [
        [*HEADINGS, "sums"],
        ["    Points Possible", "", "", "", "", "5"],
    ]
    assert [row[:3] for row in table(course, "questions", "sums")[1:]] == [
        ["sums", "anna", "double"],
        ["sums", "anna", "why"],
    ]


@pytest.mark.parametrize("layout", ["canvas", "moodle"])
def test_points_that_are_not_final_are_not_exported(course: Path, layout: Layout) -> None:
    """A human has yet to grade anna's `why`; bea's `sums` and all of carl's could not be graded."""
    give(course, "anna", "sums", "why", double=2, why=0)
    give(course, "anna", "pairs", pair=2)
    give(course, "bea", "pairs", pair=1)
    hand_in(course, "bea", "sums")
    hand_in(course, "carl", "pairs")
    found = {row[0]: row[-2:] for row in table(course, layout, waiting=3)[-3:]}
    assert found == {"anna": ["2", ""], "bea": ["1", ""], "carl": ["", ""]}


def test_points_of_a_former_submission_are_not_exported(course: Path) -> None:
    """Each had points; since then anna handed in what is no notebook, and bea did, but mended it."""
    log = course / ".tml-grading/sums/log.jsonl"
    log.parent.mkdir(parents=True)
    with open(log, "w", encoding="utf-8") as lines:
        for student, status, score in [
            ("anna", "ok", 3),
            ("bea", "rejected", 0),
            ("carl", "no_notebook", 3),
            ("dora", "timeout", 0),
            ("anna", "rejected", 0),
            ("bea", "ok", 3),
        ]:
            lines.write(json.dumps({"student": student, "status": status, "score": score}) + "\n")
    for student in ("anna", "bea", "carl", "dora"):
        give(course, student, "sums", double=2, why=1)
    found = table(course, "moodle", "sums", waiting=1)[1:]
    assert found == [["anna", ""], ["bea", "3"], ["carl", "3"], ["dora", "3"]]


def test_what_is_taken_off_for_being_late(course: Path) -> None:
    """As in nbgrader's own export, no more than there is."""
    for student, penalty in (("anna", 1.5), ("bea", 4)):
        give(course, student, "sums", double=2, why=1)
        with gradebook(course) as book:
            book.find_submission_notebook("sums", "sums", student).late_submission_penalty = penalty
            book.db.commit()
    give(course, "carl", "sums", double=2, why=1)
    before, penalty = "sums: Current Score before the penalty", "sums: Current Score, penalty"
    assert table(course, "moodle") == [
        ["Username", "pairs", "sums", before, penalty],
        ["anna", "", "1.5", "3", "1.5"],
        ["bea", "", "0", "3", "3"],
        ["carl", "", "3", "", ""],
    ]
    assert table(course, "canvas", "sums") == [
        [*HEADINGS, "sums", before, penalty],
        ["    Points Possible", "", "", "", "", "5", "", ""],
        ["anna", "", "", "anna", "", "1.5", "3", "1.5"],
        ["bea", "", "", "bea", "", "0", "3", "3"],
        ["carl", "", "", "carl", "", "3", "", ""],
    ]
    assert [row[1:] for row in table(course, "questions")[1:]] == [
        ["anna", "double", "2.0", "2.0", "graded"],
        ["anna", "why", "1.0", "3.0", "graded"],
        ["anna", "handed in late", "-1.5", "0", "penalty"],
        ["bea", "double", "2.0", "2.0", "graded"],
        ["bea", "why", "1.0", "3.0", "graded"],
        ["bea", "handed in late", "-3.0", "0", "penalty"],
        ["carl", "double", "2.0", "2.0", "graded"],
        ["carl", "why", "1.0", "3.0", "graded"],
    ]


def test_a_penalty_is_not_told_while_points_are_not_final(course: Path) -> None:
    give(course, "anna", "sums", "why", double=2, why=1)
    with gradebook(course) as book:
        book.find_submission_notebook("sums", "sums", "anna").late_submission_penalty = 1
        book.db.commit()
    assert table(course, "moodle", "sums", waiting=1) == [["Username", "sums"], ["anna", ""]]


def test_who_sent_nothing_is_a_row_without_points(course: Path) -> None:
    """In the assignments that others handed in; and no more once they did."""
    (course / "students.csv").write_text(
        "id,first_name,last_name,email\nanna,Anna,A,a@example.org\nzoe,Zoe,Z,z@example.org\n", encoding="utf-8"
    )
    give(course, "anna", "sums", double=2, why=1)
    assert table(course, "moodle") == [
        ["Email address", "pairs", "sums"],
        ["a@example.org", "", "3"],
        ["z@example.org", "", ""],
    ]
    assert table(course, "canvas")[2:] == [
        ["A, Anna", "", "", "anna", "", "", "3"],
        ["Z, Zoe", "", "", "zoe", "", "", ""],
    ]
    assert table(course, "questions")[3:] == [
        ["sums", "zoe", "double", "", "2.0", "missing"],
        ["sums", "zoe", "why", "", "3.0", "missing"],
    ]
    hand_in(course, "zoe", "sums")
    assert {row[-1] for row in table(course, "questions", waiting=1)[3:]} == {"not graded"}


def test_moodle_s_list_stands_for_addresses_and_for_who_has_another_number_each_time(course: Path) -> None:
    (course / "students.csv").write_text(
        '"First name","Last name","Email address"\nJane,Doe,jane@example.org\nSeán,"O\'Neil",sean@example.org\n',
        encoding="utf-8",
    )
    give(course, "Jane_Doe_11", "sums", double=2, why=1)
    give(course, "Jane_Doe_21", "pairs", pair=2)
    give(course, "Seán_ONeil_12", "sums", double=1, why=1)
    assert table(course, "moodle") == [
        ["Email address", "pairs", "sums"],
        ["jane@example.org", "2", "3"],
        ["sean@example.org", "", "2"],
    ]


def test_questions_stay_as_they_were(course: Path) -> None:
    give(course, "anna", "sums", "why", double=2, why=0)
    hand_in(course, "bea", "sums")
    assert table(course, "questions", waiting=2) == [
        ["assignment", "student", "question", "score", "max_score", "state"],
        ["sums", "anna", "double", "2.0", "2.0", "graded"],
        ["sums", "anna", "why", "0.0", "3.0", "by hand"],
        ["sums", "bea", "double", "", "2.0", "not graded"],
        ["sums", "bea", "why", "", "3.0", "not graded"],
    ]


@pytest.mark.parametrize(
    ("student", "lms_user_id", "number", "login"),
    [
        ("12345", "", "12345", ""),
        ("anna", "678", "678", ""),
        ("12345", "678", "678", ""),
        ("anna", "sis-9", "", "anna"),
        ("12b", "", "", "12b"),
        ("0123", "", "", "0123"),
        ("١٢", "", "", "١٢"),
    ],
)
def test_only_a_number_of_canvas_stands_in_its_column(
    course: Path, student: str, lms_user_id: str, number: str, login: str
) -> None:
    """Canvas reads `12b` as 12, and would give the points to whoever that is."""
    give(course, student, "sums", double=2, why=1, who={"lms_user_id": lms_user_id or None})
    assert table(course, "canvas", "sums")[2][1:4] == [number, "", login]


def test_names_for_canvas_are_sorted_as_it_writes_them(course: Path) -> None:
    give(course, "1", "sums", double=2, why=1, who={"first_name": "Jane", "last_name": "Doe, Jr."})
    give(course, "2", "sums", double=2, why=1, who={"last_name": "Roe"})
    assert [row[0] for row in table(course, "canvas")[2:]] == ["Doe, Jr., Jane", "Roe"]


def test_moodle_finds_students_by_address_only_where_all_have_one(course: Path) -> None:
    give(course, "anna", "sums", double=2, why=1, who={"email": "anna@example.org"})
    assert table(course, "moodle", "sums") == [["Email address", "sums"], ["anna@example.org", "3"]]
    give(course, "bea", "sums", double=1, why=1)
    assert table(course, "moodle", "sums") == [["Username", "sums"], ["anna", "3"], ["bea", "2"]]


def test_ids_of_one_address_are_one_row(course: Path) -> None:
    """Moodle numbers a student anew in each assignment; a second row with an empty cell would take points away."""
    address = {"email": "jane@example.org"}
    give(course, "Jane_Doe_1", "sums", double=2, why=1, who=address)
    give(course, "Jane_Doe_2", "pairs", pair=2, who=address)
    assert table(course, "moodle") == [["Email address", "pairs", "sums"], ["jane@example.org", "2", "3"]]


@pytest.mark.parametrize(("layout", "same"), [("moodle", "email"), ("canvas", "lms_user_id")])
def test_two_students_do_not_become_one(course: Path, layout: Layout, same: str) -> None:
    for student in ("anna", "bea"):
        give(course, student, "sums", double=2, why=1, who={same: "7", "last_name": "Doe"})
    (course / "points.csv").write_text("former", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^anna and bea are both .*7.*: correct it"):
        report(course / "points.csv", course=course, layout=layout)
    assert (course / "points.csv").read_text(encoding="utf-8") == "former"


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", " =", "\t="])
def test_names_are_no_formulas(course: Path, begin: str) -> None:
    name = f"{begin}HYPERLINK(1)"
    give(course, "12345", "sums", double=2, why=1, who={"last_name": name, "first_name": "x"})
    give(course, "anna", "sums", double=2, why=1, who={"last_name": "x", "first_name": name})
    hand_in(course, name, "sums")
    canvas = {row[0]: row[3] for row in table(course, "canvas", waiting=1)[2:]}
    assert canvas == {f"'{name}": f"'{name}", f"'{name}, x": "", f"x, {name}": "anna"}
    assert {row[1] for row in table(course, "questions", waiting=1)} == {"student", f"'{name}", "12345", "anna"}
    assert {row[0] for row in table(course, "moodle", waiting=1)} == {"Username", f"'{name}", "12345", "anna"}


def test_identifiers_that_compute_nothing_stay_as_they_are(course: Path) -> None:
    """A telephone number is a user name at some places, and must be found."""
    give(course, "+41791234567", "sums", double=2, why=1)
    assert table(course, "moodle", "sums")[1][0] == "+41791234567"
    assert table(course, "canvas", "sums")[2][:4] == ["'+41791234567", "", "", "+41791234567"]


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.33333"),
        (5 / 3, "1.66667"),
        (2 / 7, "0.28571"),
        (1e-7, "0"),
        (2 - 1e-9, "2"),
        (100.0, "100"),
        (1234567.5, "1234567.5"),
        (0, "0"),
    ],
)
def test_points_are_plain_numbers(course: Path, score: float, text: str) -> None:
    """Moodle keeps five digits after the point; neither reads 1e+06. In the table of questions nothing is rounded."""
    give(course, "anna", "pairs", pair=score)
    assert table(course, "moodle", "pairs")[1] == ["anna", text]
    assert table(course, "canvas", "pairs")[2] == ["anna", "", "", "anna", "", text]
    assert float(table(course, "questions", "pairs")[1][3]) == score


def test_thirds_and_sevenths_add_up(course: Path) -> None:
    """2/3 of 7/3 points, 3/7 of 3, less 1/6 for being late: 13/14."""
    with gradebook(course) as book:
        book.find_grade_cell("double", "sums", "sums").max_score = 7 / 3
        book.db.commit()
    give(course, "anna", "sums", double=2 / 3, why=3 / 7)
    with gradebook(course) as book:
        book.find_submission_notebook("sums", "sums", "anna").late_submission_penalty = 1 / 6
        book.db.commit()
    assert table(course, "canvas", "sums")[1:] == [
        ["    Points Possible", "", "", "", "", "5.33333", "", ""],
        ["anna", "", "", "anna", "", "0.92857", "1.09524", "0.16667"],
    ]
    assert table(course, "moodle", "sums")[1:] == [["anna", "0.92857", "1.09524", "0.16667"]]
    rows = [(question, float(score), float(most)) for _, _, question, score, most, _ in table(course, "questions")[1:]]
    assert rows == [("double", 2 / 3, 7 / 3), ("why", 3 / 7, 3.0), ("handed in late", -1 / 6, 0.0)]


def test_questions_of_one_name_in_two_notebooks_count_twice(course: Path) -> None:
    with gradebook(course) as book:
        book.add_notebook("more", "pairs")
        book.add_grade_cell("pair", "more", "pairs", max_score=4, cell_type="code")
    give(course, "anna", "sums", double=2, why=1)
    assert table(course, "canvas")[1][5:] == ["6", "5"]


def test_one_sentence_says_what_to_do(course: Path) -> None:
    file = course / "points.csv"
    with pytest.raises(ValueError, match="nothing was graded"):
        report(file, course=course, layout="moodle")
    give(course, "anna", "sums", double=2, why=1)
    with pytest.raises(ValueError, match="no layout 'excel': take questions, canvas or moodle"):
        report(file, course=course, layout="excel")
    with pytest.raises(ValueError, match="there is no assignment 'nose': this course has pairs, sums"):
        report(file, course=course, layout="canvas", assignment="nose")
    with pytest.raises(ValueError, match="nothing was graded"):
        report(file, course=course, layout="canvas", assignment="pairs")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        report(course / "no/points.csv", course=course, layout="canvas")
    assert not file.exists()


def test_assignment_that_is_only_in_the_gradebook(course: Path) -> None:
    """Its source may be gone: the points are not."""
    give(course, "anna", "pairs", pair=2)
    (course / "masters/pairs/pairs.ipynb").unlink()
    assert table(course, "moodle", "pairs") == [["Username", "pairs"], ["anna", "2"]]
