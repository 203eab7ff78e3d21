"""Each homework through the whole cycle: released, answered rightly, answered in another way, not answered."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from answers import Answer, is_answer, is_test, with_model_answers
from courses import ROOT, copy_of_our_course, errors, read, rows, submit

from tml_helpers import grading


@dataclass(frozen=True)
class Homework:
    """What is announced of a homework, and what its students must not get to see."""

    name: str
    autograded: dict[str, int]
    by_hand: dict[str, int]
    secrets: tuple[str, ...]

    @property
    def solution(self) -> Path:
        return ROOT / "solutions" / self.name / f"{self.name}.ipynb"

    @property
    def released(self) -> Path:
        return ROOT / "exercises" / self.name / f"{self.name}.ipynb"

    @property
    def right(self) -> dict[str, Answer]:
        return {file.stem: Answer.read(file) for file in (self.solution.parent / "right").glob("*.py")}

    @property
    def points(self) -> int:
        """What a machine gives at most."""
        return sum(self.autograded.values())


HOMEWORK = [
    Homework(
        "h1_distillation",
        {"1_soften": 1, "2a_loss_value": 1, "2b_loss_gradient": 1, "2c_loss_properties": 1}
        | {"3a_step": 1, "3b_loop": 2, "4_never_seen": 1},
        {"5a_why": 1, "5b_when_not": 1},
        ("keepdim=True", "exact_loss", "manual_seed(73"),
    ),
    Homework(
        "h2_adversarial_training",
        {"1_fgsm": 1, "2a_projection": 1, "2b_walk": 1, "2c_strength": 1, "3_madry": 1, "4_friendly": 1}
        | {"5a_reported": 1, "5b_robust": 1},
        {"6a_read": 1, "6b_too_good": 1},
        ("slope.sign()", "misread += ", "torch.minimum(torch.maximum"),
    ),
    Homework(
        "h4_explanations",
        {"1_hide": 1, "2a_proximity": 1, "2b_line": 1, "2c_lime": 2, "3_fidelity": 1, "4a_map": 1, "4b_network": 1},
        {"5a_two": 1, "5b_wolf": 1},
        ("masks[:, segments]", "scale * columns", "gram = columns.T", "keepdim=True"),
    ),
]


@dataclass(frozen=True)
class Graded:
    """A homework, and a course where one student has the model solution, one nothing, and others another answer."""

    homework: Homework
    course: Path
    grades: dict[str, grading.Grade]


@pytest.fixture(scope="module", params=HOMEWORK, ids=lambda homework: homework.name)
def graded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graded:
    homework: Homework = request.param
    course = copy_of_our_course(tmp_path_factory.mktemp("course"))
    honest = with_model_answers(read(homework.released), read(homework.solution))
    submit(course, "honest", homework.name, honest)
    submit(course, "blank", homework.name, read(homework.released))
    for name, answer in homework.right.items():
        submit(course, name, homework.name, answer.instead_of(honest))
    return Graded(homework, course, {g.student: g for g in grading.grade(homework.name, course=course)})


each_homework = pytest.mark.parametrize("homework", HOMEWORK, ids=lambda homework: homework.name)


@each_homework
def test_release_makes_the_committed_notebook_byte_for_byte(homework: Homework, ours: Path) -> None:
    made = grading.release(homework.name, course=ours)
    assert made == ours / homework.released.relative_to(ROOT)
    assert made.read_bytes() == homework.released.read_bytes(), f"run `tml release {homework.name}`"


@each_homework
def test_students_get_one_file_without_solutions_and_hidden_tests(homework: Homework) -> None:
    assert [file.name for file in homework.released.parent.iterdir()] == [homework.released.name]
    text, cells = homework.released.read_text(), read(homework.solution).cells
    for secret in ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", *homework.secrets):
        assert secret not in text
    for secret in homework.secrets:
        assert any(secret in c.source for c in cells), f"{secret!r} is no secret of this homework"
    released = read(homework.released).cells
    answers = [c for c in released if is_answer(c)]
    assert len(answers) == sum(map(is_answer, cells)) >= 5
    assert all("raise NotImplementedError" in c.source for c in answers)
    assert not any(c.get("outputs") or c.get("execution_count") for c in released)


@each_homework
def test_points_are_as_announced(homework: Homework) -> None:
    points = {
        c.metadata.nbgrader.grade_id: c.metadata.nbgrader.points
        for c in read(homework.released).cells
        if c.metadata.get("nbgrader", {}).get("grade")
    }
    assert points == homework.autograded | homework.by_hand
    assert sum(points.values()) == 10


@each_homework
def test_every_test_cell_has_a_hidden_part(homework: Homework) -> None:
    tests = {c.metadata.nbgrader.grade_id: c for c in read(homework.solution).cells if is_test(c)}
    assert set(tests) == set(homework.autograded)
    assert all("### BEGIN HIDDEN TESTS" in c.source for c in tests.values())


def test_model_solution_gets_every_point_that_a_machine_gives(graded: Graded) -> None:
    points = graded.homework.points
    assert graded.grades["honest"] == grading.Grade("honest", points, 10, "ok", "2 points wait to be graded by hand")


def test_right_answers_of_another_shape_get_every_point(graded: Graded) -> None:
    assert graded.homework.right
    for name, answer in graded.homework.right.items():
        own = {
            f for c in read(graded.homework.released).cells if is_answer(c) for f in answer.functions if f in c.source
        }
        assert own == set(answer.functions)
        assert (graded.grades[name].score, graded.grades[name].status) == (graded.homework.points, "ok")


def test_blank_notebook_gets_nothing_and_hears_so(graded: Graded) -> None:
    blank, homework = graded.grades["blank"], graded.homework
    assert (blank.score, blank.status) == (0, "ok")
    cells = sum(map(is_answer, read(homework.released).cells)) + len(homework.by_hand)
    assert blank.reason.count("has no answer yet") == cells
    assert set(homework.autograded) <= set(errors(graded.course, "blank", homework.name))


def test_report_has_a_row_for_each_student_and_question(graded: Graded) -> None:
    autograded, by_hand = graded.homework.autograded, graded.homework.by_hand
    table = rows(graded.course)
    assert [(row["student"], row["question"]) for row in table] == [
        (student, question) for student in sorted(graded.grades) for question in sorted(autograded | by_hand)
    ]
    honest = {row["question"]: row for row in table if row["student"] == "honest"}
    assert {q: float(row["score"]) for q, row in honest.items()} == autograded | dict.fromkeys(by_hand, 0)
    assert {q for q, row in honest.items() if row["state"] == "by hand"} == set(by_hand)


def test_feedback_is_a_page_for_each_student(graded: Graded) -> None:
    name = graded.homework.name
    for student, grade in graded.grades.items():
        page = (graded.course / "feedback" / student / name / f"{name}.html").read_text()
        assert f"(Score: {grade.score:.1f} / 10.0)" in page
