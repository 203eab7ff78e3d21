"""Homework H1 through the whole cycle: released, answered rightly, answered in another way, not answered."""

from pathlib import Path

import pytest
from answers import Answer, is_answer, is_test, with_model_answers
from courses import ROOT, copy_of_our_course, errors, read, rows, submit

from tml_helpers import grading

HOMEWORK = ROOT / "solutions/h1_distillation"
RELEASED = ROOT / "exercises/h1_distillation/h1_distillation.ipynb"
RIGHT = {file.stem: Answer.read(file) for file in (HOMEWORK / "right").glob("*.py")}
AUTOGRADED = {
    "1_soften": 1,
    "2a_loss_value": 1,
    "2b_loss_gradient": 1,
    "2c_loss_properties": 1,
    "3a_step": 1,
    "3b_loop": 2,
    "4_never_seen": 1,
}
BY_HAND = {"5a_why": 1, "5b_when_not": 1}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course where one student has the model solution, one answers nothing, and others answer in another way."""
    course = copy_of_our_course(tmp_path_factory.mktemp("course"))
    honest = with_model_answers(read(RELEASED), read(HOMEWORK / "h1_distillation.ipynb"))
    submit(course, "honest", "h1_distillation", honest)
    submit(course, "blank", "h1_distillation", read(RELEASED))
    for name, answer in RIGHT.items():
        submit(course, name, "h1_distillation", answer.instead_of(honest))
    return course


@pytest.fixture(scope="module")
def grades(course: Path) -> dict[str, grading.Grade]:
    return {grade.student: grade for grade in grading.grade("h1_distillation", course=course)}


def test_release_makes_the_committed_notebook_byte_for_byte(ours: Path) -> None:
    made = grading.release("h1_distillation", course=ours)
    assert made == ours / "exercises/h1_distillation/h1_distillation.ipynb"
    assert made.read_bytes() == RELEASED.read_bytes(), "run `tml release h1_distillation`"


def test_students_get_one_file_without_solutions_and_hidden_tests() -> None:
    assert [file.name for file in RELEASED.parent.iterdir()] == [RELEASED.name]
    text = RELEASED.read_text()
    for secret in ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", "keepdim=True", "exact_loss", "manual_seed(73"):
        assert secret not in text
    assert any("keepdim=True" in c.source for c in read(HOMEWORK / "h1_distillation.ipynb").cells)
    cells = read(RELEASED).cells
    answers = [c for c in cells if is_answer(c)]
    assert len(answers) == 5
    assert all("raise NotImplementedError" in c.source for c in answers)
    assert not any(c.get("outputs") or c.get("execution_count") for c in cells)


def test_points_are_as_announced() -> None:
    points = {
        c.metadata.nbgrader.grade_id: c.metadata.nbgrader.points
        for c in read(RELEASED).cells
        if c.metadata.get("nbgrader", {}).get("grade")
    }
    assert points == AUTOGRADED | BY_HAND
    assert sum(points.values()) == 10


def test_every_test_cell_has_a_hidden_part() -> None:
    tests = {c.metadata.nbgrader.grade_id: c for c in read(HOMEWORK / "h1_distillation.ipynb").cells if is_test(c)}
    assert set(tests) == set(AUTOGRADED)
    assert all("### BEGIN HIDDEN TESTS" in c.source for c in tests.values())


def test_model_solution_gets_every_point_that_a_machine_gives(grades: dict[str, grading.Grade]) -> None:
    assert grades["honest"] == grading.Grade("honest", 8, 10, "ok", "2 points wait to be graded by hand")


@pytest.mark.parametrize("name", RIGHT)
def test_right_answer_of_another_shape_gets_every_point(name: str, grades: dict[str, grading.Grade]) -> None:
    assert RIGHT[name].functions.keys() >= {"soften", "distillation_loss", "training_step", "distil", "distil_without"}
    assert (grades[name].score, grades[name].status) == (8, "ok")


def test_blank_notebook_gets_nothing_and_hears_so(course: Path, grades: dict[str, grading.Grade]) -> None:
    assert (grades["blank"].score, grades["blank"].status) == (0, "ok")
    assert grades["blank"].reason.count("has no answer yet") == 7
    assert set(AUTOGRADED) <= set(errors(course, "blank", "h1_distillation"))


def test_report_has_a_row_for_each_student_and_question(course: Path, grades: dict[str, grading.Grade]) -> None:
    table = rows(course)
    assert [(row["student"], row["question"]) for row in table] == [
        (student, question) for student in sorted(grades) for question in sorted(AUTOGRADED | BY_HAND)
    ]
    honest = {row["question"]: row for row in table if row["student"] == "honest"}
    assert {q: float(row["score"]) for q, row in honest.items()} == AUTOGRADED | dict.fromkeys(BY_HAND, 0)
    assert {q for q, row in honest.items() if row["state"] == "by hand"} == set(BY_HAND)


def test_feedback_is_a_page_for_each_student(course: Path, grades: dict[str, grading.Grade]) -> None:
    for student in grades:
        page = (course / "feedback" / student / "h1_distillation/h1_distillation.html").read_text()
        assert f"(Score: {grades[student].score:.1f} / 10.0)" in page
