"""`tml luck` sees each way in which a verdict can hang on a key; a release draws another key where one does."""

import random
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tml_helpers import cli, grading
from tml_helpers.grading import draws, key, luck
from tml_helpers.grading.answers import Answer
from tml_helpers.grading.course import Course
from tml_helpers.grading.luck import Homework, Question, Trial, faults

KEYS = [str(number) for number in range(40)]
TWICE = "def twice(x):\n    return x + x"
NOISE = "def noise():\n    torch.manual_seed(0)\n    return torch.rand(())"
LOCKED = "import torch\ndef network():\n    return torch.rand(3)"


def trial(test: str, *, withheld: tuple[str, ...] = ()) -> Trial:
    """A homework of one question, with that test."""
    return Trial(Homework([LOCKED], [TWICE, NOISE], {"q": Question(test, 1.0, 2, withheld)}, {"twice", "noise"}), KEYS)


def wrong(says: str, twice: str = "def twice(x):\n    return x") -> Answer:
    """An answer that must fail; it adds nothing."""
    return Answer("wrong", "", {"twice": twice}, frozenset({"q"}), says)


@pytest.mark.parametrize(("test", "good"), [
    ("x = 1 + torch.rand(())\nassert twice(x) == 2 * x", True),
    ("x = torch.rand(())\nassert twice(x) < 1, 'large'", False),
    ("noise()\nassert torch.rand(()) < 0.5, 'large'", False),  # what an answer seeds is its own
    ("network()\nassert torch.rand(()) < 0.5, 'large'", False),
    ("assert network()[0] < 0.5, 'large'", False),  # a locked function draws what is tested
    ("twice(2) / 4", True),
    ("twice(2) / 5", False),  # a part of the points
])  # fmt: skip
def test_right_answer_must_pass_under_every_key(test: str, good: bool) -> None:
    assert (faults(None, trial(test).of(None)) == []) is good


@pytest.mark.parametrize(("test", "good"), [
    ("x = 1 + torch.rand(())\nassert twice(x) > 2, 'twice'", True),
    ("x = torch.rand(())\nassert twice(x) > 0.5, 'twice'", False),
    ("x = torch.rand(())\nassert x < 0.5, 'large'\nassert twice(x) > 9, 'twice'", False),
])  # fmt: skip
def test_wrong_answer_must_fail_and_hear_its_words_under_every_key(test: str, good: bool) -> None:
    answer = wrong("twice")
    assert (faults(answer, trial(test).of(answer)) == []) is good


@pytest.mark.parametrize(("test", "runs"), [
    ("runs.append(1)\nassert twice(1) == 2", 1),
    ("runs.append(1)\nnetwork()\nassert twice(1) == 2", luck.FEW),
    ("runs.append(1)\nx = torch.rand(())\nassert twice(x) == 2 * x", len(KEYS)),
])  # fmt: skip
def test_test_is_run_as_often_as_its_draws_can_matter(test: str, runs: int) -> None:
    tried, counted = trial(test), list[int]()
    tried.locked["runs"] = counted
    assert tried.of(None)["q"] == [None] * len(KEYS)
    assert len(counted) == runs


def test_what_is_withheld_is_withheld_from_answers_and_not_from_tests() -> None:
    answer = wrong("colorsys is withheld", "def twice(x):\n    import colorsys\n    return x + x")
    assert faults(answer, trial("import colorsys\nassert twice(1) == 2", withheld=("colorsys",)).of(answer)) == []
    assert faults(answer, trial("import colorsys\nassert twice(1) == 2").of(answer)) == ["q", "words"]


HALF = "x = random.random()\nassert x >= 0.5, 'small'\nassert twice(x) == 2 * x, 'twice'"
Build = Callable[[str], Course]


@pytest.fixture
def course(tmp_path: Path) -> Build:
    """A course with the homework `draw`, whose test is this, and a wrong answer to it."""

    def made(test: str) -> Course:
        (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n", encoding="utf-8")
        cells = [new_code_cell("import random"), new_code_cell(TWICE), new_code_cell(test)]
        for cell, name in zip(cells, ("setup", "twice", "q"), strict=True):
            kind = {"grade": name == "q", "solution": name == "twice", "locked": name != "twice", "task": False}
            cell.metadata["nbgrader"] = {"grade_id": name, "points": 1, "schema_version": 3, **kind}
        folder = tmp_path / "source/draw"
        (folder / "wrong").mkdir(parents=True)
        nbformat.write(new_notebook(cells=cells), folder / "draw.ipynb")
        text = '"""Adds nothing.\n\nloses: q\nsays: twice\n"""\n\n\ndef twice(x):\n    return x\n'
        (folder / "wrong/1_once.py").write_text(text, encoding="utf-8")
        return Course.open(tmp_path)

    return made


def small(place: Course) -> bool:
    """Whether the course's key makes the first draw of the test less than one half."""
    with draws.of_test(key.of(place, "draw"), "q"):
        return random.random() < 0.5


def test_release_draws_another_key_until_all_answers_come_out_right(
    course: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    place = course(HALF)
    for secret in map(str, range(50)):
        key.keep(place, "key", secret)
        if small(place):
            break
    (place.root / "submitted/ada/draw").mkdir(parents=True)
    grading.release("draw", course=place.root)
    assert key.turn(place, "draw") == 0, "students' work is there"
    (place.root / "submitted/ada/draw").rmdir()
    (place.root / "autograded/ada/draw").mkdir(parents=True)
    grading.release("draw", course=place.root)
    assert key.turn(place, "draw") == 0, "it was graded"
    (place.root / "autograded/ada/draw").rmdir()
    assert capsys.readouterr().out == ""
    grading.release("draw", course=place.root)
    assert key.turn(place, "draw") > 0
    assert not small(place)
    assert "under the one before, the model solution came out wrong in q" in capsys.readouterr().out


def test_what_was_tried_is_not_tried_again_before_it_changes(course: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    place, tried = course("assert twice(1) == 2, 'twice'"), list[str]()
    monkeypatch.setattr(luck, "_wrong", lambda _, name, __: tried.append(name) or "")
    for changed in (False, False, True):
        if changed:
            (place.root / "source/draw/wrong/1_once.py").touch()
            (place.root / "source/draw/data.txt").write_text("1", encoding="utf-8")
        luck.choose(place, "draw")
    assert len(tried) == 2


def test_release_refuses_what_no_key_mends_and_the_command_shows_it(
    course: Build, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(luck, "MOST", 2)
    root = course("assert twice(0) == 0, 'twice'").root
    with pytest.raises(ValueError, match="draw has found no key: the answer 1_once came out wrong in q, words"):
        grading.release("draw", course=root)
    assert not any((root / "release").iterdir())
    capsys.readouterr()
    assert cli.main(["luck", "draw", "--keys", "3", "--course", str(root)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[2].split() == ["model", "solution", "1.000"]
    assert said[3].split() == ["1_once", "1.000!", "0.000!"]


def test_an_answer_to_nothing_is_told(course: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(luck, "MOST", 1)
    place = course("assert twice(1) == 2, 'twice'")
    file = place.root / "source/draw/wrong/1_once.py"
    file.write_text(file.read_text(encoding="utf-8").replace("def twice", "def thrice"), encoding="utf-8")
    with pytest.raises(ValueError, match="1_once: these answers define what draw does not ask for"):
        luck.choose(place, "draw")
    file.write_text('"""None.\n\nloses: q2\nsays: no\n"""\ntwice = None\n', encoding="utf-8")
    with pytest.raises(ValueError, match="the answer 1_once came out wrong in q, words, q2"):
        luck.choose(place, "draw")


def test_cell_that_fails_is_one_sentence(course: Build) -> None:
    place = course("assert twice(1) == 2, 'twice'")
    file = place.root / "source/draw/draw.ipynb"
    file.write_text(file.read_text(encoding="utf-8").replace("import random", "1 / 0"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"draw.ipynb cannot be tried: ZeroDivisionError: division by zero"):
        luck.table(place, "draw", 1)
