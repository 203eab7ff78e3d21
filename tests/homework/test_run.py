"""The collector: canaries first, one writer, and no run that loses or repeats a finished grade, however it ends."""

import importlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bad_input import refuses
from courses import cell, read, rows, submit, tiny_course

from tml_helpers import grading
from tml_helpers.grading.notebook import GRAMMAR
from tml_helpers.grading.pool import Pool

CLASS = [f"s{number:02}" for number in range(14)]
SLOW = "import time\ntime.sleep(0.4)\ndef double(x):\n    return {} * x"


def log(course: Path) -> list[dict[str, Any]]:
    text = (course / ".tml-grading/sums/log.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def rewrite(course: Path, name: str, source: str) -> None:
    """Change a cell of the instructor's source."""
    file = course / "masters/sums/sums.ipynb"
    notebook = read(file)
    cell(notebook, name).source = source
    nbformat.write(notebook, file)


def hand_in(course: Path, answered: Any, students: list[str], text: str = "") -> None:
    for number, student in enumerate(students):
        cell(answered, "double").source = text or f"{SLOW.format(2 if number % 3 else 3)}\n# {student}"
        submit(course, student, "sums", answered)


def command(course: Path) -> list[str]:
    return [sys.executable, "-m", "tml_helpers.cli", "grade", "sums", "--course", str(course)]


def orphans() -> set[str]:
    """The bubblewraps on this machine that no run watches any more, by process: other tests may be grading, too."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text(encoding="utf-8") == "bwrap\n":
                parent = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
                above = Path("/proc", parent, "comm").read_text(encoding="utf-8")
                if not above.startswith(("bwrap", "python", "pytest")):
                    found.add(process.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_loses_nothing(released: Path, answered: Any, kills: int) -> None:
    """The run is killed as it starts, then at random moments of its work, and begun again until it ends.

    It is as if it had never been interrupted.
    """
    hand_in(released, answered, CLASS)
    calm = shutil.copytree(released, released.parent / "calm")
    expected = grading.grade("sums", course=calm)
    draw, kept, key = random.Random(0), released / ".tml-grading/sums/reports", released / ".tml-grading/key"
    before, reports = orphans(), set[str]()
    for kill in range(kills):
        run = subprocess.Popen(command(released), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not key.exists() or len(list(kept.glob("*.json"))) < min(len(reports) + kill, len(CLASS)):
            assert run.poll() is None
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.6))
        run.send_signal(signal.SIGKILL)
        run.wait()
        found = {file.name for file in kept.glob("*.json")}
        assert reports <= found
        reports = found
        with sqlite3.connect(released / "gradebook.db") as book:
            assert book.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for file in released.glob("autograded/*/sums/sums.ipynb"):
            nbformat.validate(read(file))
    assert grading.grade("sums", course=released) == expected
    assert rows(released) == rows(calm)
    graded = [line["student"] for line in log(released) if line["from"] == "graded"]
    assert len(graded) <= len(CLASS) + 2 * kills, "what was under way when the run was killed is run again, no more"
    assert not [*released.rglob(".unfinished-*")]
    for _ in range(50):
        if orphans() <= before:
            break
        time.sleep(0.2)
    assert orphans() <= before, "a sandbox outlived the run that was killed"


def test_a_second_run_executes_nothing_but_what_is_new(graded_course: Path, answered: Any) -> None:
    def graded() -> dict[str, tuple[float, str]]:
        """Each student's points, and where they come from."""
        scores = {grade.student: grade.score for grade in grading.grade("sums", course=graded_course)}
        return {line["student"]: (scores[line["student"]], line["from"]) for line in log(graded_course)[-len(scores) :]}

    assert [line["from"] for line in log(graded_course)] == ["graded"]
    hand_in(graded_course, answered, ["bob"], "def double(x):\n    return 3 * x")
    assert graded() == {"ada": (2, "kept"), "bob": (0, "graded")}
    assert graded() == {"ada": (2, "kept"), "bob": (0, "kept")}
    (graded_course / "submitted/ada/sums/data.txt").write_text("beside it", encoding="utf-8")
    assert graded() == {"ada": (2, "graded"), "bob": (0, "kept")}


def test_canaries_are_graded_anew_where_something_changed_and_only_there(
    graded_course: Path, answered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the model solution may do with a student's objects is kept, too."""
    begun: list[str] = []
    check = Pool._check
    monkeypatch.setattr(Pool, "_check", lambda pool: begun.append("canaries") or check(pool))

    def score(student: str) -> float:
        hand_in(graded_course, answered, [student], f"def double(x):\n    return 2 * x  # {student}")
        return next(g.score for g in grading.grade("sums", course=graded_course) if g.student == student)

    assert (score("bob"), begun) == (2, [])
    (start,) = (graded_course / ".tml-grading/sums/starts").glob("*.json")
    start.write_text("{", encoding="utf-8")
    assert (score("eve"), begun) == (2, ["canaries"])
    rewrite(graded_course, "setup", "start = 1")
    with refuses(ValueError, "the model solution gets 0 of 2 points"):
        score("dan")
    assert begun == ["canaries"] * 2


def test_a_test_that_changes_is_run_again(released: Path, answered: Any) -> None:
    hand_in(released, answered, ["ada"], "def double(x):\n    return 2 * x if x < 100 else 0")
    assert grading.grade("sums", course=released)[0].score == 2
    rewrite(
        released,
        "double_test",
        "assert double(2) == 4\n### BEGIN HIDDEN TESTS\nassert double(200) == 400\n### END HIDDEN TESTS",
    )
    assert grading.grade("sums", course=released)[0].score == 0


def test_a_kept_report_that_is_damaged_is_made_again(graded_course: Path) -> None:
    (report,) = (graded_course / ".tml-grading/sums/reports").glob("*.json")
    report.write_text(report.read_text(encoding="utf-8")[:100], encoding="utf-8")
    assert grading.grade("sums", course=graded_course)[0].score == 2


def test_files_that_are_gone_are_written_again(graded_course: Path) -> None:
    before = {
        file: (graded_course / file).read_bytes()
        for file in ("autograded/ada/sums/sums.ipynb", "feedback/ada/sums/sums.html")
    }
    shutil.rmtree(graded_course / "autograded")
    shutil.rmtree(graded_course / "feedback")
    grading.grade("sums", course=graded_course)
    assert before == {file: (graded_course / file).read_bytes() for file in before}


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        (
            "double",
            "def double(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION",
            ["model solution gets 0 of 2"],
        ),
        ("setup", "import not_installed_anywhere", ["model solution gets 0 of 2", "is a package missing"]),
        ("double_test", "assert True", ["notebook without answers would get points", "2 for double_test"]),
        ("double_test", "assert callable(double)", ["notebook without answers would get points"]),
        (
            "double_test",
            "try:\n    assert double(2) == 4\nexcept NameError:\n    raise\nexcept Exception:\n    pass",
            ["points"],
        ),
    ],
)
def test_nothing_is_graded_before_the_canaries_are_right(tiny: Path, name: str, source: str, words: list[str]) -> None:
    rewrite(tiny, name, source)
    released = grading.release("sums", course=tiny)
    submit(tiny, "ada", "sums", read(released))
    with refuses(ValueError, "sums cannot be graded", *words):
        grading.grade("sums", course=tiny)
    assert not list(tiny.glob("autograded/*/*/*"))
    assert not list(tiny.glob(".tml-grading/sums/reports/*"))


def test_without_bubblewrap_it_refuses(released: Path, answered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hand_in(released, answered, ["ada"])
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    with refuses(OSError, "bubblewrap", "apt-get install bubblewrap"):
        grading.grade("sums", course=released)
    assert not list(released.glob("autograded/*/*/*"))
    assert grading.grade("sums", course=released, unsandboxed=True)[0].status == "ok"


def test_where_the_sandbox_does_not_start_it_says_so(
    released: Path, answered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(released, answered, ["ada"])
    with tempfile.TemporaryDirectory() as folder:
        fake = Path(folder, "bwrap")
        program = "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n"
        fake.write_text(program, encoding="utf-8")
        fake.chmod(0o755)
        fake.parent.chmod(0o755)
        monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
        with refuses(OSError, "the sandbox does not start", "No permissions to create a new namespace"):
            grading.grade("sums", course=released)


def test_what_every_job_needs_is_loaded_before_its_fork(released: Path, answered: Any) -> None:
    """And what none needs is not: the grammar that jsonschema would build with nbformat."""
    needed = ["jsonschema", "mistune.plugins.math", "pygments.styles.default", "executing"]
    text = f"import sys\nassert all(name in sys.modules for name in {needed})\nassert {GRAMMAR!r} not in sys.modules\n"
    hand_in(released, answered, ["ada"], f"{text}def double(x):\n    return 2 * x")
    assert grading.grade("sums", course=released)[0].score == 2


def test_two_runs_at_once_are_refused(released: Path, answered: Any) -> None:
    hand_in(released, answered, CLASS)
    run = subprocess.Popen(command(released), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (released / ".tml-grading/key").exists() and run.poll() is None:
        time.sleep(0.05)
    with refuses(OSError, "another run is at work"):
        grading.grade("sums", course=released)
    assert run.wait() == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "slurm"}, ["there is no engine 'slurm'"]),
        ({"engine": "dask"}, ["needs the address"]),
        ({"engine": "dask", "address": "tcp://10.0.0.1:8786"}, ["in the clear", "tls://"]),
    ],
)
def test_bad_options(released: Path, answered: Any, options: dict[str, Any], words: list[str]) -> None:
    hand_in(released, answered, ["ada"])
    with refuses(ValueError, *words):
        grading.grade("sums", course=released, **options)


def test_another_language_is_refused(tmp_path: Path) -> None:
    course = tiny_course(tmp_path)
    file = course / "masters/sums/sums.ipynb"
    notebook = read(file)
    notebook.metadata.kernelspec.language = "R"
    nbformat.write(notebook, file)
    submit(course, "ada", "sums", notebook)
    with refuses(ValueError, "written in R", "Python"):
        grading.grade("sums", course=course)


def test_names_that_no_student_has(released: Path, answered: Any) -> None:
    hand_in(released, answered, ["ada"], "def double(x):\n    return 2 * x")
    for name in ("line\nbreak", b"latin\xe9".decode("utf-8", "surrogateescape")):
        os.makedirs(released / "submitted" / name / "sums")
        shutil.copy(released / "submitted/ada/sums/sums.ipynb", released / "submitted" / name / "sums")
    grades = grading.grade("sums", course=released)
    assert sorted(grade.status for grade in grades) == ["ok", "rejected", "rejected"]
    assert all("rename" in grade.reason for grade in grades if grade.status == "rejected")
    assert all(grade.student.isprintable() and grade.student.encode() for grade in grades)


def test_late_submissions_lose_what_the_course_says(released: Path, answered: Any) -> None:
    config = released / "nbgrader_config.py"
    (released / "late.py").write_text(
        "from nbgrader.plugins import BasePlugin\n\n\nclass HalfAPoint(BasePlugin):\n"
        "    def late_submission_penalty(self, student_id, score, total_seconds_late):\n        return 0.5\n",
        encoding="utf-8",
    )
    config.write_text(
        f"import sys\nsys.path.append({str(released)!r})\n{config.read_text(encoding='utf-8')}\n"
        "from late import HalfAPoint\nc.AssignLatePenalties.plugin_class = HalfAPoint\n",
        encoding="utf-8",
    )
    hand_in(released, answered, ["early", "late"], "def double(x):\n    return 2 * x")
    (released / "submitted/late/sums/timestamp.txt").write_text("2030-01-02 00:00:00 UTC", encoding="utf-8")
    (released / "submitted/early/sums/timestamp.txt").write_text("2029-12-31 00:00:00 UTC", encoding="utf-8")
    from tml_helpers.grading import gradebook
    from tml_helpers.grading.course import Course

    with gradebook.opened(Course.open(released)) as book:
        book.update_or_create_assignment("sums", duedate="2030-01-01 00:00:00 UTC")
    grading.grade("sums", course=released)
    with gradebook.opened(Course.open(released)) as book:
        taken = {s: book.find_submission("sums", s).notebooks[0].late_submission_penalty for s in ("early", "late")}
    assert taken == {"early": None, "late": 0.5}


def test_a_time_that_is_none_costs_nobody_anything(released: Path, answered: Any) -> None:
    stamps = [b"tomorrow-ish", b"\xff\xfe\x00", b"1" * 100_000, b"9999-12-31 23:59:59 -1200", os.mkfifo, os.makedirs]
    students = [f"s{number}" for number in range(2 * len(stamps) + 1)]
    hand_in(released, answered, students, "def double(x):\n    return 2 * x")
    for student, stamp in zip(students[1::2], stamps, strict=True):  # each between two without one
        file = released / "submitted" / student / "sums/timestamp.txt"
        stamp(file) if callable(stamp) else file.write_bytes(stamp)
    found = {grade.student: (grade.score, grade.status) for grade in grading.grade("sums", course=released)}
    assert found == dict.fromkeys(students, (2, "ok"))


def test_what_one_leaves_behind_is_gone_before_the_next(released: Path, answered: Any) -> None:
    crowd = (
        "import os, time\ndef double(x): return 2 * x\nfor n in range(60):\n    if os.fork() == 0:\n"
        "        y = b'2' * 20 * 2**20\n        time.sleep(60)\n        os._exit(0)\n"
    )
    busy = (
        "import subprocess\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(16) as pool:\n"
        "    list(pool.map(lambda _: subprocess.run(['true']).returncode, range(32)))\ndef double(x): return 2 * x\n"
    )
    for number in range(2):
        hand_in(released, answered, [f"s{2 * number}"], f"{crowd}# {number}")
        hand_in(released, answered, [f"s{2 * number + 1}"], f"{busy}# {number}")
    grades = grading.grade("sums", course=released, jobs=1)
    assert {grade.student: grade.score for grade in grades} == {f"s{number}": 2 for number in range(4)}


def test_time_for_the_whole_notebook_ends_with_what_was_earned(
    released: Path, answered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = importlib.import_module("tml_helpers.grading.pool")
    monkeypatch.setattr(pool, "LEAST", 3.0)
    monkeypatch.setattr(pool, "TIMES", 0.0)
    config = released / "nbgrader_config.py"
    config.write_text(f"{config.read_text(encoding='utf-8')}c.Execute.timeout = 2\n", encoding="utf-8")
    cell(answered, "double").source = "def double(x):\n    return 2 * x"
    answered.cells += [nbformat.v4.new_code_cell(f"while True: pass  # {n}") for n in range(6)]
    submit(released, "ada", "sums", answered)
    (grade,) = grading.grade("sums", course=released)
    assert (grade.score, grade.status) == (2, "timeout")
    assert "time for the whole notebook was up" in grade.reason
